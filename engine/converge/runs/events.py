"""What a run yields while it goes on: values that say what has just happened. Whoever iterates shows them, or does not."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

from converge.model.change import HostResult

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that a person should know; the run goes on."""

    text: str


@dataclass(frozen=True, slots=True)
class StageBegan:
    """So many hosts are gone to from now on; `changes_hosts` or only looks at them."""

    title: str
    hosts: int
    changes_hosts: bool = False


@dataclass(frozen=True, slots=True)
class StageEnded:
    """Every host of the stage has its result."""


@dataclass(frozen=True, slots=True)
class Planned:
    """This host would change, and has not yet."""

    result: HostResult


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a host in this run."""

    result: HostResult


@dataclass(frozen=True, slots=True)
class CheckedAgain:
    """How a canary is some time after it was changed. It tells only whether the others are changed too."""

    result: HostResult


Event = Warned | StageBegan | StageEnded | Planned | Ended | CheckedAgain
Events = Generator[Event, None, T]
"""A run under way: yields events and returns its result."""


def result_of(events: Events[T], *, on_event: Callable[[Event], None]) -> T:
    """Let it run to its end, showing each event; what it returns. An error in `on_event` ends it."""
    with closing(events):
        while True:
            try:
                event = next(events)
            except StopIteration as end:
                result: T = end.value
                return result
            on_event(event)


def watched(events: Events[T], watch: Callable[[HostResult], None]) -> Events[T]:
    """The same events; each host's result, planned or final, is handed to `watch` before it is yielded."""
    with closing(events):
        while True:
            try:
                event = next(events)
            except StopIteration as end:
                result: T = end.value
                return result
            if isinstance(event, Planned | Ended):
                watch(event.result)
            yield event
