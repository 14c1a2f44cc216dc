"""What is written down while a host is changed, and what earlier runs left open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Literal, Protocol

from converge.model.change import Json
from converge.model.facts import KeyContents, NamedValue
from converge.model.registry import RegistryPath
from converge.model.secret import Secret


@dataclass(frozen=True, slots=True)
class RunBegun:
    """The first line of a host's journal."""

    run: str
    host: str
    time: str
    version: str
    playbooks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RegistryBackedUp:
    """The registry keys about to be touched were exported."""

    file: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChangeBegun:
    """One resource is about to be changed. `declared` holds the kind's fields, so that the change can be taken back later.

    Of a sensitive change the states are digests and `declared` is empty; `confidential` then holds all three as JSON
    (`before`, `after`, `declared`), to be kept encrypted or not at all. `notify` are the handlers it asks for, `part_of` is the
    address of the procedure of which it is a step, `planned` names the kinds of its actions in order. `line` is that of the
    playbook's entry, 0 where none asks for it.
    """

    change: int
    address: str
    kind: str
    key: Mapping[str, Json]
    name: str
    play: str
    before: Json
    after: Json
    way_back: str
    declared: Mapping[str, Json]
    confidential: Secret | None = None
    notify: tuple[str, ...] = ()
    part_of: str = ""
    planned: tuple[str, ...] = ()
    line: int = 0


@dataclass(frozen=True, slots=True)
class ActionIntended:
    """One action is about to be sent. `action` is its JSON form; `on_the_way` means that it is none of the planned ones."""

    action_number: int
    change: int
    address: str
    action: Mapping[str, Json]
    on_the_way: bool = False


@dataclass(frozen=True, slots=True)
class ActionEnded:
    """What became of an action: done, refused (not done), or unknown because the connection was lost."""

    action_number: int
    result: Literal["done", "refused", "unknown"]
    code: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class ChangeEnded:
    """Looked again: the state found, and the status given to the resource."""

    change: int
    status: str
    found: Json
    text: str = ""


@dataclass(frozen=True, slots=True)
class ActionSettled:
    """An action of an earlier run whose outcome nobody knew: what looking again, or a person, says of it."""

    run: str
    action_number: int
    result: Literal["done", "not-done", "unknown"]
    said_by: Literal["host", "person"] = "host"


@dataclass(frozen=True, slots=True)
class HandlerPending:
    """A handler was notified and has not run. `since` is the host's clock at the last notifying change, ISO 8601.

    `unseen_before` is set where every change that asked for it was taken back: what was started before that moment has never
    seen any of them, and needs no restart. `restarts` are the services that it restarts, an empty name for the computer itself,
    as far as that is all it does; `ran` are those of them that ran before the change. `because` tells of a restart that no
    handler asks for: the end of a command does.
    """

    play: str
    handler: str
    since: str
    unseen_before: str = ""
    restarts: tuple[str, ...] = ()
    because: str = ""
    ran: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HandlerDone:
    """A pending handler ran, was found met, or is said to be by a person."""

    play: str
    handler: str
    said_by: Literal["host", "person"] = "host"


@dataclass(frozen=True, slots=True)
class NeedRemains:
    """A handler ran, and at the run's end the host still shows the need of it. `since` is the host's clock then, ISO 8601."""

    play: str
    handler: str
    since: str


@dataclass(frozen=True, slots=True)
class NeedGone:
    """The host shows no need any more of a handler that had not helped."""

    play: str
    handler: str


@dataclass(frozen=True, slots=True)
class ServicesStopped:
    """Dependents that a restart stops and must start again, in the order of starting."""

    handler: str
    service: str
    dependents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServicesStarted:
    """Everything that `ServicesStopped` named runs again."""

    handler: str
    service: str


@dataclass(frozen=True, slots=True)
class ProcedureBegun:
    """Every precondition held; the first step comes next."""

    play: str
    address: str
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StepBegun:
    """A step of a procedure begins."""

    address: str
    step: str


@dataclass(frozen=True, slots=True)
class StepEnded:
    """A step of a procedure was done and looked at again."""

    address: str
    step: str


@dataclass(frozen=True, slots=True)
class ProcedureEnded:
    """The condition that proves the procedure's end holds."""

    address: str


@dataclass(frozen=True, slots=True)
class ProcedureReverted:
    """Steps of a procedure are being taken back: if it was begun and not ended, it is begun no more."""

    address: str


@dataclass(frozen=True, slots=True)
class WindowOverridden:
    """A person had this host changed outside its change window: in their words, why."""

    reason: str


@dataclass(frozen=True, slots=True)
class TakingBack:
    """What an earlier run did to this host is being taken back."""

    run: str


@dataclass(frozen=True, slots=True)
class JournalWrittenOff:
    """The first row of a new chain: the rows before it do not fit together (`damage`), and a person gave them up."""

    by: str
    reason: str
    damage: str


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The last line of a host's journal."""

    status: str
    time: str


JournalEvent = (
    RunBegun
    | RegistryBackedUp
    | ChangeBegun
    | ActionIntended
    | ActionEnded
    | ChangeEnded
    | ActionSettled
    | HandlerPending
    | HandlerDone
    | NeedRemains
    | NeedGone
    | ServicesStopped
    | ServicesStarted
    | ProcedureBegun
    | StepBegun
    | StepEnded
    | ProcedureEnded
    | ProcedureReverted
    | TakingBack
    | WindowOverridden
    | JournalWrittenOff
    | RunEnded
)


def event_as_json(event: JournalEvent) -> dict[str, Json]:
    """One line of the journal: the event's name and its fields, without what is confidential."""
    if isinstance(event, ChangeBegun):
        line = asdict(replace(event, confidential=None))
        line["confidential"] = event.confidential is not None
    else:
        line = asdict(event)
    return {"event": type(event).__name__, **line}


@dataclass(frozen=True, slots=True)
class OpenAction:
    """An action that was begun in an earlier run and of which it is not known whether it was done."""

    run: str
    action_number: int
    address: str
    action: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class PendingHandler:
    """A handler that is pending: `first` and `since` are when the first and the last change asked for it, `runs` theirs."""

    play: str
    handler: str
    first: str
    since: str
    runs: tuple[str, ...]
    unseen_before: str = ""
    restarts: tuple[str, ...] = ()
    because: str = ""
    ran: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenNeed:
    """A handler that ran at this time without removing the need that the host shows of it."""

    play: str
    handler: str
    since: str


@dataclass(frozen=True, slots=True)
class OpenRestart:
    """A restart that was broken off: these services, in this order, must run again."""

    handler: str
    service: str
    dependents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OpenProcedure:
    """A procedure that was begun and not ended: the names of its finished steps, and the one under way."""

    play: str
    address: str
    finished: tuple[str, ...]
    under_way: str | None


@dataclass(frozen=True, slots=True)
class History:
    """What earlier runs left open on one host."""

    actions: tuple[OpenAction, ...] = ()
    pending: tuple[PendingHandler, ...] = ()
    restarts: tuple[OpenRestart, ...] = ()
    procedures: tuple[OpenProcedure, ...] = ()
    needs: tuple[OpenNeed, ...] = ()


@dataclass(frozen=True, slots=True)
class RegistrySnapshot:
    """Registry keys as they are before they are touched: what lies in each (None for absent), and the values."""

    keys: tuple[tuple[RegistryPath, KeyContents | None], ...]
    values: tuple[NamedValue, ...] = ()
    windows_version: str = ""


class Journal(Protocol):
    """The durable record of one host in one run. Everything it returns from is on disk."""

    @property
    def run(self) -> str:
        """The run's id."""

    def write(self, *events: JournalEvent) -> None:
        """Make events durable, all or none. Raises JournalUnavailable; then nothing may be done that they would have told of."""

    def back_up(self, snapshot: RegistrySnapshot) -> str:
        """Keep registry keys as a .reg file beside the journal and return its path. Raises JournalUnavailable."""

    def history(self) -> History:
        """What earlier runs left open on this host."""


@dataclass(slots=True)
class NoJournal:
    """A journal for looking only: it writes nothing, and knows what a real one left open."""

    run: str
    past: History = field(default_factory=History)

    def write(self, *events: JournalEvent) -> None:
        """Nothing is done in a rehearsal that would have to be told."""

    def back_up(self, snapshot: RegistrySnapshot) -> str:
        """A rehearsal touches nothing."""
        return ""

    def history(self) -> History:
        """What earlier runs left open on this host."""
        return self.past
