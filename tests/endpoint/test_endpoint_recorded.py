"""The endpoint's answers beside recorded ones of Windows Server 2012: declarations, headers, elements and their order."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from lxml import etree
from tests.recordings import WIRE, needs_recordings

from converge.lab.endpoint.mishaps import Mishap, MishapKind
from converge.lab.world import World
from converge.wsman import messages, namespaces
from converge.wsman.envelopes import RequestHeader, ResourceTarget
from converge.wsman.messages import AnyRequest
from converge.wsman.operations import Enumerate, Get, Invoke, Page, Pull
from converge.wsman.shells import Command, CommandStarted, CreateShell, Receive, ShellCreated

if TYPE_CHECKING:
    from tests.endpoint.conftest import Asker

CIMV2 = ResourceTarget(namespaces.wql_uri("root/cimv2"))

pytestmark = needs_recordings


def recorded(name: str) -> bytes:
    return (WIRE / name).read_bytes()


def from_exchange(name: str, number: int) -> bytes:
    """The response of one request in a recorded exchange (a YAML file with one message per line)."""
    found = re.findall(
        r"^\s+response: (<s:Envelope.*)$", (WIRE / "pypsrp" / name).read_text(encoding="utf-8"), re.MULTILINE
    )
    return str(found[number]).encode()


def root_declarations(message: bytes) -> list[str]:
    """The attributes of the envelope in their order, as they stand in the bytes."""
    head = message[message.index(b"<s:Envelope") : message.index(b">")].decode()
    return re.findall(r"([\w:]+)=", head)


def header_order(message: bytes) -> list[str]:
    header = etree.fromstring(message)[0]
    return [etree.QName(child).localname for child in header]


def shape(node: etree._Element) -> object:
    """An element's qualified name, attribute names and children, without texts."""
    attributes = sorted(str(name) for name in node.attrib)
    return [str(node.tag), attributes, [shape(child) for child in node]]


def raw(asker: Asker, operation: AnyRequest, *, to: str = "http://192.168.56.11:5985/wsman") -> bytes:
    header = RequestHeader(to=to, message_id="uuid:X", max_envelope_size=512_000)
    _, body = asker.post(messages.build_request(operation, header=header))
    return body


def properties_in(message: bytes) -> list[str]:
    """The names of the properties of the first item, in order."""
    items = next(node for node in etree.fromstring(message).iter() if etree.QName(node).localname == "Items")
    return [etree.QName(child).localname for child in items[0]]


@pytest.mark.parametrize("class_name", ["Win32_OperatingSystem", "Win32_ComputerSystem"])
def test_the_only_instance_of_a_class_whole_and_projected(modern: Asker, class_name: str) -> None:
    names = (WIRE / "txwinrm" / f"{class_name}.properties").read_text().split()
    for kind, wql in (("star", f"SELECT * FROM {class_name}"), ("all", f"SELECT {','.join(names)} FROM {class_name}")):
        theirs = recorded(f"txwinrm/{class_name}_{kind}_000.xml")
        ours = raw(modern, Enumerate(CIMV2, expression=wql))
        assert root_declarations(ours) == root_declarations(theirs)
        assert header_order(ours) == header_order(theirs)
        ours_names, theirs_names = properties_in(ours), properties_in(theirs)
        # Null arrays are left out, so which arrays are there is the host's own matter.
        arrays = {"OEMStringArray", "PowerManagementCapabilities", "SupportContactDescription", "SystemStartupOptions"}
        assert [name for name in ours_names if name not in arrays] == _once(
            [name for name in theirs_names if name not in arrays], ours_names
        )


def _once(theirs: list[str], ours: list[str]) -> list[str]:
    """Their names, with as many repetitions of an array's element as we have."""
    found: list[str] = []
    for name in theirs:
        if name not in found:
            found += [name] * max(1, ours.count(name))
    return found


def test_pages_of_services(serve: Callable[..., Asker], worlds: Callable[..., World]) -> None:
    asker = serve(worlds(version="6.2.9200", stack="3.0", many=150))
    first_service = next(iter(asker.world.services.values()))
    asker.world.registry.create(first_service.key).set("Description", number=1, data="what it does")
    first = raw(asker, Enumerate(CIMV2, expression="SELECT * FROM Win32_Service"))
    theirs = recorded("txwinrm/Win32_Service_star_000.xml")
    assert shape(etree.fromstring(first)) == shape(etree.fromstring(theirs))
    page = messages.parse_answer(first).body
    assert isinstance(page, Page)
    middle = raw(asker, Pull(CIMV2, context=page.context))
    theirs_middle = recorded("txwinrm/Win32_Service_star_001.xml")
    assert root_declarations(middle) == root_declarations(theirs_middle)
    assert body_names(middle) == body_names(theirs_middle) == ["PullResponse", "EnumerationContext", "Items"]
    following = messages.parse_answer(middle).body
    assert isinstance(following, Page)
    while following.context:
        last = raw(asker, Pull(CIMV2, context=following.context))
        following = messages.parse_answer(last).body
        assert isinstance(following, Page)
    assert body_names(last) == body_names(recorded("txwinrm/Win32_Service_star_003.xml"))


def body_names(message: bytes) -> list[str]:
    response = etree.fromstring(message)[1][0]
    return [etree.QName(node).localname for node in (response, *response)]


def test_an_invoke(asker: Asker) -> None:
    theirs = recorded("openwsman/EnumKey.xml")
    target = ResourceTarget(namespaces.wmi_uri("root/default", "StdRegProv"))
    ours = raw(asker, Invoke(target, "EnumKey", {"sSubKeyName": r"SOFTWARE\Vendor"}))
    assert header_order(ours) == header_order(theirs)
    assert etree.fromstring(ours)[0][0].text == etree.fromstring(theirs)[0][0].text
    ours_output, theirs_output = etree.fromstring(ours)[1][0], etree.fromstring(theirs)[1][0]
    assert ours_output.tag == theirs_output.tag
    assert ours_output.nsmap == theirs_output.nsmap
    assert [child.tag for child in ours_output][-2:] == [child.tag for child in theirs_output][-2:]


def test_the_fault_of_an_instance_that_is_not_there(modern: Asker) -> None:
    theirs = recorded("omi/fault_get_instance_not_found_2012R2.xml")
    uri = namespaces.wmi_uri("root/cimv2", "Win32_Process")
    ours = raw(modern, Get(ResourceTarget(uri, (("Handle", "29"),))))
    assert root_declarations(ours) == root_declarations(theirs)
    assert header_order(ours) == header_order(theirs)
    strip = re.compile(
        rb' xsi:type="cim:\w+"|/cim-schema/2/__|/wsman/1/wmi/root/cimv2/__|microsoft|dmtf|wscim|wbem|com|org'
    )
    ours_fault, theirs_fault = (etree.fromstring(strip.sub(b"", text))[1][0] for text in (ours, theirs))
    assert names(ours_fault) == names(theirs_fault)
    assert messages.parse_answer(ours).body.code == messages.parse_answer(theirs).body.code  # type: ignore[union-attr]  # both are faults


def names(node: etree._Element) -> list[str]:
    return [etree.QName(child).localname for child in node.iter()]


def test_shells(modern: Asker) -> None:
    created = raw(modern, CreateShell(ResourceTarget(namespaces.CMD_SHELL)))
    theirs = from_exchange("test_winrs_standard.yml", 0)
    assert root_declarations(created) == root_declarations(theirs)
    assert shape(etree.fromstring(created)) == shape(etree.fromstring(theirs))
    opened = messages.parse_answer(created).body
    assert isinstance(opened, ShellCreated)
    shell = ResourceTarget(namespaces.CMD_SHELL, (("ShellId", opened.shell_id),))
    started = raw(modern, Command(shell, "echo", ("hi",)))
    assert shape(etree.fromstring(started)) == shape(etree.fromstring(from_exchange("test_winrs_standard.yml", 1)))
    running = messages.parse_answer(started).body
    assert isinstance(running, CommandStarted)
    received = raw(modern, Receive(shell, running.command_id))
    theirs_received = from_exchange("test_winrs_standard.yml", 2)
    assert root_declarations(received) == root_declarations(theirs_received)
    assert shape(etree.fromstring(received)) == shape(etree.fromstring(theirs_received))
    assert b"aGkNCg==" in received


def test_the_fault_of_a_shell_that_is_not_there(modern: Asker) -> None:
    theirs = recorded_fault("test_psrp_is_alive_invalid_selectors.yml", "InvalidSelectors")
    shell = ResourceTarget(namespaces.CMD_SHELL, (("ShellId", "00000000-0000-0000-0000-000000000000"),))
    ours = raw(modern, Command(shell, "ver"), to="http://127.0.0.1:5985/wsman")
    assert root_declarations(ours) == root_declarations(theirs)
    assert shape(etree.fromstring(ours)) == shape(etree.fromstring(theirs))
    assert texts(ours) == texts(theirs)


def test_the_fault_of_a_command_that_is_not_there(modern: Asker) -> None:
    theirs = recorded_fault("test_winrs_bad_cmd_id.yml", "InvalidSelectors")
    created = messages.parse_answer(raw(modern, CreateShell(ResourceTarget(namespaces.CMD_SHELL)))).body
    assert isinstance(created, ShellCreated)
    ours = raw(modern, Receive(ResourceTarget(namespaces.CMD_SHELL, (("ShellId", created.shell_id),)), "nope"))
    assert shape(etree.fromstring(ours)[1]) == shape(etree.fromstring(theirs)[1])
    assert texts(ours) == texts(theirs)


def test_the_fault_of_output_that_is_late(modern: Asker) -> None:
    theirs = recorded_fault("test_winrs_operation_timeout.yml", "TimedOut")
    modern.host.mishaps.add(Mishap(MishapKind.FAULT, amount=2150858793))
    ours = raw(modern, CreateShell(ResourceTarget(namespaces.CMD_SHELL)))
    assert shape(etree.fromstring(ours)) == shape(etree.fromstring(theirs))
    assert texts(ours) == texts(theirs)


def recorded_fault(name: str, mark: str) -> bytes:
    """The first recorded response of an exchange that holds a fault of this subcode."""
    exchange = (WIRE / "pypsrp" / name).read_text(encoding="utf-8")
    found = re.search(rf"response: (<s:Envelope.*{mark}.*)$", exchange, re.MULTILINE)
    assert found is not None
    return found[1].encode()


def texts(message: bytes) -> list[str]:
    """The texts of the body."""
    return [text for node in etree.fromstring(message)[1].iter() if (text := (node.text or "").strip())]
