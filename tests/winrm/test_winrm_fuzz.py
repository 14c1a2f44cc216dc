"""Answers of the lab's endpoint, damaged on the way: every question still ends in an answer or in one clear error."""

from __future__ import annotations

import http.client
import http.server
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converge.errors import ConvergeError
from converge.lab.endpoint.host import EndpointPolicy, SimulatedHost
from converge.lab.endpoint.server import LabServer
from converge.lab.image import load_image
from converge.lab.world import LabAccount
from converge.model.answer import Absent, Found, Refused
from converge.model.names import fold
from converge.model.query import (
    AnyQuery,
    CimInstances,
    Directory,
    Events,
    File,
    OperatingSystem,
    RegistryKey,
    RegistryValue,
    Service,
    ServiceStartTime,
)
from converge.model.secret import Secret
from converge.windows.registry import parse_path
from converge.winrm.connection import Connection, Login, MessageSealing
from converge.winrm.observer import WinRMObserver

USER, PASSWORD = "fuzzer", "Fuzz-1"
SECONDS = 20.0  # for all questions of one example
KEY = parse_path(r"HKLM\SYSTEM\CurrentControlSet\Services\InetInfo\Parameters")
QUESTIONS: tuple[AnyQuery, ...] = (
    OperatingSystem(),
    Service("SMTPSVC"),
    Service("Nobody"),
    ServiceStartTime("W3SVC"),
    RegistryKey(KEY),
    RegistryValue(KEY, "DispatchEntries"),
    File(r"C:\WINDOWS\System32\inetsrv\inetinfo.exe"),
    Directory(r"C:\WINDOWS\System32\inetsrv", listing=True),
    Events("System", "Service Control Manager", (7000,), datetime.now(UTC) - timedelta(days=30), messages=True),
    CimInstances("root/cimv2", "SELECT Name FROM Win32_Service"),
)
Damage = Callable[[bytes], bytes]
TEXTS = [b"\x00", b"\xff\xfe", b"<", b"&", b"&#0;", b"</s:Envelope>", b"<!DOCTYPE x>", b"]]>", b"9" * 400, b"-1", b"NaN",
         b"true", b"uuid:", b" ", "\x9b31m\u202e".encode(), b"<a>" * 100, b'xsi:nil="true"', b"2106-13-45T99:99:99Z"]  # fmt: skip


def cut_out(start: float, length: int, _text: bytes) -> Damage:
    return lambda body: body[: int(start * len(body))] + body[int(start * len(body)) + length :]


def put_in(start: float, length: int, text: bytes) -> Damage:
    return lambda body: body[: int(start * len(body))] + text * (1 + length % 3) + body[int(start * len(body)) :]


def write_over(start: float, length: int, text: bytes) -> Damage:
    return lambda body: body[: int(start * len(body))] + text + body[int(start * len(body)) + max(length, len(text)) :]


def repeat(start: float, length: int, _text: bytes) -> Damage:
    return lambda body: (
        body[: int(start * len(body))]
        + body[int(start * len(body)) :][: length * 4] * 3
        + body[int(start * len(body)) :]
    )


def value_of_an_element(start: float, _length: int, text: bytes) -> Damage:
    """Puts a text in the place of what stands between two tags."""

    def damage(body: bytes) -> bytes:
        begin = body.find(b">", int(start * len(body))) + 1
        end = body.find(b"</", begin)
        return body[:begin] + text + body[end:] if begin and end >= 0 else body

    return damage


DAMAGES = st.builds(
    lambda how, start, length, text: how(start, length, text),
    st.sampled_from([cut_out, put_in, write_over, repeat, value_of_an_element]),
    st.floats(0, 1),
    st.integers(1, 400),
    st.sampled_from(TEXTS) | st.binary(max_size=12),
)


class Proxy(http.server.ThreadingHTTPServer):
    """Stands before an endpoint, and damages the answers whose numbers it was told."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = port
        self.damages: dict[int, Damage] = {}
        self.count = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/wsman"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each body waits 40 ms for the client to acknowledge its header
    server: Proxy

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        line = http.client.HTTPConnection("127.0.0.1", self.server.behind, timeout=10)
        try:
            line.request("POST", self.path, body, dict(self.headers))
            response = line.getresponse()
            answer = response.read()
        finally:
            line.close()
        damage = self.server.damages.get(self.server.count)
        self.server.count += 1
        answer = damage(answer) if damage else answer
        self.send_response(response.status)
        self.send_header("Content-Type", response.headers.get("Content-Type", ""))
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    world = load_image("exchange2003-dispatch-broken", host_name="LAB1")
    world.accounts[fold(USER)] = LabAccount(name=USER, password=PASSWORD)
    with LabServer() as server:
        (endpoint,) = server.start([SimulatedHost("lab1", world, policy=EndpointPolicy(basic=True, allow_unencrypted=True))])
        with Proxy(endpoint.port) as made:
            threading.Thread(target=made.serve_forever, daemon=True).start()
            yield made
            made.shutdown()


def ask(proxy: Proxy) -> dict[AnyQuery, object]:
    """Everything asked anew, one question after the other, until one ends the conversation."""
    connection = Connection(
        "lab1", proxy.url, username=USER, password=Secret(PASSWORD), login=Login.BASIC, sealing=MessageSealing.NEVER,
        operation_timeout=3, read_timeout=5, host_timeout=SECONDS,
    )  # fmt: skip
    observer = WinRMObserver(connection)
    answers: dict[AnyQuery, object] = {}
    try:
        for query in QUESTIONS:
            answers |= observer.ask([query])
    finally:
        observer.close()
    return answers


def test_undamaged_everything_is_answered(proxy: Proxy) -> None:
    proxy.damages, proxy.count = {}, 0
    answers = ask(proxy)
    assert {type(answer) for answer in answers.values()} == {Found, Absent}
    assert len(answers) == len(QUESTIONS)


@settings(
    max_examples=50, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(damages=st.dictionaries(st.integers(0, 25), DAMAGES, min_size=1, max_size=4))
def test_damaged_answers_end_in_answers_or_one_clear_error(proxy: Proxy, damages: dict[int, Damage]) -> None:
    proxy.damages, proxy.count = damages, 0
    ended: list[object] = []
    try:
        ended += ask(proxy).values()
    except ConvergeError as error:
        ended.append(error)
    assert all(isinstance(end, (Found, Absent, Refused)) or str(end) for end in ended)
    assert proxy.count < 500
