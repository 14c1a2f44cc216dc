"""In which order and portions hosts are changed, and when enough has gone wrong to change no more."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from converge.model.change import HostResult, Problem, Status
from converge.model.rollout import Rollout, Share

NOT_WELL = frozenset({Status.FAILED, Status.UNREACHABLE, Status.UNDECIDED, Status.UNKNOWN})


def strictest(rollouts: Iterable[Rollout]) -> Rollout:
    """What satisfies all plays of a run: the smallest batches and fewest failures, every canary, the longest soak."""
    wishes = tuple(rollouts)
    batches = [wish.batch for wish in wishes if wish.batch]
    limits = [wish.max_failures for wish in wishes if wish.max_failures is not None]
    canaries = dict.fromkeys(wish.canary for wish in wishes if wish.canary)
    return Rollout(
        batch=min(batches, key=lambda sizes: [_weight(size) for size in sizes], default=()),
        max_failures=min(limits, key=_weight, default=None),
        canary=",".join(canaries),
        soak=max((wish.soak for wish in wishes), default=0.0),
    )


def _weight(share: Share) -> int:
    """For telling the smaller of two shares where the number of hosts is not known: of a thousand."""
    return share.of(1000)


def batches(hosts: Sequence[str], sizes: Sequence[Share], *, first: Collection[str] = ()) -> Iterator[tuple[str, ...]]:
    """The canaries (`first`) by themselves, then the others in portions; without sizes all at once."""
    canaries = tuple(host for host in hosts if host in first)
    if canaries:
        yield canaries
    others = [host for host in hosts if host not in first]
    begin = 0
    for size in [*sizes[:-1], *([sizes[-1]] * len(others) if sizes else [Share(len(others))])]:
        if begin >= len(others):
            return
        end = begin + size.at_least_one_of(len(hosts))
        yield tuple(others[begin:end])
        begin = end


@dataclass(slots=True)
class FailureBudget:
    """How many hosts may end badly. `hosts` is how many the run is about; without a limit nothing is too much."""

    limit: Share | None
    hosts: int
    failed: int = 0
    unreachable: int = 0
    halted: str = field(default="")

    def count(self, result: HostResult) -> None:
        """Take a host's end into account."""
        if result.status is Status.UNREACHABLE:
            self.unreachable += 1
        elif result.status in NOT_WELL:
            self.failed += 1

    def halt(self, why: str) -> None:
        """Begin no further host, whatever the limit."""
        self.halted = self.halted or why

    @property
    def spent(self) -> Problem | None:
        """Why no further host is begun; None while there is no reason."""
        why = self.halted
        if not why and self.limit is not None and self.failed + self.unreachable > self.limit.of(self.hosts):
            why = f"{self.failed} failed and {self.unreachable} unreachable are more than the {self.limit} allowed"
        if not why:
            return None
        return Problem(
            "rollout-stopped", "nothing was changed: the rollout was stopped", why, "look at them, then run again"
        )
