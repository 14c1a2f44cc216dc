"""Deciding what ails a host: few bounded questions to its event logs, and what their answers and a check add up to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from converge.model.answer import Answer, Answers, Found, Refused
from converge.model.change import Change, Status
from converge.model.diagnosis import Certainty, EventEvidence
from converge.model.facts import EventRecord
from converge.model.names import fold, same
from converge.model.play import EventSymptom
from converge.model.position import Position
from converge.model.query import Events

MOST_EVENTS = 200  # of one log and source: enough to tell that something happens again and again
MOST_TEXTS = 50  # a text is loaded from the provider's library, event by event (Win32_NTLogEvent, Remarks)
SHOWN_EVENTS = 3
_ENGLISH = 0x09  # primary language of a Windows language number; the texts in playbooks are English
_NOT_THE_HOSTS_FAULT = frozenset({"input", "duplicate"})


@dataclass(slots=True)
class EventLooks:
    """The questions that answer all symptoms of a host: one for each log and source, since each costs a walk of the log.

    `now` is the host's clock, `language` its Windows language number.
    """

    symptoms: Sequence[EventSymptom]
    now: datetime
    language: int
    _first: dict[tuple[str, str], Events] = field(init=False)

    def __post_init__(self) -> None:
        groups: dict[tuple[str, str], list[EventSymptom]] = {}
        for symptom in self.symptoms:
            groups.setdefault(_place(symptom), []).append(symptom)
        self._first = {place: self._question(symptoms) for place, symptoms in groups.items()}

    def _question(self, symptoms: Sequence[EventSymptom]) -> Events:
        ids = sorted({number for symptom in symptoms for number in symptom.ids})
        since = self.now - max(symptom.within for symptom in symptoms)
        every_id = any(not symptom.ids for symptom in symptoms)
        return Events(symptoms[0].log, symptoms[0].source, () if every_id else tuple(ids), since, limit=MOST_EVENTS)

    def queries(self, known: Answers) -> Collection[Events]:
        """What must be asked, given what is known: first without texts, then the texts of what came up, where they count."""
        texts = [self._text_question(place, known) for place in self._first]
        return [*self._first.values(), *(query for query in texts if query is not None)]

    def _text_question(self, place: tuple[str, str], known: Answers) -> Events | None:
        """The texts of the events that came up, no further back than the oldest of them."""
        wanted: dict[int, EventRecord] = {}
        for symptom in self.symptoms:
            if (symptom.message or symptom.says) and _place(symptom) == place:
                wanted |= {record.record: record for record in self._candidates(symptom, known.get(self._first[place]))}
        if not wanted:
            return None
        newest = sorted((record.time for record in wanted.values()), reverse=True)[:MOST_TEXTS]
        ids = tuple(sorted({record.id for record in wanted.values()}))
        asked = self._first[place]
        return Events(asked.log, asked.source, ids, newest[-1], limit=MOST_TEXTS, messages=True)

    def _candidates(self, symptom: EventSymptom, answer: Answer[object] | None) -> list[EventRecord]:
        found = answer.value if isinstance(answer, Found) else ()
        assert isinstance(found, tuple)
        earliest = self.now - symptom.within
        return [
            record
            for record in found
            if (not symptom.ids or record.id in symptom.ids)
            and record.time >= earliest
            and same(record.source, symptom.source)
            and (not symptom.says or any(same(text, symptom.says) for text in record.strings))
        ]

    def evidence(self, symptom: EventSymptom, answers: Answers) -> EventEvidence:
        """What the answers say of one symptom."""
        place = _place(symptom)
        answer = answers[self._first[place]]
        if isinstance(answer, Refused):
            return EventEvidence(symptom, refused=answer)
        candidates = self._candidates(symptom, answer)
        more = isinstance(answer, Found) and len(answer.value) >= MOST_EVENTS  # type: ignore[arg-type]  # a tuple of events
        question = self._text_question(place, answers) if candidates else None
        told = answers[question] if question is not None else None
        if not symptom.message or not candidates:
            shown = self._candidates(symptom, told) or candidates  # with their texts, where they could be read
            return EventEvidence(symptom, tuple(shown[:SHOWN_EVENTS]), len(candidates), more)
        if isinstance(told, Refused):
            return EventEvidence(symptom, unread=len(candidates), more=more, refused=told)
        return self._compared(symptom, self._candidates(symptom, told), more=more or len(candidates) > MOST_TEXTS)

    def _compared(self, symptom: EventSymptom, candidates: list[EventRecord], *, more: bool) -> EventEvidence:
        seen: list[EventRecord] = []
        unread = 0
        for record in candidates:
            text = record.message or " ".join(record.strings)
            if _words(symptom.message) in _words(text):
                seen.append(record)
            elif not record.message or self.language & 0x3FF != _ENGLISH:
                unread += 1
        return EventEvidence(symptom, tuple(seen[:SHOWN_EVENTS]), len(seen), more, unread)


def _place(symptom: EventSymptom) -> tuple[str, str]:
    return fold(symptom.log), fold(symptom.source)


def _words(text: str) -> str:
    return fold(" ".join(text.split()))


def applies(changes: Iterable[Change]) -> bool:
    """Whether the check found at least one of an article's plays to be for this host."""
    return any(not (_is_play(change) and change.status is Status.SKIPPED) for change in changes)


def judge(
    changes: Sequence[Change],
    evidence: Sequence[EventEvidence],
    *,
    besides: Mapping[Position, frozenset[str] | None] = MappingProxyType({}),
) -> tuple[Certainty, str]:
    """How certain it is, and why in words, of what the check found and the event logs said.

    `besides` are the places of entries that say nothing of the article's own cause, or of which some properties do not.
    """
    if not applies(changes):
        return Certainty.NONE, "; ".join(dict.fromkeys(change.reason or "it does not apply" for change in changes))
    logs = _logs(evidence)
    seen = any(item.count for item in evidence)
    drift = [change for change in changes if _is_drift(change)]
    if any(not _says_nothing(change, besides) for change in drift):
        certainty = Certainty.CERTAIN if seen else Certainty.LIKELY
        return certainty, f"what it repairs is found broken; {logs}"
    if any(_is_open(change) for change in changes):
        hinted = seen or any(item.unread for item in evidence)
        why = next(change.reason or "undecided" for change in changes if _is_open(change))
        return Certainty.POSSIBLE if hinted else Certainty.UNKNOWN, f"whether it is broken is not known ({why}); {logs}"
    if any(item.refused for item in evidence):
        return Certainty.UNKNOWN, f"everything it asks for is in place; {logs}"
    if drift:
        named = ", ".join(change.name for change in drift)
        return (
            Certainty.NONE,
            f"its cause is not there; only this, which is no evidence of it, is found otherwise: {named}",
        )
    return Certainty.NONE, "everything it asks for is in place" + ("; its events are older than that" if seen else "")


def _says_nothing(change: Change, besides: Mapping[Position, frozenset[str] | None]) -> bool:
    if change.position is None or change.position not in besides:
        return False
    properties = besides[change.position]
    return properties is None or (change.status is Status.CHANGED and properties.issuperset(change.differing))


def _logs(evidence: Sequence[EventEvidence]) -> str:
    if not evidence:
        return "no event tells of it"
    if any(item.count for item in evidence):
        return "its events were seen"
    refused = next((item.refused for item in evidence if item.refused), None)
    if refused is not None:
        right = f"; grant the account {refused.missing_right}" if refused.missing_right else ""
        return f"whether its events occurred could not be read: {refused.text or refused.code}{right}"
    if any(item.unread for item in evidence):
        return "events of its number were seen, whose text could not be compared"
    return "none of its events was seen"


def _is_play(change: Change) -> bool:
    return change.key.get("kind") == "play"


def _is_drift(change: Change) -> bool:
    if _is_play(change):
        return False
    if change.status is Status.FAILED:
        return change.error is None or change.error.code not in _NOT_THE_HOSTS_FAULT
    return change.status in (Status.CHANGED, Status.WAITING) and not change.is_pending_restart


def _is_open(change: Change) -> bool:
    settled = change.status in (Status.OK, Status.SKIPPED, Status.LATER) or change.is_pending_restart
    return not settled and not _is_drift(change)
