"""A small simulated host behind an endpoint, and a bare client that sends it whatever a test wants."""

from __future__ import annotations

import base64
import http.client
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from converge.lab import effects
from converge.lab.endpoint.host import EndpointPolicy, SimulatedHost, Stack
from converge.lab.endpoint.server import Endpoint, LabServer
from converge.lab.specs import Effects, Profile
from converge.lab.world import LabAccount, LoggedEvent, World
from converge.model.names import fold
from converge.wsman import messages, namespaces
from converge.wsman.cim import Instance, Properties, Selector, Value
from converge.wsman.envelopes import Option, RequestHeader, ResourceTarget, new_message_id
from converge.wsman.faults import Fault
from converge.wsman.messages import AnyAnswer, AnyRequest
from converge.wsman.operations import Enumerate, Get, Got, Invoke, Page, Pull, ShellOutput

USER, PASSWORD = "Administrator", "Correct horse 1!"
START = datetime(2006, 3, 1, 12, 0, tzinfo=UTC)

CONTENTS = {
    "files": {
        r"C:\WINDOWS\system32\inetsrv": {
            "Inetinfo.exe": {"size": 14608, "version": "6.0.3790.1830"},
            "Seo.dll": {"size": 210_432, "version": "6.0.3790.1830"},
            "smtpread.txt": "read me",
            "O'Brien [1].dll": 7,
        },
        r"C:\WINDOWS\system32\inetsrv\MetaBack": {},
        r"C:\secret": {"key.pem": 10, "\\": {"deny": ["read"]}},
        r"D:\empty": {},
    },
    "registry": {
        r"HKLM\SOFTWARE\Vendor": {
            "Text": 'it\'s "quoted" & <tagged>',
            "Path": {"expand_string": r"%SystemRoot%\System32"},
            "List": ["one", "two", "three"],
            "Number": 0xFFFFFFFF,
            "Large": {"qword": 0xFFFFFFFFFFFFFFFF},
            "Octets": {"binary": "00 7f ff"},
            "Nothing": {"none": ""},
            "": "the default",
            "\\Käse 日本": {"a": "b"},
            "\\Denied": {"\\": {"deny": ["read"]}, "hidden": "x"},
        },
        r"HKLM\SOFTWARE\WOW6432Node\Vendor": {"Text": "thirty-two"},
    },
    "services": {
        "IISADMIN": {
            "display_name": "IIS Admin Service",
            "image_path": r"%SystemRoot%\system32\inetsrv\inetinfo.exe",
            "start": "automatic",
            "state": "running",
            "shares_process": True,
        },
        "SMTPSVC": {
            "display_name": "Simple Mail Transport Protocol (SMTP)",
            "image_path": r"%SystemRoot%\system32\inetsrv\inetinfo.exe",
            "start": "automatic",
            "depends_on": ["IISADMIN"],
            "shares_process": True,
            "can_pause": True,
        },
        "Missing": {"display_name": "No program", "image_path": r"C:\nowhere\at\all.exe", "start": "manual"},
        "Off": {
            "display_name": "Switched off",
            "image_path": r"%SystemRoot%\system32\inetsrv\inetinfo.exe",
            "start": "disabled",
        },
    },
}


def make_world(*, version: str = "5.2.3790", stack: str = "2.0", denies: tuple[str, ...] = (), many: int = 0) -> World:
    """A Windows with a few of everything; `many` adds so many services."""
    profile = Profile.model_validate(
        {
            "caption": "Microsoft(R) Windows(R) Server 2003, Standard Edition",
            "version": version,
            "service_pack": 2,
            "architecture": "x64",
            "host_name": "LAB1",
            "winrm_stack": stack,
        }
    )
    world = World(profile, started=START)
    effects.enact(world, Effects.model_validate(CONTENTS))
    more = {f"Svc{number:04}": {"display_name": f"Service {number} " + "x" * 200} for number in range(many)}
    effects.enact(world, Effects.model_validate({"services": more}))
    world.accounts[fold(USER)] = LabAccount(name=USER, password=PASSWORD, denies=denies)
    world.clock.freeze(START + timedelta(days=30))
    for number, minutes in ((7000, 30), (7036, 20)):
        moment = world.now() - timedelta(minutes=minutes)
        world.log(
            LoggedEvent(
                record=0,
                log="System",
                provider="Service Control Manager",
                id=number,
                type="error" if number == 7000 else "information",
                time=moment,
                strings=("SMTPSVC", "%%2"),
                message="It failed.",
            )
        )
    return world


@dataclass
class Asker:
    """Talks to one endpoint over one connection, with Basic unless told otherwise."""

    endpoint: Endpoint
    host: SimulatedHost
    user: str = USER
    password: str = PASSWORD
    connection: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", self.endpoint.port, timeout=120)

    @property
    def world(self) -> World:
        """The world behind the endpoint."""
        return self.host.world

    def basic(self) -> str:
        """The value of an Authorization header."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    def post(self, body: bytes, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
        """Send a body as it is; returns the response and its body."""
        sent = {"Content-Type": "application/soap+xml;charset=UTF-8", "Authorization": self.basic()}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request("POST", "/wsman", body, sent)
        response = self.connection.getresponse()
        return response, response.read()

    def header(self, *, envelope: int | None = 153_600, timeout: float = 20.0) -> RequestHeader:
        """A header with a new message id."""
        return RequestHeader(
            to=self.endpoint.url,
            message_id=new_message_id(),
            max_envelope_size=envelope,
            operation_timeout=timedelta(seconds=timeout),
        )

    def ask(self, operation: AnyRequest, *, envelope: int | None = 153_600, timeout: float = 20.0) -> AnyAnswer:
        """The answer to an operation; it must relate to the request, unless it is an MSFT_WmiError."""
        header = self.header(envelope=envelope, timeout=timeout)
        response, body = self.post(messages.build_request(operation, header=header))
        answer = messages.parse_answer(body)
        assert response.status == (500 if isinstance(answer.body, Fault) else 200)
        related = "" if isinstance(answer.body, Fault) and answer.body.wmi_error else header.message_id
        assert answer.header.relates_to == related
        return answer.body

    def rows(self, wql: str, *, namespace: str = "root/cimv2") -> list[Properties]:
        """All rows of a query, pulled to the end."""
        target = ResourceTarget(namespaces.wql_uri(namespace))
        page = self.ask(Enumerate(target, expression=wql))
        assert isinstance(page, Page), page
        items = list(page.items)
        for _ in range(1000):
            if not page.context:
                return [item.properties for item in items]
            page = self.ask(Pull(target, context=page.context))
            assert isinstance(page, Page), page
            items += page.items
        raise AssertionError("an enumeration without end")

    def query_fault(self, wql: str, *, namespace: str = "root/cimv2") -> Fault:
        """The fault a query is answered with."""
        return fault_of(self.ask(Enumerate(ResourceTarget(namespaces.wql_uri(namespace)), expression=wql)))

    def get(self, class_name: str, *selectors: tuple[str, Selector]) -> AnyAnswer:
        """The answer to Get."""
        return self.ask(Get(ResourceTarget(namespaces.wmi_uri("root/cimv2", class_name), selectors)))

    def instance(self, class_name: str, *selectors: tuple[str, Selector]) -> Instance:
        """The instance Get returns."""
        answer = self.get(class_name, *selectors)
        assert isinstance(answer, Got), answer
        return answer.instance

    def invoke(self, class_name: str, method: str, *selectors: tuple[str, Selector], **arguments: Value) -> Properties:
        """What a method of root/cimv2 returns."""
        target = ResourceTarget(namespaces.wmi_uri("root/cimv2", class_name), selectors)
        answer = self.ask(Invoke(target, method, arguments))
        assert isinstance(answer, ShellOutput), answer
        return answer.properties

    def registry(self, method: str, subkey: str, *, view: int = 0, **arguments: Value) -> Properties:
        """What a method of StdRegProv returns for a key of HKLM."""
        options: tuple[Option, ...] = ()
        if view:
            options = (Option("wmi:__ProviderArchitecture", str(view), "xs:int"),)
        target = ResourceTarget(namespaces.wmi_uri("root/default", "StdRegProv"), options=options)
        given: dict[str, Value] = {"hDefKey": 0x80000002, "sSubKeyName": subkey, **arguments}
        answer = self.ask(Invoke(target, method, given))
        assert isinstance(answer, ShellOutput), answer
        return answer.properties


def fault_of(answer: AnyAnswer) -> Fault:
    """The answer, which must be a fault."""
    assert isinstance(answer, Fault), answer
    return answer


OPEN = EndpointPolicy(basic=True, allow_unencrypted=True)


@pytest.fixture
def server() -> Iterator[LabServer]:
    """A server of nothing yet."""
    with LabServer() as running:
        yield running


@pytest.fixture
def serve(server: LabServer) -> Callable[..., Asker]:
    """Serves a host and returns a client of it."""

    def start(
        world: World | None = None, *, policy: EndpointPolicy = OPEN, stack: Stack | None = None, user: str = USER
    ) -> Asker:
        host = SimulatedHost("lab1", world or make_world(), policy=policy, stack=stack)
        (endpoint,) = server.start([host])
        return Asker(endpoint, host, user=user)

    return start


@pytest.fixture
def asker(serve: Callable[..., Asker]) -> Asker:
    """A client of a Windows Server 2003 that takes Basic and plain messages."""
    return serve()


@pytest.fixture
def modern(serve: Callable[..., Asker]) -> Asker:
    """The same of a Windows Server 2012."""
    return serve(make_world(version="6.2.9200", stack="3.0"))


@pytest.fixture
def raw_socket(asker: Asker) -> Iterator[socket.socket]:
    """A bare connection to the endpoint of `asker`."""
    with socket.create_connection(("127.0.0.1", asker.endpoint.port), timeout=120) as connection:
        yield connection


@pytest.fixture
def faulted() -> Callable[[AnyAnswer], Fault]:
    """Takes a fault out of an answer."""
    return fault_of


@pytest.fixture
def worlds() -> Callable[..., World]:
    """Makes worlds."""
    return make_world
