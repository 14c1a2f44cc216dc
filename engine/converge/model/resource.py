"""The managed thing: typed data, and four pure functions from which check, apply, verify and undo all follow."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol

from pydantic import BaseModel, ConfigDict
from typing_extensions import TypeVar  # pydantic brings it; that of Python 3.11 knows no default

from converge.model.action import AnyAction
from converge.model.answer import Answers
from converge.model.change import Json, WayBack
from converge.model.names import fold
from converge.model.query import AnyQuery


class State(BaseModel):
    """How a resource is or should be. Two equal states need no action. `model_dump(mode="json")` is what is shown and journaled."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def as_json(self) -> Json:
        """What is shown and journaled; `from_json` of the same class reads it back."""
        return self.model_dump(mode="json")


S = TypeVar("S", bound=State, default=Any)
KINDS: dict[str, type[Resource]] = {}
"""Every kind by its name. A kind enters by being defined."""


class Resource(BaseModel, Generic[S]):
    """One declared thing, whose state is an S. Its fields are the YAML, their descriptions the documentation.

    The functions are pure. What they need to know they ask for by `queries`; the answers come back as `answers`.
    They may raise Undecided (an answer was refused), Unpredictable (only a command will bring it) and ResourceError
    (it cannot be brought about, and why).
    """

    # Room for what was worked out of it. It is no part of the resource: not compared, shown, copied or written down.
    __slots__ = ("_remembered",)
    if TYPE_CHECKING:
        _remembered: dict[str, Any]

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    kind: ClassVar[str] = ""
    key_fields: ClassVar[tuple[str, ...]] = ()
    state_type: ClassVar[type[State]] = State  # the S of the class
    settles_within: ClassVar[timedelta] = timedelta(0)
    way_back_summary: ClassVar[str] = ""  # what undo restores, as a sentence for the reference
    example: ClassVar[str] = ""  # an entry as it stands in a playbook, for the reference
    handler_only: ClassVar[bool] = False  # may stand under `handlers:` only
    blocks_play: ClassVar[bool] = False  # when it is not ok, the play's later entries are skipped
    explains_failures: ClassVar[bool] = False  # `explain` says why it failed, by what the host says of it afterwards
    needs_person: ClassVar[bool] = False  # converge cannot do it; `done_when` tells whether it was done

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        for base in cls.__mro__:
            arguments = getattr(base, "__pydantic_generic_metadata__", {}).get("args", ())
            if arguments and isinstance(arguments[0], type):
                cls.state_type = arguments[0]
                break
        name = cls.__dict__.get("kind")
        if not name:
            return
        other = KINDS.get(name)
        if other is not None and _full_name(other) != _full_name(cls):
            raise TypeError(f"two kinds are named {name}: {_full_name(other)} and {_full_name(cls)}")
        KINDS[name] = cls

    @property
    def key(self) -> Mapping[str, Json]:
        """What tells this resource apart, for programs."""
        return {"kind": self.kind, **{name: getattr(self, name) for name in self.key_fields}}

    @property
    def address(self) -> str:
        """What tells this resource apart, for people: `service:SMTPSVC`."""
        return f"{self.kind}:" + "\\".join(
            str(getattr(self, name)) for name in self.key_fields if getattr(self, name) is not None
        )

    @property
    def identity(self) -> tuple[object, ...]:
        """Equal for two resources that are the same thing on a host."""
        return (self.kind, *(fold(str(value)) for value in self.key.values()))

    @property
    def cached(self) -> dict[str, Any]:
        """Room for what was worked out of this resource; hosts that declare the same share it, and it goes when they go."""
        try:
            return self._remembered
        except AttributeError:
            found: dict[str, Any] = {}
            object.__setattr__(self, "_remembered", found)
            return found

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """What must be asked, given what is known so far. Called again until it names nothing new."""
        raise NotImplementedError

    def actual_state(self, answers: Answers) -> S | None:
        """How the thing is now; None for absent."""
        raise NotImplementedError

    def desired_state(self, actual: S | None, answers: Answers) -> S | None:
        """How it should be, starting from how it is; what is not declared stays as it is. None for absent."""
        raise NotImplementedError

    def actions(self, before: S | None, after: S | None, answers: Answers) -> Sequence[AnyAction]:
        """What leads from one state to the other, in order. Undo calls it with the recorded before as `after`."""
        raise NotImplementedError

    def is_reached(self, answers: Answers) -> bool:
        """Whether looking again after the actions shows that they did what they should.

        By default: the actual state is the desired one. A restart, or a command without a guard, leaves no such state
        behind and says otherwise.
        """
        actual = self.actual_state(answers)
        return actual == self.desired_state(actual, answers)

    def has_failed(self, answers: Answers) -> bool:
        """Whether looking again shows that what was begun ended with an error, so that waiting on would bring nothing.

        What is seen so once may still be tried again by the host itself.
        """
        return False

    @property
    def lasts(self) -> timedelta:
        """How long after it was reached it is looked at once more, and must still be so."""
        return timedelta(0)

    def diagnosis_queries(self, since: datetime) -> Sequence[AnyQuery]:
        """What to ask after a failure; `since` is the host's clock before the first action."""
        return ()

    def explain(self, answers: Answers) -> str:
        """The cause of a failure in words, or an empty text."""
        return ""

    def agree(self, left: S | None, right: S | None, answers: Answers) -> bool:
        """Whether two states are the same as far as a host can tell: what was recorded, and what is seen later."""
        return left == right

    def queries_to_undo(self, known: Answers) -> Collection[AnyQuery]:
        """What taking a change back asks beyond `queries`: whether what was kept aside is still there."""
        return ()

    def as_declared(self) -> dict[str, Json]:
        """The fields as they are written down, so that the change can be taken back later; `model_validate` reads them."""
        return self.model_dump(mode="json")

    def way_back(self, before: S | None, after: S | None) -> WayBack:
        """Whether the change from before to after could be taken back."""
        return WayBack()

    @property
    def has_guard(self) -> bool:
        """Whether looking tells if it was done. Not so for a command without a condition that says it."""
        return True

    def incomplete(self, answers: Answers) -> str:
        """What could not be read, in words, where what was found is repaired all the same; empty when everything could."""
        return ""

    @property
    def brings_unknown(self) -> str:
        """What is named where nobody can tell all that bringing it about will change, as of a command; else empty."""
        return ""

    def brings(self, known: Answers) -> Collection[AnyQuery]:
        """The questions whose answers it is known to decide, a folder and a key with all below."""
        return ()

    def notes(self, answers: Answers) -> Sequence[str]:
        """What a person should read beside the change: things left alone, keys that could not be read."""
        return ()


def _full_name(kind: type[Resource]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


class Condition(Protocol):
    """Something that holds on a host or does not. Refused answers make it undecided."""

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """What must be asked, given what is known so far. Called again until it names nothing new."""

    def holds(self, answers: Answers) -> bool:
        """Whether it holds. Raises Undecided or Unpredictable where an answer that decides it is missing."""

    def describe(self) -> str:
        """The condition in words, for `needs: ...` and skip reasons."""

    def because(self, answers: Answers) -> str:
        """Why it holds, in words."""


class Step(Protocol):
    """One step of a procedure: a resource under a name."""

    @property
    def name(self) -> str:
        """What the step is called in plan, journal and report."""

    @property
    def resource(self) -> Resource:
        """What the step brings about."""


class ProcedureResource(Resource):
    """A kind whose desired state is reached by steps that are no end state by themselves (remove, then install)."""

    @property
    def preconditions(self) -> Sequence[Condition]:
        """All of these are checked before the first step."""
        raise NotImplementedError

    @property
    def proof(self) -> Condition:
        """The condition that proves the end."""
        raise NotImplementedError

    @property
    def ordered_steps(self) -> Sequence[Step]:
        """The steps in order."""
        raise NotImplementedError
