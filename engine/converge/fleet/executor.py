"""Where the hosts of a run are visited: in threads of this process, or by workers elsewhere. Everybody is told the same way."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from converge.fleet.parallel import Fleet
from converge.fleet.stop import StopToken
from converge.model.change import HostResult


@dataclass(frozen=True, slots=True)
class Payload:
    """All that must be known of one host to go there from another process. `content` can be pickled."""

    host: str
    content: object = field(repr=False)


class Job(Protocol):
    """What is to be done with every host in one stage of a run."""

    @property
    def changes_hosts(self) -> bool:
        """Whether it is more than looking: then nothing of it is ever done a second time."""

    def here(self, host: str, stop: StopToken) -> HostResult:
        """Do it in this process. Called from many threads; raises ConvergeError."""

    def stage_payload(self, *, elsewhere: bool) -> object:
        """All that the hosts have in common, for workers, perhaps on other machines. Raises UsageError where that cannot be."""

    def payload(self, host: str) -> Payload | HostResult:
        """What a worker needs for one host; or its result, where nobody need go. From many threads; raises ConvergeError."""

    def account_of(self, host: str) -> str:
        """The account that logs in there, without asking anybody for its password."""


class Executor(Protocol):
    """Visits hosts. Open it with `prepare`, and close it."""

    def prepare(self, job: Job, *, sites: Collection[str]) -> None:
        """Find whoever will work, and see that they can. Raises UsageError before any host is contacted."""

    def run(self, fleet: Fleet, hosts: Iterable[str], job: Job) -> Iterator[HostResult]:
        """As Fleet.run: every host has one result."""

    def close(self) -> None:
        """Nobody is needed any more. Whoever is still at work is not waited for."""


class Threads:
    """All hosts from this process, a thread for each that is under way."""

    def prepare(self, job: Job, *, sites: Collection[str]) -> None:
        """This process serves every site."""

    def run(self, fleet: Fleet, hosts: Iterable[str], job: Job) -> Iterator[HostResult]:
        """Visit them."""
        return fleet.run(hosts, job.here)

    def close(self) -> None:
        """Threads end with their work, or with the process."""
