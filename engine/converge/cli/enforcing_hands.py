"""How enforcement looks at hosts and repairs them: as `run` does, each time by the files as they are then."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Self

from converge.apply.options import ApplyOptions
from converge.cli.output import Output
from converge.cli.running import Run
from converge.errors import ConvergeError, LoginRefused
from converge.fleet.stop import StopToken
from converge.inventory import HostSettings
from converge.model.change import HostResult, Problem, Status
from converge.model.journal import Journal
from converge.model.machine import Machine, Observer
from converge.runs.exit_codes import ExitCode
from converge.runs.options import RunOptions, Sources
from converge.runs.recording import Memory, where
from converge.runs.selection import Selection, select
from converge.runs.tasks import Converging, Subject, Task
from converge.schedule.clock import Clock
from converge.schedule.drift import Times
from converge.schedule.enforcer import Looked, Permitted
from converge.schedule.logins import Login, RefusedLogins
from converge.schedule.policy import GroupPolicy
from converge.schedule.windows import ChangeWindows
from converge.store.names import new_run_id
from converge.store.store import Store

_NOT_NOW = "left by the enforcement policy"
_KEY = secrets.token_bytes(32)  # of this process: digests of passwords are keyed with it, and never leave its memory
_SAYS_NOTHING = (Status.UNREACHABLE, Status.SKIPPED, Status.HELD, Status.FAILED, Status.UNKNOWN)
"""Of a login: a host with one of these may never have been asked."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """Where hosts, values and the store are found."""

    inventories: tuple[str, ...] = ()
    extra_vars: tuple[str, ...] = ()
    forks: int = 50
    store: str = ""
    new_store: bool = False
    executor: str = "threads"


@dataclass(slots=True)
class FleetRunner:
    """Looks at hosts and repairs them. Logins that were refused are not tried again."""

    wiring: Wiring
    clock: Clock
    logins: RefusedLogins

    def selection(self, name: str, policy: GroupPolicy) -> Selection:
        """The hosts of a group, what is declared for them, and when they may be changed. Raises InputErrors, UsageError."""
        selection = select(self._sources(name, policy))
        if policy.window.is_always:
            return selection
        always = ChangeWindows()
        windows = {host: selection.windows.get(host, always).narrowed(policy.window) for host in selection.targets}
        return replace(selection, windows=windows)

    def look(self, name: str, policy: GroupPolicy, *, stop: StopToken) -> Looked:
        """Every host of a group as it is now, recorded as a run that changes nothing."""
        selection, untried = self._without_refused(self.selection(name, policy))
        if not selection.targets:
            return Looked(untried)
        with self._run(name, policy, selection, stop=stop, permitted=None) as run:
            run.code = run.go()
            return Looked((*run.results, *untried), Times(selection.windows, run.windows.seconds))

    def repair(
        self, name: str, policy: GroupPolicy, planned: Sequence[HostResult], *, permitted: Permitted, stop: StopToken
    ) -> Sequence[HostResult]:
        """Change these hosts, at each only the addresses permitted, as a run of its own."""
        selection = self.selection(name, policy)
        with self._run(name, policy, selection, stop=stop, permitted=permitted) as run:
            run.code = run.apply_planned([result for result in planned if result.host in selection.targets], others=())
            return run.results

    def _without_refused(self, selection: Selection) -> tuple[Selection, tuple[HostResult, ...]]:
        """What is left of a selection, and what is told of the hosts whose login is not tried again."""
        untried: dict[str, HostResult] = {}
        if self.logins.standing():
            for host, target in selection.targets.items():
                try:
                    self.logins.require_untried(_login(target.settings))
                except ConvergeError as error:  # a password that cannot be fetched is told as well
                    untried[host] = HostResult(host, Status.UNREACHABLE, error=Problem.of(error))
        targets = {host: target for host, target in selection.targets.items() if host not in untried}
        return replace(selection, targets=targets), tuple(untried.values())

    def _sources(self, name: str, policy: GroupPolicy) -> Sources:
        return Sources(
            playbooks=policy.playbooks, inventories=self.wiring.inventories, limit=policy.hosts or name,
            extra_vars=self.wiring.extra_vars,
        )  # fmt: skip

    @contextmanager
    def _run(
        self, name: str, policy: GroupPolicy, selection: Selection, *, stop: StopToken, permitted: Permitted | None
    ) -> Iterator[KeptRun]:
        """A run of this moment; without anything permitted it only looks."""
        mode = "monitor" if permitted is None else "enforce"
        options = RunOptions(
            self._sources(name, policy), check=permitted is None, forks=self.wiring.forks, yes=True,
            store=self.wiring.store, executor=self.wiring.executor,
        )  # fmt: skip
        run_id = new_run_id()
        with open(os.devnull, "w", encoding="utf-8") as nowhere, Memory(Store.open(where(options.store))) as memory:
            memory.begin(run_id, mode=mode, playbooks=selection.playbooks)
            task: Task = Converging() if permitted is None else Gated(Converging(), permitted)
            run = KeptRun(options, selection, Output(nowhere), task=task, memory=memory, run_id=run_id)
            run.stop = stop
            run.windows.now = self.clock.now
            yield run
            memory.end(run.code)
        self._note(run.results, selection)

    def _note(self, results: Sequence[HostResult], selection: Selection) -> None:
        refused = [each.host for each in results if each.error is not None and each.error.code == LoginRefused.code]
        if not refused and not self.logins.standing():
            return
        accepted = [each.host for each in results if each.status not in _SAYS_NOTHING]
        self.logins.note(
            [_login(selection.targets[host].settings) for host in refused],
            [_login(selection.targets[host].settings) for host in accepted],
        )


def _login(settings: HostSettings) -> Login:
    """The login to a host. Raises InputErrors where its password cannot be had."""
    password = settings.password()
    told = (settings.user, settings.transports, settings.cert_pem, settings.cert_key_pem)
    digest = hmac.new(_KEY, repr(told).encode(), hashlib.sha256)
    digest.update((password.reveal() if password is not None else "").encode(errors="surrogatepass"))
    return Login(settings.name, settings.user or settings.cert_pem or settings.name, digest.digest())


class KeptRun(Run):
    """A run whose results are kept for the daemon, and told in a line by it."""

    grace = 10.0  # nobody sits before it and waits: an action under way gets time to end

    def __init__(
        self, options: RunOptions, selection: Selection, out: Output, *, task: Task, memory: Memory, run_id: str
    ) -> None:
        super().__init__(options, selection, out, task=task, memory=memory, run_id=run_id)
        self.results: list[HostResult] = []
        self.code = ExitCode.IN_ORDER

    def _ended(self, result: HostResult) -> None:
        super()._ended(result)
        self.results.append(result)


@dataclass(frozen=True, slots=True)
class Gated:
    """Changes only what is permitted."""

    task: Converging
    permitted: Mapping[str, frozenset[str]]

    def narrowed(self, host: str) -> Self:
        """What is permitted on one host."""
        return replace(self, permitted={host: self.permitted.get(host, frozenset())})

    def look(self, subject: Subject, observer: Observer, *, options: ApplyOptions) -> HostResult:
        """What would change."""
        return self.task.look(subject, observer, options=options)

    def recount(self, subject: Subject, problem: Problem) -> HostResult:
        """What was done of it."""
        return self.task.recount(subject, problem)

    def bring(self, subject: Subject, machine: Machine, *, journal: Journal, options: ApplyOptions) -> HostResult:
        """Change it. Handlers follow from what was changed."""
        permitted = self.permitted.get(subject.host, frozenset())

        def leaves(address: str) -> str:
            allowed = address in permitted or address.startswith("handler:")
            return options.leaves(address) or ("" if allowed else _NOT_NOW)

        return self.task.bring(subject, machine, journal=journal, options=replace(options, leaves=leaves))
