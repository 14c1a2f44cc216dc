"""Logins over TLS with a private authority: Basic, NTLM, client certificates, channel bindings; and every way TLS says no."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from tests.logins.conftest import PASSWORD, USER, VERSION, Authority, Serve, listening, version

from converge.errors import ConvergeError, HostUnreachable, LoginRefused
from converge.lab.endpoint.host import EndpointPolicy
from converge.winrm.connection import Login, MessageSealing

OPEN = EndpointPolicy(basic=True)
UPN = "deploy@lab.test"
MAPPED = EndpointPolicy(negotiate=False, certificates={UPN: USER})


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"), "Stranger")


@pytest.mark.parametrize("login", [Login.NEGOTIATE, Login.BASIC])
@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_private_authority(serve: Serve, authority: Authority, of_the_host: Path, login: Login, name: str) -> None:
    served = serve(OPEN, certificate=of_the_host, name=name)
    assert version(served.url, login=login, ca_trust_path=str(authority.path)) == VERSION


def test_messages_may_be_sealed_within_tls(serve: Serve, authority: Authority, of_the_host: Path) -> None:
    served = serve(EndpointPolicy(), certificate=of_the_host)
    assert version(served.url, sealing=MessageSealing.ALWAYS, ca_trust_path=str(authority.path)) == VERSION


@pytest.mark.parametrize(
    ("days", "names", "what", "remedy"),
    [
        ((-10, -1), ("127.0.0.1",), "has expired", "renew the certificate"),
        ((1, 10), ("127.0.0.1",), "not valid yet", "clock"),
        ((-1, 1), ("127.0.0.9",), "for another name", "ansible_host"),
        ((-1, 1), ("elsewhere.lab.test",), "for another name", "ansible_host"),
    ],
)
@pytest.mark.parametrize("login", [Login.NEGOTIATE, Login.BASIC, Login.CERTIFICATE])
def test_a_certificate_that_is_wrong_says_how(
    serve: Serve,
    authority: Authority,
    login: Login,
    days: tuple[int, int],
    names: tuple[str, ...],
    what: str,
    remedy: str,
) -> None:
    own = str(authority.sign("own", user=UPN))
    served = serve(OPEN, certificate=authority.sign("wrong", names=names, days=days))
    with pytest.raises(HostUnreachable, match=what) as refused:
        version(served.url, login=login, ca_trust_path=str(authority.path), certificate=own, certificate_key=own)
    assert refused.value.code == "certificate"
    assert remedy in refused.value.try_
    assert served.host.log.records == ()


def test_an_unknown_authority(serve: Serve, of_the_host: Path, stranger: Authority) -> None:
    served = serve(OPEN, certificate=of_the_host)
    with pytest.raises(HostUnreachable, match="not trusted") as refused:
        version(served.url, login=Login.BASIC, ca_trust_path=str(stranger.path))
    assert "ansible_winrm_ca_trust_path" in refused.value.try_
    assert served.host.log.refused_logins == 0


def test_https_where_http_listens(serve: Serve, authority: Authority) -> None:
    served = serve(OPEN)
    with pytest.raises(HostUnreachable, match="speaks no TLS") as refused:
        version(served.url.replace("http:", "https:"), ca_trust_path=str(authority.path))
    assert refused.value.code == "tls"
    assert "set ansible_winrm_scheme: http" in refused.value.try_
    assert "set ansible_port" in refused.value.try_


def by_certificate(serve: Serve, authority: Authority, own: Path, policy: EndpointPolicy = MAPPED) -> str:
    """A login with a client's certificate alone."""
    served = serve(policy, certificate=authority.sign("host2", names=("127.0.0.1",)), clients=authority.path)
    return version(
        served.url,
        user="",
        password="",
        login=Login.CERTIFICATE,
        certificate=str(own),
        certificate_key=str(own),
        ca_trust_path=str(authority.path),
    )


def test_a_client_certificate_is_a_login(serve: Serve, authority: Authority) -> None:
    assert by_certificate(serve, authority, authority.sign("client", user=UPN)) == VERSION


def test_a_client_certificate_mapped_to_nobody(serve: Serve, authority: Authority) -> None:
    with pytest.raises(LoginRefused) as refused:
        by_certificate(serve, authority, authority.sign("other", user="other@lab.test"))
    assert refused.value.why.startswith("the certificate is mapped to no account")
    assert "certmapping" in refused.value.try_


def test_a_client_certificate_that_has_expired(serve: Serve, authority: Authority) -> None:
    with pytest.raises(HostUnreachable) as refused:
        by_certificate(serve, authority, authority.sign("old", user=UPN, days=(-10, -1)))
    assert refused.value.why.startswith("the certificate is valid from")
    assert refused.value.try_.startswith("get a new certificate")


def test_a_client_certificate_of_an_authority_the_host_does_not_trust(
    serve: Serve, authority: Authority, stranger: Authority
) -> None:
    with pytest.raises(HostUnreachable) as refused:
        by_certificate(serve, authority, stranger.sign("strange", user=UPN))
    assert "does not trust the authority" in refused.value.why


@contextmanager
def in_between(upstream: str, certificate: Path) -> Iterator[str]:
    """Somebody on the way who ends TLS with a certificate of his own and begins it anew towards the host."""
    address, port = upstream.removeprefix("https://").removesuffix("/wsman").split(":")
    listener = listening(certificate).wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True)
    ours = ssl._create_unverified_context()

    def carry(line: ssl.SSLSocket, onward: ssl.SSLSocket) -> None:
        # One thread for both directions: a TLS connection is not for two at once.
        with suppress(OSError), line, onward:
            while True:
                select.select([line, onward], [], [], 10)
                for source, sink in ((line, onward), (onward, line)):
                    while (data := received(source)) is not None:
                        if not data:
                            return
                        sink.sendall(data)

    def received(source: ssl.SSLSocket) -> bytes | None:
        source.setblocking(False)
        try:
            return source.recv(65536)
        except ssl.SSLWantReadError:
            return None
        finally:
            source.setblocking(True)

    def accept() -> None:
        while True:
            try:
                line, _ = listener.accept()
            except ssl.SSLError:
                continue
            except OSError:
                return
            onward = ours.wrap_socket(socket.create_connection((address, int(port))))
            threading.Thread(target=carry, args=(line, onward), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    with closing(listener):
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/wsman"
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def test_a_login_is_bound_to_the_certificate_of_the_host(serve: Serve, authority: Authority, of_the_host: Path) -> None:
    """Whoever passes a login on to the host is refused there, even where the client did not check his certificate."""
    served = serve(EndpointPolicy(binds_channel=True), certificate=of_the_host)
    assert version(served.url, ca_trust_path=str(authority.path)) == VERSION
    with in_between(served.url, authority.sign("between", names=("127.0.0.1",))) as url, pytest.raises(LoginRefused):
        version(url, validate_certificate=False)
    loose = serve(EndpointPolicy(), certificate=of_the_host)
    with in_between(loose.url, authority.sign("between", names=("127.0.0.1",))) as url:
        assert version(url, validate_certificate=False) == VERSION


@pytest.mark.parametrize(
    ("policy", "settings", "error", "cause", "remedy"),
    [
        (OPEN, {"password": "wrong"}, LoginRefused, "the password is wrong", "check the password"),
        (OPEN, {"password": "wrong", "login": Login.BASIC}, LoginRefused, "the password is wrong", "check the password"),
        (EndpointPolicy(), {"login": Login.BASIC}, LoginRefused, "does not offer basic, only negotiate", "ansible_winrm_transport"),
        (EndpointPolicy(), {"login": Login.BASIC}, LoginRefused, "does not offer basic", 'service/auth @{Basic="true"}'),
        (EndpointPolicy(negotiate=False, basic=True), {}, LoginRefused, "does not offer negotiate", "ansible_winrm_transport"),
        (OPEN, {"user": r"CORP\deploy", "login": Login.BASIC}, LoginRefused, "only the host's own accounts", "negotiate"),
        (OPEN, {"user": "deploy", "password": "x"}, LoginRefused, "filtered by UAC", "LocalAccountTokenFilterPolicy"),
    ],
)  # fmt: skip
def test_a_refused_login_ranks_its_causes(
    serve: Serve,
    authority: Authority,
    of_the_host: Path,
    policy: EndpointPolicy,
    settings: dict[str, str],
    error: type[ConvergeError],
    cause: str,
    remedy: str,
) -> None:
    served = serve(policy, certificate=of_the_host)
    with pytest.raises(error) as refused:
        version(served.url, ca_trust_path=str(authority.path), **settings)
    assert cause in refused.value.why
    assert remedy in refused.value.try_
    assert PASSWORD not in str(refused.value)


def test_a_locked_account_is_a_cause_too(serve: Serve) -> None:
    served = serve(EndpointPolicy(lock_out_after=1))
    with pytest.raises(LoginRefused):
        version(served.url, password="wrong")
    with pytest.raises(LoginRefused, match="does not accept") as refused:
        version(served.url)
    assert "locked" in refused.value.why
    assert "Security log" in refused.value.try_


@pytest.mark.parametrize("encrypts", [True, False])
def test_messages_in_the_clear_are_refused_by_the_host(serve: Serve, encrypts: bool) -> None:
    served = serve(EndpointPolicy(basic=True))
    ask: Callable[[], str] = lambda: version(  # noqa: E731  # asked in two ways
        served.url, sealing=MessageSealing.AUTO if encrypts else MessageSealing.NEVER
    )
    if encrypts:
        assert ask() == VERSION
        return
    with pytest.raises(HostUnreachable, match="refuses messages that are not encrypted") as refused:
        ask()
    assert refused.value.code == "unencrypted-refused"
    assert "ansible_winrm_message_encryption" in refused.value.try_
