"""Diagnoses as text for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC

from converge.model.answer import Refused
from converge.model.change import Change, HostResult, Json, Status
from converge.model.diagnosis import Certainty, Diagnosis, EventEvidence
from converge.model.facts import EventRecord
from converge.report.document import change_as_json
from converge.report.folding import folded
from converge.report.sink import Sink
from converge.report.vocabulary import title

DIAGNOSIS_SCHEMA = 2  # the version of the document; it changes when a reader would have to
_STYLES = {
    Certainty.CERTAIN: "bold red",
    Certainty.LIKELY: "yellow",
    Certainty.POSSIBLE: "magenta",
    Certainty.UNKNOWN: "magenta",
    Certainty.NONE: "dim",
}
_WOULD = (Status.CHANGED, Status.FAILED, Status.UNDECIDED, Status.WAITING)


def diagnosed_as_json(
    result: HostResult, diagnoses: Sequence[Diagnosis], commands: Mapping[str, str]
) -> dict[str, Json]:
    """One host. `commands` are the commands to run, by playbook."""
    return {
        "status": result.status.value,
        "round_trips": result.round_trips,
        "seconds": round(result.seconds, 3),
        "error": result.error.as_json() if result.error else None,
        "diagnoses": [_diagnosis_as_json(item, commands) for item in diagnoses],
    }


def _diagnosis_as_json(diagnosis: Diagnosis, commands: Mapping[str, str]) -> dict[str, Json]:
    shown = diagnosis.certainty is not Certainty.NONE
    return {
        "article": diagnosis.article or None,
        "playbook": diagnosis.playbook,
        "plays": list(diagnosis.plays),
        "certainty": diagnosis.certainty.value,
        "reason": diagnosis.reason,
        "events": [_evidence_as_json(item) for item in diagnosis.events],
        "questions": list(diagnosis.dialogs),
        "changes": [change_as_json(change) for change in diagnosis.changes if change.status in _WOULD],
        "command": commands.get(diagnosis.playbook) if shown else None,
    }


def _evidence_as_json(evidence: EventEvidence) -> dict[str, Json]:
    symptom, refused = evidence.symptom, evidence.refused
    return {
        "log": symptom.log,
        "source": symptom.source,
        "ids": list(symptom.ids),
        "message": symptom.message or None,
        "says": symptom.says or None,
        "within_seconds": int(symptom.within.total_seconds()),
        "count": None if refused is not None and not evidence.unread else evidence.count,
        "more": evidence.more,
        "unread": evidence.unread,
        "seen": [_record_as_json(record) for record in evidence.seen],
        "refused": _refused_as_json(refused) if refused else None,
    }


def _record_as_json(record: EventRecord) -> dict[str, Json]:
    return {
        "id": record.id,
        "time": record.time.isoformat(),
        "record": record.record,
        "strings": list(record.strings),
        "message": record.message,
    }


def _refused_as_json(refused: Refused) -> dict[str, Json]:
    return {"code": refused.code, "text": refused.text, "missing_right": refused.missing_right or None}


class DiagnosisText:
    """Tells each host as it comes, and at the end which hosts have which problem."""

    def __init__(self, sink: Sink, *, verbose: int) -> None:
        self._sink = sink
        self._verbose = verbose
        self._hosts: dict[tuple[str, Certainty], list[str]] = {}
        self._in_order: list[str] = []
        self._silent: list[str] = []

    def host(self, result: HostResult, diagnoses: Sequence[Diagnosis], commands: Mapping[str, str]) -> None:
        """Tell one host: what it shows, the evidence, what would change, and the command."""
        told = [item for item in diagnoses if item.certainty is not Certainty.NONE or self._verbose]
        for item in diagnoses:
            self._hosts.setdefault((_title(item), item.certainty), []).append(result.host)
        if result.error is not None:
            self._silent.append(result.host)
        elif not any(item.certainty is not Certainty.NONE for item in diagnoses):
            self._in_order.append(result.host)
        if not told and result.error is None:
            return
        self._sink.line(result.host, style="bold")
        if result.error is not None:
            self._sink.line(f"  {result.status.value}: {result.error.what} [{result.error.code}]", style="bold red")
            for line in (*result.error.why.splitlines(), *([f"Try: {result.error.try_}"] if result.error.try_ else [])):
                self._sink.line(f"    {line}")
        for item in told:
            self._diagnosis(item, commands)
        self._sink.line()

    def _diagnosis(self, diagnosis: Diagnosis, commands: Mapping[str, str]) -> None:
        self._sink.line(f"  {diagnosis.certainty.value}: {_title(diagnosis)}", style=_STYLES[diagnosis.certainty])
        self._lines("why:", diagnosis.reason)
        for evidence in diagnosis.events:
            self._evidence(evidence)
        if diagnosis.certainty is Certainty.NONE:
            return
        for dialog in diagnosis.dialogs:
            self._lines("was this seen?", dialog)
        for change in diagnosis.changes:
            if change.status in _WOULD:
                self._change(change)
        self._lines("run:", commands.get(diagnosis.playbook, ""))

    def _evidence(self, evidence: EventEvidence) -> None:
        symptom = evidence.symptom
        ids = ", ".join(str(number) for number in symptom.ids) or "any"
        what = f"{symptom.log} log, {symptom.source}, event {ids}, last {_age(evidence)}"
        if evidence.refused is not None:
            right = f"; grant the account {evidence.refused.missing_right}" if evidence.refused.missing_right else ""
            self._lines("events:", f"{what}: not read: {evidence.refused.text or evidence.refused.code}{right}")
            return
        at_least = "at least " if evidence.more else ""
        unread = f", {evidence.unread} whose text could not be compared" if evidence.unread else ""
        self._lines("events:", f"{what}: {at_least}{evidence.count} seen{unread}")
        for record in evidence.seen:
            text = " ".join((record.message or " ".join(record.strings)).split())
            self._sink.line(f"      {record.time.astimezone(UTC):%Y-%m-%d %H:%M:%SZ} {record.id}: {text}"[:300])

    def _change(self, change: Change) -> None:
        words = {
            Status.CHANGED: "would change:", Status.FAILED: "in the way:", Status.UNDECIDED: "undecided:",
            Status.WAITING: "waits:",
        }  # fmt: skip
        reason = f": {change.reason}" if change.reason else ""
        self._lines(words[change.status], f"{title(change.name, change.address)}{reason}")
        for step in change.steps:
            if step.status in _WOULD:
                self._sink.line(f"      step {step.name}")

    def _lines(self, label: str, text: str) -> None:
        for number, line in enumerate(text.splitlines()):
            self._sink.line(f"    {label} {line}" if number == 0 else f"      {line}")

    def end(self) -> None:
        """Tell which hosts have which problem."""
        order = list(Certainty)
        for (problem, certainty), hosts in sorted(self._hosts.items(), key=lambda item: order.index(item[0][1])):
            if certainty is not Certainty.NONE:
                self._sink.line(f"{certainty.value}: {problem}: {folded(hosts)}", style=_STYLES[certainty])
        if self._in_order:
            self._sink.line(f"no article's problem: {folded(self._in_order)}", style="green")
        if self._silent:
            self._sink.line(f"not diagnosed: {folded(self._silent)}", style="bold red")


def _title(diagnosis: Diagnosis) -> str:
    """The article, and the first of its plays that has to do with the host."""
    play = next((change.play for change in diagnosis.changes if change.status in _WOULD), diagnosis.plays[0])
    return f"{diagnosis.article} {play}".strip()


def _age(evidence: EventEvidence) -> str:
    seconds = int(evidence.symptom.within.total_seconds())
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} seconds"
