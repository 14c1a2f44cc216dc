"""Rounds of enforcement as lines for a person, and as what they ask for in exit codes."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from converge.model.change import HostResult
from converge.report.folding import folded
from converge.report.sink import Sink
from converge.runs.enforce import LivePolicy
from converge.runs.exit_codes import ExitCode, code_of
from converge.schedule.clock import Clock
from converge.schedule.drift import Left
from converge.schedule.enforcer import Round
from converge.schedule.metrics import Telemetry
from converge.schedule.outlook import windows_without_rounds
from converge.schedule.policy import Policy

QUIET = timedelta(days=1)  # after which a round is shown that found nothing new


class Rounds:
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
        self._sink.line(f"{time_of(self._clock.now())} {words}", style=style)
        sys.stdout.flush()

    def policed(self) -> None:
        """The policy was read anew, or could not be."""
        self.telemetry.policed()
        revision, problem = self._source.revision, self._source.problem
        if problem is not None:
            self.line(f"the policy file is not used; revision {revision} stays in force:", style="bold red")
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
                f"{made.group}: QUARANTINED {drift.host} {drift.address}: changed back or repair failed "
                f"{drift.reverted} times; release it with --release '{drift.host}={drift.address}'",
                style="bold red",
            )


def time_of(moment: datetime) -> str:
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
        yield f"this round could not be completed: {lines[0]} [{made.error.code}]"
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
