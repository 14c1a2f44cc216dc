"""Walking one host to diagnose it: the check of its plays, then its event logs for those that apply. Reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from converge.apply.host import check
from converge.apply.options import ApplyOptions
from converge.errors import HostUnreachable
from converge.model.answer import Found, Refused
from converge.model.change import Change, HostResult, Problem, Status
from converge.model.diagnosis import Diagnosis, EventEvidence
from converge.model.facts import OperatingSystemFacts
from converge.model.journal import History
from converge.model.machine import Observer
from converge.model.play import EventSymptom, Play
from converge.model.position import Position
from converge.model.query import OperatingSystem
from converge.plan.answer_cache import AnswerCache, gather
from converge.plan.diagnosis import EventLooks, applies, judge


def diagnose(
    plays: Sequence[Play],
    *,
    observer: Observer,
    variables: Mapping[str, object],
    history: History,
    run: str,
    options: ApplyOptions,
) -> tuple[HostResult, tuple[Diagnosis, ...]]:
    """What the check found, and what that and the event logs say of each article. Raises nothing of ConvergeError."""
    began = options.monotonic()
    cache = AnswerCache(observer, run=run)
    result = check(
        plays, observer=cache, variables=variables, history=history, run=run, options=options
    )
    diagnoses: tuple[Diagnosis, ...] = ()
    if result.error is None:
        try:
            diagnoses = _judged(_by_article(plays), result.changes, cache)
        except HostUnreachable as error:
            result = replace(result, status=Status.UNREACHABLE, error=Problem.of(error))
    return replace(result, round_trips=cache.round_trips, seconds=options.monotonic() - began), diagnoses


def _by_article(plays: Sequence[Play]) -> list[tuple[Play, ...]]:
    """The plays of each article together, in their order; a play without one stands by itself."""
    groups: dict[tuple[str, str], list[Play]] = {}
    for play in plays:
        groups.setdefault((play.file, play.article or f"play {play.name}"), []).append(play)
    return [tuple(group) for group in groups.values()]


def _judged(groups: Sequence[tuple[Play, ...]], changes: Sequence[Change], cache: AnswerCache) -> tuple[Diagnosis, ...]:
    """Raises HostUnreachable."""
    found = {group: _changes_of(group, changes) for group in groups}
    asked = {group: _symptoms(group) if applies(found[group]) else () for group in groups}
    evidence = _evidence([symptom for symptoms in asked.values() for symptom in symptoms], cache)
    diagnoses = []
    for group in groups:
        of_group = tuple(evidence[symptom] for symptom in asked[group])
        certainty, reason = judge(found[group], of_group, besides=_besides(group))
        dialogs = tuple(dict.fromkeys(text for play in group for text in play.symptoms.dialogs))
        names = tuple(play.name for play in group)
        first = group[0]
        diagnoses.append(
            Diagnosis(first.article, first.file, names, certainty, reason, of_group, dialogs, found[group])
        )
    return tuple(diagnoses)


def _evidence(symptoms: Sequence[EventSymptom], cache: AnswerCache) -> Mapping[EventSymptom, EventEvidence]:
    """What the event logs say of every symptom; where the host does not tell its clock, nothing can be asked."""
    if not symptoms:
        return {}
    system = cache.ask((OperatingSystem(),))[OperatingSystem()]
    if not isinstance(system, Found) or not isinstance(system.value, OperatingSystemFacts):
        refused = system if isinstance(system, Refused) else Refused("no-clock", "the host does not report its time")
        return {symptom: EventEvidence(symptom, refused=refused) for symptom in symptoms}
    looks = EventLooks(symptoms, system.value.now, system.value.language)
    answers = gather((looks.queries,), cache)
    return {symptom: looks.evidence(symptom, answers) for symptom in symptoms}


def _symptoms(group: Sequence[Play]) -> tuple[EventSymptom, ...]:
    return tuple(dict.fromkeys(symptom for play in group for symptom in play.symptoms.events))


def _besides(group: Sequence[Play]) -> Mapping[Position, frozenset[str] | None]:
    """Where the entries stand that are no evidence of the article's cause; of some only these properties are not."""
    entries = [entry for play in group for entry in play.entries]
    properties = {entry.position: frozenset(dict(entry.beyond_article)) for entry in entries if entry.beyond_article}
    return {**properties, **{entry.position: None for entry in entries if not entry.shows_cause}}


def _changes_of(group: Sequence[Play], changes: Sequence[Change]) -> tuple[Change, ...]:
    names = {play.name for play in group}
    file = group[0].file
    return tuple(
        change
        for change in changes
        if change.play in names and (change.position is None or change.position.file == file)
    )
