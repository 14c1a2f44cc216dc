"""Logins, message sealing and what is refused, met by clients written by others: pywinrm, pypsrp, pyspnego."""

from __future__ import annotations

import base64
import http.client
import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
import spnego
from pypsrp.exceptions import AuthenticationError
from pypsrp.shell import Process, WinRS
from pypsrp.wsman import WSMan
from winrm.exceptions import InvalidCredentialsError

import winrm
from converge.lab.endpoint.host import EndpointPolicy
from converge.lab.world import World
from converge.wsman import messages, namespaces, seal
from converge.wsman.envelopes import RequestHeader, ResourceTarget
from converge.wsman.operations import Enumerate, Page

if TYPE_CHECKING:
    from tests.endpoint.conftest import Asker

SEALED_ONLY = EndpointPolicy()


def session(asker: Asker, *, password: str = "", transport: str = "ntlm", encryption: str = "always") -> winrm.Session:
    return winrm.Session(
        asker.endpoint.url,
        auth=(asker.user, password or asker.password),
        transport=transport,
        message_encryption=encryption,
        operation_timeout_sec=10,
        read_timeout_sec=20,
    )


@pytest.mark.parametrize("name", ["Administrator", "ADMINISTRATOR", r"LAB1\Administrator", r".\Administrator"])
def test_pywinrm_with_ntlm_and_sealed_messages(serve: Callable[..., Asker], name: str) -> None:
    asker = serve(policy=SEALED_ONLY, user=name)
    answer = session(asker).run_cmd("echo", ["sealed"])
    assert (answer.status_code, answer.std_out, answer.std_err) == (0, b"sealed\r\n", b"")


def test_pywinrm_with_basic(asker: Asker) -> None:
    answer = session(asker, transport="basic", encryption="never").run_cmd("echo", ["plain"])
    assert (answer.status_code, answer.std_out) == (0, b"plain\r\n")


@pytest.mark.parametrize("auth", ["ntlm", "negotiate"])
def test_pypsrp_with_ntlm_bare_and_inside_spnego(serve: Callable[..., Asker], auth: str) -> None:
    asker = serve(policy=SEALED_ONLY)
    wsman = WSMan(
        "127.0.0.1",
        port=asker.endpoint.port,
        ssl=False,
        auth=auth,
        username=asker.user,
        password=asker.password,
        encryption="always",
        operation_timeout=10,
        read_timeout=20,
    )
    with WinRS(wsman) as shell:
        process = Process(shell, "cmd.exe", ["/c", "echo", "hi"])
        process.invoke()
    assert (process.rc, process.stdout, process.stderr) == (0, b"hi\r\n", b"")


def test_a_wrong_password(serve: Callable[..., Asker]) -> None:
    asker = serve()
    with pytest.raises(InvalidCredentialsError):
        session(asker, password="wrong").run_cmd("ver")
    with pytest.raises(InvalidCredentialsError):
        session(asker, password="wrong", transport="basic", encryption="never").run_cmd("ver")
    wsman = WSMan("127.0.0.1", port=asker.endpoint.port, ssl=False, auth="ntlm", username="nobody", password="wrong")
    with pytest.raises(AuthenticationError), WinRS(wsman):
        pass
    assert asker.host.log.refused_logins == 3
    assert asker.host.log.records == ()


def test_an_account_is_locked_out(serve: Callable[..., Asker]) -> None:
    asker = serve(policy=EndpointPolicy(basic=True, allow_unencrypted=True, lock_out_after=2))
    for transport, encryption in (("ntlm", "always"), ("basic", "never")):
        with pytest.raises(InvalidCredentialsError):
            session(asker, password="wrong", transport=transport, encryption=encryption).run_cmd("ver")
    with pytest.raises(InvalidCredentialsError):
        session(asker).run_cmd("ver")


def test_a_success_between_two_failures_keeps_the_account_open(serve: Callable[..., Asker]) -> None:
    asker = serve(policy=EndpointPolicy(lock_out_after=2))
    for _ in range(3):
        with pytest.raises(InvalidCredentialsError):
            session(asker, password="wrong").run_cmd("ver")
        assert session(asker).run_cmd("echo", ["in"]).std_out == b"in\r\n"


def test_passwords_are_never_shown(serve: Callable[..., Asker], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        asker = serve(policy=SEALED_ONLY)
        session(asker).run_cmd("echo", ["x"])
        with pytest.raises(InvalidCredentialsError):
            session(asker, password="another secret").run_cmd("ver")
    shown = caplog.text + repr(asker.host) + repr(asker.host.log.records) + repr(asker.host.world)
    for secret in (asker.password, "another secret"):
        assert secret not in shown
        assert base64.b64encode(secret.encode()).decode() not in shown
    assert "NTLM_USER_FILE" not in os.environ


def test_a_name_or_password_the_store_cannot_hold(serve: Callable[..., Asker], worlds: Callable[..., World]) -> None:
    world = worlds()
    account = next(iter(world.accounts.values()))
    account.password = "a:b"
    with pytest.raises(ValueError, match="colon"):
        serve(world)


class Sealer:
    """A connection that was logged in on by hand."""

    def __init__(self, asker: Asker) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", asker.endpoint.port, timeout=120)
        self.context = spnego.client(asker.user, asker.password, hostname="lab1", service="http", protocol="ntlm")
        first, challenge = self.send(b"", self.context.step())
        assert first == 401
        status, _ = self.send(b"", self.context.step(base64.b64decode(challenge.removeprefix("Negotiate "))))
        assert status == 200

    def send(self, body: bytes, token: bytes | None) -> tuple[int, str]:
        assert token is not None
        headers = {"Authorization": "Negotiate " + base64.b64encode(token).decode()}
        self.connection.request("POST", "/wsman", body, headers)
        response = self.connection.getresponse()
        response.read()
        return response.status, response.headers.get("WWW-Authenticate", "")

    def post(self, body: bytes, content_type: str) -> tuple[http.client.HTTPResponse, bytes]:
        self.connection.request("POST", "/wsman", body, {"Content-Type": content_type})
        response = self.connection.getresponse()
        return response, response.read()

    def wrap(self, plain: bytes) -> tuple[bytes, bytes]:
        wrapped = self.context.wrap_winrm(plain)
        return wrapped.header, wrapped.data


def question(asker: Asker) -> bytes:
    operation = Enumerate(ResourceTarget(namespaces.wql_uri("root/cimv2")), expression="SELECT Name FROM Win32_ComputerSystem")
    return messages.build_request(operation, header=RequestHeader(to=asker.endpoint.url, message_id="uuid:1"))


def test_a_login_lasts_as_long_as_its_connection(serve: Callable[..., Asker]) -> None:
    asker = serve(policy=SEALED_ONLY)
    sealer = Sealer(asker)
    for _ in range(3):
        response, body = sealer.post(seal.seal(question(asker), wrap=sealer.wrap), seal.content_type())
        assert response.status == 200
        assert seal.is_sealed(response.headers["Content-Type"])
        plain = seal.unseal(body, unwrap=sealer.context.unwrap_winrm, limit=100_000)
        assert isinstance(messages.parse_answer(plain).body, Page)
    fresh = http.client.HTTPConnection("127.0.0.1", asker.endpoint.port, timeout=120)
    fresh.request("POST", "/wsman", seal.seal(question(asker), wrap=sealer.wrap), {"Content-Type": seal.content_type()})
    assert fresh.getresponse().status == 401


def test_what_another_connection_sealed_is_refused(serve: Callable[..., Asker]) -> None:
    asker = serve(policy=SEALED_ONLY)
    first, second = Sealer(asker), Sealer(asker)
    response, body = second.post(seal.seal(question(asker), wrap=first.wrap), seal.content_type())
    assert (response.status, body) == (400, b"")
    response, body = first.post(b"--Encrypted Boundary\r\n", seal.content_type())
    assert (response.status, body) == (400, b"")


def test_a_plain_message_after_a_login_that_could_seal(serve: Callable[..., Asker]) -> None:
    asker = serve(policy=SEALED_ONLY)
    response, body = Sealer(asker).post(question(asker), "application/soap+xml;charset=UTF-8")
    assert (response.status, body) == (500, b"")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Negotiate",
        "Negotiate !!!",
        "Negotiate TlRMTVNTUAA=",
        "Negotiate TlRMTVNTUAADAAAA",
        "Negotiate " + base64.b64encode(b"NTLMSSP\0\x01\0\0\0" + b"\xff" * 40).decode(),
        "Negotiate " + base64.b64encode(b"\x60\x82\xff\xff" + b"\0" * 64).decode(),
        "Negotiate " + "QUFB" * 30_000,
        "NTLM TlRMTVNTUAABAAAA",
        "Basic",
        "Basic OjpB",
        "Basic //8=",
        "Kerberos YIIB",
        "Bearer x",
    ],
)
def test_a_header_that_is_no_login(asker: Asker, authorization: str) -> None:
    if len(authorization) > 8000:
        authorization = authorization[:8000]
    connection = http.client.HTTPConnection("127.0.0.1", asker.endpoint.port, timeout=120)
    connection.request("POST", "/wsman", b"", {"Authorization": authorization})
    response = connection.getresponse()
    assert (response.status, response.read()) == (401, b"")
    assert asker.rows("SELECT Name FROM Win32_ComputerSystem")[0].text("Name") == "LAB1"
