"""Whole runs over simulated hosts, through sockets: looked at, repaired, looked at again; and whatever can get in the way."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import socket
import sqlite3
import stat
import subprocess
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.cli.cli_program import BOUND, Ended, Program, interrupt, until

from converge.report.result_schema import ResultDocument
from converge.store.store import Store, Where


class TestCheckApplyCheck:
    def test_drift_is_shown_repaired_and_gone(self, fleet: Program) -> None:
        first = fleet("--check")
        assert first.code == 2
        assert "mail[01-02] (2 hosts)" in first.out
        assert "service:RemoteRegistry" in first.out
        assert "3 hosts: 1 ok, 2 would change" in first.out
        assert first.err == ""

        applied = fleet("--yes")
        assert applied.code == 0
        assert "3 hosts: 1 ok, 2 changed" in applied.out

        second = fleet("--check")
        assert second.code == 0
        assert "3 hosts: 3 ok" in second.out

    def test_looking_writes_no_journal_and_changes_no_world(self, fleet: Program) -> None:
        fleet("--check")
        worlds = {path.name: path.read_bytes() for path in (fleet.folder / ".converge/lab").glob("*.json")}
        assert sorted(worlds) == ["mail01.json", "mail02.json", "mail03.json"]
        fleet("--check")
        assert {path.name: path.read_bytes() for path in (fleet.folder / ".converge/lab").glob("*.json")} == worlds
        with closing(sqlite3.connect(fleet.folder / ".converge/converge.db")) as file:
            assert file.execute("SELECT count(*) FROM journal").fetchone() == (0,)
        assert not (fleet.folder / ".converge/runs").exists()

    def test_worlds_that_cannot_be_kept_are_no_bug(self, fleet: Program) -> None:
        (fleet.folder / ".converge").mkdir()
        (fleet.folder / ".converge/lab").symlink_to("/proc/none/lab")  # nobody can make it, not even root
        ended = fleet("--check", "--limit", "mail01", "--format", "json")
        assert ended.code == 4, ended.err
        error = ended.document()["hosts"]["mail01"]["error"]
        assert error["code"] == "unreachable"
        assert ".converge/lab/mail01.json" in error["what"]
        assert "keep their worlds below .converge/lab" in error["why"]
        assert error["try"]
        assert "bug" not in ended.err

    def test_a_run_leaves_a_journal_of_every_host_it_changed(self, fleet: Program) -> None:
        document = fleet("--yes", "--format", "json").document()
        path = fleet.folder / ".converge/converge.db"
        with closing(sqlite3.connect(path)) as file:
            rows = file.execute("SELECT host, run, body FROM journal ORDER BY host, number").fetchall()
        assert {(host, run) for host, run, _ in rows} == {(host, document["run"]) for host in ("mail01", "mail02")}
        events = [json.loads(body)["event"]["event"] for host, _, body in rows if host == "mail01"]
        assert events[0] == "RunBegun"
        assert events[-1] == "RunEnded"
        assert events.index("ActionIntended") < events.index("ActionEnded")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_drift_may_exit_0(self, fleet: Program) -> None:
        assert fleet("--check", "--exit-zero-on-drift").code == 0

    def test_tags_choose(self, fleet: Program) -> None:
        assert fleet("--check", "--skip-tags", "registry").code == 1
        assert fleet("--check", "--tags", "registry").code == 2


class TestJson:
    @pytest.mark.parametrize("words", [["--check"], ["--yes"]])
    def test_nothing_but_one_document_as_its_schema_says(self, fleet: Program, words: list[str]) -> None:
        document = fleet(*words, "--format", "json").document()
        ResultDocument.model_validate(document)
        assert document["mode"] == words[0].removeprefix("--").replace("yes", "run")
        assert document["playbooks"] == ["playbooks/registry.yml"]
        assert sorted(document["hosts"]) == ["mail01", "mail02", "mail03"]
        assert document["summary"] == {
            "ok": 1, "changed": 2, "failed": 0, "unreachable": 0, "undecided": 0, "skipped": 0,
            "resources": {"ok": 1, "changed": 2}, "restart_pending": 0,
        }  # fmt: skip
        (resource,) = document["hosts"]["mail01"]["resources"]
        assert resource["key"] == {"kind": "service", "name": "RemoteRegistry"}
        assert document["hosts"]["mail01"]["round_trips"] > 0

    def test_to_a_file(self, fleet: Program) -> None:
        ended = fleet("--check", "--format", "json", "-o", "out.json")
        assert (ended.code, ended.out) == (2, "")
        assert json.loads((fleet.folder / "out.json").read_text())["summary"]["changed"] == 2


class TestText:
    def test_verbose_tells_round_trips_and_seconds(self, fleet: Program) -> None:
        assert " round trips, " in fleet("--check", "-v").out
        assert " round trips, " not in fleet("--check").out

    def test_no_diff(self, fleet: Program) -> None:
        assert "+ " in fleet("--check").out
        assert "        + " not in fleet("--check", "--no-diff").out

    def test_a_pipe_has_neither_colours_nor_a_bar(self, fleet: Program) -> None:
        ended = fleet("--check", env={"TERM": "xterm-256color"})
        assert "\x1b" not in ended.out + ended.err

    def test_a_reader_that_goes_away_is_no_error(self, fleet: Program) -> None:
        process = fleet.started("--check")
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        error = process.stderr.read()
        assert process.wait(timeout=BOUND) == 2
        assert error == ""

    def test_a_full_disk_is_told(self, fleet: Program) -> None:
        ended = fleet("--check", "-o", "/dev/full")
        assert ended.code == 1
        assert "No space left" in ended.err


def at_terminal(program: Program, *words: str, answer: str) -> Ended:
    """Run the program with a terminal, and answer its question. Ctrl-C is pressed again if need be, as a person would.

    A signal that comes just before Python reads a line is seen only after the line.
    """
    control, terminal = pty.openpty()
    process = subprocess.Popen(
        program.argv(words), cwd=program.folder, env=program.env({"TERM": "xterm"}), stdin=terminal, stdout=terminal,
        stderr=terminal, start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(terminal)
    shown, answered, ends = b"", 0.0, time.monotonic() + BOUND
    while time.monotonic() < ends:
        ready, _, _ = select.select([control], [], [], 0.2)
        if ready:
            try:
                piece = os.read(control, 65536)
            except OSError:
                break
            if not piece:
                break
            shown += piece
        if b"[y/N]" in shown and (not answered or (answer == "\x03" and time.monotonic() > answered + 5)):
            answered = time.monotonic()
            os.write(control, answer.encode())
    code = process.wait(timeout=BOUND)
    os.close(control)
    return Ended(code, shown.decode(errors="replace"), "")


class TestTheQuestion:
    def test_yes_applies(self, fleet: Program) -> None:
        ended = at_terminal(fleet, answer="y\n")
        assert "Apply 2 changes to 2 hosts? [y/N]" in ended.out
        assert ended.code == 0
        assert fleet("--check").code == 0

    @pytest.mark.parametrize("answer", ["n\n", "\n"])
    def test_anything_else_changes_nothing_and_is_2(self, fleet: Program, answer: str) -> None:
        assert at_terminal(fleet, answer=answer).code == 2
        assert not (fleet.folder / ".converge/runs").exists()
        assert fleet("--check").code == 2

    def test_ctrl_c_at_the_question(self, fleet: Program) -> None:
        ended = at_terminal(fleet, answer="\x03")
        assert ended.code == 130
        assert "interrupted at the question: nothing was changed" in ended.out
        assert not (fleet.folder / ".converge/runs").exists()
        (line,) = fleet("runs").out.splitlines()[1:]
        assert line.split()[4] == "130", "it is over, and remembered as such"

    def test_declined_as_json_tells_what_was_left(self, fleet: Program) -> None:
        ended = at_terminal(fleet, "--format", "json", "-o", "out.json", answer="n\n")
        assert ended.code == 2
        hosts = json.loads((fleet.folder / "out.json").read_text())["hosts"]
        assert hosts["mail01"]["status"] == "skipped"
        assert hosts["mail01"]["error"]["code"] == "declined"

    def test_nothing_to_change_is_not_asked(self, fleet: Program) -> None:
        assert at_terminal(fleet, "-l", "mail03", answer="n\n").code == 0


@contextmanager
def silent_host() -> Iterator[socket.socket]:
    """Something that accepts connections and never says a word. Gives the socket at which it listens."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        listener.settimeout(BOUND)
        yield listener


def with_silent_hosts(fleet: Program, port: int, count: int = 3) -> None:
    hosts = "".join(f"    dead{n:02}:\n" for n in range(count))
    fleet.write(
        "inventory/zz.yml",
        "all:\n  hosts:\n"
        + hosts.replace(
            ":\n",
            f": {{ansible_connection: winrm, ansible_host: 127.0.0.1, ansible_port: {port}, ansible_winrm_scheme: http, "
            "ansible_user: x, ansible_password: y}\n",
        ),
    )


class TestInterruption:
    @pytest.mark.parametrize(("number", "times"), [(signal.SIGINT, 1), (signal.SIGTERM, 1), (signal.SIGINT, 2)])
    def test_it_ends_soon_with_a_valid_document(self, fleet: Program, number: int, times: int) -> None:
        out = fleet.folder / "out.json"
        with silent_host() as silent, out.open("w") as writing:
            with_silent_hosts(fleet, silent.getsockname()[1])
            process = fleet.started("--check", "--format", "json", stdout=writing)
            lines = [silent.accept() for _ in range(3)]
            until(lambda: all(f'"mail0{number}"' in out.read_text() for number in (1, 2, 3)))
            ended = interrupt(process, times=times, number=number)
            assert len(lines) == 3
        assert ended.code == 130
        document = json.loads(out.read_text())
        ResultDocument.model_validate(document)
        assert len(document["hosts"]) == 6
        assert document["hosts"]["dead00"]["error"]["code"] == "stopped"
        assert document["hosts"]["mail03"]["status"] == "ok"

    def test_hosts_that_were_not_begun_are_told(self, fleet: Program) -> None:
        with silent_host() as silent:
            with_silent_hosts(fleet, silent.getsockname()[1])
            process = fleet.started("--check", "--format", "json", "--forks", "1", "-l", "dead*")
            line, _ = silent.accept()
            document = interrupt(process).document()
            line.close()
        assert [document["hosts"][name]["status"] for name in ("dead00", "dead01", "dead02")] == [
            "undecided", "skipped", "skipped",
        ]  # fmt: skip

    def test_before_any_host_was_contacted(self, program: Program) -> None:
        program.write(
            "playbooks/x.yml", "- name: x\n  hosts: all\n  resources: [{service: {name: X, running: true}}]\n"
        )
        program.write("slow", "#!/bin/sh\n: > begun\nsleep 30\n").chmod(0o755)
        process = program.started("--check", "-i", "./slow")
        until((program.folder / "begun").exists)
        ended = interrupt(process)
        assert ended.code == 130
        assert "Traceback" not in ended.err


class TestTrouble:
    def test_a_host_nobody_listens_for_is_4_and_the_others_go_on(self, fleet: Program) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        with_silent_hosts(fleet, port, count=1)
        ended = fleet("--check", "--format", "json")
        assert ended.code == 4
        hosts = ended.document()["hosts"]
        assert hosts["dead00"]["status"] == "unreachable"
        assert hosts["dead00"]["error"]["try"]
        assert hosts["mail01"]["status"] == "changed"

    def test_hosts_of_other_connections_are_skipped_saying_so(self, fleet: Program) -> None:
        fleet.write("inventory/zz.yml", "all: {hosts: {linux01: {ansible_connection: ssh}}}\n")
        ended = fleet("--check")
        assert ended.code == 2
        assert "linux01: ansible_connection is ssh" in ended.out

    def test_a_wrong_password_is_tried_on_two_hosts_only(self, fleet: Program) -> None:
        tried: list[str] = []

        class Refusing(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.headers.get("Authorization", "").startswith("Basic"):
                    tried.append(self.path)
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="WSMAN"')
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            basic = (
                "ansible_winrm_transport: basic, ansible_winrm_message_encryption: never, ansible_winrm_scheme: http"
            )
            hosts = "\n".join(
                f"    h{n:02}: {{ansible_connection: winrm, ansible_host: 127.0.0.1, ansible_port: {server.server_port}, "
                f"ansible_user: deploy, ansible_password: wrong-password, {basic}}}"
                for n in range(12)
            )
            fleet.write("inventory/hosts.yml", f"all:\n  hosts:\n{hosts}\n")
            ended = fleet("--check", "--format", "json")
        finally:
            server.shutdown()
            server.server_close()
        assert ended.code == 4
        codes = [host["error"]["code"] for host in ended.document()["hosts"].values()]
        assert codes.count("login-refused") == 2
        assert codes.count("login-not-tried") == 10
        assert len(tried) == 2
        assert "would lock deploy" in ended.out
        assert "wrong-password" not in ended.out + ended.err

    def test_a_store_that_cannot_be_made_stops_before_any_host_is_touched(self, fleet: Program) -> None:
        fleet.write(".converge", "a file where the folder should be")
        ended = fleet("--yes", "--format", "json")
        assert ended.code == 1
        assert not ended.document()["hosts"]
        assert ".converge" in ended.document()["errors"][0]["message"]

    def test_a_host_that_another_run_holds_is_7(self, fleet: Program) -> None:
        with Store.open(Where(fleet.folder / ".converge")) as store, store.leases.acquire("mail01", run="other"):
            ended = fleet("--yes", "--format", "json")
            assert ended.code == 7
            hosts = ended.document()["hosts"]
            assert hosts["mail01"]["status"] == "held"
            assert f"pid {os.getpid()} since " in hosts["mail01"]["error"]["what"]
            assert hosts["mail02"]["status"] == "changed"
            assert fleet("--check").code == 2, "looking needs no lease"
        assert fleet("--yes").code == 0

    def test_a_held_host_is_waited_for_as_long_as_told(self, fleet: Program) -> None:
        with Store.open(Where(fleet.folder / ".converge")) as store:
            lease = store.leases.acquire("mail01", run="other")
            process = fleet.started("--yes", "--lease-timeout", str(BOUND), "--format", "jsonl")
            assert process.stdout is not None
            ended: set[str] = set()
            while not {"mail02", "mail03"} <= ended:  # the others have come to their end
                line = process.stdout.readline()
                assert line, "it ended without its first host"
                ended |= {host for host in ("mail02", "mail03") if f'"{host}"' in line}
            lease.release()
            process.communicate(timeout=BOUND)
        assert process.returncode == 0

    BUG = (
        "import converge.runs.tasks as tasks, converge.cli.main as main\n"
        "real = tasks.check\n"
        "def check(plays, *, observer, **more):\n"
        "    secret = 'hunter2'\n"
        "    if observer.host == 'mail01': raise ValueError('quotes ' + secret)\n"
        "    return real(plays, observer=observer, **more)\n"
        "tasks.check = check\n"
    )

    @pytest.mark.parametrize("verbose", [[], ["-vvv"]])
    def test_a_bug_at_one_host_is_70_and_the_others_go_on(self, fleet: Program, verbose: list[str]) -> None:
        words = ["--check", "--format", "json", *verbose]
        argv = [*fleet.argv(())[:1], "-c", f"{self.BUG}main.main({words!r})"]
        done = subprocess.run(
            argv, cwd=fleet.folder, env=fleet.env(), capture_output=True, text=True, timeout=BOUND, check=False
        )
        assert done.returncode == 70
        document = json.loads(done.stdout)
        assert document["hosts"]["mail01"]["error"]["code"] == "internal"
        assert document["hosts"]["mail02"]["status"] == "changed"
        (trace,) = (fleet.folder / ".converge/bugs").iterdir()
        assert str(trace.relative_to(fleet.folder)) in document["hosts"]["mail01"]["error"]["why"]
        assert "ValueError" in trace.read_text()
        assert ("line" in done.stderr) == bool(verbose)
        assert "quotes hunter2" not in trace.read_text() + done.stderr + done.stdout

    def test_a_bug_outside_any_host_is_70_too(self, fleet: Program) -> None:
        code = (
            "import converge.runs.selection as s, converge.runs.check as r, converge.cli.main as main\n"
            "def select(sources): raise RuntimeError('x')\n"
            "r.select = select\nmain.main(['--check'])"
        )
        argv = [*fleet.argv(())[:1], "-c", code]
        done = subprocess.run(
            argv, cwd=fleet.folder, env=fleet.env(), capture_output=True, text=True, timeout=BOUND, check=False
        )
        assert done.returncode == 70
        assert "a bug in converge: RuntimeError" in done.stderr
        assert "Traceback" not in done.stderr
