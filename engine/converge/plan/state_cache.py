"""Working out once for many hosts: what a resource made of some answers is kept for the next host that gives the same.

The functions of a resource are pure, and most hosts of a fleet answer alike. A result is kept together with exactly the
answers that were looked at for it, so it is found again where these are the same, whatever else a host answers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from converge.model.answer import Answer, Answers, Found
from converge.model.query import AnyQuery, Query
from converge.model.resource import Resource

T = TypeVar("T")
P = TypeVar("P")
Part = Callable[[Any], object]
MOST = 8  # results kept for one function of one resource, the newest first
_NOT_ASKED = object()


def cached(resource: Resource, function: str, known: Answers, *, work: Callable[[Answers], T]) -> T:
    """What `work` makes of the answers, worked out only where no host before gave the same. Raises what `work` raises."""
    held: tuple[_Result[T], ...] = resource.cached.get(function, ())
    for item in held:
        if item.holds(known):
            return item.result
    looks = _Looks(known)
    result = work(_WatchedAnswers(looks, of=known))
    if not looks.at_all:
        notes = tuple((query, part, was) for (query, part), was in looks.notes.items())
        resource.cached[function] = (_Result(_setting(known), notes, result), *held[: MOST - 1])
    return result


def questions(resource: Resource, known: Answers) -> Collection[AnyQuery]:
    """What the resource wants to know, given what is known. Raises what its `queries` raises."""
    return cached(resource, "queries", known, work=lambda answers: tuple(resource.queries(answers)))


@dataclass(frozen=True, slots=True)
class _Result(Generic[T]):
    """A result, the runs it was worked out in and where they keep things, and each answer, or part of it, that counted."""

    setting: tuple[str, ...]
    notes: tuple[tuple[AnyQuery, Part | None, object], ...]
    result: T

    def holds(self, known: Answers) -> bool:
        """Whether the same would be looked at now, and be the same."""
        if self.setting != _setting(known):
            return False
        for query, part, was in self.notes:
            now = _looked_at(known, query, part)
            if now is not was and now != was:
                return False
        return True


def _setting(known: Answers) -> tuple[str, ...]:
    return known.run, known.by, known.backup_folder, known.backup


def _looked_at(known: Answers, query: AnyQuery, part: Part | None) -> object:
    answer = known.get(query, _NOT_ASKED)
    return answer if part is None or not isinstance(answer, Found) else part(answer.value)


class _Looks(Mapping[AnyQuery, Answer[object]]):
    """Answers as they are, and a note of each that is looked at. `at_all`: somebody went through all of them."""

    def __init__(self, known: Answers) -> None:
        self._known = known
        self.notes: dict[tuple[AnyQuery, Part | None], object] = {}
        self.at_all = False

    def note(self, query: AnyQuery, part: Part | None) -> None:
        if (query, part) not in self.notes:
            self.notes[query, part] = _looked_at(self._known, query, part)

    def __getitem__(self, query: AnyQuery) -> Answer[object]:
        self.note(query, None)
        return self._known[query]

    def __iter__(self) -> Iterator[AnyQuery]:
        self.at_all = True
        return iter(self._known)

    def __len__(self) -> int:
        self.at_all = True
        return len(self._known)


class _WatchedAnswers(Answers):
    """The answers that a function is given while it is watched."""

    __slots__ = ("_looks", "_of")

    def __init__(self, looks: _Looks, *, of: Answers) -> None:
        super().__init__(looks, run=of.run, by=of.by, backup_folder=of.backup_folder, backup=of.backup)
        self._looks = looks
        self._of = of

    def part(self, query: Query[T], of: Callable[[T], P]) -> P | None:
        """As it is, noting that only this part counts."""
        self._looks.note(query, of)
        return self._of.part(query, of)

    def known_part(self, query: Query[T], of: Callable[[T], P]) -> P | None:
        """As it is, noting that only this part counts."""
        self._looks.note(query, of)
        return self._of.known_part(query, of)
