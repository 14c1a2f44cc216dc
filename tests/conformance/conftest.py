"""Makes cases ready on each machine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conformance.bench import Bench, InMemory, MachineName, MakeBench, OverWinRM
from tests.conformance.case import Case

from converge.lab.endpoint.server import LabServer

MEMORY_DISK = Path("/dev/shm")  # where there is one, journals are synced to it: their durability is tested elsewhere


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder for journals."""
    within = MEMORY_DISK if MEMORY_DISK.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="converge-case-", dir=within) as name:
        yield Path(name)


@pytest.fixture(scope="module")
def server() -> Iterator[LabServer]:
    """A server of nothing yet."""
    with LabServer() as running:
        yield running


@pytest.fixture
def bench(folder: Path, server: LabServer) -> Iterator[MakeBench]:
    """Makes a case ready; each time with a world and a store of its own."""
    made = 0
    benches: list[Bench] = []

    def make(case: Case, machine: MachineName = "memory", *, stored: bool = False) -> Bench:
        nonlocal made
        made += 1
        own = folder / str(made)
        own.mkdir()
        world = case.make_world()
        reach = InMemory(world) if machine == "memory" else OverWinRM.to(world, server=server, login=machine)
        benches.append(Bench(case, world, reach, own, case.plays(own), stored, case.backup_folder))
        return benches[-1]

    yield make
    for made_ready in benches:
        made_ready.close()
