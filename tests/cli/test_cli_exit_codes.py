"""Exit codes: one per outcome, and which wins when several hold."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converge.model.change import HostResult, Problem, Status
from converge.runs.exit_codes import PRECEDENCE, ExitCode, code_of, worst


def test_the_order_is_that_of_the_contract() -> None:
    assert [int(code) for code in PRECEDENCE] == [70, 130, 1, 7, 6, 5, 3, 4, 2, 0]
    assert set(PRECEDENCE) == set(ExitCode)


@pytest.mark.parametrize(("first", "second"), list(pairwise(PRECEDENCE)))
def test_the_earlier_wins(first: ExitCode, second: ExitCode) -> None:
    assert worst([second, first]) is first
    assert worst([first, second]) is first


@given(st.lists(st.sampled_from(list(ExitCode))))
def test_the_first_that_holds_wins(codes: list[ExitCode]) -> None:
    expected = next((code for code in PRECEDENCE if code in codes), ExitCode.IN_ORDER)
    assert worst(codes) is expected


@pytest.mark.parametrize(
    ("status", "checking", "applying"),
    [
        (Status.OK, 0, 0),
        (Status.SKIPPED, 0, 0),
        (Status.CHANGED, 2, 0),
        (Status.FAILED, 3, 3),
        (Status.UNDECIDED, 3, 3),
        (Status.UNKNOWN, 3, 3),
        (Status.UNREACHABLE, 4, 4),
        (Status.STALE, 5, 5),
        (Status.HELD, 7, 7),
    ],
)
def test_every_outcome_has_its_code(status: Status, checking: int, applying: int) -> None:
    result = HostResult("mail01", status)
    assert code_of(result, checking=True) == checking
    assert code_of(result, checking=False) == applying


def test_a_bug_is_no_failure_of_the_host() -> None:
    assert code_of(HostResult("mail01", Status.FAILED, error=Problem("internal", "a bug")), checking=True) == 70
