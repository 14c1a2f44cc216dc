"""The command `enforce` at work: rounds until a signal, told in lines, health and metrics."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType

from converge.cli.enforcing_hands import FleetRunner, Wiring
from converge.cli.signals import stopping
from converge.errors import ConvergeError, JournalUnavailable, UsageError
from converge.fleet.stop import StopToken
from converge.model.change import HostResult
from converge.model.listening import Place
from converge.report.folding import folded
from converge.report.sink import Sink, sink_for
from converge.runs.exit_codes import ExitCode, code_of, worst
from converge.runs.recording import where
from converge.schedule.clock import Clock, WallClock
from converge.schedule.drift import Left
from converge.schedule.enforcer import Enforcer, Round
from converge.schedule.ledger import StoreLedger
from converge.schedule.logins import RefusedLogins
from converge.schedule.metrics import Telemetry
from converge.schedule.monitoring import served
from converge.schedule.outlook import windows_without_rounds
from converge.schedule.policy import Policy
from converge.schedule.policy_file import PolicyFile
from converge.store.store import Store, owner

_HUNG_UP = "SIGHUP: the policy is read anew when no round is under way, and refused logins are tried again"
_STOPPING = b"\nStopping at the next boundary. Again to stop at once.\n"
QUIET = timedelta(days=1)  # after which a round is told that found nothing new


def release(words: str, *, store: str) -> ExitCode:
    """End quarantines of HOST or HOST=ADDRESS. Raises UsageError where there is none."""
    host, _, address = words.partition("=")
    with Store.open(where(store)) as opened:
        ended = opened.enforcement.release(host, address or None)
    if not ended:
        raise UsageError(f"nothing of {words} is in quarantine", try_="`converge enforce --once` names what is")
    sink_for(sys.stdout).line("1 resource released" if ended == 1 else f"{ended} resources released")
    return ExitCode.IN_ORDER


def enforce(policy_file: str, wiring: Wiring, *, once: bool, retry_logins: bool, place: Place) -> ExitCode:
    """Make rounds until a signal, or one of each group. Raises InputErrors, UsageError, JournalUnavailable."""
    stop, clock, sink = StopToken(), WallClock(), sink_for(sys.stdout)
    with Store.open(where(wiring.store, is_new=wiring.new_store)) as store:
        logins = RefusedLogins(store.enforcement, clock)
        if once and not retry_logins:
            logins.recall()
        else:
            logins.forget()
        hands = FleetRunner(wiring, clock, logins)
        source = LivePolicy(Path(policy_file), hands, logins)
        teller = Teller(sink, Telemetry(clock, source, logins), source, clock)
        enforcer = Enforcer(source, hands, StoreLedger(store), clock, teller, owner="" if once else owner())
        with stopping(stop, words=_STOPPING), source.reloading_on_hangup():
            if once:
                return _once(enforcer, teller, stop)
            with served(teller.telemetry, place) as address:
                teller.line(f"metrics and health are told on {address}/metrics and /healthz")
                teller.policed()
                enforcer.run(stop)
        with suppress(JournalUnavailable):  # a reader sees by the time that is due that nobody is there
            store.intentions.retire(enforcer.owner)
    teller.line("stopped")
    return ExitCode.IN_ORDER


def _once(enforcer: Enforcer, teller: Teller, stop: StopToken) -> ExitCode:
    for name in enforcer.source.policy.groups:
        if not stop.is_set():
            enforcer.once(name, stop=stop)
    if stop.is_set():
        return ExitCode.INTERRUPTED
    return worst(teller.codes)


class LivePolicy:
    """The policy file, which SIGHUP has read anew; refused logins are tried again then."""

    def __init__(self, path: Path, hands: FleetRunner, logins: RefusedLogins) -> None:
        """Raises InputErrors, UsageError."""

        def check(policy: Policy) -> None:
            for name, group in policy.groups.items():
                hands.selection(name, group)  # what is wrong in other files is told before anything begins

        self._file = PolicyFile(path, check)
        self._logins = logins
        self._hung_up = threading.Event()
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

    def look(self) -> bool:
        """Whether there is something new to tell."""
        asked = self._hung_up.is_set()
        self._hung_up.clear()
        if asked:
            with suppress(JournalUnavailable):  # then they are forgotten in this process, which is the one that tries
                self._logins.forget()
        found = self._file.look(anew=asked)
        if found:
            self._take_pause()
        return found

    def _take_pause(self) -> None:
        self._logins.pause = self.policy.retry_refused_logins

    @contextmanager
    def reloading_on_hangup(self) -> Iterator[None]:
        """Within this block SIGHUP has the policy read anew before the next round, and says so at once."""

        def ask(_number: int, _frame: FrameType | None) -> None:
            self._hung_up.set()
            os.write(1, f"{_time(datetime.now(UTC))} {_HUNG_UP}\n".encode())  # sys.stdout may be in the middle of a write

        before = signal.signal(signal.SIGHUP, ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGHUP, before)


class Teller:
    """Tells a person in lines what is new, and hands everything on to health and metrics.

    A round that found just what the one before found is told in metrics only, and once a day in a line.
    """

    def __init__(self, sink: Sink, telemetry: Telemetry, source: LivePolicy, clock: Clock) -> None:
        self.telemetry = telemetry
        self.codes: set[ExitCode] = set()  # those of `run`, as they hold after the rounds so far
        self._sink = sink
        self._source = source
        self._clock = clock
        self._told: dict[str, tuple[datetime, list[str]]] = {}

    def line(self, words: str, *, style: str = "") -> None:
        """A line with the time."""
        self._sink.line(f"{_time(self._clock.now())} {words}", style=style)
        sys.stdout.flush()

    def policed(self) -> None:
        """The policy was read anew, or could not be."""
        self.telemetry.policed()
        revision, problem = self._source.revision, self._source.problem
        if problem is not None:
            self.line(f"the policy file is not taken over; revision {revision} stays in force:", style="bold red")
            for line in str(problem).splitlines():
                self._sink.line(f"  {line}")
            sys.stdout.flush()
            return
        self.line(f"policy {revision} is in force: {_groups(self._source.policy)}")
        for name in windows_without_rounds(self._source.policy.groups, now=self._clock.now()):
            words = f"{name}: no round of its cadence lies within its window: nothing will be repaired"
            self.line(words, style="bold red")

    def planned(self, due: Mapping[str, datetime]) -> None:
        """When the next round of each group is due."""
        self.telemetry.planned(due)

    def began(self, group: str) -> None:
        """A round begins."""
        self.telemetry.began(group)

    def ended(self, made: Round) -> None:
        """It ended."""
        self.telemetry.ended(made)
        self.codes |= codes_of(made)
        lines = list(_lines(made))
        before = self._told.get(made.group)
        if before is None or before[1] != lines or made.repaired or made.began - before[0] >= QUIET:
            self._told[made.group] = (made.began, lines)
            for words in lines:
                self.line(f"{made.group}: {words}")
        for drift in made.newly_quarantined:
            self.line(
                f"{made.group}: QUARANTINED {drift.host} {drift.address}: changed back or not repaired "
                f"{drift.reverted} times; release it with --release '{drift.host}={drift.address}'",
                style="bold red",
            )


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def codes_of(made: Round) -> set[ExitCode]:
    """What a round asks for, in the codes of `run`: of hosts that were repaired how they ended, of others how they were found."""
    codes = {ExitCode.FAILED} if made.error is not None else set()
    codes |= {ExitCode.HELD} if made.elsewhere is not None else set()
    repaired = {result.host for result in made.repaired}
    codes |= {code_of(result, checking=False) for result in made.repaired}
    codes |= {code_of(result, checking=True) for result in made.looked if result.host not in repaired}
    left = set(made.decision.left.values())
    codes |= {ExitCode.DRIFT} if left else set()
    return codes | ({ExitCode.STOPPED} if left & {Left.WINDOW, Left.TOO_SHORT} else set())


def _lines(made: Round) -> Iterator[str]:
    """A round in few lines: what was seen, what was repaired, what is left and why."""
    if made.elsewhere is not None:
        yield f"another process makes this round: {made.elsewhere.what}"
    if made.looked:
        yield f"looked: {_counts(made.looked).replace('changed', 'would change')}"
    if made.repaired:
        yield f"repaired: {_counts(made.repaired)}"
    for reason in Left:
        hosts = {each.host for each in made.intentions if each.reason == reason.value}
        dues = {each.due for each in made.intentions if each.reason == reason.value and each.due is not None}
        if not hosts:
            continue
        when = f"; at the earliest {min(dues):%Y-%m-%d %H:%M UTC}" if dues and reason is not Left.NOT_SEEN else ""
        would = "" if reason in (Left.NOT_SEEN, Left.NOT_REPAIRED) else "would change, "
        yield f"{would}{reason.words}: {folded(hosts)}{when}"
        if not would:
            yield from _causes(made, reason)
    if made.error is not None:
        lines = [line for part in (made.error.what, made.error.why) for line in part.splitlines()]
        yield f"this round could not be made to its end: {lines[0]} [{made.error.code}]"
        yield from (f"  {line}" for line in lines[1:8])


def _causes(made: Round, reason: Left) -> Iterator[str]:
    """Each cause once, the most frequent first."""
    causes = Counter(each.words for each in made.intentions if each.reason == reason.value)
    for words, count in causes.most_common(5):
        yield f"  {count} times: {words}"


def _counts(results: Sequence[HostResult]) -> str:
    counts = Counter(result.status.value for result in results)
    return ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))


def _groups(policy: Policy) -> str:
    return ", ".join(f"{name} ({group.mode})" for name, group in policy.groups.items())
