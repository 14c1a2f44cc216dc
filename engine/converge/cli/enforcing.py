"""Enforcement wired to files, hosts and the store."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from converge.apply.options import ApplyOptions
from converge.cli.exit_codes import ExitCode
from converge.cli.options import RunOptions, Sources
from converge.cli.output import Output
from converge.cli.remembering import Memory, where
from converge.cli.running import Run
from converge.cli.selection import Selection, select
from converge.cli.signals import stopping
from converge.cli.tasks import Converging, Task
from converge.errors import UsageError
from converge.fleet.stop import StopToken
from converge.model.change import HostResult
from converge.model.journal import Journal
from converge.model.machine import Machine, Observer
from converge.report.folding import folded
from converge.report.sink import Sink, sink_for
from converge.schedule.clock import WallClock
from converge.schedule.enforcer import Enforcer, Permitted, Round
from converge.schedule.metrics import Telemetry, served
from converge.schedule.policy import GroupPolicy, load_policy
from converge.store.names import new_run_id
from converge.store.store import Store

_STOPPING = b"\nStopping at the next boundary. Again to stop at once.\n"
_NOT_NOW = "left by the enforcement policy"


@dataclass(frozen=True, slots=True)
class Wiring:
    """Where hosts, values and the store are found."""

    inventories: tuple[str, ...] = ()
    extra_vars: tuple[str, ...] = ()
    forks: int = 50
    store: str = ""


def release(words: str, *, store: str) -> ExitCode:
    """End quarantines of HOST or HOST=ADDRESS. Raises UsageError where there is none."""
    host, _, address = words.partition("=")
    with Store.open(where(store)) as opened:
        ended = opened.enforcement.release(host, address or None)
    if not ended:
        raise UsageError(f"nothing of {words} is in quarantine", try_="`converge enforce --once` names what is")
    sink_for(sys.stdout).line("1 resource released" if ended == 1 else f"{ended} resources released")
    return ExitCode.IN_ORDER


def enforce(policy_file: str, wiring: Wiring, *, once: bool, port: int) -> ExitCode:
    """Make rounds until a signal, or one of each group. Raises InputErrors, UsageError, JournalUnavailable."""
    policy = load_policy(Path(policy_file))
    stop, clock, sink = StopToken(), WallClock(), sink_for(sys.stdout)
    telemetry = Telemetry(clock)
    failed: list[Round] = []

    def tell(made: Round) -> None:
        telemetry.ended(made)
        failed.extend([made] if made.error is not None else [])
        _tell(made, sink)
        sys.stdout.flush()

    with Store.open(where(wiring.store)) as store, stopping(stop, words=_STOPPING):
        hands = FleetHands(wiring)
        for name, group in policy.groups.items():
            hands.selection(name, group)  # what is wrong in the files is told before anything begins
        enforcer = Enforcer(policy, hands, store.enforcement, clock, tell, planned=telemetry.planned)
        if once:
            for name in policy.groups:
                if not stop.is_set():
                    tell(enforcer.round(name, stop=stop))
            return ExitCode.INTERRUPTED if stop.is_set() else ExitCode.FAILED if failed else ExitCode.IN_ORDER
        with served(telemetry, port) as chosen:
            sink.line(f"{_now()} enforcing {len(policy.groups)} groups; http://127.0.0.1:{chosen}/metrics and /healthz")
            sys.stdout.flush()
            enforcer.run(stop)
    sink.line(f"{_now()} stopped")
    return ExitCode.IN_ORDER


@dataclass(slots=True)
class FleetHands:
    """Looks at hosts and repairs them as `run` does, each time by the files as they are then."""

    wiring: Wiring

    def selection(self, name: str, policy: GroupPolicy) -> Selection:
        """The hosts of a group and what is declared for them. Raises InputErrors, UsageError."""
        return select(self._sources(name, policy))

    def look(self, name: str, policy: GroupPolicy, *, stop: StopToken) -> Sequence[HostResult]:
        """Every host of a group as it is now, recorded as a run that changes nothing."""
        selection = self.selection(name, policy)
        with self._run(
            name, policy, selection, mode="monitor", task=lambda memory: Converging(selection, memory)
        ) as run:
            run.stop = stop
            run.go()
            return run.results

    def repair(
        self, name: str, policy: GroupPolicy, planned: Sequence[HostResult], *, permitted: Permitted, stop: StopToken
    ) -> Sequence[HostResult]:
        """Change these hosts, at each only the addresses permitted, as a run of its own."""
        selection = self.selection(name, policy)

        def task(memory: Memory) -> Task:
            return Gated(Converging(selection, memory), permitted, lambda: _window_closed(policy))

        with self._run(name, policy, selection, mode="enforce", task=task) as run:
            run.stop = stop
            run.apply_planned([result for result in planned if result.host in selection.targets], others=())
            return run.results

    def _sources(self, name: str, policy: GroupPolicy) -> Sources:
        return Sources(
            playbooks=policy.playbooks, inventories=self.wiring.inventories, limit=policy.hosts or name,
            extra_vars=self.wiring.extra_vars,
        )  # fmt: skip

    @contextmanager
    def _run(
        self, name: str, policy: GroupPolicy, selection: Selection, *, mode: str, task: Callable[[Memory], Task]
    ) -> Iterator[KeptRun]:
        options = RunOptions(
            self._sources(name, policy), check=mode == "monitor", forks=self.wiring.forks, yes=True,
            store=self.wiring.store,
        )  # fmt: skip
        run_id = new_run_id()
        with open(os.devnull, "w", encoding="utf-8") as nowhere, Memory(Store.open(where(options.store))) as memory:
            memory.begin(run_id, mode=mode, playbooks=selection.playbooks)
            run = KeptRun(options, selection, Output(nowhere), task=task(memory), memory=memory, run_id=run_id)
            yield run
            memory.end(ExitCode.IN_ORDER)


class KeptRun(Run):
    """A run whose results are kept for the daemon, and told in a line by it."""

    def __init__(
        self, options: RunOptions, selection: Selection, out: Output, *, task: Task, memory: Memory, run_id: str
    ) -> None:
        super().__init__(options, selection, out, task=task, memory=memory, run_id=run_id)
        self.results: list[HostResult] = []

    def _ended(self, result: HostResult) -> None:
        super()._ended(result)
        self.results.append(result)


@dataclass(frozen=True, slots=True)
class Gated:
    """Changes only what is permitted, and begins nothing once the window of the policy has closed."""

    task: Task
    permitted: Mapping[str, frozenset[str]] = field(default_factory=dict)
    closed: Callable[[], bool] = lambda: False

    def look(self, host: str, observer: Observer, *, run: str, options: ApplyOptions) -> HostResult:
        """What would change."""
        return self.task.look(host, observer, run=run, options=options)

    def bring(self, host: str, machine: Machine, *, journal: Journal, options: ApplyOptions) -> HostResult:
        """Change it. Handlers follow from what was changed."""
        permitted = self.permitted.get(host, frozenset())

        def leaves(address: str) -> str:
            if self.closed():
                return "the window of the enforcement policy has ended"
            allowed = address in permitted or address.startswith("handler:")
            return options.leaves(address) or ("" if allowed else _NOT_NOW)

        return self.task.bring(host, machine, journal=journal, options=replace(options, leaves=leaves))


def _window_closed(policy: GroupPolicy) -> bool:
    return policy.window.open_until(datetime.now(UTC)) is None


def _tell(made: Round, sink: Sink) -> None:
    """A round in few lines: what was seen, what was repaired, what is left and why, what is in quarantine."""
    head = f"{made.began.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ} {made.group}:"
    if made.error is not None:
        sink.line(f"{head} no round: {made.error.what} [{made.error.code}]", style="bold red")
        return
    sink.line(f"{head} looked: {_counts(made.looked) or 'no host'}")
    if made.repaired:
        sink.line(f"{head} repaired: {_counts(made.repaired)}", style="yellow")
    for reason, _ in sorted(made.decision.counts().items()):
        hosts = {host for (host, _), why in made.decision.left.items() if why is reason}
        sink.line(f"{head} would change, {reason.value}: {folded(hosts)}")
    for drift in made.newly_quarantined:
        sink.line(
            f"{head} QUARANTINED {drift.host} {drift.address}: changed back or not repaired {drift.reverted} times; "
            f"release it with --release '{drift.host}={drift.address}'",
            style="bold red",
        )


def _counts(results: Sequence[HostResult]) -> str:
    counts = Counter(result.status.value for result in results)
    return ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
