"""The command `runs`: what was run, what came of it, and forgetting what is old."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import click

from converge import __version__
from converge.cli.output import opened, written
from converge.errors import JournalUnavailable, UsageError
from converge.model.change import Problem
from converge.model.recorded import HostStory
from converge.report import runs as report
from converge.report.sink import sink_for
from converge.runs.exit_codes import ExitCode
from converge.runs.recording import where
from converge.store.journal import JOURNAL_DAMAGED
from converge.store.store import FILE_NAME, Store
from converge.store.stories import story_of


@click.command(short_help="List past runs, show one, verify their journals, or forget old ones.")
@click.argument("run", required=False, metavar="[RUN|verify]")
@click.option("-n", "--newest", type=click.IntRange(1), default=50, show_default=True, help="List this many.")
@click.option("--all", "every", is_flag=True, help="List all of them.")
@click.option("--prune", type=click.FloatRange(0), metavar="DAYS", help="Forget runs older than this.")
@click.option("--keep", type=click.IntRange(0), metavar="N", help="Forget all but the newest N runs.")
@click.option(
    "--write-off", metavar="HOST", help="Give up this host's damaged journal: what is in it cannot be undone any more."
)
@click.option("--reason", metavar="WHY", help="Why it is written off: journaled.")
@click.option("-y", "--yes", is_flag=True, help="Write it off without asking.")
@click.option(
    "--format", "output_format", type=click.Choice(["text", "json"]), default="text", envvar="CONVERGE_FORMAT",
    help="How it is written.",
)  # fmt: skip
@click.option("-o", "--output", metavar="FILE", envvar="CONVERGE_OUTPUT", help="Write it there.")
@click.option(
    "--store", metavar="URL", default="", envvar="CONVERGE_STORE",
    help="Where runs are remembered. Default: .converge/converge.db",
)  # fmt: skip
def command(
    run: str | None,
    newest: int,
    *,
    every: bool,
    prune: float | None,
    keep: int | None,
    write_off: str | None,
    reason: str | None,
    yes: bool,
    output_format: str,
    output: str | None,
    store: str,
) -> int:
    """List past runs, newest first; or show one: its hosts, changes, actions with their outcomes, what is still open.

    `converge runs verify` looks through the journal of every host, row by row; exit 3 where one was changed since.

    --prune and --keep forget runs for good, never one that left something open on a host. --write-off lets runs change a
    host again whose journal was damaged: its rows stay, marked as not to be relied upon, and a new journal begins.
    """
    if sum(given is not None for given in (run, prune, keep, write_off)) > 1:
        raise click.UsageError("give one of RUN, --prune, --keep and --write-off")
    if write_off is None and (reason is not None or yes):
        raise click.UsageError("--reason and --yes go with --write-off")
    reason = (reason or "").strip()[:2000]
    if write_off is not None and not reason:
        raise click.UsageError("--write-off needs a --reason: it is journaled")

    json = output_format == "json"
    if write_off is not None:
        return _write_off(store, host=write_off, reason=reason, yes=yes)
    if prune is not None or keep is not None:
        return forget(store, days=prune, keep=keep)
    if run == "verify":
        return verify(store, json=json, output=output)
    if run is not None:
        return show(store, run, json=json, output=output)
    return list_runs(store, newest=None if every else newest, json=json, output=output)


def list_runs(url: str, *, newest: int | None, json: bool, output: str | None) -> ExitCode:
    """List runs. Raises JournalUnavailable, UsageError."""
    with opened(output) as out, _reading(url) as store:
        runs = store.runs.newest_first(limit=newest)
        if json:
            report.list_as_json(runs, out, version=__version__)
        else:
            report.list_as_text(runs, sink_for(out))
        return written(out, ExitCode.IN_ORDER)


def show(url: str, run: str, *, json: bool, output: str | None) -> ExitCode:
    """Show one run. Raises JournalUnavailable, UsageError."""
    with opened(output) as out, _reading(url) as store:
        record = store.runs.get(run)
        if record is None:
            raise UsageError(f"no run {run} is remembered", try_="see `converge runs`")
        unchanged = store.runs.hosts_unchanged(run)
        damaged: list[str] = []
        stories = _stories(store, run, damaged=damaged)
        if json:
            report.run_as_json(record, stories, out, unchanged=unchanged, version=__version__)
        else:
            report.run_as_text(record, stories, sink_for(out), unchanged=unchanged)
        return written(out, ExitCode.FAILED if damaged else ExitCode.IN_ORDER)


def forget(url: str, *, days: float | None, keep: int | None) -> ExitCode:
    """Forget runs older than `days`, or all but the newest `keep`. Raises JournalUnavailable, UsageError."""
    _require_file(url)
    with Store.open(where(url)) as store:
        if days is not None:
            try:
                moment = datetime.now(UTC) - timedelta(days=days)
            except OverflowError as error:
                raise UsageError(f"--prune {days:g}: no run is that old") from error
            forgotten = store.runs.prune_older_than(moment)
        else:
            forgotten = store.runs.keep_newest(keep or 0)
    sink_for(sys.stdout).line("1 run was forgotten" if forgotten == 1 else f"{forgotten} runs were forgotten")
    return ExitCode.IN_ORDER


def _write_off(url: str, *, host: str, reason: str, yes: bool) -> ExitCode:
    """Give up the damaged journal of one host, once a person has seen what that means. Raises as `Store.write_off` does."""
    _require_file(url)
    out = sink_for(sys.stdout)
    with Store.open(where(url)) as store:
        damage = store.damage(host)
        if damage is None:
            raise UsageError(f"the journal of {host} is intact: there is nothing to write off")
        out.line(damage.what, style="red")
        out.line(f"Earlier runs can then no longer be undone on {host}, and what they left unfinished there is forgotten.")
        if not yes:
            if not sys.stdin.isatty():
                raise UsageError("there is no terminal on which to ask", try_="--yes to write it off without asking")
            if click.prompt(f"Type {host} to write its journal off", default="", show_default=False, err=True) != host:
                out.line("nothing was written off")
                return ExitCode.DRIFT
        store.write_off(host, reason=reason)
    out.line(f"the journal of {host} was written off; a new one begins")
    return ExitCode.IN_ORDER


def verify(url: str, *, json: bool, output: str | None) -> ExitCode:
    """Look through every journal of the store. Raises JournalUnavailable, UsageError."""
    with opened(output) as out, _reading(url) as store:
        found = (report.JournalVerdict(host, *_verdict(store, host)) for host in store.journaled_hosts())
        if json:
            damaged = report.verdicts_as_json(found, out, version=__version__)
        else:
            damaged = report.verdicts_as_text(found, sink_for(out), store=store.name)
        return written(out, ExitCode.FAILED if damaged else ExitCode.IN_ORDER)


def _verdict(store: Store, host: str) -> tuple[int, Problem | None]:
    try:
        return store.verify(host), None
    except JournalUnavailable as error:
        if error.code != JOURNAL_DAMAGED:
            raise
        return 0, Problem.of(error)


def _stories(store: Store, run: str, *, damaged: list[str]) -> Iterator[HostStory]:
    """The hosts of a run: those with a result first, then those that a broken-off run left without one.

    Whose journal does not fit together is told so, and is among `damaged` afterwards.
    """
    journaled = set(store.runs.journaled_hosts(run))
    told = set()
    for result in store.runs.hosts(run):
        told.add(result.host)
        yield _told(story_of(store, run, host=result.host, result=result), damaged)
    for host in sorted(journaled - told):
        yield _told(story_of(store, run, host=host, result=None), damaged)


def _told(story: HostStory, damaged: list[str]) -> HostStory:
    if story.damage is not None:
        damaged.append(story.host)
    return story


def _reading(url: str) -> Store:
    _require_file(url)
    return Store.open(replace(where(url), read_only=True))


def _require_file(url: str) -> None:
    if not url and not os.path.lexists(where().folder / FILE_NAME):
        raise UsageError("nothing was run in this folder: it has no .converge/converge.db", try_="converge --check")
