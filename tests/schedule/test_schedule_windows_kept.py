"""A run keeps change windows: from outside, and on one host whose window ends while it is being changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.cli.cli_program import INVENTORY, PLAYBOOK, Program

from converge.cli.windowing import WindowKeeper, held, leaves_after
from converge.model.change import Change, HostResult, Status
from converge.schedule.windows import read_windows
from converge.store.store import Store, Where

NEVER = "converge_change_windows: never"


def closed_now() -> str:
    """A window that opens the day after tomorrow."""
    day = (datetime.now(UTC) + timedelta(days=2)).strftime("%a").lower()
    return f"converge_change_windows: [{{days: {day}, from: '10:00', to: '11:00', timezone: UTC}}]"


@pytest.fixture
def program(tmp_path: Path) -> Program:
    program = Program(tmp_path)
    program.write("playbooks/registry.yml", PLAYBOOK)
    return program


def inventory(program: Program, extra: str, *, host: str = "mail01") -> None:
    program.write("inventory/hosts.yml", INVENTORY)
    program.write(f"inventory/host_vars/{host}.yml", extra + "\n")


def journal_of(folder: Path, host: str) -> str:
    import sqlite3

    with sqlite3.connect(folder / ".converge" / "converge.db") as connection:
        return "\n".join(row[0] for row in connection.execute("SELECT body FROM journal WHERE host = ?", (host,)))


def test_outside_its_window_a_host_is_looked_at_and_not_changed(program: Program) -> None:
    inventory(program, closed_now())
    assert program("--check").code == 2
    ended = program("--yes", "--format", "json")
    hosts = ended.document()["hosts"]
    assert ended.code == 6
    assert hosts["mail01"]["status"] == "held"
    assert hosts["mail01"]["error"]["code"] == "outside-window"
    assert "It opens 20" in hosts["mail01"]["error"]["why"]
    assert "service:RemoteRegistry" in hosts["mail01"]["error"]["why"]
    assert hosts["mail01"]["resources"][0]["status"] == "skipped"
    assert hosts["mail02"]["status"] == "changed"
    again = program("--check", "--format", "json").document()["hosts"]
    assert (again["mail01"]["status"], again["mail02"]["status"]) == ("changed", "ok")
    assert journal_of(program.folder, "mail01") == ""


def test_a_reason_overrides_the_window_and_is_journaled(program: Program) -> None:
    inventory(program, NEVER)
    assert program("--yes").code == 6
    assert program("--yes", "--outside-window", "  ").code == 1
    ended = program("--yes", "--outside-window", "mail is down, ticket 4711")
    assert ended.code == 0, ended.err
    assert "mail is down, ticket 4711" in journal_of(program.folder, "mail01")
    assert "WindowOverridden" not in journal_of(program.folder, "mail02")


def test_wrong_windows_are_told_with_their_place_before_any_host_is_contacted(program: Program) -> None:
    inventory(
        program,
        "# first line\nconverge_change_windows:\n  - {days: [mon], from: '22:00', to: '23:00', timezone: Berlin}",
    )
    for words in (("--check",), ("lint",)):
        ended = program(*words)
        assert ended.code == 1
        assert "mail01.yml:" in ended.err
        assert "Berlin" in ended.err
        assert "no host was contacted" in ended.err


# --- one host, time by hand


def change(address: str, status: Status = Status.CHANGED) -> Change:
    return Change(address, {"kind": "service"}, address, "play", status)


def keeper(now: Sequence[datetime], *, seconds: float = 0.0, reason: str = "") -> WindowKeeper:
    windows = read_windows({"from": "10:00", "to": "11:00", "timezone": "UTC"})
    moments = iter(now)
    return WindowKeeper({"web01": windows}, reason, {"web01": seconds}, now=lambda: next(moments))


def at(clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-23T{clock}").replace(tzinfo=UTC)


def test_no_host_is_begun_that_would_probably_not_end_in_time() -> None:
    assert keeper([at("10:30")], seconds=29 * 60).refusal("web01") is None
    refusal = keeper([at("10:30")], seconds=31 * 60).refusal("web01")
    assert refusal is not None
    assert refusal.code == "window-too-short"
    assert "31 min" in refusal.why
    assert keeper([at("10:30")], seconds=31 * 60).refusal("host without a window") is None


def test_what_the_end_of_the_window_leaves_is_told() -> None:
    windows = keeper([at("10:59")])
    assert windows.refusal("web01") is None
    moments = iter([at("10:59:30"), at("11:00")])
    leaves = leaves_after(windows.end("web01"), now=lambda: next(moments))
    assert leaves("service:A") == ""
    words = leaves("service:B")
    assert "ended 2026-11-23 11:00 UTC" in words
    done = HostResult("web01", Status.CHANGED, (change("service:A"),))
    assert windows.ended(done) is done
    left = Change("service:B", {"kind": "service"}, "B", "play", Status.SKIPPED, reason=words)
    result = windows.ended(HostResult("web01", Status.CHANGED, (change("service:A"), left)))
    assert result.status is Status.HELD
    assert result.error is not None
    assert result.error.code == "window-ended"
    assert "service:B" in result.error.why
    assert "service:A" not in result.error.why


def test_a_host_held_back_counts_nothing_as_changed() -> None:
    refusal = keeper([at("12:00")]).refusal("web01")
    assert refusal is not None
    result = held(HostResult("web01", Status.CHANGED, (change("service:A"), change("service:B", Status.OK))), refusal)
    assert [item.status for item in result.changes] == [Status.SKIPPED, Status.OK]
    assert result.status is Status.HELD


def test_durations_come_from_the_runs_that_changed_a_host(tmp_path: Path) -> None:
    with Store.open(Where(tmp_path)) as store:
        for number, (mode, seconds) in enumerate((("run", 40.0), ("run", 90.0), ("check", 900.0))):
            run = store.runs.begin(f"2026112{number}T000000Z-0000", mode=mode, playbooks=(), user="u", version="1")
            run.host(HostResult("web01", Status.CHANGED, (change(f"service:{number}"),), seconds=seconds))
            run.end(0)
        assert store.runs.seconds() == {"web01": 90.0}
