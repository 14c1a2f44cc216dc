"""What a playbook declares for a host, as values that apply can walk through without knowing YAML or Jinja."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from converge.model.answer import Answers
from converge.model.position import Position
from converge.model.query import AnyQuery
from converge.model.resource import Condition, Resource
from converge.model.rollout import Rollout

Scope = Mapping[str, object]
"""Every variable an expression may name, for one host and play."""


class Finder(Protocol):
    """One candidate of a discovery: a place on the host that may tell a value."""

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """What must be asked, given what is known so far."""

    def find(self, answers: Answers) -> str | None:
        """The value, or None if this candidate is not there. Raises Undecided when the host refused."""

    def describe(self) -> str:
        """The candidate in words, for the reason why nothing was found."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """A variable that is looked up on the host: the first candidate that is there wins. Candidates may raise InputErrors."""

    name: str
    candidates: tuple[Callable[[Scope], Finder], ...]
    position: Position


@dataclass(frozen=True, slots=True)
class Applicability:
    """One `applies_when`: a condition, and the reason given where it does not hold."""

    that: Callable[[Scope], Condition]
    otherwise: Callable[[Scope], str]
    position: Position


@dataclass(frozen=True, slots=True)
class Declared:
    """One resource that an entry declares for a host, one per item of its loop."""

    name: str
    resource: Resource
    sensitive: bool = False  # a secret is part of it: only a digest of its values may be shown


@dataclass(frozen=True, slots=True)
class Entry:
    """One item of `resources:` or `handlers:`. `when` and `declare` raise InputErrors with the position at fault."""

    name: str
    kind: str
    position: Position
    when: Callable[[Scope], bool]
    declare: Callable[[Scope], tuple[Declared, ...]]
    tags: frozenset[str] = frozenset()
    notify: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    sensitive: bool = False
    only_if: tuple[Applicability, ...] = ()  # where one does not hold at its place, the entry is skipped
    beyond_article: tuple[tuple[str, str], ...] = ()  # properties that it does not ask for, and why they are asked for
    shows_cause: bool = True  # whether finding it otherwise is evidence of the article's cause
    needed_when: Callable[[Scope], Condition] | None = None  # a handler that the host itself may ask for

    @property
    def address(self) -> str:
        """What it is shown as before it is known what it declares: an entry without a name is called as its resource."""
        return self.name if self.name.startswith(f"{self.kind}:") else f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True)
class EventSymptom:
    """Events that show an article's problem.

    `message` must occur in the event's text, in any case, and `says` be one of its insertion strings, if given.
    """

    log: str
    source: str
    ids: tuple[int, ...]
    within: timedelta
    message: str = ""
    says: str = ""


@dataclass(frozen=True, slots=True)
class Symptoms:
    """How the problem that a play remedies shows: events converge can look for, and dialog texts a person may have seen."""

    events: tuple[EventSymptom, ...] = ()
    dialogs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Play:
    """One play of a playbook, checked and compiled.

    `scope(host_variables, facts, discovered)` layers the variables of one host; host variables (inventory and -e) win
    over the play's own `vars`.
    """

    name: str
    file: str
    hosts: str
    order: int
    position: Position
    scope: Callable[[Mapping[str, object], Mapping[str, object], Mapping[str, object]], Scope]
    article: str = ""
    discover: tuple[Discovery, ...] = ()
    applies_when: tuple[Applicability, ...] = ()
    entries: tuple[Entry, ...] = ()
    handlers: tuple[Entry, ...] = ()
    symptoms: Symptoms = field(default_factory=Symptoms)
    warning: str = ""  # shown with every plan of this play
    rollout: Rollout = field(default_factory=Rollout)
