"""Keeps a wrong password from locking an account: after two refusals and no success no further host is tried with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from converge.errors import LoginNotTried, LoginRefused
from converge.fleet.accounts import Account
from converge.model.action import AnyAction, Performed
from converge.model.answer import Answers
from converge.model.machine import Fronting, Machine, Observer
from converge.model.names import fold
from converge.model.query import AnyQuery, OperatingSystem

T = TypeVar("T")
SLOW_SECONDS = 10.0
"""A login that takes longer holds nobody back any more: its host is silent rather than about to refuse."""


class Guard(Protocol):
    """Answers for the accounts of a run, whose hosts may be spread over many processes."""

    def attempt(self, name: str, login: Callable[[], T]) -> T:
        """What `login` returns. Raises LoginNotTried without calling it where that could lock the account."""

    def knows(self, name: str) -> bool:
        """Whether a host's first request may be any: the account was let in somewhere, and logins need not be counted."""


@dataclass(slots=True)
class _Watched:
    """An account, and a bell that rings when something was learnt of it."""

    account: Account
    changed: threading.Condition = field(default_factory=threading.Condition)


class LoginGuard:
    """Shared by all hosts of a run, from many threads.

    Until an account was let in somewhere, never more logins are under way than may still be refused, slow ones apart:
    so nobody waits longer than `slow` seconds, times the pairs of silent hosts before it.
    """

    def __init__(self, *, slow: float = SLOW_SECONDS, at_once: int = 0) -> None:
        """`at_once`: how many logins may be under way, whatever the account, for the sake of those who check them."""
        self._slots: AbstractContextManager[object] = threading.BoundedSemaphore(at_once) if at_once else nullcontext()
        self._at_once = at_once
        self._slow = slow
        self._accounts: dict[str, _Watched] = {}
        self._lock = threading.Lock()

    def attempt(self, name: str, login: Callable[[], T]) -> T:
        """What `login` returns. Raises LoginNotTried without calling it where that could lock the account."""
        watched = self._watched(name)
        began = self._enter(watched, name)
        accepted: bool | None = None
        try:
            with self._slots:
                result = login()
            accepted = True
        except LoginRefused:
            accepted = False
            raise
        finally:
            with watched.changed:
                watched.account.end(began, accepted=accepted)
                watched.changed.notify_all()
        return result

    def knows(self, name: str) -> bool:
        """Whether the account was let in somewhere, and logins need not be counted."""
        return not self._at_once and self._watched(name).account.proven

    def _watched(self, name: str) -> _Watched:
        with self._lock:
            return self._accounts.setdefault(fold(name), _Watched(Account(self._slow)))

    def _enter(self, watched: _Watched, name: str) -> float:
        with watched.changed:
            while (wait := watched.account.until_room(time.monotonic())) > 0:
                watched.changed.wait(wait)
            if watched.account.is_lost:
                raise not_tried(name, watched.account.refused)
            began = time.monotonic()
            watched.account.begin(began)
            return began


def not_tried(name: str, refused: int) -> LoginNotTried:
    """Why an account is not tried any more."""
    return LoginNotTried(
        f"not tried: would lock {name}",
        why=f"{refused} hosts refused this account in this run, and none accepted it.",
        try_="correct its password, or check whether it is already locked",
    )


class GuardedObserver(Fronting):
    """An observer whose first request, which logs in, waits for the guard. It can be asked, and do nothing.

    While nobody knows whether the account is let in, that first request is a short one, so that others need not wait for
    all that is asked here.
    """

    def __init__(self, observer: Observer, *, account: str, guard: Guard) -> None:
        super().__init__(observer)
        self._account = account
        self._guard = guard
        self._logged_in = False

    def ask(self, queries: Collection[AnyQuery]) -> Answers:
        """Answer every query. Raises LoginNotTried where logging in could lock the account, else as the observer does."""
        told = Answers({}) if self._logged_in or self._guard.knows(self._account) else self._first_told()
        self._logged_in = True
        left = [query for query in queries if query not in told]
        if not told or len(left) == len(queries):
            return self._observer.ask(queries)
        return Answers({**told, **(self._observer.ask(left) if left else {})})

    def _first_told(self) -> Answers:
        return self._guard.attempt(self._account, lambda: self._observer.ask((OperatingSystem(),)))


class GuardedMachine(GuardedObserver):
    """The same, and it can act."""

    def __init__(self, machine: Machine, *, account: str, guard: Guard) -> None:
        super().__init__(machine, account=account, guard=guard)
        self._machine = machine

    def perform(self, action: AnyAction) -> Performed:
        """Do one thing, as the machine does. Nothing is ever done before something was asked."""
        return self._machine.perform(action)
