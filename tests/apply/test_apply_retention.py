"""What older runs kept is removed once it is older than wanted: nothing else is, the plan says it, and undo tells when it went."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.apply.apply_site import Site, actions, statuses, told
from tests.apply.test_apply_backups import ABSENT, APP, FULL, REPLACED, asked, names

OK = [{"file": {"path": r"D:\Media\new.dll", "size": 120}}]
MONTH = timedelta(days=30)


@pytest.fixture(params=["", r"D:\converge"], ids=["beside", "in a folder"])
def kept(site: Site, request: Any) -> Site:
    """A host on which a run kept a file and a folder, and on which things are kept for a month."""
    site.backup_folder, site.retention = request.param, MONTH
    assert site.apply(site.plays([REPLACED, FULL])).status.value == "changed"
    return site


def ours(site: Site) -> list[str]:
    return [name for name in names(site, r"D:\Vendor") + names(site, r"D:\converge") if "2026-11-20T22" in name]


def test_what_is_younger_stays(kept: Site) -> None:
    kept.later_by = timedelta(days=29)
    before = kept.essence(kept=True)
    assert kept.check(kept.plays(OK)).status.value == "ok"
    assert kept.apply(kept.plays(OK)).status.value == "ok"
    assert kept.essence(kept=True) == before


def test_what_is_older_goes_with_its_manifest_and_is_shown_before(kept: Site) -> None:
    kept.later_by = timedelta(days=31)
    before, essence = kept.essence(kept=True), kept.essence()
    checked = kept.check(kept.plays(OK))
    assert kept.essence(kept=True) == before, "looking touched the world"
    removed = [change for change in checked.changes if change.key["kind"] == "kept_file"]
    assert [change.status.value for change in removed] == ["changed", "changed"], told(checked)
    assert {change.before["original"] for change in removed} == {APP, r"D:\Vendor\full"}
    assert all(change.way_back.kind == "none" for change in removed)

    applied = kept.apply(kept.plays(OK))
    assert (statuses(applied), actions(applied)) == (statuses(checked), actions(checked)), told(applied)
    assert ours(kept) == []
    assert kept.essence() == essence
    again = kept.apply(kept.plays(OK))
    assert (again.status.value, actions(again)) == ("ok", [])


def test_undo_says_that_it_was_removed_and_when(kept: Site) -> None:
    kept.later_by = timedelta(days=31)
    kept.apply(kept.plays(OK))
    essence = kept.essence()
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    for result in (kept.check_undo(kept.runs[0]), kept.undo(kept.runs[0])):
        failed = [change.error for change in result.changes if change.error]
        assert len(failed) == 2, told(result)
        assert all(
            f"was removed by retention on {today}" in error.what and kept.runs[1] in error.why for error in failed
        )
    assert kept.essence() == essence
    housekeeping = kept.undo(kept.runs[1])
    assert (housekeeping.status.value, housekeeping.error) == ("skipped", None), told(housekeeping)


def test_what_was_brought_back_is_no_longer_kept(kept: Site) -> None:
    kept.undo(kept.runs[0])
    kept.later_by = timedelta(days=31)
    result = kept.apply(kept.plays(OK))
    (gone,) = [change for change in result.changes if change.key["kind"] == "kept_file"]
    assert gone.before["original"] == APP, "what the undo kept in its turn"
    assert gone.before["kept_by"] == kept.runs[1]
    assert kept.world.files.file(APP).size == 100  # type: ignore[union-attr]  # it is there
    assert kept.world.files.folder(r"D:\Vendor\full") is not None
    assert ours(kept) == []


def test_what_only_a_manifest_of_the_host_names_is_left_alone(kept: Site) -> None:
    files = kept.world.files
    place = r"D:\Vendor\mine.converge-2026-11-20T220000Z-0000"
    held = files.file(r"D:\Media\new.dll")
    assert held is not None
    files.place(place, held.copy(place.rpartition("\\")[2]))
    kept.later_by = timedelta(days=31)
    kept.apply(kept.plays(OK))
    assert files.file(place) is not None


def test_a_folder_goes_leaf_by_leaf(kept: Site) -> None:
    kept.later_by = timedelta(days=31)
    checked = kept.check(kept.plays(OK))
    folder = next(change for change in checked.changes if change.before and change.before.get("entries"))
    assert folder.before["entries"] == 4
    assert sorted(action["action"] for action in folder.actions) == ["RemoveDirectory"] * 2 + ["RemoveFile"] * 3
    assert folder.actions[-1] == {"action": "RemoveDirectory", "path": folder.key["path"]}


def test_a_host_without_anything_kept_is_asked_nothing_more(site: Site) -> None:
    plain = asked(site, OK)
    site.retention = MONTH
    site.later_by = timedelta(days=400)
    site.apply(site.plays(OK))
    assert asked(site, OK) == plain


def test_a_saved_plan_removes_what_it_planned_and_no_more(site: Site) -> None:
    site.retention = MONTH
    site.apply(site.plays([ABSENT]))
    first = site.runs[-1]
    site.later_by = timedelta(days=31)
    plays = site.plays([FULL])
    plan = site.plan(plays)
    assert [change.key["kind"] for change in plan.changes] == ["directory", "kept_file"]
    result = site.apply_plan(plan, plays)
    assert result.status.value == "changed", told(result)
    assert [name for name in names(site, r"D:\Vendor") if first in name] == []


def test_a_plan_made_before_something_became_too_old_holds_and_leaves_it(site: Site) -> None:
    site.retention = MONTH
    site.apply(site.plays([ABSENT]))
    first = site.runs[-1]
    plays = site.plays([FULL])
    plan = site.plan(plays)
    site.later_by = timedelta(days=31)
    result = site.apply_plan(plan, plays)
    assert result.status.value == "changed", told(result)
    assert [name for name in names(site, r"D:\Vendor") if first in name]
