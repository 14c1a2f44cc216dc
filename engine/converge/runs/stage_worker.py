"""What a worker does with what it is sent: the one entry of this program into another process."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

from converge.errors import LoginRefused, UsageError
from converge.fleet.messages import Go, StageRunner
from converge.fleet.stop import StopToken
from converge.model.change import HostResult, Problem
from converge.model.extras import how_to_install
from converge.model.play import Play
from converge.playbook.loading import load_texts
from converge.runs import bugs
from converge.runs.host_runner import HostJob, HostRunner
from converge.runs.options import STATE_FOLDER
from converge.runs.payloads import HostPayload, StagePayload
from converge.runs.playbooks import known_kinds
from converge.runs.plug_ins import plug_ins
from converge.runs.recording import Recorder
from converge.runs.selection import chosen_plays
from converge.store.store import Store

T = TypeVar("T")
EXTRAS = {"kerberos": ("gssapi", "krb5"), "postgres": ("psycopg",)}
"""The modules of each extra that a host or a store may need."""


def open_runner(payload: object) -> StageRunner:
    """Read the playbooks and open the store. Raises InputErrors, JournalUnavailable, UsageError."""
    assert isinstance(payload, StagePayload)
    if missing := payload.needs - extras():
        names = sorted(missing)
        raise UsageError(f"it lacks what this run needs: {', '.join(names)}", try_=f"there: {how_to_install(*names)}")
    if missing := payload.plug_ins - set(plug_ins().values()):
        lacking = ", ".join(sorted(missing))
        raise UsageError(f"it lacks kinds that these playbooks use: {lacking}", try_="there: install the same version")
    plays = _plays(payload.documents, payload.tags, payload.skip_tags, payload.known_variables)
    store = Store.open(payload.where) if payload.where is not None else None
    return _StageRunner(payload, plays, Recorder(store))


def extras() -> frozenset[str]:
    """Which of the extras are installed here."""
    return frozenset(
        name for name, modules in EXTRAS.items() if all(importlib.util.find_spec(module) for module in modules)
    )


@lru_cache(maxsize=4)
def _plays(
    documents: tuple[tuple[str, bytes], ...],
    tags: frozenset[str],
    skip_tags: frozenset[str],
    known_variables: tuple[str, ...],
) -> tuple[Play, ...]:
    """The plays of an payload, read once by this process however often they are sent."""
    plays = load_texts(documents, kinds=known_kinds(), known_variables=frozenset(known_variables))
    return chosen_plays(plays, tags=tags, skip_tags=skip_tags)


class _StageRunner:
    """The plays and the store of one payload."""

    def __init__(self, payload: StagePayload, plays: tuple[Play, ...], recorder: Recorder) -> None:
        self._payload = payload
        self._plays = plays
        self._recorder = recorder

    def run(self, message: Go, stop: StopToken, *, logged_in: Callable[[bool | None], None]) -> HostResult:
        """Look at the host, or change it. Raises ConvergeError."""
        content = message.content
        assert isinstance(content, HostPayload)
        plays = tuple(self._plays[number] for number in content.plays)
        variables = content.variables.with_shared(self._payload.shared)
        job = HostJob(
            content.connection, plays, variables, content.task, content.ends, content.override, content.backup
        )
        runner = HostRunner(
            self._payload.run, self._payload.options, self._recorder, _Reported(logged_in, quiet=message.quiet)
        )
        return runner.check(job, stop) if self._payload.mode == "check" else runner.apply(job, stop)

    def bug(self, host: str, error: BaseException) -> Problem:
        """Keep its traceback with the state of this machine."""
        folder = self._payload.where.folder if self._payload.where is not None else STATE_FOLDER
        return bugs.keep(error, folder=folder, where=f"host {host}")

    def close(self) -> None:
        """Let go of the store."""
        self._recorder.close()


class _Reported:
    """A guard that tells the control node what came of a login: it is the one that counts over all workers."""

    def __init__(self, logged_in: Callable[[bool | None], None], *, quiet: bool) -> None:
        self._logged_in = logged_in
        self._quiet = quiet

    def attempt(self, name: str, login: Callable[[], T]) -> T:
        """Log in, and tell what came of it."""
        accepted: bool | None = None
        try:
            result = login()
            accepted = True
        except LoginRefused:
            accepted = False
            raise
        finally:
            self._logged_in(accepted)
        return result

    def knows(self, name: str) -> bool:
        """Whether the control node need not be told: then no request is spent on logging in alone."""
        return self._quiet
