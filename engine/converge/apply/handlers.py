"""Handlers of one play: notified by changes, run once at the play's end, pending where that was not possible.

That a handler is pending is written down with the first action of the change that notifies it, so that no crash can lose it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from converge.apply.carrying import Carrier
from converge.apply.changing import Pending
from converge.apply.restarts import restarted
from converge.errors import ConvergeError, InputErrors, ResourceError, Undecided, Unpredictable
from converge.model.change import Change, Problem, Status
from converge.model.facts import ServiceState
from converge.model.journal import HandlerDone, HandlerPending, History, NeedGone, NeedRemains, PendingHandler
from converge.model.names import fold
from converge.model.play import Declared, Entry, Play, Scope
from converge.model.query import OperatingSystem, Service, ServiceStartTime
from converge.model.resource import Condition, Resource
from converge.plan.answer_cache import AnswerCache, gather
from converge.plan.decision import Label

RESTARTS_COMPUTER = "restart_computer"
RESTARTS = ("restart_service", RESTARTS_COMPUTER)
RESTART_PENDING = "the computer must be restarted: do it by hand, or give --allow-reboot"
_STOPPED_SINCE = "stopped since the last change that needs it: the change takes effect when it is started"
_SINCE = "started since the last change that needs it"


@dataclass(slots=True)
class Handlers:
    """What was notified in this run, by the number of the last notifying action, and what earlier runs left pending."""

    carrier: Carrier
    play: Play
    history: History
    scope: Scope
    notified: dict[str, int] = field(default_factory=dict)
    ran: list[Entry] = field(default_factory=list)
    later: dict[str, str] = field(
        default_factory=dict
    )  # in a rehearsal: those that only a command may notify, and its words

    @contextmanager
    def notifying(self, names: Sequence[str]) -> Iterator[Pending]:
        """While a change is made that notifies these handlers: its first action makes them pending, unless all was refused."""
        performer = self.carrier.performer
        before, traces = len(performer.attempts), performer.traces
        try:
            yield lambda: [self._pending(name) for name in names]
        finally:
            if performer.traces > traces:
                self.notify(names)
        if len(performer.attempts) > before and performer.traces == traces:
            pending = {item.handler for item in self.history.pending if item.play == self.play.name}
            for name in names:
                if name not in self.notified and name not in pending:
                    performer.journal.write(HandlerDone(self.play.name, name))

    def _pending(self, name: str) -> HandlerPending:
        performer = self.carrier.performer
        if performer.rehearsing:
            return HandlerPending(self.play.name, name, "")
        restarts = self._restarts(name)
        ran = tuple(service for service in restarts if service and self._runs(service))
        return HandlerPending(self.play.name, name, performer.now().isoformat(), restarts=restarts, ran=ran)

    def _runs(self, service: str) -> bool:
        facts = self.carrier.performer.cache.ask((Service(service),)).known(Service(service))
        return facts is not None and facts.state is ServiceState.RUNNING

    def _restarts(self, name: str) -> tuple[str, ...]:
        """The services that a handler restarts, if that is all it does: so that this is known when the play is gone."""
        try:
            resources = [
                declared.resource
                for entry in self.play.handlers
                if entry.name == name
                for declared in entry.declare(self.scope)
            ]
        except InputErrors:
            return ()
        whole = all(resource.kind in RESTARTS for resource in resources)
        return tuple(getattr(resource, "name", "") for resource in resources) if whole else ()

    def notify(self, names: Sequence[str]) -> None:
        """A change was made that asks for these handlers."""
        self.notified.update(dict.fromkeys(names, self.carrier.performer.count))

    def notify_later(self, names: Sequence[str], reason: str) -> None:
        """In a rehearsal: a change that a command decides may ask for these handlers."""
        for name in names:
            self.later.setdefault(name, reason)

    def run(self, *, play_failed: bool) -> Iterator[Change]:
        """Each handler that was notified, is pending or is needed, once, in order of definition; what became of it, as it is done."""
        pending = {item.handler: item for item in self.history.pending if item.play == self.play.name}
        for entry in self.play.handlers:
            if entry.name in self.notified or entry.name in pending:
                yield from self._handler(entry, pending.get(entry.name), play_failed=play_failed)
            elif entry.name in self.later:
                yield self._shown(entry, Status.LATER, reason=self.later[entry.name])
            elif entry.needed_when is not None and not play_failed:
                yield from self._if_needed(entry, entry.needed_when)

    def not_begun(self, ended: str, *, told: Collection[Change]) -> list[Change]:
        """Handlers that were notified and not come to, because the host's run `ended` early. Those that are `told` of were."""
        known = {change.address for change in told if change.play == self.play.name}
        asked = [name for name in self.notified if f"handler:{name}" not in known]
        reason = f"not begun: {ended}; the next run does it"
        return [self._shown(entry, Status.SKIPPED, reason=reason) for entry in self.play.handlers if entry.name in asked]

    def _if_needed(self, entry: Entry, needed_when: Callable[[Scope], Condition]) -> Iterator[Change]:
        """A handler that nobody notified, where the host itself shows that it is needed."""
        try:
            because = self._need(needed_when)
        except (Unpredictable, InputErrors, Undecided, ResourceError) as error:
            yield self._not_decided(entry, error)
            return
        if tried := self._without_help(entry):
            if because:
                told = f"it ran {tried} and did not help: {because}. The cause is another one, so it is not run again"
                yield self._shown(entry, Status.SKIPPED, reason=told)
            else:
                self.carrier.performer.journal.write(NeedGone(self.play.name, entry.name))
            return
        if because:
            for change in self._handler(entry, None, play_failed=False):
                yield replace(change, notes=(*change.notes, f"needed, because {because}"))

    def _not_decided(self, entry: Entry, error: ConvergeError) -> Change:
        """A handler of which it cannot be said whether it is to run, or with what."""
        if isinstance(error, Unpredictable):
            return self._shown(entry, Status.LATER, reason=error.what)
        status = Status.UNDECIDED if isinstance(error, Undecided) else Status.FAILED
        return self._shown(entry, status, error=Problem.of(error))

    def _need(self, needed_when: Callable[[Scope], Condition], *, anew: bool = False) -> str:
        """Why the host shows the need of a handler, if so. Raises Undecided, Unpredictable, InputErrors, ResourceError."""
        condition, cache = needed_when(self.scope), self.carrier.performer.cache
        if anew:
            cache.forget_these(condition.queries(cache.answers))
        answers = gather((condition.queries,), cache)
        return condition.because(answers) if condition.holds(answers) else ""

    def _without_help(self, entry: Entry) -> str:
        """When a handler ran that removed no need, if so."""
        needs = (item for item in self.history.needs if (item.play, item.handler) == (self.play.name, entry.name))
        return next((f"{datetime.fromisoformat(item.since):%Y-%m-%d %H:%M}" for item in needs), "")

    def look_back(self) -> None:
        """At the run's end: whether the host still shows the need of what ran, which another run of it would not remove."""
        performer = self.carrier.performer
        for entry in self.ran:
            try:
                because = self._need(entry.needed_when, anew=True) if entry.needed_when else ""
                since = performer.now().isoformat()
            except (InputErrors, Undecided, Unpredictable, ResourceError):
                continue  # nobody knows: the next run decides from what it sees
            if because:
                performer.journal.write(NeedRemains(self.play.name, entry.name, since))
            elif self._without_help(entry):
                performer.journal.write(NeedGone(self.play.name, entry.name))

    def _handler(self, entry: Entry, pending: PendingHandler | None, *, play_failed: bool) -> Iterator[Change]:
        if play_failed and not self._waits(entry.kind):
            reason = "pending: an entry of the play failed, or waits for a person; the next run does it"
            yield self._shown(entry, Status.SKIPPED, reason=reason)
            return
        try:
            if not entry.when(self.scope):
                self._done(entry)
                yield self._shown(entry, Status.SKIPPED, reason="its `when` does not hold")
                return
            if passed_over := unmet(entry, self.scope, carrier=self.carrier):
                self._done(entry)
                yield self._shown(entry, Status.SKIPPED, reason=passed_over)
                return
            declared = entry.declare(self.scope)
        except (Unpredictable, InputErrors, Undecided, ResourceError) as error:
            yield self._not_decided(entry, error)
            return
        for item in declared:
            yield self._one(entry, item, pending)

    def _one(self, entry: Entry, declared: Declared, pending: PendingHandler | None) -> Change:
        resource = declared.resource
        if met := self._met(entry, resource, pending):
            self._done(entry)
            self.carrier.settle_earlier(f"handler:{entry.name}", done=True)
            return self._shown(entry, Status.OK, reason=met)
        performer = self.carrier.performer
        if self._waits(resource.kind):
            return self._shown(entry, Status.WAITING, reason=RESTART_PENDING)
        sensitive = entry.sensitive or declared.sensitive
        label = Label(declared.name, self.play.name, entry.position, sensitive, address=f"handler:{entry.name}")
        done = (HandlerDone(self.play.name, entry.name),)
        change = restarted(self.carrier, resource, label, handler=entry.name, done=done)
        if change.status in (Status.OK, Status.CHANGED):
            self.ran += [entry] if entry.needed_when is not None and not performer.rehearsing else []
        return change

    def _met(self, entry: Entry, resource: Resource, pending: PendingHandler | None) -> str:
        """Why nothing needs to be restarted, if so: it was after the last change that asks for it, or never saw one."""
        service = getattr(resource, "name", "")
        notified = self.notified.get(entry.name)
        if notified is not None:
            return _SINCE if self.carrier.performer.service_starts.get(fold(service), 0) > notified else ""
        if pending is None or not pending.since or resource.kind not in RESTARTS:
            return ""
        if service in pending.ran and not self._runs(service):
            return _STOPPED_SINCE
        return _seen(pending, (service,), self.carrier.performer.cache)

    def _waits(self, kind: str) -> bool:
        """Whether it restarts the computer, and that was not allowed: no failure, and the host is in order all the same."""
        return kind == RESTARTS_COMPUTER and not self.carrier.performer.options.allow_reboot

    def _done(self, entry: Entry) -> None:
        self.carrier.performer.journal.write(HandlerDone(self.play.name, entry.name))

    def _shown(
        self, entry: Entry, status: Status, *, reason: str | None = None, error: Problem | None = None
    ) -> Change:
        return not_carried_out(entry, self.play, status, address=f"handler:{entry.name}", reason=reason, error=error)


def unmet(entry: Entry, scope: Scope, *, carrier: Carrier) -> str:
    """Why an entry's turn is passed over: the first `only_if` that does not hold now. Raises Undecided, Unpredictable, InputErrors."""
    for item in entry.only_if:
        condition = item.that(scope)
        if not condition.holds(gather((condition.queries,), carrier.performer.cache)):
            return item.otherwise(scope)
    return ""


def _seen(pending: PendingHandler, services: Sequence[str], cache: AnswerCache) -> str:
    """Why these services, or with an empty name the computer, need not be restarted any more, if so and the host tells it."""
    started = [_started(service, cache) for service in services]
    known = [moment for moment in started if moment is not None]
    if not known or len(known) < len(started):
        return ""
    if pending.unseen_before and max(known) < datetime.fromisoformat(pending.unseen_before):
        return "what asked for it was taken back, and it was not started in between"
    return _SINCE if min(known) > datetime.fromisoformat(pending.since) else ""


def _started(service: str, cache: AnswerCache) -> datetime | None:
    """When the service, or Windows, was started last, as far as the host tells it."""
    if not service:
        system = cache.ask((OperatingSystem(),)).known(OperatingSystem())
        return system.started if system else None
    return cache.ask((ServiceStartTime(service),)).known(ServiceStartTime(service))


def pending_elsewhere(carrier: Carrier, history: History, *, heard: Collection[tuple[str, str]]) -> Iterator[Change]:
    """What is pending from plays that are gone, or not for this host now: told, and closed where it was restarted since.

    `heard` are the handlers, by play and name, that have had their say in this run.
    """
    performer = carrier.performer
    new = {(pending.play, pending.handler): pending for pending in carrier.restarts}
    for pending in ({(pending.play, pending.handler): pending for pending in history.pending} | new).values():
        if (pending.play, pending.handler) in heard:
            continue
        place = f"{performer.cache.host}:{pending.handler}"
        said = performer.options.settle.get(place) == "done"
        seen = _seen(pending, pending.restarts, performer.cache) if pending.since else ""
        notes: tuple[str, ...]
        status, reason, notes = Status.SKIPPED, f"pending from the play {pending.play}", (_gone(pending, place),)
        if pending.because:
            reason, notes = pending.because, ()
        if said or seen:
            performer.journal.write(HandlerDone(pending.play, pending.handler, "person" if said else "host"))
            carrier.settle_earlier(f"handler:{pending.handler}", done=True)
            status = Status.CHANGED if performer.rehearsing else Status.OK
            reason = "a person said that it was done" if said else seen
            reason += ": this will be recorded" if performer.rehearsing else ""
            notes = ()
        key = {"kind": "handler", "name": pending.handler}
        if pending.restarts == ("",) and status is Status.SKIPPED:
            key["kind"], status = RESTARTS_COMPUTER, Status.WAITING
        yield Change(
            f"handler:{pending.handler}", key, name=pending.handler, play=pending.play, status=status, reason=reason, notes=notes
        )


def _gone(pending: PendingHandler, place: str) -> str:
    """What is told of a handler that nobody does in this run."""
    told = f"pending from the play {pending.play}, which is not part of this run for this host. If it is gone for good, "
    if not pending.restarts:
        return f"{told}do what is still needed by hand, then run with --settle '{place}=done'"
    named = ", ".join(service or "the computer" for service in pending.restarts)
    return f"{told}restart {named} by hand, which the next run sees; or, if no restart is needed, run with --settle '{place}=done'"


def not_carried_out(
    entry: Entry,
    play: Play,
    status: Status,
    *,
    address: str,
    reason: str | None = None,
    error: Problem | None = None,
) -> Change:
    """What is told of an entry or a handler of which nothing was decided: why it was not come to."""
    return Change(
        address,
        {"kind": entry.kind, "name": entry.name},
        name=entry.name,
        play=play.name,
        status=status,
        reason=reason or (error.what if error else None),
        error=error,
        position=entry.position,
    )
