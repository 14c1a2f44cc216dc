"""Runs that are over, as text and as JSON: their list, and one of them with its hosts, changes and actions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from converge.model.change import Json, Problem
from converge.model.journal import History
from converge.model.recorded import HostStory, RecordedAction, RecordedChange, RunRecord
from converge.report.sink import Sink, Stream
from converge.report.values import difference
from converge.report.vocabulary import shown_status, titled, word

SCHEMA = 1  # of these documents
_MARK_STYLES = {"-": "red", "+": "green", " ": "dim"}
_TROUBLE = ("failed", "unreachable", "undecided", "unknown")


@dataclass(frozen=True, slots=True)
class JournalVerdict:
    """How many rows of a host's journal fit together, or why it cannot be relied upon."""

    host: str
    rows: int
    damage: Problem | None


def verdicts_as_text(verdicts: Iterable[JournalVerdict], sink: Sink, *, store: str) -> int:
    """Each damaged journal, then how many are as they were written; returns the number of damaged ones."""
    journals = rows = damaged = 0
    for verdict in verdicts:
        journals += 1
        rows += verdict.rows
        if verdict.damage is not None:
            damaged += 1
            _damage(verdict.damage, sink, indent="")
    if not journals:
        sink.line(f"{store} holds no journal: nothing was changed yet")
        return 0
    whole = journals - damaged
    sink.line(
        f"{whole} journal{'' if whole == 1 else 's'} with {rows} row{'' if rows == 1 else 's'} in {store} as written"
        + (f", {damaged} damaged" if damaged else ""),
        style="bold red" if damaged else "green",
    )
    return damaged


def verdicts_as_json(verdicts: Iterable[JournalVerdict], out: Stream, *, version: str) -> int:
    """One document: `{"converge", "schema", "journals": {HOST: {"rows", "damage"}}}`; returns the number of damaged ones."""
    out.write(f'{{"converge": {json.dumps(version)}, "schema": {SCHEMA}, "journals": {{')
    damaged = 0
    for number, verdict in enumerate(verdicts):
        damage = verdict.damage.as_json() if verdict.damage is not None else None
        damaged += damage is not None
        content = json.dumps({"rows": verdict.rows, "damage": damage})
        out.write((",\n " if number else "\n ") + f"{json.dumps(verdict.host)}: {content}")
    out.write("\n}}\n")
    return damaged


def _damage(damage: Problem, sink: Sink, *, indent: str) -> None:
    sink.line(f"{indent}{damage.what} [{damage.code}]", style="red")
    sink.line(f"{indent}{damage.why}")
    sink.line(f"{indent}Try: {damage.try_}", style="cyan")


def list_as_text(runs: Iterable[RunRecord], sink: Sink) -> None:
    """A line for each run."""
    empty = True
    for run in runs:
        if empty:
            sink.line(f"{'RUN':<23}  {'STARTED (UTC)':<19}  {'MODE':<10}  {'EXIT':<4}  {'BY':<20}  HOSTS", style="bold")
        empty = False
        style = "" if run.exit_code == 0 else "yellow" if run.exit_code == 2 else "red"
        code = "-" if run.exit_code is None else run.exit_code
        hosts = _hosts(run)
        sink.line(
            f"{run.run:<23}  {_moment(run.started)}  {run.mode:<10}  {code:<4}  {run.user:<20}  {hosts}",
            style=style,
        )
    if empty:
        sink.line("no runs are recorded")


def list_as_json(runs: Iterable[RunRecord], out: Stream, *, version: str) -> None:
    """One document, written as the runs come: `{"converge", "schema", "runs": [...]}`."""
    out.write(f'{{"converge": {json.dumps(version)}, "schema": {SCHEMA}, "runs": [')
    for number, run in enumerate(runs):
        out.write((",\n " if number else "\n ") + json.dumps(run_record_as_json(run)))
    out.write("\n]}\n")


def run_as_text(
    run: RunRecord, stories: Iterable[HostStory], sink: Sink, *, unchanged: int
) -> None:
    """One run: a head, then host by host what was done and what came of it."""
    sink.line(f"{run.run}  {run.mode} by {run.user}, converge {run.version}", style="bold")
    if run.ended is None:
        sink.line(f"begun {_moment(run.started)} UTC and not ended: still running, or interrupted", style="magenta")
    else:
        sink.line(f"{_moment(run.started)} to {_moment(run.ended)} UTC, exit code {run.exit_code}")
    sink.line(f"playbooks: {', '.join(run.playbooks)}")
    for story in stories:
        sink.line()
        _story(story, sink, mode=run.mode)
    sink.line()
    if unchanged:
        many = "1 more host was" if unchanged == 1 else f"{unchanged} more hosts were"
        sink.line(f"{many} in order, as before", style="green")
    if run.hosts:
        sink.line(_hosts(run), style="bold")


def run_as_json(run: RunRecord, stories: Iterable[HostStory], out: Stream, *, unchanged: int, version: str) -> None:
    """One document, written host by host: `{"converge", "schema", "run": {...}, "unchanged", "hosts": {...}}`."""
    out.write(f'{{"converge": {json.dumps(version)}, "schema": {SCHEMA}, "run": {json.dumps(run_record_as_json(run))},\n')
    out.write(f' "unchanged": {unchanged}, "hosts": {{')
    for number, story in enumerate(stories):
        out.write((",\n " if number else "\n ") + f"{json.dumps(story.host)}: {json.dumps(_story_as_json(story))}")
    out.write("\n}}\n")


def _story(story: HostStory, sink: Sink, *, mode: str) -> None:
    began = story.changes or story.damage is not None
    status = story.result.status if story.result else "broken off" if began else "in order"
    sink.line(
        f"{story.host}: {word(shown_status(status, mode))}",
        style="bold red" if status in (*_TROUBLE, "broken off") else "bold",
    )
    if story.result is not None and story.result.error is not None:
        error = story.result.error
        sink.line(f"  {error.get('what', '')} [{error.get('code', '')}]", style="red")
    if story.overridden:
        sink.line(f"  outside its change window: {story.overridden}", style="magenta")
    if story.damage is not None:
        _damage(story.damage, sink, indent="  ")
    if story.changes:
        for change in story.changes:
            _change(change, sink)
    elif story.result is not None:
        for resource in story.result.resources:
            said = word(shown_status(str(resource["status"]), mode))
            for line in titled(f"  {said:<9} ", str(resource.get("name") or ""), str(resource["address"])):
                sink.line(line)
    for line in describe_open(story.still_open):
        sink.line(f"  still open: {line}", style="magenta")


def _change(change: RecordedChange, sink: Sink) -> None:
    status = change.status or "broken off"
    head, *below = titled(f"  {status:<9} ", change.name, change.address)
    sink.line(head, style="red" if status != "changed" else "yellow")
    for line in below:
        sink.line(line, style="dim")
    for mark, text in difference(change.before, change.after):
        sink.line(f"      {mark} {text}", style=_MARK_STYLES[mark])
    if change.text:
        sink.line(f"      {change.text}")
    if change.way_back != "full":
        sink.line(f"      way back: {change.way_back}", style="magenta")
    for action in change.actions:
        sink.line(
            f"      {action.outcome:<8} {action_in_words(action)}", style="red" if action.outcome != "done" else "dim"
        )


def action_in_words(action: RecordedAction) -> str:
    """An action and what it was about, with what the host said where it was not done."""
    words = [str(action.action.get("action", ""))]
    words += [
        "(default)" if name == "name" and value == "" else str(value)  # only a key's default value has no name
        for name, value in action.action.items()
        if name in ("key", "name", "path", "source", "target")
    ]
    if action.outcome != "done" and action.text:
        words.append(f"({action.text})")
    return " ".join(words)


def describe_open(history: History) -> list[str]:
    """What is still open on a host, a line for each."""
    return [
        *(
            f"{item.address}: it is not known what became of {item.action.get('action')}, run {item.run}"
            for item in history.actions
        ),
        *(f"handler {item.handler} of {item.play} is pending" for item in history.pending),
        *(
            f"services stopped by {item.handler}: {', '.join((item.service, *item.dependents))}"
            for item in history.restarts
        ),
        *(f"{item.address} stands at {item.under_way or 'its next step'}" for item in history.procedures),
        *(f"handler {item.handler} of {item.play} ran and did not help" for item in history.needs),
    ]


def run_record_as_json(run: RunRecord) -> dict[str, Json]:
    """One run, without its hosts' results."""
    return {**asdict(run), "playbooks": list(run.playbooks), "hosts": dict(run.hosts)}


def _story_as_json(story: HostStory) -> dict[str, Json]:
    result: Mapping[str, Json] = asdict(story.result) if story.result else {}
    return {
        "status": result.get("status"),
        "error": result.get("error"),
        "resources": list(result.get("resources", ())),
        "changes": [_change_as_json(change) for change in story.changes],
        "open": asdict(story.still_open),
        "damage": story.damage.as_json() if story.damage is not None else None,
        "outside_window": story.overridden or None,
    }


def _change_as_json(change: RecordedChange) -> dict[str, Json]:
    return {
        "address": change.address,
        "key": dict(change.key),
        "name": change.name,
        "play": change.play,
        "status": change.status,
        "way_back": change.way_back,
        "before": change.before,
        "after": change.after,
        "text": change.text,
        "sensitive": change.sensitive,
        "actions": [
            {**action.action, "outcome": action.outcome, "code": action.code, "text": action.text}
            for action in change.actions
        ],
    }


def _hosts(run: RunRecord) -> str:
    return ", ".join(f"{count} {word(shown_status(status, run.mode))}" for status, count in sorted(run.hosts.items()))


def _moment(text: str) -> str:
    return text[:19].replace("T", " ")
