"""A host in the form of a table of answers; what is not in the table is absent."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

import converge.resources  # noqa: F401  # makes the kinds known
from converge.model.action import AnyAction, Performed
from converge.model.answer import Absent, Answer, Answers, Found
from converge.model.facts import OperatingSystemFacts
from converge.model.query import AnyQuery, OperatingSystem
from converge.model.resource import KINDS, Resource
from converge.plan.answer_cache import ActingCache, AnswerCache, gather
from converge.plan.decision import Decision, decide
from converge.rehearsal.rehearsal import Rehearsal

RUN = "2026-11-20T220107Z-1f3a"
UNDO = "2026-11-20T230000Z-2e4b"
SYSTEM = OperatingSystemFacts(
    caption="Microsoft Windows 2000 Server",
    version="5.0.2195",
    build=2195,
    service_pack=4,
    product_type="server",
    architecture="x86",
    language=1033,
    system_root=r"C:\WINNT",
    host_name="MAIL01",
    domain="CORP",
    now=datetime(2003, 6, 1, 12, 0, tzinfo=UTC),
)


class Table:
    """An observer that reads its answers from a table."""

    host = "mail01"
    round_trips = 0

    def __init__(self, given: Mapping[AnyQuery, Answer[Any]]) -> None:
        self.given: dict[AnyQuery, Answer[Any]] = {OperatingSystem(): Found(SYSTEM), **given}

    def ask(self, queries: Collection[AnyQuery]) -> Answers:
        """What the table says."""
        return Answers({query: self.given.get(query, Absent()) for query in queries})

    def perform(self, action: AnyAction) -> Performed:
        """A table cannot act."""
        raise AssertionError(f"a table was asked to perform {action}")


@dataclass(frozen=True)
class Outcome:
    """What was decided, and all that it rests on."""

    resource: Resource
    answers: Answers
    decision: Decision
    given: Mapping[AnyQuery, Answer[Any]]

    @property
    def before(self) -> Any:
        """The state found, as it is shown."""
        return self.decision.before.as_json() if self.decision.before is not None else self.decision.before_json

    @property
    def after(self) -> Any:
        """The state wanted, as it is shown."""
        return self.decision.after.as_json() if self.decision.after is not None else None

    @property
    def actions(self) -> tuple[AnyAction, ...]:
        """What would be done."""
        return self.decision.actions

    @property
    def status(self) -> str:
        """The resource's status."""
        return self.decision.status.value

    @property
    def error(self) -> str:
        """What went wrong, in words."""
        return f"{self.decision.error.what} {self.decision.error.why}" if self.decision.error else ""

    def reverted(self, *, after: int | None = None) -> tuple[AnyAction, ...]:
        """What would take the change back after its first `after` actions, the recorded states having been through JSON."""
        kind, states = type(self.resource), []
        for state in (self.after, self.before):
            states.append(kind.state_type.model_validate(state) if state is not None else None)
        again = kind.model_validate(self.resource.as_declared())
        cache = ActingCache(Rehearsal(Table(self.given)), run=RUN)
        for action in self.actions[:after]:
            cache.perform(action)
        answers = gather((again.queries, again.queries_to_undo), cache)
        now = states[0] if after is None else again.actual_state(answers)
        return tuple(again.actions(now, states[1], Answers(answers, run=RUN, by=UNDO)))


Decide = Callable[[Mapping[str, object], Mapping[AnyQuery, Answer[Any]]], Outcome]


@pytest.fixture
def decided() -> Decide:
    """Decide a resource written as `{kind: {...}}` on a host written as a table of answers."""

    def run(written: Mapping[str, object], given: Mapping[AnyQuery, Answer[Any]]) -> Outcome:
        ((kind, body),) = written.items()
        resource = KINDS[kind].model_validate(body)
        answers = gather((resource.queries,), AnswerCache(Table(given), run=RUN))
        return Outcome(resource, answers, decide(resource, answers), given)

    return run


@pytest.fixture
def windows_2000() -> OperatingSystemFacts:
    """What the host tells of its Windows, unless the table says otherwise."""
    return SYSTEM


@pytest.fixture
def rehearsed() -> Decide:
    """Decide, do what was decided in memory, and decide again."""

    def run(written: Mapping[str, object], given: Mapping[AnyQuery, Answer[Any]]) -> Outcome:
        ((kind, body),) = written.items()
        resource = KINDS[kind].model_validate(body)
        machine = Rehearsal(Table(given))
        cache = ActingCache(machine, run=RUN)
        for action in decide(resource, gather((resource.queries,), cache)).actions:
            cache.perform(action)
        answers = gather((resource.queries,), cache)
        return Outcome(resource, answers, decide(resource, answers), given)

    return run
