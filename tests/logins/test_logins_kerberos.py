"""Kerberos with a real KDC and real libraries: every way in, every way to be refused. See test_logins_own_interpreter.py."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.logins import realm as realms
from tests.logins.conftest import VERSION, Authority, Serve, Served, version
from tests.logins.realm import PASSWORD, PRINCIPAL, Realm

from converge.errors import HostUnreachable, LoginRefused
from converge.lab.endpoint.host import EndpointPolicy
from converge.lab.endpoint.mishaps import Mishap, MishapKind
from converge.winrm.connection import Login, MessageSealing

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("gssapi") is None or importlib.util.find_spec("krb5") is None,
        reason="the libraries of this login are not in this interpreter: an interpreter of its own runs these tests",
    ),
]

NTLM_PASSWORD = "Another one 1!"


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Realm]:
    """A realm that this process, too, takes for its own."""
    made = Realm(tmp_path_factory.mktemp("realm"))
    with pytest.MonkeyPatch.context() as patched:
        for name, value in made.environment.items():
            patched.setenv(name, value)
        made.start()
        yield made
        made.stop()


@pytest.fixture
def host(serve: Serve, realm: Realm) -> Callable[..., Served]:
    """Serves a host of the realm under its name there. One account has another password there than in the realm."""

    def start(policy: EndpointPolicy | None = None, **settings: Any) -> Served:
        policy = replace(policy or EndpointPolicy(), keytab=realm.keytab)
        accounts = {r"ELSEWHERE.TEST\alice": NTLM_PASSWORD, r"LAB.TEST\same": "same", "many": "x", "late": "x"}
        return serve(policy, **{"name": realms.HOST, "accounts": accounts, **settings})

    return start


def ask(served: Served, *, user: str = PRINCIPAL, password: str = PASSWORD, **settings: Any) -> str:
    """The host's version, asked as a user of the realm."""
    return version(served.url, user=user, password=password, **settings)


@pytest.mark.parametrize("login", [Login.KERBEROS, Login.NEGOTIATE])
def test_sealed_over_http(host: Callable[..., Served], login: Login) -> None:
    served = host()
    assert ask(served, login=login) == VERSION
    assert {record.account for record in served.host.log.records} == {r"ELSEWHERE.TEST\alice"}


@pytest.mark.parametrize("sealing", [MessageSealing.AUTO, MessageSealing.ALWAYS])
@pytest.mark.parametrize("binds", [True, False])
def test_over_https(
    host: Callable[..., Served], authority: Authority, of_the_host: Path, sealing: MessageSealing, binds: bool
) -> None:
    served = host(EndpointPolicy(binds_channel=binds), certificate=of_the_host)
    assert ask(served, login=Login.KERBEROS, sealing=sealing, ca_trust_path=str(authority.path)) == VERSION


def test_a_host_that_offers_only_kerberos(host: Callable[..., Served]) -> None:
    served = host(EndpointPolicy(negotiate=False))
    assert ask(served, login=Login.KERBEROS) == VERSION


def test_an_answer_in_the_clear_is_refused(host: Callable[..., Served]) -> None:
    served = host()
    served.host.mishaps.add(Mishap(MishapKind.UNSEALED, times=2))
    with pytest.raises(HostUnreachable, match="in the clear"):
        ask(served, login=Login.KERBEROS)


@pytest.mark.parametrize("user", [PRINCIPAL, ""])
def test_a_ticket_of_kinit_is_enough(host: Callable[..., Served], realm: Realm, user: str) -> None:
    served = host()
    realm.kinit()
    try:
        assert ask(served, user=user, password="", login=Login.KERBEROS) == VERSION
        assert ask(served, password="", login=Login.NEGOTIATE) == VERSION
    finally:
        realm.kdestroy()


def test_many_hosts_ask_the_realm_once_for_the_account(host: Callable[..., Served], realm: Realm) -> None:
    realm.admin("addprinc -pw many many")
    served = host()
    log = realm.folder / "kdc.log"
    before = log.read_text().count("ISSUE") if log.exists() else 0
    for _ in range(5):
        assert ask(served, user="many@LAB.TEST", password="many", login=Login.KERBEROS) == VERSION
    # One ticket for the account, and one for the host.
    assert log.read_text().count("ISSUE") - before <= 2


def test_a_line_that_broke_is_logged_in_anew(host: Callable[..., Served]) -> None:
    served = host()
    served.host.mishaps.add(Mishap(MishapKind.CUT_SHORT, times=1))
    assert ask(served, login=Login.KERBEROS) == VERSION
    served.host.mishaps.add(Mishap(MishapKind.UNAUTHORIZED, times=1))
    assert ask(served, login=Login.KERBEROS) == VERSION


Prepare = Callable[[Realm], None]


def _locked(realm: Realm) -> None:
    realm.admin("addprinc -pw old locked")
    realm.admin("modprinc -allow_tix locked")


def _expired(realm: Realm) -> None:
    realm.admin("addprinc -pw old expired")
    realm.admin('modprinc -pwexpire "2020-01-01" expired')


def _nothing(_: Realm) -> None:
    pass


@pytest.mark.parametrize(
    ("prepare", "settings", "error", "cause", "remedy"),
    [
        (_nothing, {"password": "wrong"}, LoginRefused, "the password is wrong", "check the password"),
        (_nothing, {"user": "bob@LAB.TEST"}, LoginRefused, "no such account", "check the account's name"),
        (_locked, {"user": "locked@LAB.TEST", "password": "old"}, LoginRefused, "the account is locked", "unlock it"),
        (_expired, {"user": "expired@LAB.TEST", "password": "old"}, LoginRefused, "has expired", "change the password"),
        (_nothing, {"user": "alice@ELSEWHERE.TEST"}, HostUnreachable, "the name of the realm", "in capitals"),
        (_nothing, {"user": "alice@DEAD.TEST"}, HostUnreachable, "servers do not answer", "port 88"),
        (_nothing, {"password": ""}, HostUnreachable, "there is no ticket", "kinit"),
    ],
)
def test_no_ticket_says_why(
    host: Callable[..., Served],
    realm: Realm,
    prepare: Prepare,
    settings: dict[str, str],
    error: type[HostUnreachable],
    cause: str,
    remedy: str,
) -> None:
    prepare(realm)
    served = host()
    with pytest.raises(error) as refused:
        ask(served, login=Login.KERBEROS, **settings)
    assert type(refused.value) is error
    assert refused.value.why.startswith(cause) or cause in refused.value.why.partition(";")[0]
    assert remedy in refused.value.try_.partition("; or")[0]
    assert PASSWORD not in str(refused.value)
    assert served.host.log.records == ()


def test_a_host_unknown_to_the_realm(host: Callable[..., Served], realm: Realm) -> None:
    realm.admin("addprinc -pw same same")
    # Still a name for this machine, and one of which the realm knows nothing.
    served = host(name="127.1")
    with pytest.raises(HostUnreachable) as refused:
        ask(served, user="same@LAB.TEST", password="same", login=Login.KERBEROS)
    assert refused.value.why.startswith("the realm knows no HTTP/127.1")
    assert "setspn" in refused.value.try_
    # Negotiate goes on with NTLM.
    assert ask(served, user="same@LAB.TEST", password="same") == VERSION


def test_negotiate_goes_on_with_ntlm_where_there_is_no_ticket(host: Callable[..., Served]) -> None:
    served = host()
    assert ask(served, user="alice@ELSEWHERE.TEST", password=NTLM_PASSWORD) == VERSION
    with pytest.raises(LoginRefused) as refused:
        ask(served, user="alice@ELSEWHERE.TEST", password="wrong")
    assert "Kerberos, which was tried first, gave no ticket" in refused.value.why


def test_negotiate_tries_a_refused_password_nowhere_else(host: Callable[..., Served]) -> None:
    served = host()
    with pytest.raises(LoginRefused):
        ask(served, password=NTLM_PASSWORD)
    assert served.host.log.refused_logins == 0


def test_keys_that_changed_under_the_host(host: Callable[..., Served], realm: Realm) -> None:
    realm.admin("addprinc -pw late late")
    old = realm.keytab.read_bytes()
    realm.admin(f"ktadd -k {realm.keytab} HTTP/{realms.HOST}")
    realm.keytab, current = realm.folder / "old.keytab", realm.keytab
    realm.keytab.write_bytes(old)
    try:
        served = host()
        with pytest.raises(HostUnreachable) as refused:
            ask(served, user="late@LAB.TEST", password="late", login=Login.KERBEROS)
        assert "belongs to another account of the domain" in refused.value.why
        assert "setspn -X" in refused.value.try_
    finally:
        realm.keytab = current


def test_clocks_that_differ(serve: Serve, tmp_path: Path) -> None:
    ahead = Realm(tmp_path, ahead=1)
    with pytest.MonkeyPatch.context() as patched:
        for name, value in ahead.environment.items():
            patched.setenv(name, value)
        ahead.start()
        try:
            ahead.admin("addprinc -pw skewed skewed")
            served = serve(EndpointPolicy(keytab=ahead.keytab), name=realms.HOST)
            with pytest.raises(HostUnreachable) as refused:
                version(served.url, user="skewed@LAB.TEST", password="skewed", login=Login.KERBEROS)
        finally:
            ahead.stop()
    assert refused.value.why.startswith("the clocks differ")
    assert "clock" in refused.value.try_
    assert os.environ.get("KRB5_CONFIG") != str(tmp_path / "krb5.conf")
