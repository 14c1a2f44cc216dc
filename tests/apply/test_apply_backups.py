"""What is replaced or removed is kept: where the inventory says, with a manifest that is true, through cuts and undo of undo."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.apply.apply_site import HOST, Site, actions, leaves, statuses, told
from tests.apply.test_apply_undo import ENTRIES, TITLES

from converge.model.action import AnyAction, MoveFile
from converge.model.answer import Answers
from converge.model.machine import Machine
from converge.testing.faulty_machine import FaultyMachine
from converge.windows import backup_paths

APP, NEW = r"D:\Vendor\app.dll", r"D:\Media\new.dll"
REPLACED: dict[str, Any] = {"file": {"path": APP, "copy_from": NEW}}
ABSENT: dict[str, Any] = {"file": {"path": APP, "ensure": "absent"}}
FULL: dict[str, Any] = {"directory": {"path": r"D:\Vendor\full", "ensure": "absent", "recursive": True}}
WITH_FILES = [
    pytest.param(entries, id=title)
    for title, entries in zip(TITLES, ENTRIES, strict=True)
    if any(kind in entry for entry in entries for kind in ("file", "directory"))
]


def names(site: Site, place: str) -> list[str]:
    """What lies in a folder of the world."""
    held = site.world.files.folder(place)
    if held is None:
        return []
    return sorted([*(file.name for file in held.files.values()), *(folder.name for folder in held.folders.values())])


def text(site: Site, path: str) -> str:
    held = site.world.files.file(path)
    assert held is not None, path
    return held.read().decode()


def manifest(site: Site, path: str) -> dict[str, Any]:
    return dict(json.loads(text(site, path)))


@pytest.mark.parametrize("folder", [r"D:\converge", r"\converge", r"C:\elsewhere"])
@pytest.mark.parametrize("entries", WITH_FILES)
def test_wherever_things_are_kept_everything_is_as_it_was(
    site: Site, entries: list[dict[str, Any]], folder: str
) -> None:
    site.backup_folder = folder
    before = site.essence()
    predicted = site.check(site.plays(entries))
    applied = site.apply(site.plays(entries), accept_no_way_back=True)
    after = site.essence()
    assert after != before, told(applied)
    assert statuses(predicted) == statuses(applied)
    assert actions(predicted) == actions(applied)

    looked = site.check_undo()
    undone = site.undo()
    assert undone.status.value == "changed", told(undone)
    assert site.essence() == before, told(undone)
    assert (statuses(looked), actions(looked)) == (statuses(undone), actions(undone))

    back = site.undo(site.runs[1])
    assert back.status.value == "changed", told(back)
    assert site.essence() == after, told(back)
    site.undo()
    assert site.essence() == before


class TestTheFolder:
    def test_what_is_replaced_lies_in_a_folder_of_the_run(self, site: Site) -> None:
        site.backup_folder = r"D:\converge"
        site.apply(site.plays([REPLACED, FULL]))
        own = rf"D:\converge\{site.runs[0]}"
        assert names(site, own) == ["D!Vendor!app.dll", "D!Vendor!full", f"converge-{site.runs[0]}.json"]
        assert names(site, r"D:\Vendor") == ["app.dll", "empty", "held.dll"]
        held = site.world.files.file(rf"{own}\D!Vendor!app.dll")
        assert held is not None
        assert (held.size, held.version) == (100, "5.0.0.1")

    def test_undo_leaves_the_folder_of_the_run_no_more(self, site: Site) -> None:
        site.backup_folder = r"D:\converge"
        site.apply(site.plays([REPLACED, FULL]))
        site.undo()
        assert names(site, r"D:\converge") == [site.runs[1]]
        assert names(site, rf"D:\converge\{site.runs[1]}") == ["D!Vendor!app.dll", f"converge-{site.runs[1]}.json"]

    def test_what_lies_on_another_drive_is_kept_beside(self, site: Site) -> None:
        site.backup_folder = r"C:\converge"
        checked = site.check(site.plays([REPLACED]))
        assert "C:\\converge is on another drive" in checked.changes[0].notes[0]
        site.apply(site.plays([REPLACED]))
        assert f"app.dll.converge-{site.runs[0]}" in names(site, r"D:\Vendor")
        assert site.world.files.folder(r"C:\converge") is None

    def test_check_says_where(self, site: Site) -> None:
        assert site.check(site.plays([REPLACED])).changes[0].notes == (
            f"what is there is kept as {APP}.converge-check",
        )
        site.backup_folder = r"\converge"
        said = r"what is there is kept as D:\converge\check\D!Vendor!app.dll"
        assert site.check(site.plays([REPLACED])).changes[0].notes == (said,)
        assert site.check(site.plays([{"file": {"path": APP}}])).changes[0].notes == ()

    @pytest.mark.parametrize(
        ("folder", "words"), [(r"D:\Vendor\full\a.txt", "is a file"), (r"D:\Vendor\full\a.txt\deeper", "")]
    )
    def test_a_folder_that_cannot_be_loses_nothing(self, site: Site, folder: str, words: str) -> None:
        site.backup_folder = folder
        if words:
            assert words in told(site.check(site.plays([REPLACED])))
        before = site.essence(kept=True)
        assert site.apply(site.plays([REPLACED])).status.value == "failed"
        assert site.essence(kept=True) == before

    def test_without_a_shell_no_folder_is_made_and_nothing_moved(self, site: Site) -> None:
        site.backup_folder = r"D:\converge"
        site.world.accounts[r"CASE\DEPLOY"].denies = ("shells",)
        before = site.essence(kept=True)
        result = site.apply(site.plays([ABSENT]))
        assert "making D:\\converge needs a shell" in told(result)
        assert site.essence(kept=True) == before

    def test_a_missing_drive_is_found_by_check(self, site: Site) -> None:
        site.backup_folder = r"\converge"
        site.world.files.make_folder("D:\\")
        assert site.check(site.plays([REPLACED])).status.value == "changed"

    def test_a_host_in_order_is_asked_nothing_more(self, site: Site) -> None:
        entries: list[dict[str, Any]] = [
            {"file": {"path": APP, "size": 100}},
            {"directory": {"path": r"D:\Vendor\gone", "ensure": "absent"}},
        ]
        site.backup_folder = ""
        plain = asked(site, entries)
        site.backup_folder = r"D:\converge"
        assert asked(site, entries) == plain

    def test_what_is_replaced_twice_in_one_run_is_kept_twice(self, site: Site) -> None:
        for folder, where in (("", rf"{APP}.converge-{{}}"), (r"\converge", r"D:\converge\{}\D!Vendor!app.dll")):
            site.backup_folder = folder
            before = site.essence()
            entries = [{"procedure": {"name": "p", "done_when": {"file": {"path": APP, "exists": False}}, "steps": [
                {"name": "one", **REPLACED}, {"name": "two", "file": {"path": APP, "ensure": "absent"}}]}}]  # fmt: skip
            result = site.apply(site.plays(entries))
            assert result.status.value == "changed", told(result)
            run = site.runs[-1]
            first = where.format(run)
            second = f"{first}.2" if not folder else f"{first};.2"
            assert site.world.files.file(first).size == 100  # type: ignore[union-attr]  # it is there
            assert site.world.files.file(second).size == 120  # type: ignore[union-attr]  # it is there
            undone = site.undo(run)
            assert undone.status.value == "changed", told(undone)
            assert site.essence() == before


def asked(site: Site, entries: list[dict[str, Any]]) -> list[str]:
    seen: list[str] = []

    class Listening:
        host, round_trips = HOST, 0

        def ask(self, queries: Any) -> Answers:
            seen.extend(sorted(map(str, queries)))
            return site.machine.ask(queries)

    from converge.apply.host import check
    from converge.model.journal import History

    check(
        site.plays(entries), observer=Listening(), variables={}, history=History(), run="check",
        options=site.options(),
    )  # fmt: skip
    return seen


class TestTheManifest:
    def test_it_tells_what_is_kept(self, site: Site) -> None:
        site.apply(site.plays([REPLACED, FULL, {"file": {"path": r"D:\Media\plain.txt", "content": "new"}}]))
        run = site.runs[0]
        path = rf"D:\Vendor\converge-{run}.json"
        found = manifest(site, path)
        assert (found["run"], found["host"], found["manifest"]) == (run, HOST, 1)
        assert found["time"]
        assert found["converge"]
        assert found["kept"] == [
            {"original": APP, "kept": f"{APP}.converge-{run}", "kind": "file", "size": 100, "version": "5.0.0.1"},
            {"original": r"D:\Vendor\full", "kept": rf"D:\Vendor\full.converge-{run}", "kind": "folder"},
        ]
        assert len(manifest(site, rf"D:\Media\converge-{run}.json")["kept"]) == 1

    def test_undo_takes_it_away(self, site: Site) -> None:
        site.apply(site.plays([ABSENT]))
        assert f"converge-{site.runs[0]}.json" in names(site, r"D:\Vendor")
        site.undo()
        assert not [name for name in names(site, r"D:\Vendor") if "converge" in name]

    def test_undo_of_a_part_leaves_the_rest_in_it(self, site: Site) -> None:
        site.apply(site.plays([ABSENT, FULL]))
        run = site.runs[0]
        site.world.files.make_folder(r"D:\Vendor\full")
        site.world.files.make_folder(r"D:\Vendor\full\theirs")
        result = site.undo()
        assert statuses(result) == {rf"file:{APP}": "changed", r"directory:D:\Vendor\full": "failed"}, told(result)
        ours = [name for name in names(site, r"D:\Vendor") if name.startswith("converge-")]
        assert ours == [f"converge-{run}.2.json"]
        (left,) = manifest(site, rf"D:\Vendor\{ours[0]}")["kept"]
        assert left["original"] == r"D:\Vendor\full"

        assert site.world.files.remove(r"D:\Vendor\full\theirs")
        assert site.world.files.remove(r"D:\Vendor\full")
        again = site.undo(run)
        assert again.status.value == "changed", told(again)
        assert not [name for name in names(site, r"D:\Vendor") if "converge" in name]

    def test_without_a_shell_the_change_works_and_a_note_says_that_there_is_none(self, site: Site) -> None:
        site.world.accounts[r"CASE\DEPLOY"].denies = ("shells",)
        result = site.apply(site.plays([REPLACED]))
        assert result.status.value == "changed", told(result)
        assert [note for note in result.changes[0].notes if "no manifest" in note and "shell" in note]
        assert site.undo().status.value == "changed"
        assert site.world.files.file(APP).size == 100  # type: ignore[union-attr]  # it is there

    def test_it_names_nothing_that_was_not_kept(self, site: Site) -> None:
        held = {"file": {"path": r"D:\Vendor\held.dll", "copy_from": NEW}}
        result = site.apply(site.plays([held]))
        assert result.status.value == "failed"
        assert not [name for name in names(site, r"D:\Vendor") if "converge" in name]
        site.apply(site.plays([held, REPLACED]))
        (ours,) = [name for name in names(site, r"D:\Vendor") if name.startswith("converge-")]
        assert [item["original"] for item in manifest(site, rf"D:\Vendor\{ours}")["kept"]] == [APP]

    def test_of_a_secret_it_tells_no_size_and_no_hash(self, site: Site) -> None:
        site.journal_key = "a key of some length"
        secret = {"file": {"path": r"D:\Vendor\full\a.txt", "content": "hush"}, "sensitive": True}
        before = site.essence()
        site.apply(site.plays([secret]))
        (told_of,) = manifest(site, rf"D:\Vendor\full\converge-{site.runs[0]}.json")["kept"]
        assert set(told_of) == {"original", "kept", "kind"}
        undone = site.undo()
        assert undone.status.value == "changed", told(undone)
        assert site.essence() == before


@pytest.mark.parametrize("breaks", ["before", "after"])
@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("folder", ["", r"D:\converge"])
def test_a_cut_at_any_action_leaves_nothing_that_nobody_knows_of(
    site: Site, folder: str, breaks: Any, lost: bool
) -> None:
    """The run after the cut finishes it; then both are taken back, newest first, and nothing is left lying about."""
    entries = [REPLACED, FULL, {"file": {"path": r"D:\Vendor\full2.txt", "content": "x"}}]
    site.backup_folder = folder
    before, untouched = site.essence(), site.world.to_json()
    for number in range(1, 20):
        site.world = type(site.world).from_json(untouched)
        site.world.clock.freeze(site.world.now())
        mishaps: list[FaultyMachine] = []

        def broken(machine: Machine, number: int = number, mishaps: list[FaultyMachine] = mishaps) -> Machine:
            mishaps.append(FaultyMachine(machine, break_at=number, breaks=breaks, stays_broken=lost))
            return mishaps[0]

        first = site.apply(site.plays(entries), wrap=broken)
        if len(mishaps[0].actions) < number:
            assert number > 4
            return
        runs = [site.runs[-1]]
        second = site.apply(site.plays(entries))
        runs.append(site.runs[-1])
        assert second.status.value in ("ok", "changed"), told(first) + told(second)
        for run in reversed(runs):
            undone = site.undo(run)
            assert undone.status.value in ("ok", "changed", "skipped"), told(undone)
        assert site.essence() == before, (number, told(undone))
        left = [name for name in everything(site) if any(run in name for run in runs)]
        assert left == [], number
    raise AssertionError("more actions than there should be")


def everything(site: Site) -> list[str]:
    return [
        f"{place}\\{name}"
        for place, folder in site.world.files.walk("D:\\")
        for name in [*(file.name for file in folder.files.values()), ""]
    ]


def test_a_saved_plan_compares_where_things_are_kept(site: Site) -> None:
    plays = site.plays([REPLACED])
    site.backup_folder = r"D:\converge"
    plan = site.plan(plays)
    site.backup_folder = r"D:\another"
    stale = site.apply_plan(plan, plays)
    assert stale.status.value == "stale", told(stale)
    assert "actions: now" in told(stale)
    site.backup_folder = r"D:\converge"
    done = site.apply_plan(plan, plays)
    assert done.status.value == "changed", told(done)
    assert names(site, rf"D:\converge\{site.runs[-1]}")[0] == "D!Vendor!app.dll"


def test_undo_finds_what_was_kept_wherever_the_inventory_keeps_things_by_now(site: Site) -> None:
    before = site.essence()
    for then, now in (("", r"D:\converge"), (r"D:\converge", ""), (r"D:\converge", r"\converge2")):
        site.backup_folder = then
        site.apply(site.plays([REPLACED, FULL]))
        site.backup_folder = now
        undone = site.undo()
        assert undone.status.value == "changed", told(undone)
        assert site.essence() == before


class TestNames:
    RUN = "2026-11-20T220107Z-1f3a"

    def test_they_tell_paths_apart_and_fit(self) -> None:
        found: dict[str, str] = {}
        parts = ["a", "!", ";", ";0", ";1", "a!b", "!a", "a!", "ä日本🧀", "x" * 120]
        for first in parts:
            for second in parts:
                for path in (rf"D:\{first}\{second}.dll", rf"D:\{first}{second}", rf"D:\{first}\{second}\{second * 2}"):
                    place = backup_paths.place(path, run=self.RUN, folder=r"D:\converge")
                    assert len(place.path.encode("utf-16-le")) // 2 <= backup_paths.LONGEST_PATH
                    assert found.setdefault(place.path, path) == path
                    assert place.path.rpartition("\\")[0] == place.folder == rf"D:\converge\{self.RUN}"

    def test_a_long_name_is_cut_beside_too(self) -> None:
        name = "y" * 250
        for folder in ("D:\\", r"D:\folder"):
            place = backup_paths.place(f"{folder}\\{name}".replace("\\\\", "\\"), run=self.RUN)
            assert len(place.path) <= backup_paths.LONGEST_PATH
            assert len(place.path.rpartition("\\")[2]) <= backup_paths.LONGEST_NAME
            assert place.path.endswith(f"yyy.converge-{self.RUN}")
        with pytest.raises(ValueError, match="too long"):
            backup_paths.place("D:\\" + "\\".join(["z" * 40] * 6) + "\\a", run=self.RUN)

    @pytest.mark.parametrize("path", [r"D:\converge\x\a.dll", "D:\\converge", "D:\\"])
    def test_what_lies_in_the_folder_or_around_it_is_kept_beside(self, path: str) -> None:
        assert backup_paths.run_folder(path, run=self.RUN, folder=r"D:\converge") == ""


def test_moves_keep_what_is_there_before_anything_takes_its_place(site: Site) -> None:
    performed: list[AnyAction] = []
    site.apply(site.plays([REPLACED]), wrap=lambda machine: _Watched(machine, performed))
    kinds = [type(action).__name__ for action in performed]
    assert kinds == ["WriteFile", "MoveFile", "CopyFile"]
    assert isinstance(performed[1], MoveFile)
    assert leaves(site.check(site.plays([REPLACED])))[0].status.value == "ok"


class _Watched:
    def __init__(self, machine: Machine, performed: list[AnyAction]) -> None:
        self._machine, self._performed = machine, performed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._machine, name)

    def perform(self, action: AnyAction) -> Any:
        self._performed.append(action)
        return self._machine.perform(action)


class Killed(BaseException):
    """The process is gone at this moment."""


class _Mortal(_Watched):
    """A machine whose user dies at the nth action, before or after it is done."""

    def __init__(self, machine: Machine, dies_at: int, *, after: bool) -> None:
        super().__init__(machine, [])
        self._dies_at, self._after = dies_at, after

    def perform(self, action: AnyAction) -> Any:
        if len(self._performed) + 1 == self._dies_at and not self._after:
            raise Killed
        done = super().perform(action)
        if len(self._performed) == self._dies_at:
            raise Killed
        return done


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("folder", ["", r"D:\converge"])
def test_a_run_killed_at_any_action_is_taken_back_whole(site: Site, folder: str, after: bool, again: bool) -> None:
    entries = [
        REPLACED,
        FULL,
        {"directory": {"path": r"D:\Vendor\n\ew"}},
        {"file": {"path": r"D:\Vendor\n\ew\a", "content": "x"}},
        {"registry_value": {"key": r"HKLM\SOFTWARE\Vendor\n\ew", "name": "v", "type": "dword", "data": 1}},
    ]
    site.backup_folder = folder
    before, untouched = site.essence(), site.world.to_json()
    for number in range(1, 20):
        site.world = type(site.world).from_json(untouched)
        site.world.clock.freeze(site.world.now())

        def mortal(machine: Machine, number: int = number) -> Machine:
            return _Mortal(machine, number, after=after)

        try:
            site.apply(site.plays(entries), wrap=mortal)
        except Killed:
            runs = [site.runs[-1]]
        else:
            assert number > 6
            return
        if again:
            assert site.apply(site.plays(entries)).status.value in ("ok", "changed")
            runs.append(site.runs[-1])
        for run in reversed(runs):
            undone = site.undo(run)
            assert undone.status.value in ("ok", "changed", "skipped"), (number, told(undone))
        assert site.essence() == before, (number, told(undone))
        assert [name for name in everything(site) if any(run in name for run in runs)] == [], number
    raise AssertionError("more actions than there should be")


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("folder", ["", r"D:\converge"])
def test_an_undo_killed_at_any_action_leaves_no_manifest_of_nothing(site: Site, folder: str, after: bool) -> None:
    entries = [REPLACED, {"file": {"path": r"D:\Vendor\plain.txt", "content": "other"}}]
    site.backup_folder = folder
    before, untouched = site.essence(), site.world.to_json()
    for number in range(1, 20):
        site.world = type(site.world).from_json(untouched)
        site.world.clock.freeze(site.world.now())
        assert site.apply(site.plays(entries)).status.value == "changed"
        run = site.runs[-1]

        def mortal(machine: Machine, number: int = number) -> Machine:
            return _Mortal(machine, number, after=after)

        try:
            site.undo(run, wrap=mortal)
        except Killed:
            killed = site.runs[-1]
        else:
            assert number > 5
            return
        undone = site.undo(run)
        assert undone.status.value in ("ok", "changed"), (number, told(undone))
        assert site.essence() == before, number
        there = everything(site)
        assert [name for name in there if run in name and name.endswith(".json")] == [], number
        for name in there:
            if name.endswith(".json") and killed in name:
                assert any(item["kept"] in there for item in manifest(site, name)["kept"]), (number, name)
    raise AssertionError("more actions than there should be")
