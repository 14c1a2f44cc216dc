"""The small language of conditions: what `applies_when`, `unless`, `done_when`, `needs` and `that` may ask of a host.

A condition is written as one word and what it is about: `{service: {name: W3SVC, running: true}}`. It holds, does not
hold, or is undecided: an answer that was refused is never taken for an absence.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Discriminator, Field, PrivateAttr, Tag, TypeAdapter, model_serializer

from converge.errors import ResourceError, Undecided, Unpredictable
from converge.model.answer import Answers
from converge.model.query import AnyQuery
from converge.windows.subjects import CimCount, ComponentIs, EventsAre, FileIs, Part, RegistryValueIs, ServiceIs

MAX_BRANCHES = 200  # conditions under one `all` or `any`


class _About(Part):
    """A condition that is one word and what it is about."""

    @property
    def costly(self) -> bool:
        """Whether asking it walks a log: only done where the others leave it open."""
        return isinstance(self._subject, EventsAre)

    @property
    def _subject(self) -> Any:
        return getattr(self, next(iter(type(self).model_fields)))

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """What must be asked, given what is known so far."""
        asked: Collection[AnyQuery] = self._subject.queries(known)
        return asked

    def holds(self, answers: Answers) -> bool:
        """Whether it holds. Raises Undecided, Unpredictable and ResourceError."""
        return bool(self._subject.holds(answers))

    def describe(self) -> str:
        """In words."""
        return str(self._subject.describe())

    def because(self, answers: Answers) -> str:
        """Why it holds, in words."""
        return self.describe()


class ServiceCondition(_About):
    """`{service: {name, exists, running, start_mode, exit_code}}`."""

    service: ServiceIs


class RegistryValueCondition(_About):
    """`{registry_value: {key, name, exists, equals, contains, view}}`."""

    registry_value: RegistryValueIs


class FileCondition(_About):
    """`{file: {path, exists, size, version, newer_than}}`."""

    file: FileIs


class ComponentCondition(_About):
    """`{component: {name, installed}}`."""

    component: ComponentIs


class EventsCondition(_About):
    """`{events: {log, source, ids, within, strings}}`."""

    events: EventsAre


class CimCondition(_About):
    """`{cim: {namespace, wql, count}}`."""

    cim: CimCount


class Expression(Part):
    """`{expr: ...}`: an expression that the playbook has worked out already."""

    costly: ClassVar[bool] = False
    expr: bool = Field(description="A bare Jinja2 expression.")
    _written: str = PrivateAttr("")

    @classmethod
    def of(cls, *, holds: bool, written: str) -> Expression:
        """An expression that came to this, and how it is written with its values."""
        found = cls(expr=holds)
        found._written = written
        return found

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """Nothing."""
        return ()

    def holds(self, answers: Answers) -> bool:
        """What it came to."""
        return self.expr

    def describe(self) -> str:
        """In words."""
        return self._written or ("it always holds" if self.expr else "it never holds")

    def because(self, answers: Answers) -> str:
        """Why it holds, in words."""
        return self.describe()


class AllOf(Part):
    """`{all: [...]}`: every one holds. One that does not decides it, whatever else was refused."""

    all: tuple[AnyCondition, ...] = Field(min_length=1, max_length=MAX_BRANCHES, description="Conditions.")

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """What each asks."""
        return _queries(self.all, known, decisive=False)

    @property
    def costly(self) -> bool:
        """Whether one of them is."""
        return _any_costly(self.all)

    def holds(self, answers: Answers) -> bool:
        """Whether every one holds. Raises Undecided or Unpredictable where none is false and one is not known."""
        return _decide(self.all, answers, decisive=False)

    def describe(self) -> str:
        """In words."""
        return _described(self.all, " and ")

    def because(self, answers: Answers) -> str:
        """Why it holds: each of them."""
        return " and ".join(condition.because(answers) for condition in self.all)


class AnyOf(Part):
    """`{any: [...]}`: at least one holds. One that does decides it, whatever else was refused."""

    any: tuple[AnyCondition, ...] = Field(min_length=1, max_length=MAX_BRANCHES, description="Conditions.")

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """What each asks."""
        return _queries(self.any, known, decisive=True)

    @property
    def costly(self) -> bool:
        """Whether one of them is."""
        return _any_costly(self.any)

    def holds(self, answers: Answers) -> bool:
        """Whether one holds. Raises Undecided or Unpredictable where none is true and one is not known."""
        return _decide(self.any, answers, decisive=True)

    def describe(self) -> str:
        """In words."""
        return _described(self.any, " or ")

    def because(self, answers: Answers) -> str:
        """Why it holds: the first of them that does. Raises ResourceError."""
        for condition in _cheap_first(self.any):
            try:
                if condition.holds(answers):
                    return condition.because(answers)
            except (Undecided, Unpredictable, ResourceError):
                continue
        return self.describe()


class Not(Part):
    """`{not: ...}`: the condition does not hold."""

    negated: AnyCondition = Field(alias="not", description="A condition.")

    @model_serializer
    def _as_written(self) -> dict[str, Any]:
        return {"not": self.negated}

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """What the other asks."""
        return self.negated.queries(known)

    @property
    def costly(self) -> bool:
        """Whether the other is."""
        return self.negated.costly

    def holds(self, answers: Answers) -> bool:
        """Whether the other does not hold. Raises Undecided, Unpredictable and ResourceError."""
        return not self.negated.holds(answers)

    def describe(self) -> str:
        """In words."""
        return f"not ({self.negated.describe()})"

    def because(self, answers: Answers) -> str:
        """Why it holds, in words."""
        return self.describe()


class Need(Part):
    """`{that, else}`: a condition, and the sentence that tells a person what is the matter where it does not hold."""

    that: AnyCondition = Field(description="The condition.")
    otherwise: str = Field(alias="else", min_length=1, max_length=2000, description="What is the matter otherwise.")

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """What the condition asks."""
        return self.that.queries(known)

    @property
    def costly(self) -> bool:
        """Whether the condition is."""
        return self.that.costly

    def holds(self, answers: Answers) -> bool:
        """Whether it holds. Raises Undecided, Unpredictable and ResourceError."""
        return self.that.holds(answers)

    def describe(self) -> str:
        """What is the matter where it does not hold."""
        return self.otherwise

    def because(self, answers: Answers) -> str:
        """Why it holds, in words."""
        return self.that.because(answers)


def _queries(conditions: Iterable[AnyCondition], known: Answers, *, decisive: bool) -> Collection[AnyQuery]:
    """What they ask; what is costly only once the others are answered and do not decide it."""
    asked: dict[AnyQuery, None] = {}
    decided = False
    for condition in _cheap_first(conditions):
        if condition.costly and (decided or any(query not in known for query in asked)):
            continue
        own = condition.queries(known)
        asked.update(dict.fromkeys(own))
        if not condition.costly and all(query in known for query in own):
            decided = decided or _comes_to(condition, known) is decisive
    return tuple(asked)


def _comes_to(condition: AnyCondition, known: Answers) -> bool | None:
    """Whether it holds; None where that is not known, or not yet."""
    try:
        return condition.holds(known)
    except (Undecided, Unpredictable, ResourceError, KeyError):
        return None


def _cheap_first(conditions: Iterable[AnyCondition]) -> list[AnyCondition]:
    return sorted(conditions, key=lambda condition: condition.costly)


def _any_costly(conditions: Iterable[AnyCondition]) -> bool:
    return any(condition.costly for condition in conditions)


def _decide(conditions: Iterable[AnyCondition], answers: Answers, *, decisive: bool) -> bool:
    """Whether one of them is what decides; if none is, the first that cannot be known is raised."""
    open_question: Undecided | Unpredictable | ResourceError | None = None
    for condition in _cheap_first(conditions):
        try:
            if condition.holds(answers) is decisive:
                return decisive
        except (Undecided, Unpredictable, ResourceError) as error:
            open_question = open_question or error
    if open_question is not None:
        raise open_question
    return not decisive


def _described(conditions: tuple[AnyCondition, ...], joint: str) -> str:
    words = [condition.describe() for condition in conditions]
    return words[0] if len(words) == 1 else "(" + joint.join(words) + ")"


_WORDS: dict[type[Part], str] = {
    ServiceCondition: "service",
    RegistryValueCondition: "registry_value",
    FileCondition: "file",
    ComponentCondition: "component",
    EventsCondition: "events",
    CimCondition: "cim",
    Expression: "expr",
    AllOf: "all",
    AnyOf: "any",
    Not: "not",
    Need: "that",
}


def _word(raw: object) -> str | None:
    """The word of a condition as it is written, or of one that was read before."""
    if isinstance(raw, Mapping):
        return str(next(iter(raw))) if len(raw) == 1 else "that" if "that" in raw else None
    return _WORDS.get(type(raw)) if isinstance(raw, Part) else None


AnyCondition = Annotated[
    Annotated[ServiceCondition, Tag("service")]
    | Annotated[RegistryValueCondition, Tag("registry_value")]
    | Annotated[FileCondition, Tag("file")]
    | Annotated[ComponentCondition, Tag("component")]
    | Annotated[EventsCondition, Tag("events")]
    | Annotated[CimCondition, Tag("cim")]
    | Annotated[Expression, Tag("expr")]
    | Annotated[AllOf, Tag("all")]
    | Annotated[AnyOf, Tag("any")]
    | Annotated[Not, Tag("not")]
    | Annotated[Need, Tag("that")],
    Discriminator(
        _word,
        custom_error_type="condition",
        custom_error_message=(
            "a condition is one word and what it is about: service, registry_value, file, component, events, cim, expr,"
            " all, any or not; or {that, else}, a condition and what is the matter otherwise"
        ),
    ),
]
"""A condition as a field of a kind. In an error's location the word stands twice: once as written, once as the choice."""

for _recursive in (AllOf, AnyOf, Not, Need):
    _recursive.model_rebuild()

_CONDITION: TypeAdapter[AnyCondition] = TypeAdapter(AnyCondition)


def parse_condition(raw: object) -> AnyCondition:
    """The condition of a mapping as a playbook writes it. Raises pydantic's ValidationError."""
    return _CONDITION.validate_python(raw)
