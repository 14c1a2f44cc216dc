"""The program in forks of a process that has imported it: what a test runs step by step need not import everything at each.

    python -m tests.cli.forked SOCKET

listens there until its standard input ends. Start-up itself, signals and terminals are tested with processes of their own.
"""

from __future__ import annotations

import atexit
import json
import os
import pkgutil
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]


class Forked:
    """Runs the program, each time in a fork. Used from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._address = ""

    def run(
        self, words: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdin: str, timeout: float
    ) -> tuple[int, str, str]:
        """Exit code, output and errors. Raises TimeoutExpired."""
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            given.write(stdin.encode())
            given.seek(0)
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(timeout)
                line.connect(self._listening())
                task = json.dumps({"words": list(words), "cwd": str(cwd), "env": dict(env)}).encode()
                socket.send_fds(line, [len(task).to_bytes(4)], [given.fileno(), out.fileno(), err.fileno()])
                line.sendall(task)
                code = self._ended(line, words, timeout)
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode().replace("\r\n", "\n"))
            return code, texts[0], texts[1]

    def _ended(self, line: socket.socket, words: Sequence[str], timeout: float) -> int:
        with line.makefile("r") as told:
            process = int(told.readline())
            try:
                return int(told.readline())
            except TimeoutError:
                os.kill(process, signal.SIGKILL)
                raise subprocess.TimeoutExpired(list(words), timeout) from None

    def _listening(self) -> str:
        with self._lock:
            if self._process is None:
                folder = tempfile.mkdtemp(prefix="converge-forked-")
                self._address = f"{folder}/socket"
                environment = {name: value for name, value in os.environ.items() if not name.startswith("CONVERGE_")}
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "tests.cli.forked", self._address],
                    cwd=REPOSITORY, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                )  # fmt: skip
                assert self._process.stdout is not None
                assert self._process.stdout.readline() == b"ready\n"
                atexit.register(shutil.rmtree, folder, ignore_errors=True)
                atexit.register(self._process.kill)
            return self._address


def _import_all() -> None:
    import converge.cli

    for module in pkgutil.walk_packages(converge.cli.__path__, "converge.cli."):
        import_module(module.name)
    for name in ("aiohttp.web", "converge.lab.endpoint.server", "converge.winrm.machine", "converge.web.server"):
        with suppress(ImportError):
            import_module(name)
    assert threading.active_count() == 1, "a process with threads is not to be forked"


def _serve(address: str) -> Any:
    """Fork for each task; returns it in the fork that is to do it."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who waits for the program is nobody's child to wait for
        while True:
            if sys.stdin.fileno() in select.select([listener, sys.stdin], [], [])[0]:
                os._exit(0)
            line, _ = listener.accept()
            if os.fork() == 0:
                break
            line.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    head, files, _, _ = socket.recv_fds(line, 4, 3)
    task = json.loads(line.makefile("rb").read(int.from_bytes(head)))
    process = os.fork()
    if process:
        line.sendall(f"{process}\n".encode())
        _, status = os.waitpid(process, 0)
        line.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
        os._exit(0)
    line.close()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    return task


def _become(task: Any) -> None:
    """Whatever a process of its own would have found: folder, environment, streams, chance."""
    os.chdir(task["cwd"])
    os.environ.clear()
    os.environ.update(task["env"])
    time.tzset()
    random.seed()
    sys.stdin, sys.stdout = open(0, encoding="utf-8"), open(1, "w", encoding="utf-8")  # noqa: SIM115  # they outlive this
    sys.stderr = open(2, "w", encoding="utf-8", buffering=1, errors="backslashreplace")  # noqa: SIM115
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]
    signal.signal(signal.SIGINT, signal.default_int_handler)


if __name__ == "__main__":
    _import_all()
    task = _serve(sys.argv[1])
    _become(task)
    from converge.cli import main as program

    sys.argv = [str(program.__file__), *task["words"]]
    program.main()
