"""`lab up` and `lab down`: a process that serves simulated hosts until it is told to stop."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from select import select

from converge.cli.lab_worlds import FOLDER
from converge.cli.signals import stopping
from converge.errors import UsageError
from converge.fleet.stop import StopToken
from converge.inventory import load
from converge.model.opening import OWNER_ONLY, create_output, make_state_folder
from converge.report.sink import sink_for
from converge.runs.lab_endpoints import LabRecord, Served
from converge.runs.lab_hosts import LOOK_AGAIN, LabHosts, Wanted

START_SECONDS = 120.0


def serve(images: Sequence[str], inventories: Sequence[str], *, json_wanted: bool) -> int:
    """Serve until interrupted, which is the expected end: exit code 0."""
    wanted = wanted_hosts(images, inventories)
    record = LabRecord(FOLDER)
    record.claim()
    hosts = LabHosts(FOLDER)
    stop = StopToken()
    try:
        with stopping(stop, words=b""):
            served = {host.name: hosts.serve(host) for host in wanted}
            record.write(served)
            _announce(served, json_wanted=json_wanted, until_interrupted=True)
            while not stop.wait(LOOK_AGAIN):
                hosts.refresh()
    finally:
        record.release()
        hosts.close()
    return 0


def detach(images: Sequence[str], inventories: Sequence[str], *, json_wanted: bool) -> int:
    """Start a process that serves, and return once its hosts listen. Raises UsageError where it ends at once."""
    wanted_hosts(images, inventories)  # what is wrong with the files is told here, not in a log
    if LabRecord(FOLDER).is_up():
        raise UsageError("the lab is up already in this folder", try_="converge lab down")
    make_state_folder(FOLDER)
    words = [*images, *(word for inventory in inventories for word in ("-i", inventory))]
    log = FOLDER / "up.log"
    with open(create_output(log, mode=OWNER_ONLY), "wb") as errors:
        process = subprocess.Popen(  # noqa: S603  # this very program
            [sys.executable, "-m", "converge.cli.main", "lab", "up", "--format", "json", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
    hosts = _first_line(process, log)
    served = {name: LabRecord(FOLDER).served(name) for name in hosts}
    _announce({name: at for name, at in served.items() if at}, json_wanted=json_wanted, until_interrupted=False)
    return 0


def down() -> int:
    """Stop the process that serves; nothing to do where there is none."""
    words = "stopped" if LabRecord(FOLDER).stop() else "the lab is not up"
    sink_for(sys.stdout).line(words)
    return 0


def wanted_hosts(images: Sequence[str], inventories: Sequence[str]) -> list[Wanted]:
    """The hosts to serve: one per image, or those of the inventories. Raises UsageError where there are none."""
    if images:
        names: dict[str, str] = {}
        for image in images:
            taken = [name for name in names if name == image or name.startswith(f"{image}-")]
            names[f"{image}-{len(taken) + 1}" if taken else image] = image
        return [Wanted(name, image) for name, image in names.items()]
    if not inventories and not Path("inventory").exists():
        raise UsageError("nothing to serve", try_="name images (`converge lab list`), or an inventory with -i")
    inventory = load(inventories or ["inventory"])
    found = []
    for host in inventory.hosts:
        settings = inventory.settings(host)
        if settings.connection == "lab":
            found.append(Wanted(host, settings.lab_image, settings.user, settings.password()))
    if not found:
        raise UsageError(
            "the inventory has no simulated host", try_="set ansible_connection: lab and converge_lab_image"
        )
    return found


def _first_line(process: subprocess.Popen[bytes], log: Path) -> list[str]:
    assert process.stdout is not None
    readable, _, _ = select([process.stdout], [], [], START_SECONDS)
    line = process.stdout.readline() if readable else b""
    try:
        hosts = list(json.loads(line)["hosts"])
    except ValueError:  # the document of errors is more than one line
        raise _not_up(process, line, log) from None
    process.stdout.close()
    return hosts


def _not_up(process: subprocess.Popen[bytes], begun: bytes, log: Path) -> UsageError:
    assert process.stdout is not None
    if process.poll() is None and not begun:
        process.terminate()
    document = begun + process.stdout.read()
    process.wait(timeout=START_SECONDS)
    why = log.read_text("utf-8", "replace")[-2000:].strip()
    with suppress(ValueError):
        why = "\n".join(error["message"] for error in json.loads(document)["errors"])
    return UsageError("the lab did not come up", why=why, try_=f"see {log}")


def _announce(served: dict[str, Served], *, json_wanted: bool, until_interrupted: bool) -> None:
    if json_wanted:
        hosts = {name: host.as_json() for name, host in served.items()}
        sys.stdout.write(json.dumps({"hosts": hosts}) + "\n")
        sys.stdout.flush()
        return
    sink = sink_for(sys.stdout)
    width = max(len(name) for name in served)
    for name, host in served.items():
        sink.line(f"{name:<{width}}  {host.endpoint}  {host.username}  {host.image}")
    sink.line("Ctrl-C stops them" if until_interrupted else "`converge lab down` stops them", style="dim")
    sys.stdout.flush()
