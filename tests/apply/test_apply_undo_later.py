"""A run taken back after later ones: what those changed waits, by whatever means they did it, and the rest is taken back."""

from __future__ import annotations

from itertools import permutations

import pytest
from tests.apply.apply_site import Site, statuses, told

VENDOR = r"HKLM\SOFTWARE\Vendor"
APP = r"D:\Vendor\app.dll"


def value(name: str, data: str, *, key: str = VENDOR, **more: object) -> dict[str, object]:
    return {"registry_value": {"key": key, "name": name, "type": "string", "data": data}, **more}


def command(name: str, **provides: list[str]) -> dict[str, object]:
    return {"command": {"name": name, "argv": ["cmd.exe", "/c", "ver"], "provides": provides}}


RESTART = {"name": "restart busy", "restart_service": {"name": "Busy"}}
SERVICE_KEY = r"HKLM\SYSTEM\CurrentControlSet\Services\Busy\Parameters"
FILE = {"file": {"path": r"D:\Vendor\of-busy.txt", "content": "a"}, "notify": "restart busy"}


@pytest.mark.parametrize(
    ("entry", "address", "brought"),
    [
        (value("Folder", "1", key=SERVICE_KEY), "registry_value", {"services": ["Busy"]}),
        ({"service": {"name": "Busy", "start_mode": "disabled"}}, "service", {"services": ["busy"]}),
        (FILE, "file", {"services": ["Busy"]}),
        (value("New", "1"), "registry_value", {"registry_keys": [VENDOR.upper()]}),
        ({"file": {"path": APP, "copy_from": r"D:\Media\new.dll"}}, "file", {"files": [APP.upper()]}),
        (
            {"file": {"path": APP, "copy_from": r"D:\Media\new.dll"}},
            "file",
            {"directories": [r"%SystemDrive%\x", r"D:\Vendor"]},
        ),
    ],
)
def test_what_a_later_command_brought_waits_for_it(
    site: Site, entry: dict[str, object], address: str, brought: dict[str, list[str]]
) -> None:
    site.apply(site.plays([value("Other", "1", key=r"HKLM\SOFTWARE\Converge Other"), entry], [RESTART]))
    site.apply(site.plays([command("reinstall", **brought)]), accept_no_way_back=True)
    world = site.essence()
    checked = site.check_undo(site.runs[0])
    assert site.essence() == world
    result = site.undo(site.runs[0])
    for each in (checked, result):
        assert each.status.value == "waiting", told(each)
        (waiting,) = [change for change in each.changes if change.status.value == "waiting"]
        assert waiting.address.startswith(f"{address}:")
        assert waiting.error is not None
        assert site.runs[1] in waiting.error.what
        assert "command:reinstall" in waiting.error.what
        assert waiting.error.try_ == (
            f"what run {site.runs[1]} did there has no way back (what a command does is not recorded): "
            f"where it must be as before run {site.runs[0]}, change it by hand"
        )
        rest = {status for where, status in statuses(each).items() if "Converge Other" in where}
        assert rest == {"changed"}


@pytest.mark.parametrize("brought", [{}, {"services": ["Idle"]}, {"registry_keys": [VENDOR + "2"]}])
def test_a_command_that_is_about_other_things_keeps_nothing(site: Site, brought: dict[str, list[str]]) -> None:
    before = site.essence()
    site.apply(site.plays([value("New", "1"), FILE], [RESTART]))
    site.apply(site.plays([command("other", **brought)]), accept_no_way_back=True)
    result = site.undo(site.runs[0])
    assert result.status.value == "changed", told(result)
    assert site.essence() == before


def test_a_later_run_that_removed_the_folder_is_named(site: Site) -> None:
    before = site.essence()
    site.apply(site.plays([{"file": {"path": r"D:\Vendor\full\more.txt", "content": "a"}}]))
    site.apply(site.plays([{"directory": {"path": r"D:\Vendor\full", "ensure": "absent", "recursive": True}}]))
    site.undo(site.runs[1])
    result = site.undo(site.runs[0])
    assert result.status.value == "changed", told(result)
    assert site.essence() == before


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_three_runs_taken_back_in_every_order(site: Site, order: tuple[int, ...]) -> None:
    """In whatever order they are asked for: each round takes back what may be, and in the end all is as it was."""
    before = site.essence()
    plays: list[list[dict[str, object]]] = [
        [value("Text", "one"), value("A", "1")],
        [value("Text", "two"), value("B", "2"), {"service": {"name": "Busy", "start_mode": "disabled"}}],
        [value("Text", "one"), {"service": {"name": "Busy", "start_mode": "manual"}}],
    ]
    for entries in plays:
        site.apply(site.plays(entries))
    runs = list(site.runs)
    for _ in range(3):
        for number in order:
            result = site.undo(runs[number])
            assert result.status.value in ("ok", "changed", "waiting", "skipped"), told(result)
            for change in result.changes:
                if change.error is not None:
                    assert change.error.try_.removeprefix("take that back first: converge undo ") in runs[number + 1 :]
    assert site.essence() == before


def test_the_later_run_of_the_same_state_is_known(site: Site) -> None:
    """It is as the first run left it, because the third wanted it so."""
    for data in ("one", "two", "one"):
        site.apply(site.plays([value("Text", data)]))
    result = site.undo(site.runs[0])
    assert result.status.value == "waiting", told(result)
    assert site.runs[2] in told(result)
