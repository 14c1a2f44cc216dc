"""On which cases and machines each promise is tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from converge.testing.conformance.bench import MachineName
from converge.testing.conformance.case import Case

F = TypeVar("F", bound=Callable[..., None])


def any_case(_: Case) -> bool:
    """Every case."""
    return True


def changes(case: Case) -> bool:
    """Cases in which something is done."""
    return case.changes


def changes_well(case: Case) -> bool:
    """Cases in which something is done, and everything that is declared comes about."""
    return case.changes and case.ends_well


@dataclass(frozen=True, slots=True)
class Trial:
    """The cases of a promise, and the machines on which all of them are tried, or the first of each file."""

    among: Callable[[Case], bool]
    all_on: Sequence[MachineName]
    first_on: Sequence[MachineName]

    def runs(self, cases: Sequence[Case]) -> Iterator[tuple[MachineName, Case]]:
        """Each case with each of its machines."""
        chosen = [case for case in cases if self.among(case)]
        firsts = {case.file: case for case in reversed(chosen)}.values()
        yield from ((machine, case) for machine in self.all_on for case in chosen)
        yield from ((machine, case) for machine in self.first_on for case in reversed(firsts))


_TRIALS: dict[Any, Trial] = {}


def tried_on(
    among: Callable[[Case], bool], *, all_on: Sequence[MachineName] = ("memory",), first_on: Sequence[MachineName] = ()
) -> Callable[[F], F]:
    """Marks a test that is run for each of these cases, given to it as `case`, and `machine` if it takes one."""

    def marked(test: F) -> F:
        _TRIALS[test] = Trial(among, all_on, first_on)
        return test

    return marked


def parametrize(metafunc: pytest.Metafunc, cases: Sequence[Case]) -> None:
    """Run a marked test for each of its cases."""
    trial = _TRIALS.get(metafunc.function)
    if trial is None:
        return
    runs = list(trial.runs(cases))
    ids = [f"{machine}: {case.file}: {case.title}" for machine, case in runs]
    if "machine" in metafunc.fixturenames:
        metafunc.parametrize(("machine", "case"), runs, ids=ids)
    else:
        metafunc.parametrize("case", [case for _, case in runs], ids=ids)
