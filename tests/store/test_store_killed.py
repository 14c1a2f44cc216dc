"""A process that is killed at any write leaves a journal that tells what was certainly done, certainly not, and unknown."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from converge.store.store import Store, Where

ACTIONS = 3
SCRIPT = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import Engine, event
from converge.model.journal import ActionEnded, ActionIntended, ChangeBegun, ChangeEnded, RunBegun, RunEnded
from converge.store.store import Store, Where

folder, url, last = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def work(host, dies_at, when):
    count = 0
    def commits(_connection):
        nonlocal count
        count += 1
        if count == dies_at and when == "before":
            die()
    event.listen(Engine, "commit", commits)
    world = os.open(folder / host, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with Store.open(Where(folder / "state", url=url, term=2.0)) as store, store.leases.acquire(host, run="killed") as lease:
        book = store.journal(lease, render=None)
        def write(what):
            book.write(what)
            if count == dies_at and when == "after":
                die()
        write(RunBegun("killed", host, "", "", ()))
        write(ChangeBegun(1, "a:b", "a", {}, "b", "p", None, None, "full", {}))
        for number in range(1, 4):
            write(ActionIntended(number, 1, "a:b", {"action": f"Act{number}"}))
            os.write(world, b"%d\\n" % number)
            write(ActionEnded(number, "done"))
        write(ChangeEnded(1, "changed", None))
        write(RunEnded("changed", ""))

with Store.open(Where(folder / "state", url=url)):
    pass
for when in ("before", "after"):
    for number in range(1, last):
        child = os.fork()
        if child == 0:
            try:
                work(f"{when}-{number}", number, when)
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        print(when, number, "killed" if os.WIFSIGNALED(status) else "ended", flush=True)
"""


def test_what_is_certain_is_certain(where: Where, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), where.url, "14"],
        capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    deaths = [line.split()[:2] for line in done.stdout.splitlines() if line.endswith("killed")]
    assert len(deaths) > 18, "it was killed at every write of the journal, before and after its commit"
    seen = set()
    with Store.open(where) as store:
        for when, number in deaths:
            host = f"{when}-{number}"
            happened = {int(line) for line in (tmp_path / host).read_text().split()}
            store.verify(host)
            changes = store.runs.changes("killed", host)
            told = {action.number: action.outcome for change in changes for action in change.actions}
            open_actions = {action.action_number for action in store.history(host).actions}
            for action in range(1, ACTIONS + 1):
                outcome = told.get(action, "not begun")
                seen.add((outcome, action in happened))
                assert (action in open_actions) == (outcome == "unknown")
                if outcome == "done":
                    assert action in happened
                if outcome == "not begun":
                    assert action not in happened
            with store.leases.acquire(host, run="next", wait=60.0) as lease:
                assert store.journal(lease, render=lambda _: b"").history() == store.history(host)
    assert seen == {("done", True), ("not begun", False), ("unknown", True), ("unknown", False)}
