"""The store as users of the program meet it: runs listed, shown and forgotten; killed runs; a shared store."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.cli.cli_program import BOUND, INVENTORY, PLAYBOOK, REPOSITORY, Program

SECRET = "S3CR3T-canary"
SENSITIVE = f"""\
- name: A secret is set
  hosts: all
  resources:
    - name: the secret
      registry_value: {{key: 'HKLM\\SOFTWARE\\Contoso', name: Token, type: string, data: '{SECRET}'}}
      sensitive: true
"""


@pytest.fixture
def fleet(tmp_path: Path) -> Program:
    program = Program(tmp_path)
    program.write("playbooks/registry.yml", PLAYBOOK)
    program.write("inventory/hosts.yml", INVENTORY)
    return program


def listed(program: Program) -> list[dict[str, Any]]:
    ended = program("runs", "--format", "json")
    assert (ended.code, ended.err) == (0, "")
    found: list[dict[str, Any]] = json.loads(ended.out)["runs"]
    return found


class TestRuns:
    def test_where_nothing_was_run(self, fleet: Program) -> None:
        ended = fleet("runs")
        assert ended.code == 1
        assert "nothing was run in this folder" in ended.err
        assert not (fleet.folder / ".converge").exists()

    def test_they_are_listed_shown_and_forgotten(self, fleet: Program) -> None:
        fleet("--check")
        fleet("--yes")
        fleet("--check")
        last, applied, first = listed(fleet)
        assert [run["mode"] for run in (last, applied, first)] == ["check", "run", "check"]
        assert [run["exit_code"] for run in (last, applied, first)] == [0, 0, 2]
        assert applied["hosts"] == {"changed": 2, "ok": 1}
        assert applied["playbooks"] == ["playbooks/registry.yml"]
        text = fleet("runs")
        assert [line.split()[0] for line in text.out.splitlines()[1:]] == [run["run"] for run in (last, applied, first)]
        counts = [line.split("  ")[-1].strip() for line in text.out.splitlines()[1:]]
        assert counts == ["3 ok", "2 changed, 1 ok", "2 would change, 1 ok"]
        looked = fleet("runs", first["run"])
        assert re.search(r"mail01: would change\n  would change .+\n +\(service:RemoteRegistry\)", looked.out)
        assert looked.out.endswith("\n2 would change, 1 ok\n")

        shown = fleet("runs", applied["run"])
        assert shown.code == 0
        assert re.search(r"mail01: changed\n  changed +(.+  \()?service:RemoteRegistry", shown.out)
        assert "+ start_mode: automatic" in shown.out
        assert "done     StartService RemoteRegistry" in shown.out
        document = json.loads(fleet("runs", applied["run"], "--format", "json").out)
        assert document["run"] == applied
        (change,) = document["hosts"]["mail02"]["changes"]
        assert [action["outcome"] for action in change["actions"]] == ["done", "done"]

        assert fleet("runs", "--keep", "1").out == "2 runs were forgotten\n"
        assert [run["run"] for run in listed(fleet)] == [last["run"]]
        assert fleet("runs", "--prune", "0").out == "1 run was forgotten\n"
        assert fleet("--check").code == 0

    def test_mistakes_are_told(self, fleet: Program) -> None:
        fleet("--check")
        assert "no run nonsense is remembered" in fleet("runs", "nonsense").err
        assert fleet("runs", "--keep", "1", "--prune", "1").code == 1
        assert fleet("runs", "--prune", "1e300").code == 1
        (fleet.folder / ".converge/converge.db").write_bytes(b"no database " * 1000)
        for words in (["runs"], ["--check"], ["--yes"]):
            ended = fleet(*words)
            assert ended.code == 1
            assert "is damaged" in ended.err
            assert "move it away" in ended.err


class TestVerify:
    @pytest.fixture
    def repaired(self, fleet: Program) -> Program:
        """Two runs that changed hosts, everything settled."""
        assert fleet("--yes").code == 0
        assert fleet("--yes").code == 0
        return fleet

    def damaged(self, fleet: Program, statement: str) -> str:
        with closing(sqlite3.connect(fleet.folder / ".converge/converge.db")) as file:
            file.execute(statement)
            file.commit()
        assert fleet("--check").code == 0, "a settled row is not read again by every run"
        text = fleet("runs", "verify")
        document = json.loads(fleet("runs", "verify", "--format", "json").out)
        assert text.code == 3
        assert text.out.splitlines()[-1].endswith("as written, 1 damaged")
        assert document["journals"]["mail01"]["rows"] > 0
        assert document["journals"]["mail02"]["damage"]["code"] == "journal-damaged"
        return text.out

    def test_all_is_as_it_was_written(self, repaired: Program) -> None:
        ended = repaired("runs", "verify")
        assert ended.code == 0
        assert re.fullmatch(r"2 journals with \d+ rows in .*converge\.db as written\n", ended.out)

    def test_a_settled_row_that_was_changed(self, repaired: Program) -> None:
        changed = "UPDATE journal SET body = replace(body, 'RemoteRegistry', 'OtherRegistry') WHERE host = 'mail02'"
        assert "it was changed after it was written" in self.damaged(repaired, changed)

    def test_a_settled_row_that_is_gone(self, repaired: Program) -> None:
        assert "row 2 is missing" in self.damaged(repaired, "DELETE FROM journal WHERE host = 'mail02' AND number = 2")

    def test_every_row_of_a_host_that_was_changed_is_gone(self, repaired: Program) -> None:
        with closing(sqlite3.connect(repaired.folder / ".converge/converge.db")) as file:
            file.execute("DELETE FROM journal_heads WHERE host = 'mail02'")
            file.commit()
        assert "has lost all rows of run" in self.damaged(repaired, "DELETE FROM journal WHERE host = 'mail02'")
        reason = ("--reason", "restored from a copy that is older")
        assert repaired("runs", "--write-off", "mail02", *reason, "--yes").code == 0
        assert repaired("runs", "verify").code == 0

    def test_nothing_was_changed_yet(self, fleet: Program) -> None:
        fleet("--check")
        ended = fleet("runs", "verify")
        assert (ended.code, ended.out) == (0, ".converge/converge.db holds no journal: nothing was changed yet\n")


class TestLost:
    """A store that was used here, and is empty or gone or another one now."""

    @pytest.fixture(params=["gone", "empty", "another"])
    def lost(self, request: pytest.FixtureRequest, fleet: Program, tmp_path: Path) -> Program:
        assert fleet("--yes").code == 0
        for path in (fleet.folder / ".converge").glob("converge.db*"):
            path.unlink()
        if request.param == "empty":
            (fleet.folder / ".converge/converge.db").touch(0o600)
        if request.param == "another":
            (fleet.folder / ".converge/stores.json").rename(tmp_path / "aside")
            assert fleet("--check").code == 0
            (tmp_path / "aside").rename(fleet.folder / ".converge/stores.json")
        return fleet

    def test_nothing_is_changed_until_it_is_said_that_it_is_lost(self, lost: Program) -> None:
        for words in (["--yes"], ["undo", "last", "--yes"], ["plan", "-o", "x.plan"]):
            ended = lost(*words)
            assert ended.code == 3, words
            assert "[store-lost]" in ended.err + ended.out
            assert "--new-store to begin a new one" in ended.err + ended.out
        assert not (lost.folder / "x.plan").exists()
        assert lost("--yes", "--new-store").code == 0
        assert lost("--yes").code == 0, "from then on it is the store that is used here"

    def test_a_check_goes_on_and_warns(self, lost: Program) -> None:
        for _ in range(2):
            ended = lost("--check")
            assert ended.code == 0
            assert "warning: this check is not recorded, and what waits from earlier runs is not known: the store" in ended.err

    def test_a_store_that_was_never_used_here_is_no_loss(self, lost: Program) -> None:
        assert lost("--yes", "--store", f"sqlite:///{lost.folder}/other.db").code == 0

    def test_who_names_the_stores_is_asked_of_nobody_else(self, fleet: Program) -> None:
        fleet("--check", "--store", "sqlite:///second.db")
        names = fleet.folder / ".converge/stores.json"
        assert names.stat().st_mode & 0o777 == 0o600
        assert list(json.loads(names.read_text())) == [str(fleet.folder / "second.db")]
        names.write_text("{")
        assert "names the stores that were used here" in fleet("--yes").err


class TestKilled:
    @staticmethod
    def ask(folder: Path, query: str, *values: object) -> Any:
        with closing(sqlite3.connect(folder / ".converge/converge.db", timeout=30)) as file:
            return file.execute(query, values).fetchone()[0]

    def killed_at(self, fleet: Program, rows: int) -> None:
        """A run killed once it has written so much about some host."""
        before = self.ask(fleet.folder, "SELECT max(run) FROM runs")
        most = "SELECT max(written) FROM (SELECT count(*) AS written FROM journal WHERE run > ? GROUP BY host)"
        process = fleet.started("--yes")
        deadline = time.monotonic() + BOUND
        while process.poll() is None and time.monotonic() < deadline:
            if (self.ask(fleet.folder, most, before) or 0) >= rows:
                break
            time.sleep(0.01)
        process.kill()
        process.communicate(timeout=BOUND)

    def test_the_next_run_goes_on_from_there(self, fleet: Program) -> None:
        fleet("--check")
        for rows in (1, 4, 6):
            self.killed_at(fleet, rows)
        ended = fleet("--yes")
        assert ended.code == 0, ended.out + ended.err
        assert fleet("--check").code == 0
        assert self.ask(fleet.folder, "SELECT count(*) FROM runs WHERE ended IS NULL") > 0
        assert self.ask(fleet.folder, "PRAGMA integrity_check") == "ok"
        broken = next(run for run in listed(fleet) if run["ended"] is None)
        assert "still running, or interrupted" in fleet("runs", broken["run"]).out


class TestSecrets:
    def everything(self, folder: Path) -> bytes:
        return b"".join(
            path.read_bytes()
            for path in (folder / ".converge").rglob("*")
            if path.is_file() and path.parent.name != "lab"  # the simulated host itself knows what was written to it
        )

    @pytest.mark.parametrize("key", ["", "K3Y-text"])
    def test_they_are_nowhere_in_clear(self, fleet: Program, key: str) -> None:
        fleet.write("playbooks/registry.yml", SENSITIVE)
        fleet.environment["CONVERGE_JOURNAL_KEY"] = key
        check = fleet("--check")
        assert ("way back: none" in check.out) == (not key)
        assert ("CONVERGE_JOURNAL_KEY" in check.out) == (not key)
        applied = fleet("--yes", "--format", "json", "-vvv")
        assert applied.code == 0, applied.out
        run = applied.document()["run"]
        shown = fleet("runs", run)
        assert "(sensitive, digest " in shown.out
        told = check.out + applied.out + applied.err + shown.out + fleet("runs", run, "--format", "json").out
        assert SECRET not in told
        for form in (SECRET.encode(), SECRET.encode("utf-16-le"), b"K3Y-text"):
            assert form not in self.everything(fleet.folder)

    def test_a_lost_secret_is_lost_only_when_that_was_accepted(self, fleet: Program) -> None:
        fleet.write("playbooks/registry.yml", SENSITIVE)
        assert fleet("--yes").code == 0, "where nothing was there, nothing is lost"
        fleet.write("playbooks/registry.yml", SENSITIVE.replace("S3CR3T", "another"))
        refused = fleet("--yes")
        assert refused.code == 2
        assert "--accept-no-way-back" in refused.out
        assert fleet("--yes", "--accept-no-way-back").code == 0


class TestShared:
    def test_one_server_for_many_folders(self, tmp_path: Path, postgresql_url: str) -> None:
        programs = []
        for name in ("one", "two"):
            program = Program(tmp_path / name, {"CONVERGE_STORE": postgresql_url})
            program.write("playbooks/registry.yml", PLAYBOOK)
            program.write("inventory/hosts.yml", INVENTORY)
            programs.append(program)
        one, two = programs
        assert one("--yes").code == 0
        assert not (one.folder / ".converge/converge.db").exists()
        assert two("--check").code == 2
        assert [run["mode"] for run in listed(two)] == ["check", "run"]
        assert "its leases bind every machine that uses it" in one("doctor", "mail01").out

    def test_a_server_that_is_away_stops_before_any_host(self, fleet: Program) -> None:
        fleet.environment["CONVERGE_STORE"] = f"postgresql://u:hunter2@/d?host={fleet.folder}"
        for words in (["--yes"], ["--check"], ["runs"]):
            ended = fleet(*words)
            assert ended.code == 1
            assert "cannot be used" in ended.err
            assert "hunter2" not in ended.out + ended.err


def test_doctor_tells_whom_leases_bind(fleet: Program) -> None:
    ended = fleet("doctor", "mail01")
    assert ended.code == 0
    assert "bind this state folder only" in ended.out


def test_a_check_that_cannot_be_recorded_says_so(fleet: Program) -> None:
    fleet("--check")
    path = fleet.folder / ".converge/converge.db"
    with closing(sqlite3.connect(path)) as file:
        file.execute("BEGIN EXCLUSIVE")
        file.execute("CREATE TRIGGER full BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
        file.commit()
    ended = fleet("--check")
    assert ended.code == 2
    assert "warning: this check is not recorded" in ended.err
    assert fleet("--yes").code == 1


def test_the_second_check_asks_for_known_places_only(tmp_path: Path) -> None:
    program = Program(tmp_path)
    program.write(
        "inventory/hosts.yml",
        "iis4: {hosts: {mail01: {ansible_connection: lab, converge_lab_image: iis4-smtp-broken}}}",
    )
    program.write("playbooks/a.yml", (REPOSITORY / "playbooks/smtp-follows-inetinfo.yml").read_text(encoding="utf-8"))
    first, second, third = program("--check"), program("--check"), program("--check", "--full-search")
    assert first.code == second.code == third.code == 2
    assert "known places, last full search" in second.out
    assert "known places" not in first.out + third.out
    drift = [line for line in second.out.splitlines() if "known places" not in line]
    assert drift == first.out.splitlines() == third.out.splitlines()
