"""Keeps a wrong password from locking an account: after two refusals and no success no further host is tried with it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TypeVar

from converge.errors import LoginNotTried, LoginRefused
from converge.model.action import AnyAction, Performed
from converge.model.answer import Answers
from converge.model.machine import Machine, Observer
from converge.model.names import fold
from converge.model.query import AnyQuery

T = TypeVar("T")
MOST_REFUSALS = 2


@dataclass(slots=True)
class _Account:
    """What this run knows of one account. `slots` bounds the logins under way to the refusals still allowed."""

    proven: bool = False
    refused: int = 0
    under_way: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)


class LoginGuard:
    """Shared by all hosts of a run, from many threads.

    Until an account was let in somewhere, never more logins are under way than may still be refused.
    """

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}
        self._lock = threading.Lock()

    def attempt(self, name: str, login: Callable[[], T]) -> T:
        """What `login` returns. Raises LoginNotTried without calling it where that could lock the account."""
        account = self._account(name)
        self._enter(account, name)
        refused = proven = False
        try:
            result = login()
            proven = True
        except LoginRefused:
            refused = True
            raise
        finally:
            with account.changed:
                account.under_way -= 1
                account.refused += refused
                account.proven = account.proven or proven
                account.changed.notify_all()
        return result

    def _account(self, name: str) -> _Account:
        with self._lock:
            return self._accounts.setdefault(fold(name), _Account())

    def _enter(self, account: _Account, name: str) -> None:
        with account.changed:
            account.changed.wait_for(
                lambda: account.proven or account.refused >= MOST_REFUSALS or self._has_room(account)
            )
            if not account.proven and account.refused >= MOST_REFUSALS:
                raise LoginNotTried(
                    f"not tried: would lock {name}",
                    why=f"{account.refused} hosts refused this account in this run, and none accepted it.",
                    try_="correct its password, or look whether it is locked already",
                )
            account.under_way += 1

    @staticmethod
    def _has_room(account: _Account) -> bool:
        return account.under_way + account.refused < MOST_REFUSALS


class GuardedObserver:
    """An observer whose first request, which logs in, waits for the guard. It can be asked, and do nothing."""

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
        if self._logged_in:
            return self._observer.ask(queries)
        answers = self._guard.attempt(self._account, lambda: self._observer.ask(queries))
        self._logged_in = True
        return answers


class GuardedMachine(GuardedObserver):
    """The same, and it can act."""

    def __init__(self, machine: Machine, *, account: str, guard: LoginGuard) -> None:
        super().__init__(machine, account=account, guard=guard)
        self._machine = machine

    def perform(self, action: AnyAction) -> Performed:
        """Do one thing, as the machine does. Nothing is ever done before something was asked."""
        return self._machine.perform(action)
