"""How much memory fifty hostile hosts take of a process that asks them all at once. Run as a program; prints it in MB.

The hosts are another process, so that what they say is not counted.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HOSTS = 50
ANSWERED = {"keys": 20, "walk": 300}
"""Requests after which a hostile host hangs up, 60 if left out: long after every limit is reached."""
KINDS = ("long", "many", "elements", "keys", "walk")
"""Endless pages of a megabyte, and of thousands of instances; messages of nothing but elements; a registry printed without
end; a registry to be walked whose every key holds thousands."""


def _serve(listener: socket.socket, kind: str) -> None:
    from tests.winrm.test_winrm_hostile_hosts import _one_request, honest, http, soap

    from converge.wsman import messages
    from converge.wsman.cim import Instance, Properties
    from converge.wsman.namespaces import CMD_SHELL, wmi_uri
    from converge.wsman.operations import Enumerate, Invoke, Page, Pull, ShellOutput
    from converge.wsman.shells import Command, CommandStarted, CreateShell, Receive, Received, ShellCreated, ShellStream

    answered = ANSWERED.get(kind, 60)
    names = tuple(f"{number:04}" + "k" * 200 for number in range(3000))
    uri = wmi_uri("root/cimv2", "X")
    long = tuple(Instance(Properties({"A": "x" * 900_000}), class_name="X", class_uri=uri) for _ in range(1))
    many = tuple(Instance(Properties({"A": None}), class_name="X", class_uri=uri) for _ in range(4000))
    keys = [
        b"".join(b"HKEY_LOCAL_MACHINE\\SOFTWARE\\%08d\r\n" % (part * 15_000 + number) for number in range(15_000))
        for part in range(answered if kind == "keys" else 0)
    ]
    flood = http(
        b"<s:Envelope xmlns:s='http://www.w3.org/2003/05/soap-envelope'>" + b"<x/>" * 250_000 + b"</s:Envelope>"
    )
    rows = {"long": long, "many": many}.get(kind)

    def talk(line: socket.socket) -> None:
        with contextlib.suppress(OSError), line:
            for turn in range(answered):
                data = _one_request(line)
                if not data:
                    return
                request = messages.parse_request(data)
                asked = request.operation
                if rows and isinstance(asked, (Enumerate, Pull)):
                    answer = soap(request, Page(rows, context="more", first=isinstance(asked, Enumerate)))
                elif kind == "elements":
                    answer = flood
                elif kind == "walk" and isinstance(asked, Invoke):
                    told = Properties({"ReturnValue": 0, "sNames": names, "Types": ("4",) * len(names)})
                    answer = soap(request, ShellOutput(told, asked.method, asked.target.resource_uri))
                elif kind == "keys" and isinstance(asked, CreateShell):
                    answer = soap(request, ShellCreated("1", CMD_SHELL, ""))
                elif isinstance(asked, Command):
                    answer = soap(request, CommandStarted("1"))
                elif isinstance(asked, Receive):
                    answer = soap(request, Received("1", (ShellStream("stdout", "1", keys[turn]),), state="Running"))
                else:
                    answer = honest(request)
                line.sendall(answer)

    with contextlib.suppress(OSError):
        while True:
            threading.Thread(target=talk, args=(listener.accept()[0],), daemon=True).start()


def main() -> None:
    """Ask, and print the most memory that was held."""
    kind = sys.argv[1]
    listener = socket.create_server(("127.0.0.1", 0), backlog=200)
    hosts = os.fork()
    if hosts == 0:
        _serve(listener, kind)
        os._exit(0)
    from tests.winrm.test_winrm_hostile_hosts import machine

    from converge.errors import ConvergeError
    from converge.model.query import CimInstances, RegistrySearch
    from converge.model.registry import Hive, RegistryPath

    port = listener.getsockname()[1]
    query = CimInstances("root/cimv2", "SELECT * FROM X")
    search = RegistrySearch((RegistryPath(Hive.LOCAL_MACHINE, "SOFTWARE"),), ("seo.dll",))
    together = threading.Barrier(HOSTS)

    def ask(number: int) -> str:
        asked = machine(
            f"http://127.0.0.1:{port}/wsman", max_answer=1024 * 1024, operation_timeout=60.0, read_timeout=120.0
        )
        together.wait()
        try:
            wanted = search if kind in ("keys", "walk") else query
            return str(asked.ask([wanted])[wanted])[:150]
        except ConvergeError as error:
            return error.what
        finally:
            asked.close()

    with ThreadPoolExecutor(HOSTS) as pool:
        told = sorted(set(pool.map(ask, range(HOSTS))))
    os.kill(hosts, signal.SIGKILL)
    peak = next(row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith("VmHWM"))
    sys.stdout.write(f"{int(peak.split()[1]) // 1024}\n")
    sys.stderr.write(f"{told[:3]}\n")


if __name__ == "__main__":
    main()
