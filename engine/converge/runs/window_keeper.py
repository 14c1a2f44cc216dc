"""Change windows as a run keeps them: which hosts it may change now, which it leaves, and what it then tells of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from converge.errors import InputErrors, InputProblem, UsageError
from converge.inventory import Inventory
from converge.model.change import HostResult, Json, Problem, Status, Window
from converge.model.saved_plan import SavedPlan
from converge.model.secret import Locked
from converge.store.store import owner

if TYPE_CHECKING:
    from converge.schedule.windows import ChangeWindows

VARIABLE = "converge_change_windows"
_MOST_NAMED = 8  # addresses that are named where something is left


def windows_of(inventory: Inventory, hosts: Collection[str]) -> dict[str, ChangeWindows]:
    """The windows of the hosts that have some. Raises InputErrors with everything wrong in all of them."""
    if VARIABLE not in inventory.variable_names:
        return {}
    from converge.schedule.windows import read_windows

    problems: dict[InputProblem, None] = {}
    read: dict[str, ChangeWindows] = {}
    found: dict[str, ChangeWindows] = {}
    for host in hosts:
        variables = inventory.variables(host)
        if VARIABLE not in variables:
            continue
        try:
            text = _text(variables[VARIABLE])
            if text not in read:
                read[text] = read_windows(json.loads(text))
            found[host] = read[text]
        except ValueError as error:
            hint = "inventory/README.md shows how change windows are written"
            place = variables.written(VARIABLE).place
            problems[InputProblem(*place, f"{VARIABLE}: {error}", hint=hint)] = None
    if problems:
        raise InputErrors(problems)
    return found


def written_windows(inventory: Inventory, host: str) -> Json:
    """The windows of a host that has some, as a saved plan keeps them."""
    written: Json = json.loads(_text(inventory.variables(host)[VARIABLE]))
    return written


def planned_windows(plan: SavedPlan, *, now: datetime) -> dict[str, Window]:
    """Whether the hosts of a saved plan that have windows may be changed at a moment, and when next."""
    if all(host.windows is None for host in plan.hosts):
        return {}
    from converge.schedule.windows import read_windows

    found: dict[str, Window] = {}
    for host in plan.hosts:
        if host.windows is not None:
            try:
                found[host.host] = window_at(read_windows(host.windows), now)
            except ValueError as error:
                raise UsageError(
                    f"the plan's change windows of {host.host} cannot be read: {error}", try_="make the plan again"
                ) from None
    return found


def _text(value: object) -> str:
    if isinstance(value, Locked):
        raise ValueError("it is locked")
    return json.dumps(value, sort_keys=True, default=str)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class WindowKeeper:
    """Answers for the windows of all hosts of a run. `reason` overrides them; `seconds` is how long hosts are expected to take."""

    windows: Mapping[str, ChangeWindows]
    reason: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    now: Callable[[], datetime] = _now
    _ends: dict[str, datetime] = field(default_factory=dict)

    def refusal(self, host: str) -> Problem | None:
        """Why this host may not be begun now; None where it may."""
        windows = self.windows.get(host)
        if windows is None or self.reason:
            return None
        moment = self.now()
        end = windows.open_until(moment)
        if end is None:
            opens = windows.next_opening(moment)
            why = f"It opens {_moment(opens)}." if opens else "It does not open in the foreseeable future."
            return Problem("outside-window", "outside its change window", why, '--outside-window "REASON", or wait')
        needed = timedelta(seconds=self.seconds.get(host, 0.0))
        if moment + needed > end:
            from converge.model.durations import in_words

            why = f"Changing this host is expected to take {in_words(needed)}; its window ends in {in_words(end - moment)}."
            return Problem(
                "window-too-short", "its change window would probably end first", why, "wait for the next window"
            )
        self._ends[host] = end
        return None

    def shown(self, result: HostResult) -> HostResult:
        """What was found of a host, with whether it may be changed now and when next, if it has windows."""
        windows = self.windows.get(result.host)
        return result if windows is None else replace(result, window=window_at(windows, self.now()))

    def end(self, host: str) -> datetime | None:
        """When the window ends in which the host was begun; None where nothing ends."""
        return self._ends.get(host)

    def override(self, host: str) -> str:
        """Who changes a host outside its window now, and why, to be journaled; an empty text where nobody does."""
        windows = self.windows.get(host)
        if windows is None or not self.reason or windows.open_until(self.now()) is not None:
            return ""
        return f"{owner()}: {self.reason}"

    def ended(self, result: HostResult) -> HostResult:
        """The result of a host, held where its window ended before everything was done."""
        end = self._ends.get(result.host)
        words = _over(end) if end else ""
        left = [change.address for change in result.changes if words and change.reason == words]
        if not left:
            return result
        bad = result.status in (Status.FAILED, Status.UNKNOWN, Status.UNDECIDED, Status.UNREACHABLE)
        problem = Problem("window-ended", words, _left(left), "run converge again in its next window")
        return replace(result, status=result.status if bad else Status.HELD, error=result.error or problem)


def window_at(windows: ChangeWindows, moment: datetime) -> Window:
    """Whether these windows are open at a moment, and when they open next where they are not."""
    if windows.open_until(moment) is not None:
        return Window(open=True)
    opens = windows.next_opening(moment)
    return Window(open=False, next=opens.astimezone(UTC).isoformat(timespec="seconds") if opens else None)


def leaves_after(end: datetime | None, *, now: Callable[[], datetime] = _now) -> Callable[[str], str]:
    """For ApplyOptions: why no further change of a host is begun, once its window has ended."""
    return lambda _address: _over(end) if end and now() >= end else ""


def held(planned: HostResult, problem: Problem) -> HostResult:
    """A host that would change and is left as it is: nothing of it counts as changed."""
    left = [change.address for change in planned.changes if change.is_due]
    changes = tuple(
        replace(change, status=Status.SKIPPED, reason=problem.what) if change.is_due else change
        for change in planned.changes
    )
    why = "\n".join(part for part in (problem.why, _left(left) if left else "") if part)
    return replace(planned, status=Status.HELD, changes=changes, error=replace(problem, why=why))


def _left(addresses: list[str]) -> str:
    more = f" and {len(addresses) - _MOST_NAMED} more" if len(addresses) > _MOST_NAMED else ""
    return f"Left as they are: {', '.join(addresses[:_MOST_NAMED])}{more}."


def _over(end: datetime) -> str:
    return f"its change window ended {_moment(end)}"


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
