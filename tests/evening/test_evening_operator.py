"""An operator's evening: planned by day, approved, applied at night on a fleet that moved on; something goes wrong; taken back."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

from tests.cli.cli_program import Ended
from tests.evening.conftest import INVENTORY, PLAYBOOK, Evening


def statuses(ended: Ended) -> dict[str, str]:
    return {host: result["status"] for host, result in ended.document()["hosts"].items()}


def test_planned_approved_applied_gone_wrong_and_taken_back(evening: Evening) -> None:
    # By day: one plan for three hosts. Looking has touched none of them.
    planned = evening("plan", "-o", "release.plan")
    assert planned.code == 2, planned.err
    assert "mail[01-03] (3 hosts)" in planned.out
    before = evening.worlds()
    shown = evening("show", "release.plan")
    assert shown.code == 0
    for words in (
        "playbook playbooks/release.yml  sha256 ",
        "+ string fast",
        "procedure:move",
        "3 hosts: 3 would change",
    ):
        assert words in shown.out
    assert evening.worlds() == before

    # In the evening: somebody moves mail02, and mail03 is gone.
    evening.write(
        "moved.yml", PLAYBOOK.replace("data: fast", "data: theirs").split("    - name: the list")[0] + HANDLERS
    )
    assert evening("moved.yml", "--yes", "--limit", "mail02").code == 0
    moved = evening.world("mail02")
    evening.write("inventory/hosts.yml", INVENTORY.replace("    mail[01:03]:", "    mail[01:02]:") + GONE)

    # At night.
    applied = evening("apply", "release.plan")
    assert applied.code == 5, applied.out + applied.err
    assert "this host has changed since it was planned; nothing was done" in applied.out
    assert r"SOFTWARE\Contoso\Mode" in applied.out
    run = applied.err.split("`converge undo ")[1].split("`")[0]
    told = evening("runs", run, "--format", "json").document()["hosts"]
    assert {host: story["status"] for host, story in told.items()} == {
        "mail01": "changed", "mail02": "stale", "mail03": "stale",
    }  # fmt: skip
    assert evening.world("mail02") == moved
    assert evening.world("mail03") == before["mail03"]

    # Something is wrong with it: back to where it was.
    looked = evening("undo", run, "--check")
    assert looked.code == 2
    assert "- string fast" in looked.out
    undone = evening("undo", run, "--yes", "--format", "json")
    assert undone.code in (0, 4), undone.out
    assert statuses(undone)["mail01"] == "changed"
    assert evening.world("mail01") == before["mail01"]
    assert evening.world("mail02") == moved
    again = evening("apply", "release.plan", "--limit", "mail01")
    assert again.code == 5
    assert f"already applied in run {run}" in again.out


HANDLERS = """\
  handlers:
    - name: restart the registry service
      restart_service: {name: RemoteRegistry}
"""
GONE = """\
    mail03: {ansible_connection: winrm, ansible_host: 127.0.0.1, ansible_port: 9, ansible_winrm_scheme: http,
             ansible_user: a, ansible_password: b}
"""


def test_a_journal_that_was_tampered_with_is_relied_upon_by_no_command(evening: Evening) -> None:
    applied = evening("--yes", "--format", "json")
    assert applied.code == 0, applied.out
    run = applied.document()["run"]
    after = evening.worlds()
    with closing(sqlite3.connect(evening.folder / ".converge/converge.db")) as file, file:
        file.execute("UPDATE journal SET body = replace(body, 'fast', 'slow') WHERE host = 'mail02'")
    shown = evening("runs", run)
    assert shown.code == 3
    assert "the journal of mail02 in .converge/converge.db cannot be relied upon: row " in shown.out
    assert shown.out.count("Try: find out who changed the store") == 1
    document = evening("runs", run, "--format", "json").document()["hosts"]
    assert document["mail02"]["damage"]["code"] == "journal-damaged"
    assert document["mail01"]["damage"] is None
    assert document["mail01"]["changes"]
    undone = evening("undo", run, "--yes", "--format", "json")
    assert undone.code == 3
    assert statuses(undone) == {"mail01": "changed", "mail02": "failed", "mail03": "changed"}
    assert undone.document()["hosts"]["mail02"]["error"]["code"] == "journal-damaged"
    assert evening.world("mail02") == after["mail02"]
    assert json.dumps(evening.world("mail01")) != json.dumps(after["mail01"])


def test_a_journal_that_is_gone_is_told_and_the_others_go_on(evening: Evening) -> None:
    applied = evening("--yes", "--format", "json")
    assert applied.code == 0, applied.out
    run = applied.document()["run"]
    after = evening.worlds()
    with closing(sqlite3.connect(evening.folder / ".converge/converge.db")) as file, file:
        file.execute("DELETE FROM journal WHERE host = 'mail02'")
        file.execute("DELETE FROM journal_heads WHERE host = 'mail02'")
    words = f"the journal of mail02 in .converge/converge.db has lost all rows of run {run}, which changed this host"
    shown = evening("runs", run)
    assert shown.code == 3
    assert shown.out.count(words) == 1
    undone = evening("undo", run, "--yes")
    assert undone.code == 3
    assert undone.out.count(words) == 1
    assert evening.world("mail02") == after["mail02"]
    assert evening.world("mail01") != after["mail01"]
    assert evening.world("mail03") != after["mail03"]


def test_a_damaged_journal_is_written_off_on_purpose_alone(evening: Evening) -> None:
    applied = evening("--yes", "--format", "json")
    run = applied.document()["run"]
    with closing(sqlite3.connect(evening.folder / ".converge/converge.db")) as file, file:
        file.execute("UPDATE journal SET body = replace(body, 'fast', 'slow') WHERE host = 'mail02'")
    refused = evening("undo", run, "--yes", "--limit", "mail02")
    assert refused.code == 3
    assert "converge runs --write-off mail02 --reason WHY" in refused.out
    for words, why in (
        (["mail02"], "--write-off needs a --reason"),
        (["mail02", "--reason", " ", "--yes"], "--write-off needs a --reason"),
        (["mail02", "--reason", "disk"], "there is no terminal on which to ask"),
        (["mail01", "--reason", "disk", "--yes"], "the journal of mail01 is intact: there is nothing to write off"),
    ):
        ended = evening("runs", "--write-off", *words)
        assert (ended.code, why in ended.err) == (1, True), ended.err
    assert evening("undo", run, "--yes", "--limit", "mail02").code == 3

    done = evening("runs", "--write-off", "mail02", "--reason", "the disk was full", "--yes")
    assert done.code == 0, done.err
    assert "the journal of mail02 was written off; a new one begins" in done.out
    shown = evening("runs", run)
    assert shown.code == 3
    assert "was written off up to row" in shown.out
    assert "the disk was full" in shown.out
    assert "string slow" in shown.out, "what the rows say is readable still"
    after = evening.world("mail02")
    undone = evening("undo", run, "--yes", "--limit", "mail02", "--format", "json")
    assert undone.document()["hosts"]["mail02"]["error"]["code"] == "journal-written-off"
    assert evening.world("mail02") == after

    # The next run changes the host again, and that run can be taken back.
    evening.write("playbooks/release.yml", PLAYBOOK.replace("data: fast", "data: faster"))
    again = evening("--yes", "--limit", "mail02", "--format", "json")
    assert again.code == 0, again.out
    assert evening("undo", again.document()["run"], "--yes", "--limit", "mail02").code == 0
    assert evening.world("mail02") == after
