"""A plan that was made to be approved and applied later: what it rests on, and what would be done to each host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from converge.model.answer import Answers
from converge.model.change import NO_WAY_BACK, Change, Json, Problem, Status

FORMAT = 1
"""The version of the file. One of another version is not applied."""


@dataclass(frozen=True, slots=True)
class PlannedFrom:
    """The user's files and words. Of playbooks the SHA-256, of variables given with -e the names alone: they may be secrets."""

    playbooks: Mapping[str, str]
    inventories: tuple[str, ...]
    limit: str | None = None
    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()
    extra_vars: tuple[str, ...] = ()
    accept_no_way_back: bool = False
    allow_reboot: bool = False


@dataclass(frozen=True, slots=True)
class HostPlan:
    """What was found and decided for one host.

    `answers` and `variables` hold a keyed digest of every answer and variable the plan rests on, by the question and the
    name: who has the file learns nothing of them, and who has the key can tell whether they are still the same.
    `windows` are its change windows as the inventory writes them; None for a host without.
    """

    host: str
    status: Status
    changes: tuple[Change, ...] = ()
    error: Problem | None = None
    plays: tuple[str, ...] = ()
    answers: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    windows: Json = None

    @property
    def is_to_be_applied(self) -> bool:
        """Whether something is planned, and the host was seen as a whole."""
        planned = (change.is_due or change.waits_for(NO_WAY_BACK) for change in self.changes)
        return self.error is None and any(planned)


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """A plan of some hosts. `run` names what would be kept aside, `key` tells with whose key it is signed. `created` is ISO 8601.

    `warnings` are what plays say of themselves, by their names; files written before there were any hold none.
    """

    id: str
    run: str
    created: str
    converge: str
    key: str
    made_from: PlannedFrom
    hosts: tuple[HostPlan, ...]
    warnings: Mapping[str, str] = field(default_factory=dict)


class Approval(Protocol):
    """A saved plan of one host, as whoever applies it needs it."""

    def holder(self) -> str:
        """The run that has the plan by now; nothing where none has. Raises JournalUnavailable."""

    def taken_by(self, run: str) -> str:
        """Take the plan for a run, for ever; the run that has it: `run`, or an earlier one. Raises JournalUnavailable."""

    def differences(self, changes: Sequence[Change], answers: Answers) -> Sequence[str]:
        """What is no longer as it was planned, in words; nothing where the plan still holds."""

    def allows(self, change: Change, part_of: str) -> bool:
        """Whether this change, about to be made, is one of those planned; `part_of` is the address of its procedure."""
