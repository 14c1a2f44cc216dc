"""Walking through plays: what goes wrong in one does not end the others, and check supposes what a person will do."""

from __future__ import annotations

from typing import Any

import yaml
from tests.apply.apply_site import Site, statuses, told

from converge.model.play import Play
from converge.playbook import load
from converge.runs.playbooks import known_kinds

VENDOR = r"HKLM\SOFTWARE\Vendor"
BY_HAND = r"D:\Vendor\by-hand.txt"


def plays_of(site: Site, *raw: dict[str, Any]) -> tuple[Play, ...]:
    path = site.folder / "plays.yml"
    with path.open("w", encoding="utf-8") as stream:
        yaml.safe_dump([{"hosts": "all", **play} for play in raw], stream)
    return load([path], kinds=known_kinds())


def value(name: str) -> dict[str, Any]:
    return {"registry_value": {"key": VENDOR, "name": name, "type": "string", "data": "x"}}


def test_a_condition_that_cannot_be_judged_fails_its_play_alone(site: Site) -> None:
    unknown = {"that": {"file": {"path": r"%NoSuchVariable%\x", "exists": True}}, "else": "it is not there"}
    plays = plays_of(
        site,
        {"name": "first", "applies_when": [unknown], "resources": [value("A")]},
        {"name": "second", "resources": [value("B")]},
    )
    for result in (site.check(plays), site.apply(plays)):
        assert result.error is None, told(result)
        assert [change.status.value for change in result.changes] == ["failed", "changed"], told(result)
        assert result.changes[0].address == "play:first"
        assert "NoSuchVariable" in told(result)


def test_check_supposes_that_a_person_did_the_step_of_a_procedure(site: Site) -> None:
    step = {"name": "by hand", "instructions": "do it", "done_when": {"file": {"path": BY_HAND, "exists": True}}}
    procedure = {
        "name": "p",
        "done_when": {"file": {"path": r"D:\Vendor\copy.txt", "exists": True}},
        "steps": [
            {"name": "a person", "operator_step": step},
            {"name": "a copy", "file": {"path": r"D:\Vendor\copy.txt", "copy_from": BY_HAND}},
        ],
    }
    plays = site.plays([{"procedure": procedure}])
    checked = site.check(plays)
    assert list(statuses(checked).values()) == ["waiting", "later"], told(checked)
    assert checked.status.value == "waiting"
    assert [step.status.value for step in checked.changes[0].steps] == ["waiting", "later"]
    assert checked.changes[0].steps[1].reason == "decided after by hand"
    stopped = site.apply(plays)
    assert stopped.status.value == "waiting", told(stopped)
    assert stopped.changes[0].error is not None
    assert stopped.changes[0].error.code == "needs-operator"


def test_one_condition_that_does_not_hold_decides_whatever_is_open_in_another(site: Site) -> None:
    def exists(path: str) -> dict[str, Any]:
        return {"file": {"path": path, "exists": True}}

    step = {"name": "by hand", "instructions": "do it", "done_when": exists(BY_HAND)}
    later = {"that": exists(BY_HAND), "else": "it was not done"}
    never = {"that": exists(r"D:\Vendor\never.txt"), "else": "it is another host"}
    plays = plays_of(
        site,
        {"name": "first", "resources": [{"operator_step": step}]},
        {"name": "open", "applies_when": [later], "resources": [value("A")]},
        {"name": "decided", "applies_when": [later, never], "resources": [value("B")]},
    )
    result = site.check(plays)
    assert [change.status.value for change in result.changes] == ["waiting", "later", "skipped"], told(result)
    assert result.changes[2].reason == "it is another host"


def test_what_a_person_does_below_a_variables_folder_leaves_the_facts_known(site: Site) -> None:
    done = {"file": {"path": r"%SystemRoot%\by-hand.txt", "exists": True}}
    step = {"name": "by hand", "instructions": "do it", "done_when": done}
    result = site.check(
        plays_of(
            site,
            {"name": "first", "resources": [{"operator_step": step}]},
            {
                "name": "second",
                "applies_when": [{"that": {"expr": "facts.host.clustered"}, "else": "no node"}],
                "resources": [value("A")],
            },
        )
    )
    assert [change.status.value for change in result.changes] == ["waiting", "skipped"], told(result)


def test_an_entry_that_is_not_come_to_is_shown_as_its_resource_once(site: Site) -> None:
    step = {"name": "by hand", "instructions": "do it", "done_when": {"file": {"path": BY_HAND, "exists": True}}}
    looped = {"registry_value": {"key": VENDOR, "name": "{{ item }}", "type": "string", "data": "x"}, "loop": ["B", "C"]}
    plays = plays_of(
        site, {"name": "one", "resources": [{"operator_step": step}, value("A"), {"name": "named", **value("D")}, looped]}
    )
    result = site.apply(plays)
    assert [(change.address, change.status.value) for change in result.changes] == [
        ("operator_step:by hand", "waiting"),
        (rf"registry_value:{VENDOR}\A", "skipped"),
        ("registry_value:named", "skipped"),
        (rf"registry_value:{VENDOR}\{{{{ item }}}}", "skipped"),
    ], told(result)
