"""The kind `command`: a program that is run, unless a guard says that there is no need."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import ClassVar

from pydantic import Field, field_validator, model_validator

from converge.errors import ResourceError
from converge.model.action import AnyAction, RunCommand
from converge.model.answer import Answers
from converge.model.change import WayBack
from converge.model.query import AnyQuery
from converge.model.resource import Resource, State
from converge.windows.commands import command_line, shell_line
from converge.windows.conditions import AnyCondition, AnyOf, FileCondition
from converge.windows.fields import Duration, HostPath
from converge.windows.provided import Provides
from converge.windows.subjects import FileIs


class CommandState(State):
    """Whether the command's guard says that it was done; None without a guard."""

    done: bool | None


class CommandResource(Resource[CommandState]):
    """A program that is run once its guard does not hold. Without a guard it runs every time."""

    kind: ClassVar[str] = "command"
    key_fields: ClassVar[tuple[str, ...]] = ("name",)
    settles_within: ClassVar[timedelta] = timedelta(seconds=60)
    way_back_summary: ClassVar[str] = "nothing: what a command does is not recorded."
    example: ClassVar[str] = r"""
- command:
    name: register the counters
    argv: ['lodctr.exe', 'C:\Program Files\Vendor\counters.ini']
    unless: {registry_value: {key: 'HKLM\SYSTEM\CurrentControlSet\Services\Vendor\Performance', name: First Counter, exists: true}}
"""

    name: str = Field(min_length=1, max_length=200, description="What the command is called where it is shown.")
    argv: tuple[str, ...] = Field(
        min_length=1, max_length=200, description="Program and arguments; converge quotes them as Windows needs it."
    )
    shell: bool = Field(False, description="Whether `argv` is one line for cmd, with its pipes and redirections.")
    unless: AnyCondition | None = Field(None, description="The guard: not run where this condition holds.")
    creates: HostPath | None = Field(None, description="A guard: not run where this file is there.")
    provides: Provides = Field(
        Provides(), description="What it brings: a check cannot tell how that will be, and says so."
    )
    timeout: Duration = Field(600.0, gt=0, le=86400, description="How long it may take.")
    exit_codes: tuple[int, ...] = Field((0,), max_length=100, description="Exit codes that mean success.")
    reboot_codes: tuple[int, ...] = Field(
        (), max_length=100, description="Exit codes that mean success once Windows was restarted."
    )

    @field_validator("argv", mode="before")
    @classmethod
    def _one_line(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _makes_sense(self) -> CommandResource:
        if self.shell and len(self.argv) != 1:
            raise ValueError("with `shell: true`, `argv` is one text: the line for cmd")
        if not self.shell and len(self.argv) == 1 and " " in self.argv[0].strip() and "\\" not in self.argv[0]:
            raise ValueError("`argv` is a list: the program, then each argument by itself; or say `shell: true`")
        _ = shell_line(self.argv) if self.shell else command_line(self.argv)
        return self

    @property
    def guard(self) -> AnyCondition | None:
        """The condition that says that there is no need to run it."""
        created = FileCondition(file=FileIs(path=self.creates)) if self.creates else None
        if self.unless is not None and created is not None:
            return AnyOf(any=(self.unless, created))
        return self.unless or created

    @property
    def has_guard(self) -> bool:
        """Whether a condition tells if it was done."""
        return self.guard is not None

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """What the guard asks, and what tells the paths of what it provides."""
        return (*(self.guard.queries(known) if self.guard else ()), *self.provides.needed())

    @property
    def brings_unknown(self) -> str:
        """Its name: what a command does is its own affair."""
        return self.name

    def brings(self, known: Answers) -> Collection[AnyQuery]:
        """What it says that it provides, and what its guard asks of."""
        return (*(self.guard.queries(known) if self.guard else ()), *self.provides.questions(known))

    def actual_state(self, answers: Answers) -> CommandState:
        """What the guard says. Raises Undecided, Unpredictable and ResourceError."""
        return CommandState(done=self.guard.holds(answers) if self.guard else None)

    def desired_state(self, actual: CommandState | None, answers: Answers) -> CommandState:
        """Done."""
        return CommandState(done=True)

    def actions(self, before: CommandState | None, after: CommandState | None, answers: Answers) -> Sequence[AnyAction]:
        """Run it. Raises ResourceError for a command that would have to be taken back."""
        if after is None or after.done is not True:
            raise ResourceError("a command cannot be taken back")
        decides = tuple(self.brings(answers))
        return [RunCommand(self.argv, self.shell, self.timeout, self.exit_codes, self.reboot_codes, self.name, decides)]

    def is_reached(self, answers: Answers) -> bool:
        """What the guard says after the command ended; without one its exit code has said all there is."""
        return self.guard is None or self.guard.holds(answers)

    def way_back(self, before: CommandState | None, after: CommandState | None) -> WayBack:
        """None: nobody knows what a command does."""
        return WayBack("none", "what a command does is not recorded")

    def notes(self, answers: Answers) -> Sequence[str]:
        """That it has no guard."""
        return () if self.has_guard else ("will run, effect unknown",)
