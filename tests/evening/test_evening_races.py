"""Real processes that get in each other's way: two at once, one killed, one suspended whose lease another has taken."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.evening.conftest import PLAYBOOK, Evening
from tests.store.postgresql_server import ABSENT, programs, served

BOUND = 120.0  # seconds
ONE = ("--limit", "mail01", "--yes")


@pytest.fixture(params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest, evening: Evening) -> Iterator[Evening]:
    """The fleet, with a store of each kind."""
    if request.param == "sqlite":
        yield evening
        return
    binaries = programs()
    if binaries is None:
        pytest.skip(ABSENT)
    with served(binaries) as folder:
        evening.environment["CONVERGE_STORE"] = f"postgresql://converge@/postgres?host={folder}"
        yield evening


def waited(told: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + BOUND
    while not told():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=BOUND)
    return process.returncode, out + err


def test_the_second_is_held_or_waits_and_one_writes_at_a_time(shared: Evening) -> None:
    pause = shared.folder / "pause"
    first = shared.steered(6, str(pause), *ONE)
    waited(pause.exists, first)
    second = shared(*ONE, "--format", "json")
    assert second.code == 7, second.out + second.err
    error = second.document()["hosts"]["mail01"]["error"]
    assert f"pid {first.pid}" in error["what"]
    assert "--lease-timeout" in error["try"]
    third = shared.started(*ONE, "--lease-timeout", "60")
    time.sleep(3.0)
    assert third.poll() is None, "it waits"
    pause.unlink()
    assert ended(first)[0] == 0
    code, words = ended(third)
    assert code == 0, words
    assert "1 ok" in words or "1 changed" in words
    assert shared("--check", "--limit", "mail01").code == 0


def test_a_killed_owners_lease_ends_by_itself_and_the_next_run_finishes(shared: Evening) -> None:
    first = shared.steered(9, "kill", *ONE)
    assert ended(first)[0] == -signal.SIGKILL
    second = shared.steered(10**6, "nowhere", *ONE, "--lease-timeout", "60")
    code, words = ended(second)
    assert code == 0, words
    assert shared("--check", "--limit", "mail01").code == 0


def test_a_suspended_owner_sends_nothing_more_when_it_wakes(shared: Evening) -> None:
    """Between the journal's row and the send, where no other fence stands. The second leaves what the first would overwrite."""
    shared.write("theirs.yml", PLAYBOOK.replace("data: fast", "data: theirs"))
    pause = shared.folder / "pause"
    first = shared.steered("SetRegistryValue", str(pause), *ONE, term=2.0)
    waited(pause.exists, first)
    first.send_signal(signal.SIGSTOP)
    second = shared.steered(10**6, "nowhere", "theirs.yml", *ONE, "--lease-timeout", "60")
    code, words = ended(second)
    assert code == 0, words
    world = shared.world("mail01")
    assert "theirs" in str(world["registry"])
    pause.unlink()
    first.send_signal(signal.SIGCONT)
    code, words = ended(first)
    assert code == 7, words
    assert "another run has taken mail01 over" in words
    assert shared.world("mail01") == world
    shown = shared("runs")
    assert shown.code == 0
    for run in [line.split()[0] for line in shown.out.splitlines()[1:]]:
        assert shared("runs", run).code == 0, "the journal fits together"


def test_a_plan_that_two_apply_at_once_is_applied_by_one(shared: Evening) -> None:
    assert shared("plan", "-o", "plan.json", "--limit", "mail01").code == 2
    pause = shared.folder / "pause"
    first = shared.steered(0, str(pause), "apply", "plan.json")
    waited(pause.exists, first)
    held = shared("apply", "plan.json")
    assert held.code == 7, held.out + held.err
    waiting = shared.started("apply", "plan.json", "--lease-timeout", "60")
    time.sleep(2.0)
    pause.unlink()
    assert ended(first)[0] == 0
    code, words = ended(waiting)
    assert code == 5, words
    assert "already applied in run" in words or "has changed since it was planned" in words
    last = shared("apply", "plan.json")
    assert (last.code, "already applied in run" in last.out) == (5, True)


@pytest.mark.parametrize("undoing", [False, True], ids=["apply", "undo"])
def test_killed_at_some_of_its_writes(evening: Evening, tmp_path: Path, undoing: bool) -> None:
    """Real deaths at a sample of the places that `tests/apply/test_apply_killed.py` goes through one by one."""
    before = evening.world("mail01")
    words: tuple[str, ...] = ONE
    if undoing:
        applied = evening(*ONE, "--format", "json")
        assert applied.code == 0, applied.out
        words = ("undo", applied.document()["run"], *ONE)
    died = 0
    for place in (2, 5, 12, 21):
        died += ended(evening.steered(place, "kill", *words))[0] == -signal.SIGKILL
    assert died >= 2
    finished = evening(*words)
    assert finished.code == 0, finished.out + finished.err
    if undoing:
        assert evening.world("mail01") == before
    else:
        assert evening("--check", "--limit", "mail01").code == 0
        run = next(line.split()[0] for line in reversed(evening("runs").out.splitlines()) if " run " in line)
        assert evening("runs", run).code == 0
