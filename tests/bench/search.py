"""What a registry search costs on a hive of 6,000 classes, by reg.exe in a shell and by walking: `python -m tests.bench.search`.

The lab answers from this process, so its time is part of both. Figures are to be read as a ratio within one run.
"""

from __future__ import annotations

import sys
import time

from converge.lab.endpoint.host import SimulatedHost
from converge.lab.endpoint.server import LabServer
from converge.lab.image import load_image
from converge.lab.world import World
from converge.model.answer import Found
from converge.model.facts import SearchFinds
from converge.model.query import RegistrySearch
from converge.model.registry import RegistryType
from converge.model.secret import Secret
from converge.windows.registry import parse_path
from converge.winrm.connection import Connection
from converge.winrm.observer import WinRMObserver

CLASSES = 6_000
FILES = ("Seo.dll", "Smtpsvc.dll")
ROOT = parse_path(r"HKLM\SOFTWARE\Classes")


def crowded_world(*, shells: bool) -> World:
    """A Windows Server 2003 with many classes, two of them in one of the files; without shells if told so."""
    world = load_image("exchange2003", host_name="crowded")
    world.profile = world.profile.model_copy(update={"winrm_stack": "3.0"})
    for number in range(CLASSES):
        key = ROOT / "CLSID" / f"{{{number:08X}-0000-0000-C000-000000000046}}" / "InprocServer32"
        file = FILES[number // 3000] if number % 3000 == 0 else f"library{number}.dll"
        text = rf"C:\WINDOWS\System32\Inetsrv\{file}"
        world.registry.create(key).set("", number=RegistryType.STRING.number, data=text)
    for account in world.accounts.values():
        account.denies = () if shells else ("shells",)
    return world


def searched(*, shells: bool) -> tuple[frozenset[str], int, float]:
    """What the search finds, how many requests it took, and how many seconds."""
    world = crowded_world(shells=shells)
    account = next(iter(world.accounts.values()))
    with LabServer() as server:
        (endpoint,) = server.start([SimulatedHost("crowded", world)])
        connection = Connection("crowded", endpoint.url, username=account.name, password=Secret(account.password))
        observer = WinRMObserver(connection)
        try:
            query = RegistrySearch((ROOT,), FILES)
            began = time.monotonic()
            answer = observer.ask((query,))[query]
            seconds = time.monotonic() - began
            assert isinstance(answer, Found)
            assert isinstance(answer.value, SearchFinds)
            found = frozenset(f"{value.key}\\{value.name}" for value in answer.value.values)
            return found, observer.round_trips, seconds
        finally:
            observer.close()


def main() -> int:
    """Search both ways and compare. 1 if they do not find the same."""
    by_shell, shell_requests, shell_seconds = searched(shells=True)
    by_walk, walk_requests, walk_seconds = searched(shells=False)
    out = sys.stdout.write
    out(f"{CLASSES} classes, {len(by_shell)} values found\n")
    out(f"reg.exe in a shell: {shell_requests} requests, {shell_seconds:.1f} s\n")
    out(
        f"walking StdRegProv: {walk_requests} requests, {walk_seconds:.1f} s, {walk_seconds / shell_seconds:.1f} times\n"
    )
    return int(by_shell != by_walk)


if __name__ == "__main__":
    sys.exit(main())
