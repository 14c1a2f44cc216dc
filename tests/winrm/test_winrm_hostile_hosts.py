"""A broken or hostile host gives one clear outcome, in bounded time and memory, and is never sent a write twice."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from converge.errors import (
    ActionRefused,
    ConvergeError,
    DeadlineExceeded,
    HostUnreachable,
    Interrupted,
    LoginRefused,
    UsageError,
)
from converge.model.action import RunCommand, StartService
from converge.model.answer import Found, Refused
from converge.model.query import CimInstances, Events, File, OperatingSystem, Service
from converge.model.secret import Secret
from converge.winrm import kerberos
from converge.winrm.connection import Connection, Login, MessageSealing
from converge.winrm.machine import WinRMMachine
from converge.wsman import faults, messages
from converge.wsman.cim import Instance, Properties
from converge.wsman.envelopes import RequestHeader, new_message_id
from converge.wsman.faults import Fault
from converge.wsman.messages import AnyAnswer, Request
from converge.wsman.namespaces import wmi_uri
from converge.wsman.operations import Enumerate, Get, Got, Invoke, Page, Pull, Release, Released, ShellOutput
from converge.wsman.shells import Command, CommandStarted, CreateShell, Receive, ShellCreated

PASSWORD = "correct horse"
FIN_WAIT_1 = 4  # of a line that said goodbye, which the other end has not acknowledged yet
SOON: dict[str, object] = {"operation_timeout": 0.5, "read_timeout": 1.5}
SYSTEM = Instance(
    Properties({"Version": "6.3.9600", "BuildNumber": "9600", "LocalDateTime": "x", "WindowsDirectory": r"C:\Windows"}),
    class_name="Win32_OperatingSystem",
    class_uri=wmi_uri("root/cimv2", "Win32_OperatingSystem"),
)


def http(
    body: bytes, *, status: str = "200 ", headers: str = "Content-Type: application/soap+xml;charset=UTF-8\r\n"
) -> bytes:
    """A whole HTTP answer."""
    return f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


def soap(request: Request, body: AnyAnswer) -> bytes:
    """An honest answer to a request."""
    data = messages.build_answer(body, request=request, message_id=new_message_id())
    return http(data, status="500 " if isinstance(body, Fault) else "200 ")


def honest(request: Request) -> bytes:
    """What a small but well-behaved host answers."""
    operation = request.operation
    if isinstance(operation, Get):
        return soap(request, Got(SYSTEM))
    if isinstance(operation, Invoke):
        return soap(request, ShellOutput(Properties({"ReturnValue": 0}), operation.method, operation.target.resource_uri))
    if isinstance(operation, (Enumerate, Pull)):
        return soap(request, Page((), context="", first=isinstance(operation, Enumerate)))
    return soap(request, Released() if isinstance(operation, Release) else Fault("s:Sender", "w:AccessDenied", code=5))


Answering = Callable[[Request, socket.socket], bytes | None]


@dataclass
class Host:
    """Listens on loopback and answers as a test says; `seen` is every request it received whole."""

    answer: Answering
    seen: list[Request] = field(default_factory=list)
    connections: int = 0
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _open: list[socket.socket] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/wsman"

    def serve(self) -> None:
        """Take connections until closed."""
        with contextlib.suppress(OSError):
            while True:
                line, _ = self._listener.accept()
                self.connections += 1
                self._open.append(line)
                threading.Thread(target=self._talk, args=(line,), daemon=True).start()

    def _talk(self, line: socket.socket) -> None:
        with contextlib.suppress(OSError), line:
            while data := _one_request(line):
                request = messages.parse_request(data)
                self.seen.append(request)
                answer = self.answer(request, line)
                if answer is None:
                    line.shutdown(socket.SHUT_RDWR)
                    return
                line.sendall(answer)

    def close(self) -> None:
        """Stop listening and talking."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for line in self._open:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)


def _one_request(line: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = line.recv(65536)
        if not piece:
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(int(row.split(b":")[1]) for row in head.split(b"\r\n") if row.lower().startswith(b"content-length:"))
    while len(body) < length:
        body += line.recv(65536)
    return body


@contextlib.contextmanager
def serving(answer: Answering) -> Iterator[Host]:
    """A host that answers so."""
    host = Host(answer)
    thread = threading.Thread(target=host.serve, daemon=True)
    thread.start()
    try:
        yield host
    finally:
        host.close()
        thread.join(timeout=60)


def machine(host: Host | str, **settings: object) -> WinRMMachine:
    """Converge's end of the wire to it."""
    endpoint = host if isinstance(host, str) else host.url
    values: dict[str, object] = {"operation_timeout": 10.0, "read_timeout": 20.0, "max_answer": 200_000} | settings
    connection = Connection(
        "mail01",
        endpoint,
        username="deploy",
        password=Secret(PASSWORD),
        login=Login.BASIC,
        sealing=MessageSealing.NEVER,
        **values,  # type: ignore[arg-type]  # the settings a test names
    )
    return WinRMMachine(connection)


def refusal(host: Host | str, **settings: object) -> HostUnreachable:
    """Why a host cannot be asked."""
    with pytest.raises(HostUnreachable) as raised:
        machine(host, **settings).ask([OperatingSystem()])
    assert PASSWORD not in str(raised.value) + repr(raised.value)
    return raised.value


def test_an_honest_host_is_asked_over_one_connection() -> None:
    with serving(lambda request, _: honest(request)) as host:
        asked = machine(host)
        answer = asked.ask([OperatingSystem(), Service("W3SVC"), Service("w3svc")])[OperatingSystem()]
        assert isinstance(answer, Refused)  # its clock tells no time
        asked.perform(StartService("W3SVC"))
        assert host.connections == 1
        assert asked.round_trips == len(host.seen)
        asked.close()


BOMB = (
    b'<!DOCTYPE s [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(12))
    + b"]><s>&m;</s>"
)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (http(b"<s:Envelope xmlns:s="), "not XML"),
        (http(b""), "does not speak the protocol"),
        (http(b"<html>It works</html>", headers="Content-Type: text/html\r\n"), "no SOAP envelope"),
        (http(BOMB), "document type"),
        (http(b"\xff\xfe\x00\xd8" * 10), "does not speak the protocol"),
        (http(b" " * 300_000), "200000 bytes"),
        (http(b"", status="500 ", headers=""), "not encrypted"),
        (http(b"", status="404 "), "no WinRM"),
        (http(b"", status="413 "), "size"),
        (http(b"", status="503 "), "overloaded"),
        (http(b"", status="400 "), "cannot read the request"),
        (http(b"", status="302 ", headers="Location: http://127.0.0.1:1/\r\n"), "elsewhere"),
        (http(b"", status="502 "), "HTTP status 502"),
        (http(b"x" * 10, headers="Content-Encoding: gzip\r\n"), "encoding"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "broke off twice"),
        (b"HTTP/1.1 200 \r\n" + b"X: y\r\n" * 200 + b"\r\n", ""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_answer_is_one_clear_outcome(answer: bytes, words: str) -> None:
    with serving(lambda _, __: answer) as host:
        assert words in outcome(machine(host))
        assert len(host.seen) <= 3


def outcome(asked: WinRMMachine) -> str:
    """Why a question was not answered, whether by the host or for want of one."""
    try:
        told = asked.ask([OperatingSystem()])[OperatingSystem()]
    except HostUnreachable as error:
        return str(error)
    assert isinstance(told, Refused)
    return told.text


def test_an_answer_to_another_request_is_refused() -> None:
    def forged(request: Request, _: socket.socket) -> bytes:
        return honest(Request(request.operation, RequestHeader(to="", message_id=new_message_id())))

    with serving(forged) as host:
        assert "another request" in refusal(host).what


def test_a_refused_login_names_its_causes_and_is_never_tried_again() -> None:
    answer = http(b"", status="401 ", headers='WWW-Authenticate: Basic realm="WSMAN"\r\n')
    with serving(lambda _, __: answer) as host:
        asked = machine(host)
        for _ in range(3):
            with pytest.raises(LoginRefused) as raised:
                asked.ask([OperatingSystem()])
        assert len(host.seen) == 1
        assert "password" in raised.value.why
        assert "LocalAccountTokenFilterPolicy" in raised.value.try_
        with pytest.raises(LoginRefused):
            asked.perform(StartService("W3SVC"))
        assert len(host.seen) == 1


def test_a_login_the_host_does_not_offer_says_which_it_offers() -> None:
    answer = http(b"", status="401 ", headers="WWW-Authenticate: Negotiate\r\nWWW-Authenticate: Kerberos\r\n")
    with serving(lambda _, __: answer) as host:
        error = refusal(host)
        assert error.why.startswith("the host does not offer basic, only ")
        assert "negotiate" in error.why


def silent(released: threading.Event) -> Answering:
    """Says nothing until it is released."""

    def wait(_: Request, __: socket.socket) -> None:
        released.wait(30)

    return wait


def test_silence_ends_at_the_deadline() -> None:
    released = threading.Event()
    with serving(silent(released)) as host:
        error = refusal(host, **SOON)
        released.set()
        assert isinstance(error, DeadlineExceeded)
        assert "1.5 s" in error.what


def test_one_byte_at_a_time_ends_at_the_deadline_too() -> None:
    def slow(request: Request, line: socket.socket) -> bytes:
        for byte in honest(request):
            line.sendall(bytes([byte]))
            time.sleep(0.2)
        return b""

    with serving(slow) as host:
        assert isinstance(refusal(host, **SOON), DeadlineExceeded)
        assert len(host.seen) == 1


def test_the_whole_conversation_has_a_deadline() -> None:
    def slow(request: Request, _: socket.socket) -> bytes:
        time.sleep(0.4)
        return honest(request)

    with serving(slow) as host:
        asked = machine(host, host_timeout=1.6, **SOON)
        query = CimInstances("root/cimv2", "SELECT * FROM X")
        with pytest.raises(DeadlineExceeded):
            list(map(asked.ask, [[query]] * 20))
        assert len(host.seen) < 8


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    error = refusal(f"http://127.0.0.1:{port}/wsman")
    assert "nothing listens" in error.what
    assert "quickconfig" in error.try_


def test_a_name_that_is_not_known() -> None:
    assert "not known" in refusal("http://no-such-host.invalid:5985/wsman").what


@dataclass
class Cutting:
    """Answers honestly but cuts the line at the named requests (counted from 1), or in the middle of their answers."""

    at: tuple[int, ...]
    midway: bool = False
    count: int = 0

    def __call__(self, request: Request, line: socket.socket) -> bytes | None:
        self.count += 1
        if self.count not in self.at:
            return honest(request)
        if self.midway:
            line.sendall(honest(request)[:-20])
        return None


@pytest.mark.parametrize("midway", [False, True])
def test_a_read_is_asked_again_once_on_a_new_connection(midway: bool) -> None:
    with serving(Cutting((1,), midway=midway)) as host:
        answers = machine(host).ask([CimInstances("root/cimv2", "SELECT * FROM X")])
        assert answers[CimInstances("root/cimv2", "SELECT * FROM X")] == Found(())
        assert (len(host.seen), host.connections) == (2, 2)
    with serving(Cutting((1, 2), midway=midway)) as host:
        assert "twice" in refusal(host).what
        assert len(host.seen) == 2


@pytest.mark.parametrize("midway", [False, True])
def test_a_write_is_never_sent_twice(midway: bool) -> None:
    with serving(Cutting((1,), midway=midway)) as host:
        asked = machine(host)
        with pytest.raises(Interrupted):
            asked.perform(StartService("W3SVC"))
        assert len(host.seen) == 1
        asked.perform(StartService("W3SVC"))
        assert (len(host.seen), host.connections) == (2, 2)


@pytest.mark.parametrize("answer", [http(b"<truncated"), http(BOMB), http(b" " * 300_000), http(b"", status="502 ")])
def test_a_write_without_a_valid_answer_may_have_happened(answer: bytes) -> None:
    with serving(lambda _, __: answer) as host:
        with pytest.raises(Interrupted):
            machine(host).perform(StartService("W3SVC"))
        assert len(host.seen) == 1


def test_a_write_that_ends_at_the_deadline_may_have_happened() -> None:
    released = threading.Event()
    with serving(silent(released)) as host:
        asked = machine(host, host_timeout=4.0, operation_timeout=1.0, read_timeout=4.0)
        with pytest.raises(Interrupted):
            asked.perform(StartService("W3SVC"))
        released.set()
        assert len(host.seen) == 1


def state_of(line: socket.socket) -> int:
    """What the kernel says of a line; 0 where it does not."""
    told = getattr(socket, "TCP_INFO", None)
    return line.getsockopt(socket.IPPROTO_TCP, told, 1)[0] if told is not None else 0


def test_a_write_on_a_line_that_idled_away_goes_out_on_a_new_one() -> None:
    closing = threading.Event()

    def once(request: Request, line: socket.socket) -> bytes | None:
        if len(host.seen) == 1:
            line.sendall(honest(request))
            line.shutdown(socket.SHUT_RDWR)
            while state_of(line) == FIN_WAIT_1:
                time.sleep(0.001)  # until the other end's kernel knows
            closing.set()
            return b""
        return honest(request)

    with serving(once) as host:
        asked = machine(host)
        asked.ask([CimInstances("root/cimv2", "SELECT * FROM X")])
        assert closing.wait(60)
        asked.perform(StartService("W3SVC"))
        assert (len(host.seen), host.connections) == (2, 2)


def test_a_fault_refuses_only_the_question_it_answers() -> None:
    denied = Fault("s:Sender", "w:AccessDenied", code=faults.WMI_PROVIDER_ACCESS_DENIED, reason="Zugriff verweigert ")

    def partly(request: Request, _: socket.socket) -> bytes:
        operation = request.operation
        if isinstance(operation, Enumerate) and "Win32_Service" in operation.expression:
            return soap(request, denied)
        return honest(request)

    with serving(partly) as host:
        answers = machine(host).ask(
            [Service("W3SVC"), File(r"C:\x.txt"), CimInstances("root/cimv2", "SELECT * FROM X")]
        )
        assert answers[Service("W3SVC")] == Refused("access-denied", "Zugriff verweigert", "rights to read it")
        assert answers.value(File(r"C:\x.txt")) is None
        assert answers.value(CimInstances("root/cimv2", "SELECT * FROM X")) == ()


def test_a_host_over_its_quota_is_asked_again_with_patience() -> None:
    busy = Fault("s:Receiver", "w:InternalError", code=faults.QUOTA_OPERATIONS, reason="too many operations")

    def hasty(request: Request, _: socket.socket) -> bytes:
        return soap(request, busy) if len(host.seen) < 3 else honest(request)

    with serving(hasty) as host:
        query = CimInstances("root/cimv2", "SELECT * FROM X")
        started = time.monotonic()
        assert machine(host).ask([query]).value(query) == ()
        assert (len(host.seen), time.monotonic() - started > 1.0) == (3, True)
    with serving(lambda request, _: soap(request, busy)) as host:
        with pytest.raises(ActionRefused, match="too many operations"):
            machine(host).perform(StartService("W3SVC"))
        assert len(host.seen) == 1


def test_an_enumeration_that_never_ends_is_left_and_released() -> None:
    row = Instance(Properties({"TimeGenerated": "2020-01-01T00:00:00Z"}))

    def endless(request: Request, _: socket.socket) -> bytes:
        if isinstance(request.operation, (Enumerate, Pull)):
            first = isinstance(request.operation, Enumerate)
            return soap(request, Page((row,) * 1000, context=new_message_id(), first=first))
        return honest(request)

    with serving(endless) as host:
        query = Events("System", "", (), datetime(2020, 1, 1, tzinfo=UTC), limit=3)
        found = machine(host).ask([query]).value(query)
        assert found is not None
        assert len(found) == 3
        assert isinstance(host.seen[-1].operation, Release)
        assert len(host.seen) < 10


def test_a_command_whose_end_is_not_seen_may_have_happened() -> None:
    def shell(request: Request, _: socket.socket) -> bytes | None:
        operation = request.operation
        if isinstance(operation, CreateShell):
            return soap(request, ShellCreated("S1", operation.target.resource_uri, host.url))
        if isinstance(operation, Command):
            return soap(request, CommandStarted("C1"))
        return None if isinstance(operation, Receive) else honest(request)

    with serving(shell) as host:
        with pytest.raises(Interrupted):
            machine(host).perform(RunCommand(("setup.exe",)))
        started = [request for request in host.seen if isinstance(request.operation, Command)]
        assert len(started) == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"endpoint": "http://h:5985/wsman", "login": Login.BASIC}, "password readable"),
        ({"endpoint": "http://h:5985/wsman", "login": Login.BASIC, "sealing": MessageSealing.ALWAYS}, "password readable"),
        ({"endpoint": "https://h:5986/wsman", "login": Login.BASIC, "sealing": MessageSealing.ALWAYS}, "cannot encrypt"),
        ({"endpoint": "ftp://h/wsman"}, "no WinRM address"),
        ({"endpoint": "http://deploy:secret@h:5985/wsman"}, "no WinRM address"),
        ({"endpoint": "https://h:5986/wsman", "username": ""}, "no user name"),
        ({"endpoint": "https://h:5986/wsman", "password": Secret("")}, "no password"),
        ({"endpoint": "https://h:5986/wsman", "login": Login.CERTIFICATE}, "certificate and its key"),
        ({"endpoint": "https://h:5986/wsman", "read_timeout": 10.0}, "shorter"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_before_anything_opens(
    settings: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        Connection("h", **({"username": "deploy", "password": Secret(PASSWORD)} | settings))  # type: ignore[arg-type]  # as above


def test_a_password_is_in_no_representation_of_a_connection() -> None:
    connection = Connection("h", "https://h:5986/wsman", username="deploy", password=Secret(PASSWORD))
    assert PASSWORD not in f"{connection} {connection!r}"


def test_a_login_whose_library_is_missing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = Connection(
        "h", "https://127.0.0.1:9/wsman", username="deploy", password=Secret(PASSWORD), login=Login.KERBEROS
    )
    monkeypatch.setattr(kerberos, "is_installed", lambda: False)
    with pytest.raises(ConvergeError, match="kerberos"):
        WinRMMachine(connection).ask([OperatingSystem()])


def test_the_environment_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("home")
    (folder / ".netrc").write_text("machine 127.0.0.1 login thief password stolen\n")
    monkeypatch.setenv("HOME", str(folder))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    monkeypatch.delenv("no_proxy", raising=False)
    with serving(lambda request, _: honest(request)) as host:
        query = CimInstances("root/cimv2", "SELECT * FROM X")
        assert machine(host).ask([query]).value(query) == ()
