"""Results as text: what changes, told once for all hosts to which it happens, then a line per host, then the totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from converge.model.change import Change, HostResult, Problem, Status, Window
from converge.report.folding import folded, natural
from converge.report.groups import Groups, HostGroup, digest_of
from converge.report.sink import Sink
from converge.report.values import difference
from converge.report.vocabulary import titled

STYLES = {
    Status.OK: "green",
    Status.CHANGED: "yellow",
    Status.FAILED: "bold red",
    Status.UNREACHABLE: "bold red",
    Status.UNDECIDED: "magenta",
    Status.WAITING: "magenta",
    Status.UNKNOWN: "bold red",
    Status.STALE: "magenta",
    Status.HELD: "magenta",
    Status.SKIPPED: "dim",
    Status.LATER: "dim",
}
_MARKSTYLES = {"-": "red", "+": "green", " ": "dim"}
_TROUBLE = (Status.FAILED, Status.UNDECIDED, Status.UNKNOWN)
LONGEST_SUBJECT = 60  # characters of host names that are repeated before each error


@dataclass(frozen=True, slots=True)
class TextOptions:
    """`would`: nothing was done yet. `diff`: values are shown. `verbose`: what is in order and what it cost is shown too.

    `at_once`: what became of a host is told as it ends, each change once; of further hosts that ended alike only that they did.
    """

    would: bool = True
    diff: bool = True
    verbose: int = 0
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class _HostLine:
    host: str
    status: Status
    counts: tuple[tuple[Status, int], ...]
    round_trips: int
    seconds: float


class TextReport:
    """Takes results as they come, and tells them grouped at the end."""

    def __init__(self, sink: Sink, options: TextOptions, *, warnings: Mapping[str, str] | None = None) -> None:
        self._sink = sink
        self._options = options
        self._warnings = warnings or {}  # what plays say of themselves, by their names
        self._groups = Groups()
        self._lines: list[_HostLine] = []
        self._told: dict[bytes, str] = {}  # the first host that ended so, of what was told at once

    def host(self, result: HostResult) -> None:
        """Take one host's result in."""
        counts = Counter(change.status for change in result.changes)
        line = _HostLine(result.host, result.status, tuple(counts.items()), result.round_trips, result.seconds)
        self._lines.append(line)
        if self._options.at_once:
            self._at_once(result)
        elif (too_many := self._groups.add(result)) is not None:
            self._group(too_many)

    def carry(self, other: TextReport, *, without: Collection[str]) -> None:
        """Take over the lines of hosts that another report told of already, so that the list at the end holds all hosts."""
        self._lines += [line for line in other._lines if line.host not in without]

    def _at_once(self, result: HostResult) -> None:
        """Tell one host now; one that ended as another before it in a line."""
        first = self._told.setdefault(digest_of(result), result.host)
        if first == result.host:
            self._group(HostGroup(result, [result.host]))
        elif any(self._is_told(change) for change in result.changes) or result.error is not None:
            self._sink.line(f"{result.host}: the same as {first}", style="bold")

    def end(self, *, without: Collection[str] | None = None) -> None:
        """Tell everything: groups, hosts, totals. Given hosts to leave out, only the groups of the others."""
        for group in self._groups.all():
            if without is None or not set(group.hosts) <= set(without):
                self._group(group)
        if without is None:
            self._hosts()

    def _group(self, group: HostGroup) -> None:
        example = group.example
        told = [change for change in example.changes if self._is_told(change)]
        closed = example.window is not None and not example.window.open
        if not told and not example.error and not closed and not _skipped_plays(example):
            return
        names = folded(group.hosts)
        many = f" ({len(group.hosts)} hosts)" if len(group.hosts) > 1 else ""
        self._sink.line(f"{names}{many}", style="bold")
        if len(names) > LONGEST_SUBJECT:
            names = f"{len(group.hosts)} hosts"
        if example.window is not None and not example.window.open:
            self._sink.line(f"  {_closed(example.window)}", style="magenta")
        if example.error is not None:
            subject = names if group.alike else f"{example.host} (the others alike)"
            self._problem(example.error, subject=subject, indent=2, style=STYLES[example.status])
        play = ""
        for change in told:
            if change.play != play:
                play = change.play
                self._sink.line(f"  {play}", style="bold cyan")
                self._warn(play, told)
            self._change(change, names, indent=4)
        for skipped, reason in _skipped_plays(example):
            self._sink.line(f"  skipped: {skipped}: {reason}", style="dim")
        self._sink.line()

    def _warn(self, play: str, told: Iterable[Change]) -> None:
        warning = self._warnings.get(play)
        if warning and any(change.play == play and _concerns(change) for change in told):
            for line in warning.splitlines():
                self._sink.line(f"    warning: {line}", style="yellow")

    def _is_told(self, change: Change) -> bool:
        if _is_skipped_play(change):
            return False  # told in a line of its own
        quiet = change.status in (Status.OK, Status.SKIPPED) and not change.notes
        return not quiet or self._options.verbose > 0

    def _change(self, change: Change, hosts: str, *, indent: int) -> None:
        space = " " * indent
        head, *below = titled(
            f"{space}{_symbol(change)} ", change.name, change.address, after=self._outcome(change)
        )
        self._sink.line(head, style=STYLES[change.status])
        for line in below:
            self._sink.line(line, style="dim")
        if self._options.diff:
            self._difference(change, indent=indent + 4)
        of_a_step = any(step.error == change.error for step in change.steps)  # told there
        if change.error is not None and not of_a_step:
            style = STYLES[change.status] if change.status is Status.WAITING else "bold red"
            self._problem(change.error, subject=f"{hosts} {change.address}", indent=indent + 4, style=style)
        elif change.reason:
            for line in change.reason.splitlines():
                self._sink.line(f"{space}    {line}", style="dim" if change.status is Status.SKIPPED else "")
        if change.may_be_changed_by:
            self._sink.line(f"{space}    may be changed by {', '.join(change.may_be_changed_by)}", style="dim")
        if change.is_due and change.way_back.kind != "full":
            self._sink.line(f"{space}    way back: {change.way_back}", style="magenta")
        for note in change.notes:
            for number, line in enumerate(note.splitlines()):
                self._sink.line(f"{space}    {'      ' if number else 'note: '}{line}", style="dim")
        if self._options.verbose > 0 and change.actions:
            actions = ", ".join(str(action.get("action")) for action in change.actions)
            self._sink.line(f"{space}    by: {actions}", style="dim")
        for step in change.steps:
            self._change(step, hosts, indent=indent + 4)

    def _outcome(self, change: Change) -> str:
        if change.status is Status.CHANGED:
            return ""
        return f": {change.status.value}"

    def _difference(self, change: Change, *, indent: int) -> None:
        if change.status is not Status.CHANGED and not self._has_both_ends(change):
            return
        for mark, text in difference(change.before, change.after):
            self._sink.line(f"{' ' * indent}{mark} {text}", style=_MARKSTYLES[mark])

    def _has_both_ends(self, change: Change) -> bool:
        return change.status in (Status.FAILED, Status.UNKNOWN, Status.WAITING) and change.after is not None

    def _problem(self, problem: Problem, *, subject: str, indent: int, style: str = "bold red") -> None:
        space = " " * indent
        first, *more = problem.what.splitlines() or [""]
        self._sink.line(f"{space}{subject}: {first} [{problem.code}]", style=style)
        for line in (*more, *problem.why.splitlines()):
            self._sink.line(f"{space}{line}")
        if problem.try_:
            self._sink.line(f"{space}Try: {problem.try_}", style="cyan")

    def _hosts(self) -> None:
        width = min(40, max((len(line.host) for line in self._lines), default=0))
        for line in sorted(self._lines, key=lambda line: natural(line.host)):
            cost = f"  {line.round_trips} round trips, {line.seconds:.2f} s" if self._options.verbose else ""
            text = f"{line.host:<{width}}  {self._word(line.status):<13}  {self._counts(line.counts)}{cost}"
            self._sink.line(text.rstrip(), style=STYLES[line.status])
        statuses = Counter(line.status for line in self._lines)
        many = "host" if len(self._lines) == 1 else "hosts"
        totals = ", ".join(f"{statuses[status]} {self._word(status)}" for status in Status if statuses[status])
        self._sink.line()
        self._sink.line(f"{len(self._lines)} {many}: {totals or 'nothing to do'}", style="bold")

    def _counts(self, counts: Iterable[tuple[Status, int]]) -> str:
        found = dict(counts)
        return ", ".join(f"{found[status]} {self._word(status)}" for status in Status if status in found)

    def _word(self, status: Status) -> str:
        return in_words(status, would=self._options.would)


def in_words(status: Status, *, would: bool) -> str:
    """A status as people read it. `would`: nothing was done yet."""
    return "would change" if status is Status.CHANGED and would else status.value


def _concerns(change: Change) -> bool:
    """Whether somebody is to decide about it: it would be changed, or waits for a word or a person."""
    return change.status is Status.CHANGED or (change.status is Status.WAITING and not change.is_pending_restart)


def _closed(window: Window) -> str:
    """That a host may not be changed now, and when it may."""
    when = f"next from {window.next[:16].replace('T', ' ')} UTC" if window.next else "no next window is known"
    return f"outside its change window: it may not be changed now; {when}"


def _symbol(change: Change) -> str:
    if change.status in _TROUBLE:
        return "!"
    if not change.is_due:
        return " "
    if change.before is None and change.after is None:
        return ">"
    if change.before is None:
        return "+"
    return "-" if change.after is None else "~"


def _is_skipped_play(change: Change) -> bool:
    return change.key.get("kind") == "play" and change.status is Status.SKIPPED


def _skipped_plays(result: HostResult) -> list[tuple[str, str]]:
    return [(change.play, change.reason or "") for change in result.changes if _is_skipped_play(change)]
