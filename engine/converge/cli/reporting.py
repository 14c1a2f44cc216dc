"""The page about the fleet, made from the store."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice

from converge import __version__
from converge.cli.output import opened, written
from converge.cli.runs import story_of
from converge.errors import UsageError
from converge.model.recorded import LOOKING, RunRecord
from converge.report.page.page import write_page
from converge.report.page.story import Journal, fleet_of
from converge.runs.exit_codes import ExitCode
from converge.runs.recording import where
from converge.store.store import Store

MOST_HOSTS = 200  # of one run's journal that a page tells of


def write_report(html: str, *, runs: int, run: str | None, store: str) -> ExitCode:
    """Write the page. Raises UsageError, JournalUnavailable."""
    with Store.open(where(store)) as opened_store, opened(html, whole=True) as out:
        newest = list(opened_store.runs.newest_first(limit=runs))
        told = [(each, opened_store.runs.hosts(each.run)) for each in newest]
        fleet = fleet_of(told, opened_store.runs.seen())
        journal = _journal(opened_store, newest, run)
        made = datetime.now(UTC).isoformat(timespec="seconds")
        write_page(fleet, out, made=made, source=opened_store.name, version=__version__, journal=journal)
        return written(out, ExitCode.IN_ORDER)


def _journal(store: Store, newest: list[RunRecord], wanted: str | None) -> Journal | None:
    if wanted is not None:
        record = store.runs.get(wanted)
        if record is None:
            raise UsageError(f"no run {wanted} is remembered", try_="see `converge runs`")
    else:
        changing = (run for run in newest if run.mode not in LOOKING)
        record = next((run for run in changing if store.runs.journaled_hosts(run.run)), None)
        if record is None:
            return None
    names = store.runs.journaled_hosts(record.run)
    told = names[:MOST_HOSTS]
    results = {host.host: host for host in islice(store.runs.hosts(record.run), 100_000) if host.host in set(told)}
    stories = [story_of(store, record.run, host=host, result=results.get(host)) for host in told]
    return Journal(record, stories, left_out=len(names) - len(told))
