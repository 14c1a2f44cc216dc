"""What a host shows of the problem that an article remedies, and how certain that is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from converge.model.answer import Refused
from converge.model.change import Change
from converge.model.facts import EventRecord
from converge.model.play import EventSymptom


class Certainty(StrEnum):
    """How sure it is that a host has an article's problem.

    certain: what the article repairs is found broken, and its events were seen. likely: it is found broken. possible:
    its events were seen, and the host does not let be seen whether it is broken. unknown: the host refused what would
    tell. none: it does not apply here, or everything it asks for is in place.
    """

    CERTAIN = "certain"
    LIKELY = "likely"
    POSSIBLE = "possible"
    UNKNOWN = "unknown"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class EventEvidence:
    """What an event log says of one symptom.

    `seen` are the newest of the `count` events found; with `more` there may be older ones. `unread` counts events of the
    right source and number whose text could not be compared (another language, no text). `refused`: the log was not read.
    """

    symptom: EventSymptom
    seen: tuple[EventRecord, ...] = ()
    count: int = 0
    more: bool = False
    unread: int = 0
    refused: Refused | None = None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One article (or play, where a playbook names no article) on one host.

    `dialogs` are texts only a person can have seen: questions. `changes` is what its plays' own check found.
    """

    article: str
    playbook: str
    plays: tuple[str, ...]
    certainty: Certainty
    reason: str
    events: tuple[EventEvidence, ...] = ()
    dialogs: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
