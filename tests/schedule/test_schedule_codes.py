"""`enforce --once` ends with the codes of `run`: of hosts that were repaired how they ended, of others how they were found."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from converge.cli.rounds import codes_of
from converge.model.change import HostResult, Problem, Status
from converge.runs.exit_codes import worst
from converge.schedule.drift import Left, RoundDecision
from converge.schedule.enforcer import Round

NOW = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
BAD = Problem("x", "words")


def of(host: str, status: Status) -> HostResult:
    return HostResult(host, status)


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (Round("g", NOW, (of("a", Status.OK),)), 0),
        (Round("g", NOW, (of("a", Status.CHANGED),), (of("a", Status.CHANGED),)), 0),
        (Round("g", NOW, (of("a", Status.CHANGED),)), 2),
        (Round("g", NOW, (of("a", Status.WAITING),)), 2),
        (Round("g", NOW, (of("a", Status.UNREACHABLE), of("b", Status.CHANGED))), 4),
        (Round("g", NOW, (of("a", Status.CHANGED),), (of("a", Status.FAILED),)), 3),
        (Round("g", NOW, (of("a", Status.CHANGED),), decision=RoundDecision({}, {("a", "x"): Left.WINDOW})), 6),
        (Round("g", NOW, elsewhere=BAD), 7),
        (Round("g", NOW, error=BAD), 3),
    ],
)
def test_a_round_ends_with_the_code_of_run(made: Round, code: int) -> None:
    assert worst(codes_of(made)) == code
