"""Killed before every write of the journal and before every action: the next run finishes, or undo takes it back.

The process dies here by an exception that nothing catches, at the two seams through which everything that lasts goes: what the
journal commits and what the machine is told to do. Between one of these and the next nothing lasting happens, so that dying
before each of them is dying after each of them too. Of places that are alike (the same events, or the same action) one is
taken; `CONVERGE_TEST_THOROUGH=1` goes through all. `tests/evening` kills real processes at a sample of them.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.apply.apply_site import HOST, Site, told
from tests.apply.conftest import MEMORY_DISK
from tests.apply.test_apply_undo import APP, VENDOR, value
from tests.store.postgresql_server import ABSENT, programs, served

from converge.model.action import AnyAction, Performed
from converge.model.change import HostResult
from converge.model.journal import ActionEnded, ActionIntended, ChangeBegun, ChangeEnded, History, JournalEvent
from converge.model.machine import Machine
from converge.model.play import Play
from converge.store.journal import StoredJournal

ENTRIES: list[dict[str, Any]] = [
    value("Text", "new", notify="restart busy"),
    value("a", "1", key=VENDOR + r"\A\B"),
    {"file": {"path": APP, "copy_from": r"D:\Media\new.dll"}, "notify": "restart busy"},
    {"file": {"path": r"D:\Vendor\x\a.txt", "content": "a"}, "requires": ["folder"]},
    {"service": {"name": "Plain", "running": True, "start_mode": "automatic"}},
    {
        "procedure": {
            "name": "p",
            "done_when": {"registry_value": {"key": VENDOR, "name": "S", "exists": True}},
            "steps": [
                {"registry_key": {"key": VENDOR + r"\Tree", "ensure": "absent", "recursive": True}},
                value("S", "1"),
            ],
        }
    },
]
ENTRIES.insert(3, {"name": "folder", "directory": {"path": r"D:\Vendor\x"}})
HANDLERS = [{"name": "restart busy", "restart_service": {"name": "Busy"}}]


def started(site: Site) -> datetime:
    """When the service was started last, as far as it runs."""
    record = site.world.service("Busy")
    assert record is not None
    process = site.world.processes.get(record.process_id)
    return process.created if process is not None else datetime.max.replace(tzinfo=UTC)


def things(site: Site) -> Any:
    """The world without the moments at which files were made: nobody makes them at the same moment twice."""
    found = site.essence()
    for folder in found["files"]:
        folder["files"] = [
            {
                name: told
                for name, told in file.items()
                if not isinstance(told, str) or not re.match(r"\d{4}-\d\d-\d\dT", told)
            }
            for file in folder["files"]
        ]
    return found


class Killed(BaseException):
    """The process is gone."""


def kind_of(what: JournalEvent | AnyAction) -> str:
    """What makes one place another than the next: which event, of which kind of resource, of which action, with which result."""
    name = type(what).__name__
    match what:
        case ChangeBegun():
            return f"{name} {what.kind}"
        case ActionIntended():
            return f"{name} {what.action['action']}"
        case ActionEnded():
            return f"{name} {what.result}"
        case ChangeEnded():
            return f"{name} {what.status}"
    return name


class Seam:
    """Remembers what lasts, each place by its kind, and dies at one of them."""

    def __init__(self, dies_at: int) -> None:
        self.dies_at = dies_at
        self.passed: list[str] = []

    def pass_by(self, *what: JournalEvent | AnyAction) -> None:
        self.passed.append(" ".join(kind_of(each) for each in what))
        if len(self.passed) - 1 == self.dies_at:
            raise Killed

    @contextmanager
    def around_the_journal(self, patched: pytest.MonkeyPatch) -> Iterator[None]:
        write = StoredJournal.write

        def watched(journal: StoredJournal, *events: JournalEvent) -> None:
            self.pass_by(*events)
            write(journal, *events)

        with patched.context() as context:
            context.setattr(StoredJournal, "write", watched)
            yield

    def around(self, machine: Machine) -> Machine:
        return Mortal(machine, self)


class Mortal:
    """A machine under which the process may die right before an action is sent."""

    def __init__(self, machine: Machine, seam: Seam) -> None:
        self.machine, self.seam = machine, seam
        self.ask, self.host = machine.ask, machine.host

    @property
    def round_trips(self) -> int:
        return self.machine.round_trips

    def perform(self, action: AnyAction) -> Performed:
        self.seam.pass_by(action)
        return self.machine.perform(action)


def plays_of(site: Site) -> tuple[Play, ...]:
    return site.plays(ENTRIES, HANDLERS)


def killed(site: Site, act: Callable[..., HostResult], at: int, patched: pytest.MonkeyPatch) -> bool:
    """Whether it died: not where there are fewer places."""
    seam = Seam(at)
    with seam.around_the_journal(patched), suppress(Killed):
        act(wrap=seam.around)
        return False
    return True


def applied(site: Site, **given: Any) -> HostResult:
    return site.apply(plays_of(site), accept_no_way_back=True, **given)


class Ends:
    """The worlds of a run that nobody disturbed: before it, and after it."""

    def __init__(self, site: Site) -> None:
        self.before = site.essence()
        result = applied(site)
        assert result.status.value == "changed", told(result)
        self.after = things(site)
        assert site.undo(accept_no_way_back=True).status.value == "changed"
        assert site.essence() == self.before


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Ends:
    return Ends(Site(tmp_path_factory.mktemp("undisturbed")))


@contextmanager
def fresh(url: str = "") -> Iterator[Site]:
    with tempfile.TemporaryDirectory(dir=MEMORY_DISK if MEMORY_DISK.is_dir() else None) as name:
        yield Site(Path(name), url=url)


def still_open(site: Site) -> History:
    with site.store() as store:
        store.verify(HOST)
        return store.history(HOST)


def finished_after(site: Site, at: int, ends: Ends, patched: pytest.MonkeyPatch) -> bool:
    original = started(site)
    site.world.clock.advance(60)
    if not killed(site, lambda **given: applied(site, **given), at, patched):
        return False
    site.world.clock.advance(60)
    result = applied(site)
    assert result.status.value in ("changed", "ok"), f"{at}\n{told(result)}"
    assert things(site) == ends.after, f"{at}\n{told(result)}"
    assert still_open(site) == History(), at
    assert started(site) > original, f"{at}: the handler was lost"
    assert site.check(plays_of(site)).status.value == "ok"
    return True


def reverted_after(site: Site, at: int, ends: Ends, patched: pytest.MonkeyPatch) -> bool:
    original = started(site)
    site.world.clock.advance(60)
    if not killed(site, lambda **given: applied(site, **given), at, patched):
        return False
    restarted = started(site)
    site.world.clock.advance(60)
    if not site.recorded(site.runs[0]):
        return True
    result = site.undo(site.runs[0], accept_no_way_back=True)
    assert result.status.value in ("changed", "ok", "skipped"), f"{at}\n{told(result)}"
    assert site.essence() == ends.before, f"{at}\n{told(result)}"
    if original < restarted < datetime.max.replace(tzinfo=UTC):
        assert started(site) > restarted or still_open(site).pending, f"{at}: it runs with what was taken back"
    return True


def undone_again_after(site: Site, at: int, ends: Ends, patched: pytest.MonkeyPatch) -> bool:
    applied(site)
    run = site.runs[0]
    site.world.clock.advance(60)
    if not killed(site, lambda **given: site.undo(run, accept_no_way_back=True, **given), at, patched):
        return False
    site.world.clock.advance(60)
    result = site.undo(run, accept_no_way_back=True)
    assert result.status.value in ("changed", "ok", "skipped"), f"{at}\n{told(result)}"
    assert site.essence() == ends.before, f"{at}\n{told(result)}"
    again = applied(site)
    assert again.status.value == "changed", f"{at}\n{told(again)}"
    assert things(site) == ends.after
    assert still_open(site) == History(), at
    return True


WAYS = [finished_after, reverted_after, undone_again_after]
PLACES = (71, 85)  # of the run that is undisturbed, and of its undo
THOROUGH = "CONVERGE_TEST_THOROUGH" in os.environ


def places(way: Callable[..., bool], patched: pytest.MonkeyPatch) -> list[int]:
    """Where to die: one place of each kind, the first or, for the sake of the others, the last of it; or all."""
    seam = Seam(-1)
    with fresh() as site:
        undone = applied(site) if way is undone_again_after else None
        with seam.around_the_journal(patched):
            if undone:
                site.undo(site.runs[0], accept_no_way_back=True, wrap=seam.around)
            else:
                applied(site, wrap=seam.around)
    assert len(seam.passed) >= PLACES[bool(undone)], "there are as many places as events and actions"
    found = list(enumerate(seam.passed))
    if THOROUGH:
        return [number for number, _ in found]
    each = {kind: number for number, kind in (found if way is reverted_after else reversed(found))}
    assert len(each) > 30
    return sorted(each.values())


@pytest.mark.parametrize("part", range(2))
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_at_every_kind_of_place(
    way: Callable[..., bool], part: int, ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in places(way, monkeypatch)[part::2]:
        with fresh() as site:
            assert way(site, at, ends, monkeypatch), f"{at}: it did not die"


def test_on_postgresql(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    binaries = programs()
    if binaries is None:
        pytest.skip(ABSENT)
    with served(binaries) as folder:
        import psycopg

        for number, (way, at) in enumerate([(way, at) for way in WAYS for at in (3, 30, 67)]):
            schema = f"killed_{number}"
            with psycopg.connect(host=str(folder), user="converge", dbname="postgres", autocommit=True) as connection:
                connection.execute(f"CREATE SCHEMA {schema}")
            with fresh(f"postgresql://converge@/postgres?host={folder}&options=-csearch_path%3D{schema}") as site:
                assert way(site, at, ends, monkeypatch)
