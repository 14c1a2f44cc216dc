"""Enforcement over the fleet: groups are checked and repaired as their policy says, by the files as they are then."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from converge.apply.options import ApplyOptions
from converge.errors import ConvergeError, JournalUnavailable, LoginRefused
from converge.fleet.stop import StopToken
from converge.inventory import HostSettings
from converge.model.change import HostResult, Problem, Status
from converge.model.journal import Journal
from converge.model.machine import Machine, Observer
from converge.runs.apply import apply, as_checked
from converge.runs.check import check
from converge.runs.context import Caller, RunContext, opened
from converge.runs.events import Event, Warned, result_of, watched
from converge.runs.options import RunOptions, Sources
from converge.runs.recording import recorder_for_changes
from converge.runs.selection import Selection, select
from converge.runs.tasks import Converging, Subject, Task
from converge.schedule.clock import Clock
from converge.schedule.drift import Times
from converge.schedule.enforcer import GroupState, Permitted
from converge.schedule.logins import AccountLogin, RefusedLogins
from converge.schedule.policy import GroupPolicy, Policy
from converge.schedule.policy_file import PolicyFile
from converge.schedule.windows import ChangeWindows
from converge.store.names import new_run_id

GRACE = 10.0  # seconds: nobody sits before it and waits, so an action under way gets time to end
_NOT_NOW = "skipped by the enforcement policy"
_KEY = secrets.token_bytes(32)  # of this process: digests of passwords are keyed with it, and never leave its memory
_SAYS_NOTHING = (Status.UNREACHABLE, Status.SKIPPED, Status.HELD, Status.FAILED, Status.UNKNOWN)
"""Of a login: a host with one of these may never have been asked."""


@dataclass(slots=True)
class FleetRunner:
    """Checks groups of hosts and repairs them. Logins that were refused are not tried again.

    `options` say where hosts, values and the store are found; `warn` shows a person what is odd about them.
    """

    options: RunOptions
    clock: Clock
    logins: RefusedLogins
    warn: Callable[[str], None]

    def selection(self, name: str, policy: GroupPolicy) -> Selection:
        """The hosts of a group, what is declared for them, and when they may be changed. Raises InputErrors, UsageError."""
        selection = select(self._sources(name, policy))
        if policy.window.is_always:
            return selection
        always = ChangeWindows()
        windows = {host: selection.windows.get(host, always).narrowed(policy.window) for host in selection.targets}
        return replace(selection, windows=windows)

    def check(self, name: str, policy: GroupPolicy, *, stop: StopToken) -> GroupState:
        """Every host of a group as it is now, recorded as a run that changes nothing."""
        selection, untried = self._without_refused(self.selection(name, policy))
        if not selection.targets:
            return GroupState(untried)
        results: list[HostResult] = []
        with self._run(name, policy, selection, stop=stop, permitted=None) as context:
            checked = result_of(watched(check(context), results.append), on_event=self._on_event)
            context.recorder.end(context.code(checked.codes))
            times = Times(selection.windows, context.windows.seconds)
        self._note(results, selection)
        return GroupState((*results, *untried), times)

    def repair(
        self, name: str, policy: GroupPolicy, planned: Sequence[HostResult], *, permitted: Permitted, stop: StopToken
    ) -> Sequence[HostResult]:
        """Change these hosts, at each only the addresses permitted, as a run of its own."""
        selection = self.selection(name, policy)
        results: list[HostResult] = []
        with self._run(name, policy, selection, stop=stop, permitted=permitted) as context:
            there = [result for result in planned if result.host in selection.targets]
            checked = result_of(as_checked(context, there), on_event=self._on_event)
            outcome = result_of(watched(apply(context, checked), results.append), on_event=self._on_event)
            context.recorder.end(outcome.code)
        self._note(results, selection)
        return results

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Warned):
            self.warn(event.text)

    def _without_refused(self, selection: Selection) -> tuple[Selection, tuple[HostResult, ...]]:
        """What remains of a selection, and the results of the hosts whose login is not tried again."""
        untried: dict[str, HostResult] = {}
        if self.logins.standing():
            for host, target in selection.targets.items():
                try:
                    self.logins.require_untried(_login(target.settings))
                except ConvergeError as error:  # a password that cannot be fetched too
                    untried[host] = HostResult(host, Status.UNREACHABLE, error=Problem.of(error))
        targets = {host: target for host, target in selection.targets.items() if host not in untried}
        return replace(selection, targets=targets), tuple(untried.values())

    def _sources(self, name: str, policy: GroupPolicy) -> Sources:
        return replace(self.options.sources, playbooks=policy.playbooks, limit=policy.hosts or name)

    @contextmanager
    def _run(
        self, name: str, policy: GroupPolicy, selection: Selection, *, stop: StopToken, permitted: Permitted | None
    ) -> Iterator[RunContext]:
        """A run of this moment; without anything permitted it only checks."""
        options = replace(self.options, sources=self._sources(name, policy), check=permitted is None, new_store=False)
        run = new_run_id()
        caller = Caller(stop, self.clock.now, GRACE)
        task: Task = Converging() if permitted is None else Gated(Converging(), permitted)
        with ExitStack() as stack:
            recorder = stack.enter_context(recorder_for_changes(options.store))
            mode = "monitor" if permitted is None else "enforce"
            recorder.begin(run, mode=mode, playbooks=selection.playbooks)
            yield stack.enter_context(opened(run, options, selection, task=task, recorder=recorder, caller=caller))

    def _note(self, results: Sequence[HostResult], selection: Selection) -> None:
        refused = [each.host for each in results if each.error is not None and each.error.code == LoginRefused.code]
        if not refused and not self.logins.standing():
            return
        accepted = [each.host for each in results if each.status not in _SAYS_NOTHING]
        self.logins.note(
            [_login(selection.targets[host].settings) for host in refused],
            [_login(selection.targets[host].settings) for host in accepted],
        )


def _login(settings: HostSettings) -> AccountLogin:
    """The login to a host. Raises InputErrors where its password cannot be had."""
    password = settings.password()
    named = (settings.user, settings.transports, settings.cert_pem, settings.cert_key_pem)
    digest = hmac.new(_KEY, repr(named).encode(), hashlib.sha256)
    digest.update((password.reveal() if password is not None else "").encode(errors="surrogatepass"))
    return AccountLogin(settings.name, settings.user or settings.cert_pem or settings.name, digest.digest())


@dataclass(frozen=True, slots=True)
class Gated:
    """Changes only what is permitted."""

    task: Converging
    permitted: Mapping[str, frozenset[str]]

    def narrowed(self, host: str) -> Self:
        """What is permitted on one host."""
        return replace(self, permitted={host: self.permitted.get(host, frozenset())})

    def check(self, subject: Subject, observer: Observer, *, options: ApplyOptions) -> HostResult:
        """What would change."""
        return self.task.check(subject, observer, options=options)

    def recount(self, subject: Subject, problem: Problem) -> HostResult:
        """What was done of it."""
        return self.task.recount(subject, problem)

    def apply(self, subject: Subject, machine: Machine, *, journal: Journal, options: ApplyOptions) -> HostResult:
        """Change it. Handlers follow from what was changed."""
        permitted = self.permitted.get(subject.host, frozenset())

        def leaves(address: str) -> str:
            allowed = address in permitted or address.startswith("handler:")
            return options.leaves(address) or ("" if allowed else _NOT_NOW)

        return self.task.apply(subject, machine, journal=journal, options=replace(options, leaves=leaves))


class LivePolicy:
    """The policy file, read anew when it changes or when that is asked for; refused logins are tried again then."""

    def __init__(self, path: Path, runner: FleetRunner) -> None:
        """Raises InputErrors, UsageError."""

        def check(policy: Policy) -> None:
            for name, group in policy.groups.items():
                runner.selection(name, group)  # what is wrong in other files is told before anything begins

        self._file = PolicyFile(path, check)
        self._logins = runner.logins
        self._asked = threading.Event()
        self._take_pause()

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self._file.policy

    @property
    def revision(self) -> str:
        """Its revision."""
        return self._file.revision

    @property
    def problem(self) -> ConvergeError | None:
        """Why a newer version of the file is not in force."""
        return self._file.problem

    def ask(self) -> None:
        """Have it read anew before the next round."""
        self._asked.set()

    def look(self) -> bool:
        """Whether there is something new."""
        asked = self._asked.is_set()
        self._asked.clear()
        if asked:
            with suppress(JournalUnavailable):  # then they are forgotten in this process, which is the one that tries
                self._logins.forget()
        found = self._file.look(anew=asked)
        if found:
            self._take_pause()
        return found

    def _take_pause(self) -> None:
        self._logins.pause = self.policy.retry_refused_logins
