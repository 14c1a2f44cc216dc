"""What comes back: found, absent or refused, and in a rehearsal not predicted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from converge.errors import NotAsked, Undecided, Unpredictable
from converge.model.query import AnyQuery, Query

T = TypeVar("T")
P = TypeVar("P")
DISPLAY_NAME = "display-name"
"""The code of a refusal that is none of the host's: the thing was asked for by another sort of name."""
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Found(Generic[T_co]):
    """It is there, and this is it."""

    value: T_co


@dataclass(frozen=True, slots=True)
class Absent:
    """The host looked, and it is not there."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The host would not say: its code, its text, and the right that is missing if that is known. Never the same as absent."""

    code: str
    text: str
    missing_right: str = ""


@dataclass(frozen=True, slots=True)
class NotPredicted:
    """In a rehearsal: `after`, an entry whose effect cannot be predicted, will decide it."""

    after: str


Answer = Found[T] | Absent | Refused | NotPredicted


class Answers(Mapping[AnyQuery, "Answer[object]"]):
    """The answers to some queries, and the run they were given in (it names what is kept aside).

    While a run is taken back, `run` is that run and `by` the one that takes it back; else they are the same. `backup_folder` is
    the folder set aside on the host for what is kept, empty where it is kept beside. `backup` is where the run that is taken
    back kept what was there, empty where that is not known.
    """

    __slots__ = ("_answers", "backup", "backup_folder", "by", "run")

    def __init__(
        self,
        answers: Mapping[AnyQuery, Answer[object]],
        *,
        run: str = "",
        by: str = "",
        backup_folder: str = "",
        backup: str = "",
    ) -> None:
        self._answers = answers
        self.run = run
        self.by = by or run
        self.backup_folder = backup_folder
        self.backup = backup

    @property
    def reverting(self) -> bool:
        """Whether what `run` did is being taken back."""
        return self.by != self.run

    def __getitem__(self, query: AnyQuery) -> Answer[object]:
        return self._answers[query]

    def __contains__(self, query: object) -> bool:
        return query in self._answers

    def __iter__(self) -> Iterator[AnyQuery]:
        return iter(self._answers)

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, query: AnyQuery, default: object = None) -> Any:
        """The answer, or the default where it was not asked."""
        return self._answers.get(query, default)

    def value(self, query: Query[T]) -> T | None:
        """What was found, or None for absent.

        Raises Undecided when the host refused, Unpredictable when a rehearsal cannot know, NotAsked when it was not asked.
        """
        try:
            answer = self._answers[query]
        except KeyError:
            raise NotAsked(describe(query)) from None
        if isinstance(answer, Found):
            return answer.value  # type: ignore[return-value]  # a query's answer carries the query's type
        if isinstance(answer, Absent):
            return None
        if isinstance(answer, NotPredicted):
            raise Unpredictable(answer.after)
        if answer.code == DISPLAY_NAME:
            raise Undecided(answer.text, refusal=answer.code)
        what = f"the host refused to answer {describe(query)}: {answer.text or answer.code}"
        remedy = f"grant the account {answer.missing_right}" if answer.missing_right else ""
        raise Undecided(what, why=f"code {answer.code}" if answer.text else "", try_=remedy, refusal=answer.code)

    def known(self, query: Query[T]) -> T | None:
        """What was found, or None for anything else and for what was not asked. For choosing further queries only."""
        answer = self._answers.get(query)
        return answer.value if isinstance(answer, Found) else None  # type: ignore[return-value]  # as above

    def part(self, query: Query[T], of: Callable[[T], P]) -> P | None:
        """What `of` makes of the value; None for absent. Says that nothing else of it counts. Raises as `value` does.

        `of` is a function that stays the same: a host that differs only elsewhere is a host like any other.
        """
        found = self.value(query)
        return None if found is None else of(found)

    def known_part(self, query: Query[T], of: Callable[[T], P]) -> P | None:
        """As `part`, or None for anything else and for what was not asked. For choosing further queries only."""
        found = self.known(query)
        return None if found is None else of(found)


def describe(query: AnyQuery) -> str:
    """A query in words people know: `service SMTPSVC`, `registry value HKLM\\...\\ImagePath`."""
    kind = type(query).__name__
    words = "".join(f" {c.lower()}" if c.isupper() else c for c in kind).strip()
    subject = next((str(getattr(query, name)) for name in ("key", "path", "wql", "log") if hasattr(query, name)), "")
    name = getattr(query, "name", None)
    if isinstance(name, str):
        subject = f"{subject}\\{name or '(default)'}" if subject else name
    return f"{words} {subject}".strip()
