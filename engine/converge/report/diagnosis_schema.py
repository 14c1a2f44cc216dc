"""The shape of the document of `converge diagnose --format json`: `converge schema diagnosis`."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from converge.model.change import Status
from converge.model.diagnosis import Certainty
from converge.report.diagnosis import DIAGNOSIS_SCHEMA
from converge.report.result_schema import Error, InputError, ResourceEntry, Summary


class _DiagnosisPart(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SeenEvent(_DiagnosisPart):
    """One event that was found."""

    id: int
    time: datetime = Field(description="By the host's own clock.")
    record: int = Field(description="Its number in the log.")
    strings: list[str]
    message: str | None = Field(description="null: the text was not needed, so it was not asked for.")


class Refusal(_DiagnosisPart):
    """Why a log was not read."""

    code: str
    text: str
    missing_right: str | None


class EventsEntry(_DiagnosisPart):
    """What an event log says of one symptom of the playbook."""

    log: str
    source: str
    ids: list[int]
    message: str | None = Field(description="Words that must occur in the event's text.")
    says: str | None = Field(description="What must be one of the event's insertion strings.")
    within_seconds: int
    count: int | None = Field(description="Events found; null: the log was not read, which is not the same as none.")
    more: bool = Field(description="There may be more than were counted.")
    unread: int = Field(description="Events of the number whose text could not be compared.")
    seen: list[SeenEvent] = Field(description="The newest of them.")
    refused: Refusal | None


class Diagnosed(_DiagnosisPart):
    """One article on one host."""

    article: str | None
    playbook: str
    plays: list[str]
    certainty: Certainty = Field(
        description="certain: found broken, events seen. likely: found broken. possible: events seen, whether it is "
        "broken could not be read. unknown: neither could be read. none: does not apply, or all is in place."
    )
    reason: str
    events: list[EventsEntry] = Field(description="Empty where no play of the article applies to the host.")
    questions: list[str] = Field(description="Texts of dialogs that only a person can have seen.")
    changes: list[ResourceEntry] = Field(description="What would change, stands in the way, or is undecided.")
    command: str | None


class DiagnosedHost(_DiagnosisPart):
    """What was found on one host."""

    status: Status = Field(description="As a check says it.")
    round_trips: int = Field(ge=0)
    seconds: float = Field(ge=0)
    error: Error | None
    diagnoses: list[Diagnosed]


class DiagnosisDocument(_DiagnosisPart):
    """The document that `converge diagnose --format json` writes."""

    converge: str = Field(description="The version that wrote it.")
    version: Literal[2] = Field(alias="schema")
    mode: Literal["diagnose"]
    run: str
    playbooks: list[str]
    hosts: dict[str, DiagnosedHost]
    errors: list[InputError]
    summary: Summary


def diagnosis_schema() -> dict[str, Any]:
    """The JSON Schema of the document."""
    schema = DiagnosisDocument.model_json_schema(by_alias=True)
    urn = f"urn:converge:schema:diagnosis:{DIAGNOSIS_SCHEMA}"
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": urn}
    return head | schema | {"title": "converge diagnosis"}
