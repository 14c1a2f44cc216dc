"""Logins that were refused, remembered over rounds, so that a wrong password is not tried round after round until it locks."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from converge.errors import LoginNotTried
from converge.fleet.accounts import MOST_REFUSALS
from converge.model.names import fold
from converge.schedule.clock import Clock

EVERYWHERE = ""
"""In place of a host: an account that was refused and let in nowhere."""


@dataclass(frozen=True, slots=True)
class AccountLogin:
    """One account at one host. `digest` changes with its password and settings, and gives nothing of them away."""

    host: str
    account: str
    digest: bytes = field(repr=False)


class Refusals(Protocol):
    """What outlasts this process. Every method may raise JournalUnavailable."""

    def refused_logins(self) -> dict[tuple[str, str], datetime]:
        """By folded account and host, when it was refused."""

    def keep_refused_logins(self, refused: dict[tuple[str, str], datetime]) -> None:
        """All that is refused from now on."""


@dataclass(slots=True)
class RefusedLogins:
    """Asked by many threads before they log in; told by one what came of it.

    A login that a host refused is not tried there again, and an account that two hosts refused while none let it in is
    tried nowhere, until its password or its settings are others, `pause` is over, or `forget` was called.
    """

    refusals: Refusals
    clock: Clock
    pause: timedelta = timedelta(days=1)
    _when: dict[tuple[str, str], datetime] = field(default_factory=dict)
    _digests: dict[tuple[str, str], set[bytes]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def load(self) -> None:
        """Take over what an earlier process left. Its passwords are not known here: only the pause ends these."""
        self._when = self.refusals.refused_logins()

    def forget(self) -> None:
        """Try everything again."""
        with self._lock:
            self._when.clear()
            self._digests.clear()
        self.refusals.keep_refused_logins({})

    def require_untried(self, login: AccountLogin) -> None:
        """Raises LoginNotTried where this login was refused before and nothing is different now."""
        with self._lock:
            for host in (login.host, EVERYWHERE):
                refused = self._standing((fold(login.account), host), login.digest)
                if refused is not None:
                    raise LoginNotTried(
                        f"not tried again: {login.account} was refused {'here' if host else 'and let in nowhere'}",
                        why=f"That was at {_moment(refused)}. It is tried again at {_moment(refused + self.pause)}.",
                        try_="correct its password; SIGHUP, or --retry-logins with --once, tries at once",
                    )

    def _standing(self, key: tuple[str, str], digest: bytes) -> datetime | None:
        refused = self._when.get(key)
        if refused is None or self.clock.now() - refused >= self.pause:
            return None
        digests = self._digests.get(key)
        return refused if digests is None or digest in digests else None

    def note(self, refused: Iterable[AccountLogin], accepted: Iterable[AccountLogin]) -> None:
        """What came of the logins of one run. Raises JournalUnavailable."""
        now = self.clock.now()
        let_in = {(fold(each.account), each.digest) for each in accepted}
        with self._lock:
            before = dict(self._when)
            for login in accepted:
                for host in (login.host, EVERYWHERE):
                    self._when.pop((fold(login.account), host), None)
                    self._digests.pop((fold(login.account), host), None)
            self._when = {key: moment for key, moment in self._when.items() if now - moment < self.pause}
            self._digests = {key: digests for key, digests in self._digests.items() if key in self._when}
            for login in refused:
                self._add(login, login.host, now)
                if (fold(login.account), login.digest) not in let_in and self._refused_by(login) >= MOST_REFUSALS:
                    self._add(login, EVERYWHERE, now)
            after = dict(self._when)
        if after != before:
            self.refusals.keep_refused_logins(after)

    def _refused_by(self, login: AccountLogin) -> int:
        return sum(
            account == fold(login.account) and bool(host) and login.digest in self._digests.get((account, host), ())
            for account, host in self._when
        )

    def _add(self, login: AccountLogin, host: str, now: datetime) -> None:
        key = (fold(login.account), host)
        self._when[key] = now
        digests = self._digests.setdefault(key, set())
        if host:
            digests.clear()  # the host's earlier refusal was of another password, or is over
        digests.add(login.digest)

    def standing(self) -> dict[str, tuple[int, datetime, bool]]:
        """By account: how many hosts refused it, when it is tried again, and whether it is tried nowhere until then."""
        now = self.clock.now()
        found: dict[str, tuple[int, datetime, bool]] = {}
        with self._lock:
            for (account, host), refused in self._when.items():
                again = refused + self.pause
                if again <= now:
                    continue
                hosts, until, nowhere = found.get(account, (0, again, False))
                found[account] = (hosts + bool(host), max(until, again), nowhere or not host)
        return found


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
