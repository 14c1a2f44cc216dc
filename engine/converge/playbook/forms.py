"""What a playbook looks like: its fields and their meaning, from which its checks and its schema follow."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from converge.model.rollout import Share, parse_batches
from converge.windows.fields import Duration

Names = str | list[str]
Bare = str | bool
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
MAX_ENTRIES = 50_000


def _share(raw: object) -> object:
    Share.parse(raw)
    return raw


def _batches(raw: object) -> object:
    sizes = raw if isinstance(raw, list) else [raw]
    if len(sizes) > MAX_BATCHES:
        raise ValueError(f"{len(sizes)} sizes of batches, and {MAX_BATCHES} are the most")
    parse_batches(sizes)
    return sizes


MAX_BATCHES = 1000
HostShare = Annotated[int | str, BeforeValidator(_share)]
Batches = Annotated[list[int | str], BeforeValidator(_batches)]


class Form(BaseModel):
    """A part of a playbook: only known keys may stand in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EventForm(Form):
    """Events that show the problem."""

    log: str = Field("System", description="The classic log: System, Application, ...")
    source: str = Field(min_length=1, description="The source of the events, such as Service Control Manager.")
    ids: list[int] = Field(min_length=1, max_length=50, description="The event ids.")
    within: Duration = Field(2592000.0, description="How long ago at most: '30 days', '12h', or seconds.")
    message: str = Field("", description="What must occur in the text of the event, in any case.")
    says: str = Field(
        "",
        max_length=255,
        description="What must be one of its insertion strings, whatever the language: '%%1083' for error 1083.",
    )


class SymptomsForm(Form):
    """How the problem shows: events converge can look for, and dialogs a person may have seen."""

    events: list[EventForm] = Field([], max_length=100, description="Events of the host's logs.")
    dialogs: list[str] = Field([], max_length=100, description="Texts of dialogs.")


class ApplicabilityForm(Form):
    """A condition without which the play does not apply to a host."""

    that: dict[str, Any] = Field(description="A condition, such as {service: {name: W3SVC, exists: true}}.")
    otherwise: str = Field(alias="else", min_length=1, description="Why the play is skipped where it does not hold.")


class PlayForm(Form):
    """One play: what must be true of some hosts."""

    name: str = Field(min_length=1, max_length=500, description="What the play brings about, as a sentence.")
    article: str = Field("", description="The article whose problem the play remedies, such as Q245208.")
    order: int = Field(
        100, ge=0, le=1_000_000, description="Plays run in this order, then by the names of their files."
    )
    hosts: Names = Field(min_length=1, description="The hosts, as an Ansible pattern or a list of patterns.")
    vars: dict[VariableName, Any] = Field({}, description="Variables; inventory and -e override them.")
    discover: dict[VariableName, list[dict[str, Any]] | dict[str, Any]] = Field(
        {}, description="Variables that are looked up on the host: the first candidate that is there wins."
    )
    applies_when: list[ApplicabilityForm] | ApplicabilityForm = Field(
        [], description="Where one does not hold, the play is skipped."
    )
    resources: list[dict[str, Any]] = Field(max_length=MAX_ENTRIES, description="What must be true, in this order.")
    handlers: list[dict[str, Any]] = Field(
        [], max_length=1000, description="What is done once at the play's end if it was notified."
    )
    tags: Names = Field([], description="Tags that every resource of the play inherits.")
    symptoms: SymptomsForm = Field(default_factory=SymptomsForm, description="How the problem shows.")
    warning: str = Field("", description="What is shown with every plan of this play.")
    batch: Batches = Field(
        [], description="How many hosts are changed at a time: a number, a percentage such as 25%, or a list of them."
    )
    max_failures: HostShare | None = Field(
        None, description="How many hosts may fail or be unreachable before no further one is begun: a number or 5%."
    )
    canary: Names = Field("", description="A pattern of hosts that are changed first.")
    soak: Duration = Field(0.0, description="How long after the canaries they are checked again, before the others.")


class EntryForm(Form):
    """What may stand beside the kind of a resource."""

    name: str = Field("", max_length=200, description="What the resource is called in plan and report.")
    when: Bare | list[Bare] = Field(True, description="A bare expression, or a list of which all must hold.")
    loop: str | list[Any] | None = Field(None, description="A list: the resource is declared once for each `item`.")
    tags: Names = Field([], description="Tags for --tags and --skip-tags.")
    notify: Names = Field([], description="Handlers that run at the play's end if this changes.")
    requires: Names = Field([], description="Earlier entries: skipped if one of them did not end ok or changed.")
    only_if: list[ApplicabilityForm] | ApplicabilityForm = Field(
        [], description="Conditions on the host, looked at when its turn comes: where one does not hold, it is skipped."
    )
    beyond_article: dict[str, str] = Field(
        {},
        max_length=20,
        description="Properties that the article does not ask for, and why they are: shown with it, and no evidence.",
    )
    shows_cause: bool = Field(
        True, description="Whether finding it otherwise is evidence of the article's own cause, for `converge diagnose`."
    )
    sensitive: bool = Field(False, description="Only a digest of its values is shown.")


class HandlerForm(Form):
    """What may stand beside the kind of a handler."""

    name: str = Field(min_length=1, max_length=200, description="The name that `notify` uses.")
    when: Bare | list[Bare] = Field(True, description="A bare expression, or a list of which all must hold.")
    only_if: list[ApplicabilityForm] | ApplicabilityForm = Field(
        [], description="Conditions on the host, looked at when its turn comes: where one does not hold, it is not run."
    )
    needed_when: dict[str, Any] | None = Field(
        None, description="A condition: where it holds at the play's end, the handler runs without being notified too."
    )
    tags: Names = Field([], description="Tags; a handler runs whenever it is notified.")
    sensitive: bool = Field(False, description="Only a digest of its values is shown.")


class StepForm(Form):
    """What may stand beside the kind of a procedure's step."""

    name: str = Field("", max_length=200, description="What the step is called in plan, journal and report.")
    when: Bare | list[Bare] = Field(True, description="A bare expression, or a list of which all must hold.")
    loop: str | list[Any] | None = Field(None, description="A list: the step is taken once for each `item`.")
