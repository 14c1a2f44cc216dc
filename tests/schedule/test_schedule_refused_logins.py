"""A login that was refused is not tried round after round: by password, host and account, over restarts, for a while."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from converge.errors import LoginNotTried
from converge.fleet.stop import StopToken
from converge.schedule.logins import AccountLogin, RefusedLogins
from converge.store.store import Store, Where

START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


class HandClock:
    """Time passes by hand."""

    def __init__(self) -> None:
        self.moment = START

    def now(self) -> datetime:
        return self.moment

    def wait_until(self, moment: datetime, stop: StopToken) -> bool:
        raise AssertionError("nobody waits here")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(Where(tmp_path)) as store:
        yield store


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def logins(store: Store, clock: HandClock) -> RefusedLogins:
    return RefusedLogins(store.enforcement, clock, DAY)


def login(host: str, account: str = "CORP\\deploy", password: str = "wrong") -> AccountLogin:
    return AccountLogin(host, account, password.encode())


def is_tried(logins: RefusedLogins, wanted: AccountLogin) -> bool:
    try:
        logins.require_untried(wanted)
    except LoginNotTried:
        return False
    return True


def test_a_host_that_refused_a_login_is_not_asked_again_for_the_pause(logins: RefusedLogins, clock: HandClock) -> None:
    logins.note([login("web01")], [login("web02")])
    assert not is_tried(logins, login("web01"))
    assert not is_tried(logins, login("web01", account="corp\\DEPLOY")), "Windows does not tell the case of names apart"
    assert is_tried(logins, login("web02"))
    assert is_tried(logins, login("web03"))
    with pytest.raises(LoginNotTried) as caught:
        logins.require_untried(login("web01"))
    assert "2026-03-02 00:00 UTC" in caught.value.why
    assert "SIGHUP" in caught.value.try_
    clock.moment += DAY - timedelta(seconds=1)
    assert not is_tried(logins, login("web01"))
    clock.moment += timedelta(seconds=1)
    assert is_tried(logins, login("web01"))


def test_an_account_that_is_let_in_nowhere_is_tried_nowhere(logins: RefusedLogins) -> None:
    """However the rounds are cut, no more than two hosts refuse one password of one account."""
    logins.note([login("web01")], [])
    assert is_tried(logins, login("web02"))
    logins.note([login("web02")], [])
    assert not is_tried(logins, login("web03"))
    assert is_tried(logins, login("web03", account="CORP\\other"))
    assert logins.standing() == {"CORP\\DEPLOY": (2, START + DAY, True)}


def test_another_password_is_tried_at_once_everywhere(logins: RefusedLogins) -> None:
    logins.note([login("web01"), login("web02")], [])
    for host in ("web01", "web02", "web03"):
        assert not is_tried(logins, login(host))
        assert is_tried(logins, login(host, password="corrected"))
    logins.note([], [login("web01", password="corrected")])
    assert is_tried(logins, login("web03", password="corrected"))


def test_local_accounts_of_one_name_with_passwords_of_their_own_do_not_stop_each_other(logins: RefusedLogins) -> None:
    for number in range(5):
        logins.note([login(f"web0{number}", "Administrator", f"of web0{number}")], [])
    assert not is_tried(logins, login("web03", "Administrator", "of web03"))
    assert is_tried(logins, login("web09", "Administrator", "of web09"))


def test_a_password_that_goes_to_and_fro_is_not_tried_twice_at_a_host_of_an_account_refused_everywhere(
    logins: RefusedLogins,
) -> None:
    logins.note([login("web01"), login("web02")], [])
    logins.note([login("web01", password="worse"), login("web02", password="worse")], [])
    assert not is_tried(logins, login("web03"))
    assert not is_tried(logins, login("web01"))


def test_a_process_for_one_round_knows_what_the_one_before_was_refused(store: Store, clock: HandClock) -> None:
    RefusedLogins(store.enforcement, clock, DAY).note([login("web01"), login("web02")], [])
    later = RefusedLogins(store.enforcement, clock, DAY)
    later.load()
    assert not is_tried(later, login("web01"))
    assert not is_tried(later, login("web09"))
    later.forget()
    assert is_tried(later, login("web01"))
    assert store.enforcement.refused_logins() == {}


def test_nothing_of_a_password_is_kept(store: Store, logins: RefusedLogins) -> None:
    logins.note([login("web01", password="Passw0rd!"), login("web02", password="Passw0rd!")], [])
    assert set(store.enforcement.refused_logins()) == {
        ("CORP\\DEPLOY", "web01"), ("CORP\\DEPLOY", "web02"), ("CORP\\DEPLOY", ""),
    }  # fmt: skip
    assert "Passw0rd" not in repr(login("web01", password="Passw0rd!"))
