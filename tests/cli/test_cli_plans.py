"""Plans saved, shown, tampered with, applied and taken back, as operators type it, over simulated hosts behind sockets."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from tests.cli.cli_program import INVENTORY, PLAYBOOK, Ended, Program

from converge.report.result_schema import ResultDocument


@pytest.fixture
def planned(fleet: Program) -> Program:
    """Three hosts, of which two have drifted, and a plan for them."""
    ended = fleet("plan", "-o", "plan.json")
    assert ended.code == 2, ended.err
    return fleet


def statuses(ended: Ended) -> dict[str, str]:
    return {host: result["status"] for host, result in ended.document()["hosts"].items()}


def edited(program: Program, edit: Any) -> None:
    path = program.folder / "plan.json"
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))


def last_run(program: Program, mode: str) -> str:
    lines = program("runs").out.splitlines()
    return next(line.split()[0] for line in lines if f" {mode} " in line)


def test_an_evening(planned: Program) -> None:
    assert stat.S_IMODE((planned.folder / "plan.json").stat().st_mode) == 0o600
    shown = planned("show", "plan.json")
    assert shown.code == 0
    assert "mail[01-02] (2 hosts)" in shown.out
    assert "+ state: running" in shown.out
    document = planned("show", "plan.json", "--format", "json").document()
    ResultDocument.model_validate(document)
    assert document["mode"] == "plan"

    applied = planned("apply", "plan.json", "--format", "json")
    assert applied.code == 0, applied.err
    assert statuses(applied) == {"mail01": "changed", "mail02": "changed", "mail03": "skipped"}
    ResultDocument.model_validate(applied.document())
    assert planned("--check").code == 0

    run = last_run(planned, "apply")
    looked = planned("undo", run, "--check", "--format", "json")
    assert (looked.code, looked.document()["mode"]) == (2, "undo-check")
    assert planned("undo", run).code == 1, "nobody could be asked"
    one = planned("undo", run, "--yes", "--limit", "mail01", "--format", "json")
    assert (one.code, statuses(one)) == (0, {"mail01": "changed"})
    rest = planned("undo", run, "--yes", "--format", "json")
    assert (rest.code, statuses(rest)) == (0, {"mail01": "ok", "mail02": "changed"})
    assert "2 would change" in planned("--check").out

    replayed = planned("apply", "plan.json")
    assert replayed.code == 5
    assert f"already applied in run {run}" in replayed.out
    assert "2 would change" in planned("--check").out
    assert f"applied to mail01 in run {run}" in planned("show", "plan.json").out


def test_a_play_warns_whoever_is_shown_its_plan(fleet: Program) -> None:
    warned = PLAYBOOK.replace("  order: 10", "  order: 10\n  warning: Mail stops meanwhile.")
    fleet.write("playbooks/registry.yml", warned)
    assert "warning: Mail stops meanwhile." in fleet("plan", "-o", "plan.json").out
    assert "warning: Mail stops meanwhile." in fleet("show", "plan.json").out


def test_a_host_that_moved_since_is_stale_and_the_others_go_on(planned: Program) -> None:
    assert planned("--yes", "--limit", "mail02").code == 0
    applied = planned("apply", "plan.json", "--format", "json")
    assert applied.code == 5
    assert statuses(applied) == {"mail01": "changed", "mail02": "stale", "mail03": "skipped"}
    error = applied.document()["hosts"]["mail02"]["error"]
    assert error["code"] == "stale"
    assert "RemoteRegistry" in error["why"]


def test_a_plan_is_shown_with_the_change_windows_of_its_hosts(fleet: Program) -> None:
    inventory = INVENTORY.replace("mail03: {", "mail03: {converge_change_windows: never, ")
    fleet.write(
        "inventory/hosts.yml", inventory.replace("mail[01:02]: {", "mail[01:02]: {converge_change_windows: always, ")
    )
    assert fleet("plan", "-o", "plan.json").code == 2
    shown = fleet("show", "plan.json", "--format", "json")
    ResultDocument.model_validate(shown.document())
    windows = {host: result.get("window") for host, result in shown.document()["hosts"].items()}
    assert windows == {host: {"open": host != "mail03", "next": None} for host in ("mail01", "mail02", "mail03")}
    assert "outside its change window" in fleet("show", "plan.json").out


WORDED = """\
- name: a token and what rests on it
  hosts: mail03
  resources:
    - name: the token
      registry_value: {key: 'HKLM\\SOFTWARE\\Contoso', name: Token, type: string, data: TOKEN}
      sensitive: true
    - name: what rests on it
      registry_value: {key: 'HKLM\\SOFTWARE\\Contoso', name: Uses, type: string, data: token-TOKEN}
      requires: [the token]
"""


def test_what_was_agreed_to_in_a_plan_is_part_of_it(fleet: Program) -> None:
    fleet.write("playbooks/registry.yml", WORDED.replace("TOKEN", "one"))
    assert fleet("--yes").code == 0
    fleet.write("playbooks/registry.yml", WORDED.replace("TOKEN", "two"))
    without = fleet("plan", "-o", "without.json", "--format", "json").document()["hosts"]["mail03"]["resources"]
    assert [resource["status"] for resource in without] == ["waiting", "skipped"]
    planned = fleet("plan", "-o", "plan.json", "--accept-no-way-back", "--format", "json")
    statuses_planned = [resource["status"] for resource in planned.document()["hosts"]["mail03"]["resources"]]
    assert statuses_planned == ["changed", "changed"]
    assert "agreed to --accept-no-way-back" in fleet("show", "plan.json").out
    applied = fleet("apply", "plan.json")
    assert applied.code == 0, applied.out
    assert fleet("--check").code == 0


class TestTamperedWith:
    def test_what_was_changed_by_hand_is_refused_unless_explicitly_trusted(self, planned: Program) -> None:
        edited(planned, lambda document: document["hosts"].pop(0))
        refused = planned("apply", "plan.json")
        assert refused.code == 1
        assert "it was changed after it was made" in refused.err
        assert "2 would change" in planned("--check").out
        assert "it was changed after it was made" in planned("show", "plan.json").err
        trusted = planned("apply", "plan.json", "--trust", "--format", "json")
        assert "warning:" in trusted.err
        assert statuses(trusted) == {"mail02": "changed", "mail03": "skipped"}

    def test_other_actions_than_the_playbook_asks_for_are_not_done_even_if_trusted(self, planned: Program) -> None:
        def edit(document: Any) -> None:
            document["hosts"][0]["changes"][0]["actions"][0]["name"] = "Spooler"

        edited(planned, edit)
        trusted = planned("apply", "plan.json", "--trust", "--format", "json", "--limit", "mail01")
        assert (trusted.code, statuses(trusted)) == (5, {"mail01": "stale"})

    @pytest.mark.parametrize("size", [0, 1, 100, -2])
    def test_a_part_of_a_plan_is_refused(self, planned: Program, size: int) -> None:
        path = planned.folder / "plan.json"
        path.write_bytes(path.read_bytes()[:size])
        for word in ("apply", "show"):
            ended = planned(word, "plan.json")
            assert ended.code == 1
            assert "is not a saved plan" in ended.err

    def test_a_plan_of_another_folder_is_refused(self, planned: Program, tmp_path: Path) -> None:
        for path in [*(planned.folder / ".converge").glob("converge.db*"), planned.folder / ".converge/stores.json"]:
            path.unlink()
        refused = planned("apply", "plan.json")
        assert refused.code == 1
        assert "signed with another key" in refused.err
        trusted = planned("apply", "plan.json", "--trust", "--format", "json")
        assert statuses(trusted)["mail01"] == "changed"

    def test_another_file_is_told_as_such(self, fleet: Program) -> None:
        ended = fleet("show", "playbooks/registry.yml")
        assert ended.code == 1
        assert "is not a saved plan" in ended.err


def test_a_changed_playbook_asks_for_a_new_plan(planned: Program) -> None:
    planned.write("playbooks/registry.yml", PLAYBOOK + "# a word\n")
    ended = planned("apply", "plan.json")
    assert ended.code == 1
    assert "playbooks/registry.yml was changed after the plan was made" in ended.err


def test_variables_and_secrets(fleet: Program) -> None:
    playbook = PLAYBOOK.replace("start_mode: automatic", "start_mode: '{{ mode }}'")
    fleet.write("playbooks/registry.yml", playbook)
    fleet.write(
        "inventory/hosts.yml", INVENTORY.replace("ansible_connection: lab", "ansible_connection: lab, word: hush")
    )
    plan = fleet("plan", "-o", "plan.json", "-e", "mode=automatic", "-e", "token=geheim", "--limit", "mail01")
    assert plan.code == 2, plan.err
    content = (fleet.folder / "plan.json").read_text()
    assert "geheim" not in content
    assert "hush" not in content

    without = fleet("apply", "plan.json")
    assert without.code == 1
    assert "give exactly these with -e again: mode, token" in without.err
    other = fleet("apply", "plan.json", "-e", "mode=automatic", "-e", "token=other")
    assert other.code == 5
    assert "these variables are others by now: token" in other.out
    assert fleet("apply", "plan.json", "-e", "mode=automatic", "-e", "token=geheim").code == 0


def test_undo_tells_what_there_is_not(fleet: Program) -> None:
    ended = fleet("undo", "2020-01-01T000000Z-0000", "--yes")
    assert ended.code == 1
    assert "there is no run" in ended.err
    fleet("--check")
    ended = fleet("undo", last_run(fleet, "check"), "--yes")
    assert ended.code == 1
    assert "changed no host" in ended.err


def test_a_host_that_left_the_inventory_is_told(fleet: Program) -> None:
    assert fleet("--yes").code == 0
    fleet.write("inventory/hosts.yml", INVENTORY.replace("mail[01:02]", "mail[02:02]"))
    ended = fleet("undo", last_run(fleet, "run"), "--yes", "--format", "json")
    assert ended.code == 3
    assert statuses(ended) == {"mail01": "failed", "mail02": "changed"}
    assert ended.document()["hosts"]["mail01"]["error"]["code"] == "not-in-inventory"
