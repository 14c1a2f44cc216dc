"""Walking through the plays of one host: discover, see whether a play applies, carry out its entries, run its handlers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from converge.apply.carrying import Carrier, noted
from converge.apply.changing import ended_by
from converge.apply.handlers import Handlers, not_carried_out, pending_elsewhere, unmet
from converge.apply.options import StoppedError
from converge.apply.procedures import carry_out_procedure
from converge.apply.restarts import finish_restart
from converge.errors import ConvergeError, InputErrors, ResourceError, Undecided, Unpredictable
from converge.model.answer import Answers
from converge.model.change import NEEDS_PERSON, Change, Problem, Status
from converge.model.journal import History
from converge.model.play import Declared, Entry, Play, Scope
from converge.model.query import AnyQuery, Service
from converge.model.resource import Condition, ProcedureResource, Resource
from converge.plan.answer_cache import gather
from converge.plan.decision import Label
from converge.plan.facts import FACT_QUERIES, facts
from converge.plan.state_cache import questions

GOOD = (Status.OK, Status.CHANGED)


class SkippedError(Exception):
    """The play does not apply to this host, and why."""


@dataclass(slots=True)
class Walk:
    """One pass through the plays of one host, on a real machine or on a rehearsal."""

    carrier: Carrier
    variables: Mapping[str, object]
    history: History
    changes: list[Change] = field(default_factory=list)
    handlers: list[Handlers] = field(default_factory=list)  # of the plays that were walked through
    heard: set[tuple[str, str]] = field(default_factory=set)  # the handlers that have had their say, by play and name
    remaining: list[Change] = field(default_factory=list)  # of the play in which the walk ended early: what was not begun

    def through(self, plays: Sequence[Play]) -> None:
        """Every play in order. Raises HostUnreachable, JournalUnavailable, StoppedError.

        `changes` then holds what was done until then, what became of what was under way, and what was not begun.
        """
        begun = 0
        cache = self.carrier.performer.cache
        prospects = [_Prospect(self, play) for play in plays]
        try:
            gather(prospects, cache)
            for restart in self.history.restarts:
                self.changes += finish_restart(restart, self.carrier)
            for prospect in prospects:
                begun += 1
                self._play(prospect)
            for handlers in self.handlers:
                handlers.look_back()
            self.changes += pending_elsewhere(self.carrier, self.history, heard=self.heard)
        except (StoppedError, ConvergeError) as error:
            self.changes += self.carrier.broken_off
            if isinstance(error, StoppedError) or not self.carrier.performer.rehearsing:
                self.changes += [*self.remaining, *not_begun(plays[begun:], ended_by(error))]
            raise

    def _play(self, prospect: _Prospect) -> None:
        play = prospect.play
        handlers = {(play.name, entry.name) for entry in play.handlers}
        self.heard |= handlers
        try:
            scope = self._applicable_scope(play)
        except SkippedError as reason:
            self.heard -= handlers
            self._note_play(play, Status.SKIPPED, reason=str(reason))
            return
        except Undecided as error:
            self._note_play(play, Status.UNDECIDED, error=Problem.of(error))
            return
        except Unpredictable as error:
            self._note_play(play, Status.LATER, reason=error.what)
            return
        except (InputErrors, ResourceError) as error:
            self._note_play(play, Status.FAILED, error=Problem.of(error))
            return
        _PlayRun(self, play, scope, prospect.predicted(scope)).run()

    def _note_play(
        self, play: Play, status: Status, *, reason: str | None = None, error: Problem | None = None
    ) -> None:
        key = {"kind": "play", "name": play.name}
        change = Change(
            f"play:{play.name}",
            key,
            name=play.name,
            play=play.name,
            status=status,
            reason=reason or (error.what if error else None),
            error=error,
            position=play.position,
            may_be_changed_by=self.carrier.due if status is Status.SKIPPED else (),
        )
        self.changes.append(noted(change, self.carrier.due))

    def _applicable_scope(self, play: Play) -> Scope:
        """The play's variables for this host. Raises SkippedError, Undecided, Unpredictable, InputErrors, ResourceError."""
        cache = self.carrier.performer.cache
        known_facts = facts(cache.ask(FACT_QUERIES))
        begun = any(item.play == play.name for item in self.history.procedures)
        discovered: dict[str, object] = {}
        for discovery in play.discover:
            if discovery.name in self.variables:
                continue
            tried = []
            for candidate in discovery.candidates:
                finder = candidate(play.scope(self.variables, known_facts, discovered))
                found = finder.find(gather((finder.queries,), cache))
                if found is not None:
                    discovered[discovery.name] = found
                    break
                tried.append(finder.describe())
            else:
                raise SkippedError(f"{discovery.name} was not found: " + "; ".join(tried))
        scope = play.scope(self.variables, known_facts, discovered)
        open_question: Undecided | Unpredictable | None = None
        for applicability in play.applies_when:
            condition = applicability.that(scope)
            try:
                applies = condition.holds(gather((condition.queries,), cache)) or begun
            except (Undecided, Unpredictable) as error:
                open_question = open_question or error  # another condition may decide it all the same
                continue
            if not applies:
                raise SkippedError(applicability.otherwise(scope))
        if open_question is not None:
            raise open_question
        return scope


def not_begun(plays: Sequence[Play], ended: str) -> list[Change]:
    """What is told of plays to which a run that `ended` early did not come: each of their entries."""
    return [_not_begun(entry, play, ended) for play in plays for entry in play.entries]


def _not_begun(entry: Entry, play: Play, ended: str, *, address: str = "") -> Change:
    address = address or entry.address
    return not_carried_out(entry, play, Status.SKIPPED, address=address, reason=f"not begun: {ended}")


@dataclass(slots=True)
class _Prospect:
    """What a play will want to know, as far as it can be told by now. Called anew each round with what is known."""

    walk: Walk
    play: Play
    declared: dict[int, tuple[Declared, ...]] | None = None
    scope: Scope | None = None

    def predicted(self, scope: Scope) -> Mapping[int, tuple[Declared, ...]]:
        """What each entry was found to declare, by its identity in memory, if these are the variables it was found with."""
        same = self.scope is not None and all(self.scope.get(name) == scope.get(name) for name in self._decisive)
        return self.declared or {} if same else {}

    @property
    def _decisive(self) -> tuple[str, ...]:
        """The variables that looking at the host brings; all others are the same all the time."""
        names = (discovery.name for discovery in self.play.discover)
        return ("facts", *(name for name in names if name not in self.walk.variables))

    def __call__(self, known: Answers) -> Collection[AnyQuery]:
        wanted: list[AnyQuery] = list(FACT_QUERIES)
        if all(query in known for query in FACT_QUERIES):
            known_facts = facts(known)
        else:
            known_facts = {}
        discovered, complete = self._discovered(known, known_facts, wanted)
        scope = self.play.scope(self.walk.variables, known_facts, discovered)
        applies = bool(known_facts) and complete
        for applicability in self.play.applies_when:
            applies = self._ask_condition(scope, applicability.that, known, wanted) and applies
        for condition in self._asides() if applies else ():
            self._ask_condition(scope, condition, known, wanted)
        for resource in self._declared(scope, certain=applies):
            wishes = _tolerant(resource, known)
            wanted += wishes if applies else [query for query in wishes if isinstance(query, Service)]
        return wanted

    def _asides(self) -> Iterator[Callable[[Scope], Condition]]:
        """What decides whether single entries and handlers have their turn."""
        for entry in (*self.play.entries, *self.play.handlers):
            yield from (item.that for item in entry.only_if)
            if entry.needed_when is not None:
                yield entry.needed_when

    def _discovered(
        self, known: Answers, known_facts: Mapping[str, object], wanted: list[AnyQuery]
    ) -> tuple[dict[str, object], bool]:
        discovered: dict[str, object] = {}
        complete = True
        for discovery in self.play.discover:
            if discovery.name in self.walk.variables:
                continue
            try:
                for candidate in discovery.candidates:
                    finder = candidate(self.play.scope(self.walk.variables, known_facts, discovered))
                    queries = finder.queries(known)
                    wanted += queries
                    if any(query not in known for query in queries):
                        raise Undecided("not asked yet")
                    found = finder.find(known)
                    if found is not None:
                        discovered[discovery.name] = found
                        break
            except (Undecided, Unpredictable, ResourceError, InputErrors):
                pass
            complete = complete and discovery.name in discovered
        return discovered, complete

    def _ask_condition(self, scope: Scope, that: object, known: Answers, wanted: list[AnyQuery]) -> bool:
        try:
            condition = that(scope)  # type: ignore[operator]  # Applicability.that
            queries = condition.queries(known)
            wanted += queries
            return all(query in known for query in queries) and condition.holds(known)
        except (Undecided, Unpredictable, ResourceError, InputErrors):
            return False

    def _declared(self, scope: Scope, *, certain: bool) -> list[Resource]:
        found = self.declared
        if found is None:
            found = {}
            for entry in (*self.play.entries, *self.play.handlers):
                try:
                    if entry.when(scope):
                        found[id(entry)] = entry.declare(scope)
                except (InputErrors, Undecided, Unpredictable, ResourceError):
                    continue
            if certain:
                self.declared, self.scope = found, scope
        return [declared.resource for declarations in found.values() for declared in declarations]


def _tolerant(resource: Resource, known: Answers) -> Collection[AnyQuery]:
    try:
        return questions(resource, known)
    except (Undecided, Unpredictable, ResourceError, InputErrors):
        return ()


@dataclass(slots=True)
class _PlayRun:
    """The entries and handlers of one play that applies."""

    walk: Walk
    play: Play
    scope: Scope
    predicted: Mapping[int, tuple[Declared, ...]]
    ended: dict[str, list[Status]] = field(default_factory=dict)
    seen: dict[tuple[object, ...], str] = field(default_factory=dict)
    blocked_by: str = ""

    def run(self) -> None:
        """Entries in list order, then the handlers that were notified or are pending."""
        handlers = Handlers(self.walk.carrier, self.play, self.walk.history, self.scope)
        self.walk.handlers.append(handlers)
        for number, entry in enumerate(self.play.entries):
            try:
                for change in self._entry(entry, handlers):
                    self.walk.changes.append(change)
                    self.ended.setdefault(entry.name, []).append(self._supposed(change))
            except (StoppedError, ConvergeError) as error:
                later = self.play.entries[number + 1 :]
                self.walk.remaining += [_not_begun(each, self.play, ended_by(error)) for each in later]
                self.walk.remaining += self._handlers_not_begun(handlers, error)
                raise
        well = (*GOOD, Status.SKIPPED, Status.WAITING)
        failed = any(status not in well for statuses in self.ended.values() for status in statuses)
        try:
            for change in handlers.run(play_failed=failed or bool(self.blocked_by)):
                self.walk.changes.append(change)
        except (StoppedError, ConvergeError) as error:
            self.walk.remaining += self._handlers_not_begun(handlers, error)
            raise

    def _handlers_not_begun(self, handlers: Handlers, error: StoppedError | ConvergeError) -> list[Change]:
        told = (*self.walk.changes, *self.walk.carrier.broken_off)
        return handlers.not_begun(ended_by(error), told=told)

    def _supposed(self, change: Change) -> Status:
        """How an entry ended to those that come after it: a rehearsal holds that a person, or a command, did what is to be done."""
        rehearsing = self.walk.carrier.performer.rehearsing
        supposed = rehearsing and (change.status is Status.LATER or change.waits_for(NEEDS_PERSON))
        return Status.CHANGED if supposed else change.status

    def _entry(self, entry: Entry, handlers: Handlers) -> Iterator[Change]:
        """Each change as it is made: what comes to an end in between has been told."""
        if self.blocked_by:
            yield self._unbound(entry, Status.SKIPPED, reason=f"only after: {self.blocked_by}")
            return
        for name in entry.requires:
            if not all(status in GOOD for status in self.ended.get(name, ())) or not self.ended.get(name):
                yield self._unbound(entry, Status.SKIPPED, reason=f"requires {name}, which did not succeed")
                return
        try:
            if not entry.when(self.scope):
                yield self._unbound(entry, Status.SKIPPED, reason="its `when` does not hold")
                return
            if passed_over := unmet(entry, self.scope, carrier=self.walk.carrier):
                yield self._unbound(entry, Status.SKIPPED, reason=passed_over)
                return
            declared = self.predicted.get(id(entry)) or entry.declare(self.scope)
        except Unpredictable as error:
            yield self._unbound(entry, Status.LATER, reason=error.what)
            return
        except (InputErrors, Undecided, ResourceError) as error:
            status = Status.UNDECIDED if isinstance(error, Undecided) else Status.FAILED
            yield self._unbound(entry, status, error=Problem.of(error))
            return
        for number, item in enumerate(declared):
            try:
                change = self._one(entry, item, handlers)
            except (StoppedError, ConvergeError) as error:
                rest = declared[number + 1 :] if self.walk.carrier.broken_off else declared[number:]
                self.walk.remaining += [
                    _not_begun(entry, self.play, ended_by(error), address=each.resource.address) for each in rest
                ]
                raise
            yield self._told_as_ours(entry, change)

    def _told_as_ours(self, entry: Entry, change: Change) -> Change:
        """What differs although the article does not ask for it is said to be the playbook's own wish."""
        differs = change.differing if change.status not in (Status.OK, Status.SKIPPED) else ()
        article = self.play.article or "its article"
        ours = [
            f"{name} is asked for by this playbook, not by {article}: {why}"
            for name, why in entry.beyond_article
            if name in differs
        ]
        return replace(change, notes=(*change.notes, *ours)) if ours else change

    def _one(self, entry: Entry, declared: Declared, handlers: Handlers) -> Change:
        resource = declared.resource
        sensitive = entry.sensitive or declared.sensitive
        label = Label(declared.name, self.play.name, entry.position, sensitive, notify=entry.notify)
        if self.blocked_by:
            reason = f"only after: {self.blocked_by}"
            return self._unbound(entry, Status.SKIPPED, address=resource.address, reason=reason)
        twin = self.seen.get(resource.identity)
        self.seen[resource.identity] = declared.name
        if twin is not None:
            problem = Problem(
                "duplicate",
                f"{resource.address} is declared twice in this play, also by {twin}",
                "",
                "leave one of them",
            )
            return self._unbound(entry, Status.FAILED, address=resource.address, error=problem)
        with handlers.notifying(entry.notify) as pending:
            if isinstance(resource, ProcedureResource):
                change = carry_out_procedure(
                    self.walk.carrier, resource, label, history=self.walk.history, pending=pending
                )
            else:
                change = self.walk.carrier.carry_out(resource, label, pending=pending)
            self.walk.carrier.broken_off = (change,)  # until it is written down what it makes pending
        self.walk.carrier.broken_off = ()
        if change.status is Status.CHANGED:
            handlers.notify(entry.notify)
        elif change.status is Status.LATER:
            handlers.notify_later(entry.notify, change.reason or "")
        if (resource.blocks_play or resource.needs_person) and self._supposed(change) not in GOOD:
            self.blocked_by = declared.name
        return change

    def _unbound(
        self, entry: Entry, status: Status, *, address: str = "", reason: str | None = None, error: Problem | None = None
    ) -> Change:
        address = address or entry.address
        return not_carried_out(entry, self.play, status, address=address, reason=reason, error=error)
