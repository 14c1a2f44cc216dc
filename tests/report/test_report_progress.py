"""What is told while a run goes on: trouble at once, a bar that counts, and lines in a pipe only if asked for."""

from __future__ import annotations

import io

import pytest

from converge.model.change import Change, HostResult, Problem, Status
from converge.report.progress import LONGEST_LINE, Telling, line_of, progress_on

FAILED = Change("service:A", {}, "a", "p", Status.FAILED, reason="StartService returned 2, access denied")
UNREACHABLE = HostResult("web01", Status.UNREACHABLE, error=Problem("unreachable", "nobody answers on 5985"))
FINE = HostResult("web02", Status.OK, (Change("service:A", {}, "a", "p", Status.OK),))
DRIFTING = HostResult("web03", Status.CHANGED, (Change("service:A", {}, "a", "p", Status.CHANGED), *FINE.changes))


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("NO_COLOR", raising=False)


def told(out: io.StringIO, *results: HostResult, telling: Telling | None = None) -> list[str]:
    """What was shown before the last host ended, after each of the others."""
    shown = []
    with progress_on(out, title="looking", total=len(results) + 1, telling=telling or Telling()) as progress:
        for result in results:
            before = len(out.getvalue())
            progress.ended(result)
            shown.append(out.getvalue()[before:])
    return shown


def test_on_a_terminal_trouble_is_told_at_once_and_nothing_else() -> None:
    first, second, third = told(Terminal(), UNREACHABLE, FINE, DRIFTING)
    assert "web01  unreachable  nobody answers on 5985\x1b[0m\n" in first
    assert "web02" not in second
    assert "web03" not in third


@pytest.mark.parametrize(
    "status", [Status.FAILED, Status.UNREACHABLE, Status.UNDECIDED, Status.UNKNOWN, Status.HELD, Status.STALE]
)
def test_every_way_to_end_badly_is_trouble(status: Status) -> None:
    (shown,) = told(Terminal(), HostResult("web09", status))
    assert f"web09  {status.value}" in shown


def test_the_bar_counts_how_hosts_ended() -> None:
    out = Terminal()
    told(out, UNREACHABLE, FINE, DRIFTING, FINE)
    assert "1 in trouble, 2 ok, 1 would change" in out.getvalue()
    applied = Terminal()
    told(applied, DRIFTING, telling=Telling(would=False))
    assert "1 changed" in applied.getvalue()


def test_in_a_pipe_nothing_is_told() -> None:
    assert told(io.StringIO(), UNREACHABLE, FINE) == ["", ""]


def test_in_a_pipe_every_host_is_told_if_asked_for() -> None:
    assert told(io.StringIO(), UNREACHABLE, FINE, DRIFTING, telling=Telling(every=True)) == [
        "web01  unreachable  nobody answers on 5985\n",
        "web02  ok\n",
        "web03  would change  1 of 2\n",
    ]


def test_a_single_host_needs_no_bar() -> None:
    out = Terminal()
    with progress_on(out, title="looking", total=1, telling=Telling(every=True)) as progress:
        progress.ended(UNREACHABLE)
    assert out.getvalue() == ""


def test_the_line_names_the_first_of_what_went_wrong() -> None:
    failed = HostResult("web04", Status.FAILED, (*FINE.changes, FAILED, FAILED))
    assert line_of(failed, would=True) == (
        "web04  failed  a  (service:A): StartService returned 2, access denied (and 1 more)"
    )


def test_what_a_host_sends_neither_steers_the_terminal_nor_fills_it() -> None:
    evil = HostResult("web05", Status.FAILED, error=Problem("x", "[red]\x1b]0;title\x07\nweb06  ok" + "x" * 5000))
    (shown,) = told(Terminal(), evil)
    assert "\x1b]0" not in shown
    assert "\x07" not in shown
    assert "[red]" in shown
    assert "\nweb06" not in shown
    assert "x" * LONGEST_LINE not in shown
