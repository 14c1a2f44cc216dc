"""Performing one action so that whatever happens is known afterwards: intent first, then the action, then its outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from converge.apply.manifests import ADDRESS, Keeper, Tidying, predicted
from converge.apply.options import ApplyOptions, StoppedError
from converge.apply.registry_backup import back_up, touched_keys
from converge.errors import ActionRefused, HostUnreachable, Interrupted, ResourceError
from converge.model.action import (
    AnyAction,
    MoveDirectory,
    MoveFile,
    NewDirectory,
    NewRegistryKey,
    Performed,
    RemoveFile,
    ResumeService,
    StartService,
    StopService,
    action_as_json,
)
from converge.model.answer import Absent
from converge.model.backup import is_run_folder
from converge.model.change import Change, Json
from converge.model.facts import ServiceFacts, ServiceState
from converge.model.journal import (
    ActionEnded,
    ActionIntended,
    ActionSettled,
    HandlerPending,
    History,
    Journal,
    JournalEvent,
    NoJournal,
    OpenAction,
)
from converge.model.names import fold
from converge.model.query import AnyQuery, Directory, OperatingSystem, RegistryKey, Service
from converge.model.recorded import WITHOUT_TRACE, Outcome
from converge.model.registry import RegistryPath
from converge.plan.answer_cache import ActingCache
from converge.rehearsal.rehearsal import Rehearsal
from converge.windows.paths import folder_of

SERVICE_PATIENCE = timedelta(seconds=120)  # how long a service may be pending before its start or stop is a failure


@dataclass(slots=True, eq=False)
class Intents:
    """What is meant to be done, written down together with the first action of it, and not without one."""

    events: list[JournalEvent] = field(default_factory=list)
    written: bool = False

    def take(self) -> list[JournalEvent]:
        """What is to be written now."""
        taken, self.events, self.written = self.events, [], True
        return taken


@dataclass(frozen=True, slots=True)
class Attempt:
    """An action that was sent, by the name of its kind, and what became of it. `on_the_way`: only what comes after it was wanted."""

    name: str
    outcome: Outcome
    text: str = ""
    on_the_way: bool = False

    @property
    def left_traces(self) -> bool:
        """Whether it did something, or may have: a program that failed has run all the same."""
        return self.outcome != "refused" or self.name in WITHOUT_TRACE


@dataclass(slots=True)
class Performer:
    """Does actions on one host, one after the other, and counts them. On a rehearsal nothing real happens."""

    cache: ActingCache
    journal: Journal
    options: ApplyOptions
    rehearsal: Rehearsal | None = None
    count: int = 0
    performed: list[AnyAction] = field(default_factory=list)
    service_starts: dict[str, int] = field(default_factory=dict)  # folded name -> the action's number
    keeper: Keeper = field(default_factory=Keeper)
    secret: set[str] = field(default_factory=set)  # folded paths of sensitive things that a rehearsal kept
    attempts: list[Attempt] = field(default_factory=list)
    _intents: list[Intents] = field(default_factory=list)
    _kept: set[RegistryPath] = field(default_factory=set)
    _moment: str = ""
    _asked_at: tuple[datetime, float] | None = None

    @classmethod
    def in_rehearsal(cls, rehearsal: Rehearsal, *, run: str, history: History, options: ApplyOptions) -> Performer:
        """One that acts in memory and writes nothing down."""
        cache = ActingCache(rehearsal, run=run, backup_folder=options.backup.directory)
        return cls(cache, NoJournal(run, history), options, rehearsal)

    @property
    def rehearsing(self) -> bool:
        """Whether nothing real happens."""
        return self.rehearsal is not None

    def perform(
        self,
        action: AnyAction,
        *,
        change: int,
        address: str,
        sensitive: bool = False,
        asks_for: Callable[[Performed], HandlerPending | None] = lambda _: None,
    ) -> Performed:
        """Do one thing and wait until its service, if it has one, is no longer pending.

        `asks_for` tells what its end asks for: that is written down before its end is.
        Raises ActionRefused, Interrupted, HostUnreachable, JournalUnavailable (then it was not sent) and StoppedError.
        """
        if not self.rehearsing:
            for missing in self._missing_above(action):
                self._perform(missing, change=change, address=address, sensitive=sensitive, on_the_way=True)
            self._write_manifest(action, change=change, address=address, sensitive=sensitive)
        elif sensitive and isinstance(action, MoveFile | MoveDirectory):
            self.secret.add(fold(action.source))
        return self._perform(action, change=change, address=address, sensitive=sensitive, asks_for=asks_for)

    def _end_if_stopped(self) -> None:
        if self.options.stop():
            raise StoppedError

    @contextmanager
    def intending(self) -> Iterator[Intents]:
        """Within this block the first action is written down together with what is put in here; without one nothing is."""
        intents = Intents()
        self._intents.append(intents)
        try:
            yield intents
        finally:
            self._intents.remove(intents)

    def _write_manifest(self, action: AnyAction, *, change: int, address: str, sensitive: bool) -> None:
        """A manifest tells of what is kept before it is. Where none can be written, it is kept without, and a note says so."""
        manifest = self.keeper.manifest_before(action, self.cache, time=self.moment, secret=sensitive)
        if manifest is None:
            return
        try:
            self._perform(manifest, change=change, address=address, sensitive=False, on_the_way=True)
        except ActionRefused as error:
            self.keeper.was_refused(manifest, error.what)

    def _missing_above(self, action: AnyAction) -> Sequence[AnyAction]:
        """The keys or folders that would be made with this one, or in which it keeps something, that are not there.

        Made each by itself, they are known to whoever takes it back.
        """
        if isinstance(action, NewRegistryKey):
            keys = [action.key]
            while (key := keys[-1].parent) is not None and key.subkey and self._is_absent(RegistryKey(key)):
                keys.append(key)
            return [NewRegistryKey(key) for key in reversed(keys[1:])]
        if isinstance(action, MoveFile | MoveDirectory) and not is_run_folder(
            folder_of(action.target), self.cache.run
        ):
            return ()
        if isinstance(action, NewDirectory | MoveFile | MoveDirectory):
            paths = [action.path if isinstance(action, NewDirectory) else action.target]
            while (path := folder_of(paths[-1])) not in ("", paths[-1]) and self._is_absent(Directory(path)):
                paths.append(path)
            return [NewDirectory(path) for path in reversed(paths[1:])]
        return ()

    def _is_absent(self, query: AnyQuery) -> bool:
        return isinstance(self.cache.ask((query,))[query], Absent)

    @property
    def traces(self) -> int:
        """How many actions did something so far, or may have."""
        return sum(attempt.left_traces for attempt in self.attempts)

    def _perform(
        self,
        action: AnyAction,
        *,
        change: int,
        address: str,
        sensitive: bool,
        asks_for: Callable[[Performed], HandlerPending | None] = lambda _: None,
        on_the_way: bool = False,
    ) -> Performed:
        self._end_if_stopped()
        self.back_up(touched_keys((action,)))
        service = action.name if isinstance(action, StartService | StopService | ResumeService) else ""
        if service and not self.rehearsing:
            self._await_service(service)  # the service manager refuses every control while one is pending
        if not self.rehearsing:
            self._end_if_stopped()  # what comes before took its time, too
        self.count += 1
        number = self.count
        words: dict[str, Json] = action_as_json(action)
        if sensitive and not isinstance(action, MoveFile | MoveDirectory):  # paths, which the address tells anyway
            words = {"action": words["action"]}
        meant = [event for intents in self._intents for event in intents.events]
        self.journal.write(*meant, ActionIntended(number, change, address, words, on_the_way))
        for intents in self._intents:
            intents.take()
        try:
            result = self.cache.perform(action)
        except (ActionRefused, Interrupted, HostUnreachable) as error:
            outcome: Literal["refused", "unknown"] = "refused" if isinstance(error, ActionRefused) else "unknown"
            self.attempts.append(Attempt(type(action).__name__, outcome, "" if sensitive else error.what, on_the_way))
            self.journal.write(ActionEnded(number, outcome, error.code, error.what))
            raise
        self.attempts.append(Attempt(type(action).__name__, "done", "", on_the_way))
        self.performed.append(action)
        pending, output = asks_for(result), result.output[:2000] if not sensitive else ""
        self.journal.write(*([pending] if pending is not None else []), ActionEnded(number, "done", str(result.code), output))
        if isinstance(action, MoveFile | MoveDirectory):
            self.keeper.kept.add(fold(action.target))
        if isinstance(action, StartService):
            self.service_starts[fold(action.name)] = number
        if service and not self.rehearsing:
            self._await_service(service)
        return result

    def prepare(self, rehearsal: Performer, *, idle: Iterable[OpenAction] = ()) -> None:
        """Make ready for what a rehearsal has shown: keep the registry keys to be touched, and foresee what manifests will name.

        `idle` manifests, which a run that broke off left, and which name nothing, go. Raises JournalUnavailable: then nothing
        may be touched; and Interrupted, HostUnreachable, StoppedError.
        """
        for item in idle:
            with suppress(ActionRefused):  # journaled; one that cannot be removed keeps nobody from anything
                self._perform(RemoveFile(str(item.action["path"])), change=0, address=ADDRESS, sensitive=False)
            self.journal.write(ActionSettled(item.run, item.action_number, "done"))
        self._moment = rehearsal.moment
        self.back_up(touched_keys(rehearsal.performed))
        self.keeper.predicted = predicted(rehearsal.performed, self.cache, secret=rehearsal.secret)

    def leave_true_manifests(self, changes: Iterable[Change]) -> list[Change]:
        """At the end of a run, put manifests right that name more than was kept. Raises JournalUnavailable.

        The changes come back, with a note on those without a manifest.
        """
        noted = [self.keeper.noted(change) for change in changes]
        told = Tidying(self, self.cache, self.cache.run, self.moment).after_run(self.keeper)
        if told and noted:
            noted[-1] = replace(noted[-1], notes=(*noted[-1].notes, told))
        return noted

    @property
    def moment(self) -> str:
        """When what is kept was kept, by this side's clock: of all that one run keeps the same. ISO 8601."""
        self._moment = self._moment or self.options.now().isoformat(timespec="seconds")
        return self._moment

    def settle_last(self) -> None:
        """Write down that the last action, whose outcome its line did not bring, was done: looking again has shown it."""
        self.journal.write(ActionSettled(self.journal.run, self.count, "done"))

    def back_up(self, keys: Iterable[RegistryPath]) -> None:
        """Keep registry keys before they are touched for the first time. Raises JournalUnavailable: then nothing may be touched."""
        new = tuple(key for key in keys if key not in self._kept)
        if new and not self.rehearsing:
            back_up(new, cache=self.cache, journal=self.journal)
            self._kept.update(new)

    def now(self) -> datetime:
        """The host's own clock. Raises Undecided when the host would not tell it."""
        if self._asked_at is None:
            system = self.cache.ask((OperatingSystem(),)).value(OperatingSystem())
            if system is None:
                raise ResourceError("the host does not report its time", code="no-clock")
            self._asked_at = (system.now, self.options.monotonic())
        asked, moment = self._asked_at
        return asked + timedelta(seconds=self.options.monotonic() - moment)

    def _await_service(self, name: str) -> None:
        """Look until the service manager is done with a service, at most SERVICE_PATIENCE. What came of it is judged elsewhere."""
        query = Service(name)
        for _ in self.options.looks(SERVICE_PATIENCE):
            service: ServiceFacts | None = self.cache.ask((query,)).known(query)
            if service is None or not (service.state.pending or service.state is ServiceState.UNKNOWN):
                return
            self.cache.forget_these((query,))


def now_text() -> str:
    """The present moment, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
