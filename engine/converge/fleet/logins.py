"""Keeps a wrong password from locking an account: after two refusals and no success no further host is tried with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TypeVar

from converge.errors import LoginNotTried, LoginRefused
from converge.model.action import AnyAction, Performed
from converge.model.answer import Answers
from converge.model.machine import Machine, Observer
from converge.model.names import fold
from converge.model.query import AnyQuery, OperatingSystem

T = TypeVar("T")
MOST_REFUSALS = 2
SLOW_SECONDS = 10.0
"""A login that takes longer holds nobody back any more: its host is silent rather than about to refuse."""


@dataclass(slots=True)
class _Account:
    """What this run knows of one account; `under_way` is when each login began that has not ended."""

    proven: bool = False
    refused: int = 0
    under_way: list[float] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)


class LoginGuard:
    """Shared by all hosts of a run, from many threads.

    Until an account was let in somewhere, never more logins are under way than may still be refused, slow ones apart:
    so nobody waits longer than `slow` seconds, times the pairs of silent hosts before it.
    """

    def __init__(self, *, slow: float = SLOW_SECONDS, at_once: int = 0) -> None:
        """`at_once`: how many logins may be under way, whatever the account, for the sake of those who check them."""
        self._slots: AbstractContextManager[object] = threading.BoundedSemaphore(at_once) if at_once else nullcontext()
        self._slow = slow
        self._accounts: dict[str, _Account] = {}
        self._lock = threading.Lock()

    def attempt(self, name: str, login: Callable[[], T]) -> T:
        """What `login` returns. Raises LoginNotTried without calling it where that could lock the account."""
        account = self._account(name)
        began = self._enter(account, name)
        refused = proven = False
        try:
            with self._slots:
                result = login()
            proven = True
        except LoginRefused:
            refused = True
            raise
        finally:
            with account.changed:
                account.under_way.remove(began)
                account.refused += refused
                account.proven = account.proven or proven
                account.changed.notify_all()
        return result

    def knows(self, name: str) -> bool:
        """Whether the account was let in somewhere."""
        return self._account(name).proven

    def _account(self, name: str) -> _Account:
        with self._lock:
            return self._accounts.setdefault(fold(name), _Account())

    def _enter(self, account: _Account, name: str) -> float:
        with account.changed:
            while not (account.proven or account.refused >= MOST_REFUSALS):
                wait = self._until_room(account)
                if wait <= 0:
                    break
                account.changed.wait(wait)
            if not account.proven and account.refused >= MOST_REFUSALS:
                raise LoginNotTried(
                    f"not tried: would lock {name}",
                    why=f"{account.refused} hosts refused this account in this run, and none accepted it.",
                    try_="correct its password, or look whether it is locked already",
                )
            began = time.monotonic()
            account.under_way.append(began)
            return began

    def _until_room(self, account: _Account) -> float:
        """Seconds until another login may begin if nothing ends before; 0 or less for now."""
        room = MOST_REFUSALS - account.refused
        youngest = sorted(account.under_way)[-room:]
        return youngest[0] + self._slow - time.monotonic() if len(youngest) == room else 0.0


class GuardedObserver:
    """An observer whose first request, which logs in, waits for the guard. It can be asked, and do nothing.

    While nobody knows whether the account is let in, that first request is a short one, so that others need not wait for
    all that is asked here.
    """

    def __init__(self, observer: Observer, *, account: str, guard: LoginGuard) -> None:
        self._observer = observer
        self._account = account
        self._guard = guard
        self._logged_in = False

    @property
    def host(self) -> str:
        """The host's name in the inventory."""
        return self._observer.host

    @property
    def round_trips(self) -> int:
        """How many requests were sent after authentication."""
        return self._observer.round_trips

    def ask(self, queries: Collection[AnyQuery]) -> Answers:
        """Answer every query. Raises LoginNotTried where logging in could lock the account, else as the observer does."""
        if not self._logged_in:
            if not self._guard.knows(self._account):
                self._guard.attempt(self._account, lambda: self._observer.ask((OperatingSystem(),)))
            self._logged_in = True
        return self._observer.ask(queries)


class GuardedMachine(GuardedObserver):
    """The same, and it can act."""

    def __init__(self, machine: Machine, *, account: str, guard: LoginGuard) -> None:
        super().__init__(machine, account=account, guard=guard)
        self._machine = machine

    def perform(self, action: AnyAction) -> Performed:
        """Do one thing, as the machine does. Nothing is ever done before something was asked."""
        return self._machine.perform(action)
