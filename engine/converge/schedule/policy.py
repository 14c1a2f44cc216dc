"""The policy file: which hosts are watched or held to their desired state, how often, when, and how much at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from apscheduler.triggers.base import BaseTrigger  # type: ignore[import-untyped]  # it has no types
from apscheduler.triggers.cron import CronTrigger  # type: ignore[import-untyped]  # it has no types
from apscheduler.triggers.interval import IntervalTrigger  # type: ignore[import-untyped]  # it has no types
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, InstanceOf, ValidationError, model_validator

from converge.errors import InputErrors, UsageError
from converge.model.durations import in_words, read_duration
from converge.model.opening import read_own
from converge.reading.files import decoded
from converge.reading.problems import Problems
from converge.reading.tree import place_at, plain
from converge.reading.yaml import read_yaml
from converge.schedule.local_time import zone_named
from converge.schedule.windows import ChangeWindows, read_windows

LARGEST = 1024 * 1024  # bytes of a policy file
ANCHOR = datetime(2024, 1, 1, tzinfo=UTC)  # what intervals count from, so that a restart does not move them
SHORTEST_CADENCE = timedelta(seconds=10)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _windows(value: object) -> ChangeWindows:
    return value if isinstance(value, ChangeWindows) else read_windows(value)


Duration = Annotated[timedelta, BeforeValidator(read_duration)]
Cadence = Annotated[str, BeforeValidator(lambda value: str(value) if _is_number(value) else value)]
"""A duration, or five fields of cron. Kept as it is written, for people to read."""
Windows = Annotated[InstanceOf[ChangeWindows], BeforeValidator(_windows)]


class _PolicyPart(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Budgets(_PolicyPart):
    """How much one round may change. A host with more drift than its budget is left for a person."""

    changes_per_host: int = Field(default=20, ge=1, le=10_000)
    hosts: int = Field(default=10, ge=1, le=100_000)


class GroupPolicy(_PolicyPart):
    """One group of hosts. The zero value looks and changes nothing."""

    hosts: str = ""  # a pattern of the inventory; the group's name if empty
    playbooks: tuple[str, ...] = ()
    mode: Literal["monitor", "enforce"] = "monitor"
    cadence: Cadence = "30m"
    timezone: str = "UTC"
    splay: Duration = timedelta(minutes=1)
    grace: Duration = timedelta(hours=1)
    window: Windows = ChangeWindows()
    budgets: Budgets = Budgets()
    quarantine_after: int = Field(default=3, ge=1, le=1000)
    forget_after: Duration = timedelta(days=7)

    @model_validator(mode="after")
    def _cadence_is_one(self) -> GroupPolicy:
        self.trigger()
        return self

    @property
    def _in_cron(self) -> bool:
        return len(self.cadence.split()) == 5

    def trigger(self) -> BaseTrigger:
        """When rounds are due. Raises ValueError with words."""
        zone = zone_named(self.timezone)
        if self._in_cron:
            return CronTrigger.from_crontab(self.cadence, timezone=zone)
        every = read_duration(self.cadence)
        if every < SHORTEST_CADENCE:
            raise ValueError("cadence: at least 10s")
        if self.splay >= every:
            raise ValueError(
                f"splay: {in_words(self.splay)} is not shorter than the cadence, and rounds would be left out: "
                "write a shorter one, or 0"
            )
        return IntervalTrigger(seconds=int(every.total_seconds()), start_date=ANCHOR, timezone=UTC)

    def due_after(self, moment: datetime) -> datetime | None:
        """The first round that is due after a moment."""
        trigger, zone = self.trigger(), zone_named(self.timezone)
        at_fixed_hours = self._in_cron and "*" not in self.cadence.split()[1]
        due: datetime | None = trigger.get_next_fire_time(None, moment.astimezone(UTC) + timedelta(seconds=1))
        while due is not None and at_fixed_hours and due.astimezone(UTC).astimezone(zone).fold:
            # As cron does: an hour that is named is meant once, also when autumn has it twice.
            due = trigger.get_next_fire_time(None, due.astimezone(UTC) + timedelta(hours=1))
        return due.astimezone(UTC) if due else None


class Policy(_PolicyPart):
    """The whole file."""

    version: Literal[1]
    retry_refused_logins: Duration = timedelta(days=1)  # after which a login is tried again that was refused
    groups: Mapping[str, GroupPolicy] = Field(min_length=1, max_length=1000)


def read_content(path: Path) -> bytes:
    """What a policy file holds. Raises UsageError."""
    try:
        content = read_own(path, most=LARGEST)
    except OSError as error:
        raise UsageError(
            f"the policy {path} cannot be read: {error.strerror or error}", try_="look at the path after --policy"
        ) from error
    if len(content) > LARGEST:
        raise UsageError(f"the policy {path} is larger than 1 MiB")
    return content


def parse_policy(content: bytes, *, path: Path) -> Policy:
    """The policy in a file's content; `path` is only told. Raises InputErrors."""
    problems = Problems()
    text = decoded(content, file=str(path), problems=problems)
    root = read_yaml(text, file=str(path), problems=problems) if text is not None else None
    problems.raise_if_any()
    assert root is not None  # else a problem was noted
    value = plain(root)
    try:
        return Policy.model_validate({} if value is None else value)
    except ValidationError as error:
        for each in error.errors(include_url=False):
            where = ".".join(str(step) for step in each["loc"])
            words = each["msg"].removeprefix("Value error, ")
            problems.error(place_at(root, each["loc"]), f"{where}: {words}" if where else words)
    raise InputErrors(problems.errors)
