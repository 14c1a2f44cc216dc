"""Changes go out in portions: canaries first and looked at again, then the others, until enough has gone wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from converge.errors import UsageError
from converge.fleet.rollout import FailureBudget, batches, strictest
from converge.fleet.stop import StopToken
from converge.model.change import HostResult, Status
from converge.model.rollout import Rollout
from converge.runs.options import RunOptions
from converge.runs.selection import Selection
from converge.store.store import Store

NOT_IN_ORDER = frozenset({"failed", "unreachable", "undecided", "unknown"})
"""What `--rerun failed` selects: every host of which it is not known that it is as declared."""
_STATUSES = frozenset(status.value for status in Status)


def rollout_of(options: RunOptions, selection: Selection) -> Rollout:
    """What the plays of a run want, less what the command line says otherwise."""
    wanted = strictest(play.rollout for play in selection.plays)
    said = options.rollout
    return replace(
        wanted,
        batch=said.batch or wanted.batch,
        max_failures=said.max_failures if said.max_failures is not None else wanted.max_failures,
        canary=said.canary or wanted.canary,
        soak=said.soak if options.soak_said else wanted.soak,
    )


class RollingOut:
    """The portions of one run, and how much went wrong in it so far."""

    def __init__(self, options: RunOptions, selection: Selection, *, stop: StopToken) -> None:
        """Raises UsageError for a pattern of canaries that means nothing."""
        self._rollout = rollout_of(options, selection)
        self._stop = stop
        self.canaries = frozenset(selection.inventory.select(self._rollout.canary) if self._rollout.canary else ())
        self.budget = FailureBudget(self._rollout.max_failures, len(selection.targets))

    def portions(self, hosts: Sequence[str]) -> Iterator[tuple[str, ...]]:
        """The hosts as they are changed together: canaries first."""
        return batches(hosts, self._rollout.batch, first=self.canaries)

    def checks_after(self, portion: Sequence[str], *, of: Sequence[str]) -> bool:
        """Whether a portion is checked again before the others are changed; waits the time in between."""
        if portion[0] not in self.canaries or len(portion) == len(of):
            return False
        return not self.budget.spent and not self._stop.wait(self._rollout.soak)

    def ended(self, result: HostResult) -> None:
        """Take the end of a change into account. A canary that fails ends the rollout."""
        self.budget.count(result)
        if result.host in self.canaries and result.status not in (Status.OK, Status.CHANGED, Status.SKIPPED):
            self.budget.halt(f"the canary {result.host} ended {result.status.value}")

    def checked_again(self, result: HostResult) -> None:
        """Take into account how a canary is by now."""
        if result.status not in (Status.OK, Status.SKIPPED):
            self.budget.halt(f"the canary {result.host} is {result.status.value} when looked at again")


def require_canaries(options: RunOptions, selection: Selection) -> None:
    """Raises UsageError where the canaries that were asked for are none of the hosts: all would be changed without one.

    Those of a play may be: a limit leaves out hosts of a play, and its canaries with them.
    """
    canary = options.rollout.canary
    if options.check or not canary or set(selection.inventory.select(canary)) & set(selection.targets):
        return
    raise UsageError(
        f"--canary {canary} matches none of the hosts of this run: all would be changed without a canary",
        try_="name hosts that `converge --list-hosts` shows with the same options, or leave out --canary",
    )


def rerun(selection: Selection, store: Store | None, *, words: str, run: str) -> Selection:
    """The hosts of a selection that ended so in an earlier run. Raises UsageError where there are none."""
    wanted = {word.strip() for word in words.split(",")}
    if unknown := wanted - _STATUSES:
        raise UsageError(
            f"--rerun knows no status {', '.join(sorted(unknown))}", try_=f"one of {', '.join(sorted(_STATUSES))}"
        )
    if "failed" in wanted:
        wanted |= NOT_IN_ORDER
    if store is None or store.runs.get(run) is None:
        raise UsageError(f"there is no run {run} to do again", try_="`converge runs` lists them")
    hosts = {record.host for record in store.runs.hosts(run) if record.status in wanted}
    targets = {host: target for host, target in selection.targets.items() if host in hosts}
    if not targets:
        raise UsageError(f"no host of this selection ended {words} in the run {run}")
    return replace(selection, targets=targets)
