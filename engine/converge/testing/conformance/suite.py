"""The whole suite as one class, for a test module to subclass."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import ClassVar

import pytest

from converge.lab.endpoint.server import LabServer
from converge.testing.conformance.bench import Bench, InMemory, MachineName, MakeBench, OverWinRM
from converge.testing.conformance.breaking_off import BreakingOff
from converge.testing.conformance.case import Case, read_cases
from converge.testing.conformance.refusing import Refusing
from converge.testing.conformance.reverting import Reverting
from converge.testing.conformance.settling import Settling
from converge.testing.conformance.trying import parametrize

MEMORY_DISK = Path("/dev/shm")  # noqa: S108  # where there is one, journals are synced to it: their durability is tested elsewhere


class Conformance(Settling, BreakingOff, Refusing, Reverting):
    """Every promise, for the kinds of the files in `cases`. `worlds` may hold images of its own beside converge's."""

    cases: ClassVar[Path]
    worlds: ClassVar[Path | None] = None

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each test for its cases."""
        parametrize(metafunc, _read(self.cases, self.worlds))

    def test_every_file_has_a_case_with_facts_of_the_world(self) -> None:
        """Of the kind that it is named for."""
        cases = _read(self.cases, self.worlds)
        assert cases, f"{self.cases} holds no KIND.yml"
        assert {case.file for case in cases} <= {kind for case in cases if case.holds for kind in case.kinds}

    def test_titles_tell_cases_apart(self) -> None:
        """Within a file."""
        titles = [(case.file, case.title) for case in _read(self.cases, self.worlds)]
        assert len(titles) == len(set(titles))

    @pytest.fixture
    def bench(self) -> Iterator[MakeBench]:
        """Makes a case ready; each time with a world and a store of its own."""
        with ExitStack() as closing:
            within = MEMORY_DISK if MEMORY_DISK.is_dir() else None
            folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="converge-case-", dir=within)))
            benches: list[Bench] = []
            server = cache(lambda: closing.enter_context(LabServer()))

            def make(case: Case, machine: MachineName = "memory", *, stored: bool = False) -> Bench:
                own = folder / str(len(benches))
                own.mkdir()
                world = case.make_world()
                reach = InMemory(world) if machine == "memory" else OverWinRM.to(world, server=server(), login=machine)
                benches.append(Bench(case, world, reach, own, case.plays(own), stored, case.backup_folder))
                closing.callback(benches[-1].close)
                return benches[-1]

            yield make


@cache
def _read(cases: Path, worlds: Path | None) -> tuple[Case, ...]:
    return tuple(read_cases(cases, worlds=worlds))
