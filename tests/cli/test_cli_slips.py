"""Slips of the pen on the command line and in an inventory: exit 1, the right word, and no host is asked."""

from __future__ import annotations

import json

import pytest
from tests.cli.cli_program import Program

CONSENT = ("--yes",)


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("chekc", "did you mean `converge --check`?"),
        ("check", "did you mean `converge --check`?"),
        ("dianose", "did you mean `converge diagnose`?"),
        ("labs", "did you mean `converge lab`?"),
        ("registry", "registry.yml"),
        ("playbooks/registri.yml", "registry.yml"),
    ],
)
def test_a_first_word_that_is_neither_a_command_nor_a_file(fleet: Program, word: str, hint: str) -> None:
    ended = fleet(word, *CONSENT)
    assert ended.code == 1
    assert f"no such command or playbook: {word}" in ended.err
    assert hint in ended.err


def test_lab_alone_shows_its_help(program: Program) -> None:
    ended = program("lab")
    assert ended.code == 0
    assert "\n  up " in ended.out
    assert "\n  operator " in ended.out


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ("ansible_connection=wimrm", "did you mean winrm?"),
        ("converge_lab_image=exchnage2003", "did you mean exchange2003?"),
        ("converge_change_windows=soon", "converge_change_windows"),
        ("ansible_port=none", "ansible_port is wrong"),
    ],
)
@pytest.mark.parametrize("command", [("--check",), ("plan", "-o", "x.plan"), ("diagnose",)])
def test_a_mistake_in_an_inventory_ends_1(
    fleet: Program, command: tuple[str, ...], variables: str, message: str
) -> None:
    ended = fleet(*command, "-e", variables)
    assert ended.code == 1
    assert message in ended.err
    assert "no host was contacted" in ended.err


def test_what_nobody_wrote_is_told_with_the_file_that_names_the_host(program: Program) -> None:
    program.write("playbooks/p.yml", "- name: p\n  hosts: all\n  resources:\n    - service: {name: W3SVC, running: true}\n")
    program.write("inventory/hosts.yml", "all: {hosts: {a: {ansible_connection: lab}}}\n")
    ended = program("--check")
    assert ended.code == 1
    assert ended.err.startswith("inventory/hosts.yml: a is a simulated host without an image")


def test_a_plan_that_can_be_written_nowhere_is_refused_before_any_host_is_asked(fleet: Program) -> None:
    (fleet.folder / "folder").mkdir()
    for place in ("nowhere/x.plan", "folder"):
        ended = fleet("plan", "-o", place, "--format", "json")
        assert ended.code == 1
        document = json.loads(ended.out)
        assert document["hosts"] == {}
        assert "the plan cannot be written" in document["errors"][0]["message"]
    assert not (fleet.folder / ".converge" / "lab").exists(), "no simulated host was made"


def test_an_error_hides_no_warning(fleet: Program) -> None:
    play = "- name: a\n  hosts: all\n  vars: {unused: 1}\n  resources:\n  - registry_key: {key: 'HKLM\\SOFTWARE\\X'}\n"
    fleet.write("playbooks/odd.yml", play)
    fleet.write("playbooks/wrong.yml", play + "  - servce: {name: x}\n")
    fleet.write("inventory/zz.yml", "all: {vars: {converge_elsewhere: 1}}\n")
    ended = fleet("lint")
    assert ended.code == 1
    assert "playbooks/wrong.yml:6" in ended.err
    for place in ("odd.yml:3", "odd.yml:5", "wrong.yml:3", "wrong.yml:5", "zz.yml:1"):
        assert place in ended.err
    document = json.loads(fleet("lint", "--format", "json").out)
    assert len(document["errors"]) == 1
    assert any("zz.yml:1" in warning for warning in document["warnings"])
