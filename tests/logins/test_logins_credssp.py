"""CredSSP, which is only used when it is asked for by name."""

from __future__ import annotations

import ssl
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import spnego
import spnego._credssp
from tests.logins.conftest import PASSWORD, USER, VERSION, Authority, Serve, version

from converge.errors import HostUnreachable, LoginRefused
from converge.lab.endpoint import acceptors
from converge.lab.endpoint.host import EndpointPolicy
from converge.lab.endpoint.mishaps import Mishap, MishapKind
from converge.model.query import CimInstances
from converge.model.secret import Secret
from converge.winrm.connection import Connection, Login, MessageSealing
from converge.winrm.observer import WinRMObserver

Accept = Callable[..., list[spnego.ContextProxy]]

CREDSSP = EndpointPolicy(negotiate=False, credssp=True)


def test_sealed_over_http(serve: Serve) -> None:
    assert version(serve(CREDSSP).url, login=Login.CREDSSP) == VERSION


@pytest.mark.parametrize("sealing", [MessageSealing.AUTO, MessageSealing.ALWAYS])
def test_over_https(serve: Serve, authority: Authority, of_the_host: Path, sealing: MessageSealing) -> None:
    served = serve(CREDSSP, certificate=of_the_host)
    assert version(served.url, login=Login.CREDSSP, sealing=sealing, ca_trust_path=str(authority.path)) == VERSION


def test_an_answer_in_the_clear_is_refused(serve: Serve) -> None:
    served = serve(CREDSSP)
    served.host.mishaps.add(Mishap(MishapKind.UNSEALED, times=2))
    with pytest.raises(HostUnreachable, match="in the clear"):
        version(served.url, login=Login.CREDSSP)


def test_a_wrong_password(serve: Serve) -> None:
    served = serve(CREDSSP)
    with pytest.raises(LoginRefused) as refused:
        version(served.url, login=Login.CREDSSP, password="wrong")
    assert refused.value.why.startswith("the password is wrong")
    assert PASSWORD not in str(refused.value)


def test_a_host_on_which_it_is_switched_off(serve: Serve) -> None:
    with pytest.raises(LoginRefused) as refused:
        version(serve(EndpointPolicy()).url, login=Login.CREDSSP)
    assert "does not offer credssp, only negotiate" in refused.value.why
    assert 'winrm set winrm/config/service/auth @{CredSSP="true"}' in refused.value.try_


def test_a_message_longer_than_is_sealed_at_once(serve: Serve) -> None:
    connection = Connection("lab1", serve(CREDSSP).url, username=USER, password=Secret(PASSWORD), login=Login.CREDSSP)
    observer = WinRMObserver(connection)
    query = CimInstances("root/cimv2", "SELECT Version FROM Win32_OperatingSystem" + " " * 40_000)
    found = observer.ask([query]).value(query)
    observer.close()
    assert found is not None
    assert len(found) == 1


class Weakened:
    """The login within CredSSP of a host that takes these flags from its challenge."""

    def __init__(self, context: spnego.ContextProxy, taken: int) -> None:
        self._context = context
        self._taken = taken

    def step(self, token: bytes | None = None) -> bytes | None:
        said = self._context.step(token)
        at = (said or b"").find(b"NTLMSSP\0\x02\0\0\0")
        if said is None or at < 0:
            return said
        (flags,) = struct.unpack_from("<I", said, at + 20)
        return said[: at + 20] + struct.pack("<I", flags & ~self._taken) + said[at + 24 :]

    def __getattr__(self, name: str) -> object:
        return getattr(self._context, name)


@pytest.fixture
def accept(monkeypatch: pytest.MonkeyPatch) -> Accept:
    """Lets hosts accept CredSSP in another way; gives the logins that they see."""

    def otherwise(*, taken: int = 0, newest: ssl.TLSVersion | None = None) -> list[spnego.ContextProxy]:
        seen: list[spnego.ContextProxy] = []
        own = spnego.NegotiateOptions.use_negotiate | spnego.NegotiateOptions.use_ntlm

        def acceptor(*_: object, **__: object) -> spnego.ContextProxy:
            inner = spnego.server(hostname="localhost", service="http", options=spnego.NegotiateOptions.use_negotiate)
            tls = spnego._credssp._create_tls_context("accept")  # with its certificate
            if newest is not None:
                tls.context.minimum_version = ssl.TLSVersion.TLSv1
                tls.context.maximum_version = newest
                tls.context.set_ciphers("DEFAULT:@SECLEVEL=0")
            made = spnego.server(
                hostname="localhost", service="http", protocol="credssp", options=own,
                credssp_negotiate_context=Weakened(inner, taken), credssp_tls_context=tls,
            )  # fmt: skip
            seen.append(made)
            return made

        monkeypatch.setattr(acceptors, "acceptor", acceptor)
        return seen

    return otherwise


@pytest.mark.parametrize(
    ("taken", "missing"),
    [(0x10, "signing"), (0x20, "sealing"), (0x80000, "extended session security"), (0x20000000, "128-bit keys")],
)
@pytest.mark.parametrize("https", [False, True])
def test_the_password_is_not_handed_over_under_a_weakened_ntlm(
    serve: Serve, authority: Authority, of_the_host: Path, accept: Accept, taken: int, missing: str, https: bool
) -> None:
    seen = accept(taken=taken)
    served = serve(CREDSSP, certificate=of_the_host) if https else serve(CREDSSP)
    with pytest.raises(HostUnreachable, match=f"weakened NTLM, without {missing}"):
        version(served.url, login=Login.CREDSSP, ca_trust_path=str(authority.path) if https else None)
    assert [login.get_extra_info("client_credential") for login in seen] == [None]


def test_a_host_that_weakens_nothing_is_let_have_the_password(serve: Serve, accept: Accept) -> None:
    seen = accept()
    assert version(serve(CREDSSP).url, login=Login.CREDSSP) == VERSION
    assert seen[0].get_extra_info("client_credential").password == PASSWORD


def test_tls_within_is_of_the_least_version_that_is_set(serve: Serve, accept: Accept) -> None:
    seen = accept(newest=ssl.TLSVersion.TLSv1_1)
    url = serve(CREDSSP).url
    with pytest.raises(
        HostUnreachable, match=r"TLS within CredSSP does not come about, and converge_tls_minimum is 1\.2"
    ):
        version(url, login=Login.CREDSSP)
    assert all(login.get_extra_info("client_credential") is None for login in seen)
    assert version(url, login=Login.CREDSSP, tls_minimum="1.0") == VERSION


def test_what_is_older_than_the_binding_to_tls_is_used_only_over_tls_that_is_trusted(
    serve: Serve, authority: Authority, of_the_host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spnego._credssp._CREDSSP_VERSION", 4)
    with pytest.raises(HostUnreachable, match="CVE-2018-0886"):
        version(serve(CREDSSP).url, login=Login.CREDSSP)
    url = serve(CREDSSP, certificate=of_the_host).url
    assert version(url, login=Login.CREDSSP, ca_trust_path=str(authority.path)) == VERSION
    with pytest.raises(HostUnreachable, match="CVE-2018-0886"):
        version(url, login=Login.CREDSSP, validate_certificate=False)
