"""The store as a command uses it: opened where it is asked for, and what a check does where it cannot be written."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Self

from sqlalchemy import make_url

from converge import __version__
from converge.errors import JournalUnavailable, StoreEmpty, StoreLost
from converge.fleet.searching import DUE, SearchingObserver
from converge.model.backup import BackupRecord
from converge.model.change import HostResult
from converge.model.journal import History
from converge.model.machine import Observer
from converge.model.recorded import LOOKING
from converge.model.secret import Secret
from converge.runs.exit_codes import ExitCode
from converge.runs.options import STATE_FOLDER
from converge.store.recording import Recording
from converge.store.store import FILE_NAME, Store, Where, owner

KEY = "CONVERGE_JOURNAL_KEY"
_OF_A_FILE = "its leases bind this state folder only: a run elsewhere could change the same host at the same time"
_OF_A_SERVER = "its leases bind every machine that uses it"


def where(url: str = "", *, folder: Path = STATE_FOLDER, is_new: bool = False) -> Where:
    """The store of this command: `url`, or the file in the state folder; the journal's key from the environment."""
    key = os.environ.get(KEY)
    return Where(folder, url=url, key=Secret(key) if key else None, is_new=is_new)


def recorder_for_check(url: str = "", *, what: str = "check") -> Recorder:
    """For what only reads from hosts. Raises JournalUnavailable for a store that cannot be read or is damaged, UsageError.

    A check needs no right to write on this side either, and no space: where it has none, it warns that `what` is not recorded.
    """
    place = where(url)
    try:
        return Recorder(Store.open(place))
    except StoreLost as error:
        lost = f"this {what} is not recorded, and what waits from earlier runs is not known: {error.what}"
        return Recorder(None, [lost])
    except JournalUnavailable as error:
        if error.code != JournalUnavailable.code:
            raise
        warning = f"this {what} is not recorded: {error.what}"
        if not url and not os.path.lexists(place.folder / FILE_NAME):
            return Recorder(None, [warning])
        return Recorder(_readable(place, error), [warning])


def _readable(place: Where, unwritable: JournalUnavailable) -> Store | None:
    """A store that could not be opened for writing; None where nothing was ever written to it. Raises JournalUnavailable."""
    try:
        return Store.open(replace(place, read_only=True))
    except StoreEmpty:  # a first run found no space for it
        return None
    except JournalUnavailable as error:
        raise (unwritable if error.code == JournalUnavailable.code else error) from None


def recorder_for_changes(url: str = "", *, is_new: bool = False) -> Recorder:
    """For what changes hosts, which must be recorded. Raises JournalUnavailable, UsageError."""
    return Recorder(Store.open(where(url, is_new=is_new)))


def describe(url: str = "") -> str:
    """The store in words, and whom its leases bind. Reads only. Raises JournalUnavailable, UsageError."""
    place = where(url)
    if not url and not os.path.lexists(place.folder / FILE_NAME):
        return f"none yet, {place.folder / FILE_NAME} will be made; {_OF_A_FILE}"
    with Store.open(replace(place, read_only=True)) as store:
        return f"{store.name}; {_OF_A_SERVER if store.is_shared else _OF_A_FILE}"


class Recorder:
    """Reads what earlier runs recorded, and records this one. Without a writable store it records nothing."""

    def __init__(self, store: Store | None, warnings: Sequence[str] = ()) -> None:
        self.warnings = list(warnings)
        """What a person should know of what is not recorded. Whoever shows one takes it out."""
        self._store = store
        self._recording: Recording | None = None
        self._writable = store is not None and not store.read_only

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def past(self) -> Store | None:
        """The store, where there is one."""
        return self._store

    @property
    def store(self) -> Store:
        """The store of a run that needs one."""
        assert self._store is not None
        return self._store

    @property
    def keeps_secrets(self) -> bool:
        """Whether sensitive values would be kept."""
        return self._store.keeps_secrets if self._store is not None else bool(os.environ.get(KEY))

    @property
    def is_shared(self) -> bool:
        """Whether its leases bind other machines."""
        return self._store is not None and self._store.is_shared

    def where(self, url: str, *, elsewhere: bool = False) -> Where | None:
        """How another process opens the same store, wherever it runs; None where nothing is remembered.

        On another machine .reg files go into the state folder of whatever folder the worker runs in.
        """
        if self._store is None:
            return None
        place = where(url, folder=STATE_FOLDER if elsewhere else STATE_FOLDER.absolute())
        if (parsed := make_url(url) if url else None) is not None and parsed.get_backend_name() == "sqlite":
            path = Path(parsed.database or "").absolute()
            place = replace(place, url=parsed.set(database=str(path)).render_as_string(hide_password=False))
        return replace(place, read_only=not self._writable, is_new=elsewhere)

    def close(self) -> None:
        """Let go of the store."""
        if self._store is not None:
            self._store.close()

    def history(self, host: str) -> History:
        """What earlier runs left open on a host. Raises JournalUnavailable."""
        return self._store.history(host) if self._store is not None else History()

    def backups(self, host: str) -> tuple[BackupRecord, ...]:
        """What earlier runs keep on a host. Raises JournalUnavailable."""
        return self._store.runs.backups(host) if self._store is not None else ()

    def seconds(self, hosts: Collection[str]) -> Mapping[str, float]:
        """How long changing these hosts is expected to take: what it took at most of late, or the median of other hosts.

        Empty where nothing was ever measured. Raises JournalUnavailable.
        """
        known = self._store.runs.seconds() if self._store is not None and hosts else {}
        return {host: known.get(host) or median(known.values()) for host in hosts} if known else {}

    def searching(self, observer: Observer, *, anew: bool) -> Observer:
        """The observer, which asks for places that an earlier search of the registry found; `anew` searches in full all the same."""
        if self._store is None or self._store.read_only:
            return observer
        return SearchingObserver(observer, self._store.places, due=timedelta(0) if anew else DUE)

    def begin(self, run: str, *, mode: str, playbooks: Sequence[str]) -> None:
        """Write down that a run begins. Raises JournalUnavailable, unless it only looks: then it says so and goes on."""
        if self._store is None or self._store.read_only:
            return
        try:
            self._recording = self._store.runs.begin(
                run, mode=mode, playbooks=playbooks, user=owner().partition(" ")[0], version=__version__
            )
        except JournalUnavailable as error:
            if mode not in LOOKING:
                raise
            self._writable = False
            self.warnings.append(f"this {mode} is not recorded: {error.what}")

    def host(self, result: HostResult) -> None:
        """Write down what became of a host."""
        if self._recording is None:
            return
        try:
            self._recording.host(result)
        except JournalUnavailable as error:
            self._give_up(error)

    def end(self, code: ExitCode) -> None:
        """Write down that the run is over."""
        if self._recording is None:
            return
        try:
            self._recording.end(int(code))
        except JournalUnavailable as error:
            self._give_up(error)

    def _give_up(self, error: JournalUnavailable) -> None:
        # What was done to hosts is in their journals; only the record of the run as a whole is incomplete.
        self._recording = None
        self.warnings.append(f"the rest of this run is not recorded: {error.what}")
