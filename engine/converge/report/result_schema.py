"""The shape of the JSON document, for programs that read it: `converge schema result`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from converge.model.change import Status
from converge.report.document import SCHEMA


class _ResultPart(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Error(_ResultPart):
    """What went wrong, why, and what to try."""

    code: str = Field(description="Stable; programs compare this.")
    what: str
    why: str
    try_: str = Field(alias="try")


class Action(BaseModel):
    """One action, in order: its name and its arguments."""

    model_config = ConfigDict(extra="allow")

    action: str


ResourceStatus = Literal["ok", "changed", "failed", "undecided", "waiting", "skipped", "unknown", "later"]


class ResourceEntry(_ResultPart):
    """One declared thing on one host. In mode check, `changed` means would change.

    `waiting`: for a person (error code needs-operator), for --accept-no-way-back (no-way-back), or a restart that is pending,
    which makes the host no worse. `later`: decided after a command; counts neither as drift nor as undecided.
    """

    address: str = Field(description="For people.")
    key: dict[str, Any] = Field(description="Tells this resource apart; holds `kind`.")
    name: str
    play: str
    status: ResourceStatus
    reason: str | None
    way_back: str = Field(pattern=r"^(full|partial|none)")
    before: Any = Field(
        description="null: absent. {refused: {code, text}}: could not be read. {sensitive: digest}: not shown."
    )
    after: Any
    actions: list[Action]
    error: Error | None
    notes: list[str]
    may_be_changed_by: list[str] = Field(
        default_factory=list,
        description="Commands that are due before it and may do anything: it is told as the host is now. Left out if none.",
    )
    steps: list[ResourceEntry] = Field(default_factory=list, description="Of a procedure.")


class WindowEntry(_ResultPart):
    """Whether a host may be changed now by its change windows, and if not, when next."""

    open: bool
    next: str | None = Field(description="ISO 8601 in UTC; null where it is open, or where no next window is known.")


class HostEntry(_ResultPart):
    """What became of one host."""

    status: Status
    round_trips: int = Field(ge=0, description="Requests after authentication.")
    seconds: float = Field(ge=0)
    error: Error | None
    restart_pending: bool = Field(description="Whether the computer must be restarted some time, which nobody allowed.")
    window: WindowEntry | None = Field(default=None, description="Of hosts that have change windows; left out for others.")
    resources: list[ResourceEntry]


class InputError(_ResultPart):
    """One thing wrong in the user's files. Line and column count from 1; 0: the whole file."""

    file: str
    line: int = Field(ge=0)
    column: int = Field(ge=0)
    message: str
    expected: str
    hint: str


class Summary(BaseModel):
    """How many hosts ended how, by status; how many resources of each status; how many hosts need a restart."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, int]

    resources: dict[ResourceStatus, int]
    restart_pending: int = Field(ge=0)


class ResultDocument(_ResultPart):
    """The document that `--format json` writes."""

    converge: str = Field(description="The version that wrote it.")
    version: Literal[2] = Field(alias="schema")
    mode: Literal["check", "run", "plan", "apply", "undo", "undo-check"]
    run: str = Field(description="The run's id; empty where options were wrong.")
    playbooks: list[str]
    hosts: dict[str, HostEntry]
    errors: list[InputError]
    summary: Summary


def result_schema() -> dict[str, Any]:
    """The JSON Schema of the document."""
    schema = ResultDocument.model_json_schema(by_alias=True)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:converge:schema:result:{SCHEMA}"}
    return head | schema | {"title": "converge result"}
