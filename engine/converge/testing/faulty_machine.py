"""Injected faults for a machine: lines that break at an action, refused queries, dead and slow hosts."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Literal

from converge.errors import ActionRefused, HostUnreachable, Interrupted
from converge.model.action import AnyAction, Performed
from converge.model.answer import Answers, Refused
from converge.model.machine import Machine
from converge.model.query import AnyQuery


@dataclass
class FaultyMachine:
    """A machine before another one that lets things go wrong. Actions and askings count from 1.

    `break_at` breaks the line at that action, before or after it was done; with `stays_broken` the host is gone from then
    on. `refuses` picks queries that are refused, `refuses_action` actions. `dies_at_ask` takes the host away at that
    asking. `seconds` is how long every asking and action takes.
    """

    machine: Machine
    break_at: int | None = None
    breaks: Literal["before", "after"] = "after"
    stays_broken: bool = False
    refuses: Callable[[AnyQuery], bool] | None = None
    refuses_action: Callable[[AnyAction], bool] | None = None
    dies_at_ask: int | None = None
    seconds: float = 0.0
    actions: list[AnyAction] = field(default_factory=list)
    asked: list[AnyQuery] = field(default_factory=list)
    _askings: int = 0
    _gone: bool = False

    @property
    def host(self) -> str:
        """The host's name."""
        return self.machine.host

    @property
    def round_trips(self) -> int:
        """As the machine behind it counts."""
        return self.machine.round_trips

    def ask(self, queries: Collection[AnyQuery]) -> Answers:
        """Answer through the machine behind. Raises HostUnreachable when the host is gone."""
        self._askings += 1
        if self.dies_at_ask is not None and self._askings >= self.dies_at_ask:
            self._gone = True
        self._pass_time()
        self.asked += queries
        open_ones = [query for query in queries if self.refuses is None or not self.refuses(query)]
        answers = dict(self.machine.ask(open_ones)) if open_ones else {}
        for query in queries:
            answers.setdefault(query, Refused("access-denied", "Access is denied.", "a right this mishap takes away"))
        return Answers(answers)

    def perform(self, action: AnyAction) -> Performed:
        """Act through the machine behind. Raises Interrupted where the line breaks, ActionRefused, HostUnreachable."""
        self._pass_time()
        self.actions.append(action)
        if self.refuses_action is not None and self.refuses_action(action):
            raise ActionRefused(f"{type(action).__name__} was refused: access denied")
        if len(self.actions) != self.break_at:
            return self.machine.perform(action)
        if self.breaks == "after":
            self.machine.perform(action)
        self._gone = self.stays_broken
        raise Interrupted(f"the line to {self.host} broke during {type(action).__name__}")

    def _pass_time(self) -> None:
        if self._gone:
            raise HostUnreachable(f"{self.host} does not answer")
        if self.seconds:
            time.sleep(self.seconds)
