"""One host of a run with its journal, also where that journal is damaged."""

from __future__ import annotations

from converge.errors import JournalUnavailable
from converge.model.change import Problem
from converge.model.journal import History
from converge.model.recorded import HostRecord, HostStory
from converge.store.journal import JOURNAL_DAMAGED
from converge.store.store import Store
from converge.store.writing_off import WRITTEN_OFF


def story_of(store: Store, run: str, *, host: str, result: HostRecord | None = None) -> HostStory:
    """One host of a run. Raises JournalUnavailable where the store itself does not answer."""
    try:
        return HostStory(
            host, result, store.runs.changes(run, host), store.history(host), store.runs.window_overridden(run, host)
        )
    except JournalUnavailable as error:
        if error.code == WRITTEN_OFF:
            changes, still_open = store.runs.unverified_changes(run, host), store.history(host)
            return HostStory(host, result, changes, still_open, damage=Problem.of(error))
        if error.code != JOURNAL_DAMAGED:
            raise
        return HostStory(host, result, (), History(), damage=Problem.of(error))
