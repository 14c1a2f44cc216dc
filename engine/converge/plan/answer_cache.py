"""What is known of a host: every question is asked once, and again only after an action that may have changed its answer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from converge.errors import InputErrors, ResourceError, Undecided, Unpredictable
from converge.model.action import AnyAction, Performed
from converge.model.answer import Answer, Answers
from converge.model.machine import Fronting, Machine, Observer
from converge.model.query import AnyQuery
from converge.plan.effects import may_change

MAX_ROUNDS = 40  # a directory or key tree is walked one level a round; no sane one is deeper
Asker = Callable[[Answers], Collection[AnyQuery]]


class AnswerCache(Fronting):
    """An observer's answers, kept. Asking again what is known costs nothing."""

    def __init__(self, observer: Observer, *, run: str, backup_folder: str = "") -> None:
        super().__init__(observer)
        self._known: dict[AnyQuery, Answer[object]] = {}
        self.run = run
        self.backup_folder = backup_folder  # the folder set aside on the host for what is kept

    @property
    def answers(self) -> Answers:
        """Everything known; it grows as more is asked."""
        return Answers(self._known, run=self.run, backup_folder=self.backup_folder)

    def ask(self, queries: Collection[AnyQuery]) -> Answers:
        """Answer the queries, from the cache where they are known. Raises HostUnreachable."""
        new = {query: None for query in queries if query not in self._known}
        if new:
            self._known.update(self._observer.ask(tuple(new)))
        return self.answers

    def forget(self, action: AnyAction) -> None:
        """Drop every answer that an action may have changed."""
        for query in [query for query in self._known if may_change(action, query)]:
            del self._known[query]

    def forget_these(self, queries: Iterable[AnyQuery]) -> None:
        """Drop some answers, to look again."""
        for query in queries:
            self._known.pop(query, None)


class ActingCache(AnswerCache):
    """A machine's answers, kept, and dropped by what is performed on it."""

    def __init__(self, machine: Machine, *, run: str, backup_folder: str = "") -> None:
        super().__init__(machine, run=run, backup_folder=backup_folder)
        self._machine = machine

    def perform(self, action: AnyAction) -> Performed:
        """Do one thing. Raises ActionRefused, Interrupted; what it may have changed is forgotten in any case."""
        try:
            return self._machine.perform(action)
        finally:
            self.forget(action)


def gather(askers: Iterable[Asker], cache: AnswerCache) -> Answers:
    """Ask everything the askers want, in rounds, everything new at once, until nobody names anything new.

    An asker that cannot say yet what it wants (it raises) is asked again in the next round; its reason comes up
    again where the decision is made. Raises ResourceError when there is no end to the questions.
    """
    waiting = tuple(askers)
    for _ in range(MAX_ROUNDS):
        known = cache.answers
        wanted: dict[AnyQuery, None] = {}
        for asker in waiting:
            wanted.update(dict.fromkeys(query for query in _wishes(asker, known) if query not in known))
        if not wanted:
            return known
        cache.ask(tuple(wanted))
    raise ResourceError(
        f"more than {MAX_ROUNDS} rounds of questions, each leading to another", code="endless-questions"
    )


def _wishes(asker: Asker, known: Answers) -> Collection[AnyQuery]:
    try:
        return asker(known)
    except (Undecided, Unpredictable, ResourceError, InputErrors):
        return ()
