"""Values survive the wire, in both directions, whatever characters they hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converge.errors import LocalProtocolError, RemoteProtocolError
from converge.wsman import cim, messages, xml
from converge.wsman.cim import Instance, Properties, Reference, Value
from converge.wsman.envelopes import Option, RequestHeader, ResourceTarget, new_message_id
from converge.wsman.messages import Request
from converge.wsman.namespaces import split_wmi_uri, wmi_uri, wql_uri
from converge.wsman.operations import Enumerate, Get, Got, Identify, Invoke, Page, Pull, Release, ShellOutput

SERVICE = wmi_uri("root/cimv2", "Win32_Service")
HEADER = RequestHeader(to="http://host:5985/wsman", message_id=new_message_id())
carried = st.text(
    st.one_of(st.sampled_from("\t\n\r&<>\"'%äß😀\u2028]\\ "), st.characters(exclude_categories=["Cs", "Cc"])),
    max_size=40,
).filter(lambda text: "\ufffe" not in text and "\uffff" not in text)
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}", fullmatch=True)
moments = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-9, minutes=30))]))
many = settings(max_examples=150)


def asked(operation: messages.AnyRequest) -> messages.AnyRequest:
    """The operation after a journey to the other end."""
    read = messages.parse_request(messages.build_request(operation, header=HEADER))
    assert read.header == HEADER
    assert not isinstance(read.operation, Identify)
    return read.operation


def answered(body: messages.AnyAnswer, operation: messages.AnyRequest) -> messages.AnyAnswer:
    """The answer after a journey back."""
    data = messages.build_answer(body, request=Request(operation, HEADER), message_id=new_message_id())
    answer = messages.parse_answer(data)
    assert answer.header.relates_to == HEADER.message_id
    return answer.body


@many
@given(values=st.dictionaries(names, carried, max_size=6))
def test_texts_survive_as_parameters_in_their_order(values: dict[str, str]) -> None:
    call = asked(Invoke(ResourceTarget(SERVICE), "Change", parameters=values))
    assert isinstance(call, Invoke)
    assert call.method == "Change"
    assert list(call.parameters.items()) == list(values.items())


@many
@given(text=st.text(max_size=30))
def test_a_text_arrives_unchanged_or_is_refused_before_it_is_sent(text: str) -> None:
    try:
        call = asked(Invoke(ResourceTarget(SERVICE), "Change", parameters={"DisplayName": text}))
    except LocalProtocolError:
        return
    assert isinstance(call, Invoke)
    assert call.parameters["DisplayName"] == text


@pytest.mark.parametrize("character", ["\x00", "\x01", "\x0b", "\x1f", "\ud800", "\ufffe", "\uffff"])
def test_a_character_xml_cannot_carry_is_refused_in_a_request_and_a_question_mark_in_an_answer(character: str) -> None:
    with pytest.raises(LocalProtocolError, match="cannot be sent"):
        messages.build_request(Invoke(ResourceTarget(SERVICE), "Change", {"PathName": f"a{character}"}), header=HEADER)
    back = answered(Got(Instance(Properties({"Name": f"a{character}b"}))), Get(ResourceTarget(SERVICE)))
    assert isinstance(back, Got)
    assert back.instance.properties.text("Name") == "a?b"


@many
@given(
    text=carried,
    number=st.integers(-(2**63), 2**64 - 1),
    flag=st.booleans(),
    moment=moments,
    items=st.lists(carried, max_size=5),
)
def test_values_of_every_kind_survive_in_instances_and_projections(
    text: str, number: int, flag: bool, moment: datetime, items: list[str]
) -> None:
    length = timedelta(days=abs(number) % 10**6, microseconds=abs(number) % 10**11)
    values: dict[str, Value] = {
        "Text": text, "Number": number, "Flag": flag, "Moment": moment, "Length": length, "Items": tuple(items), "Null": None,
    }  # fmt: skip
    whole = Instance(Properties(values), class_name="Win32_Service", class_uri=SERVICE)
    for instance in (whole, Instance(Properties(values))):
        page = answered(Page((instance, instance), context="uuid:X", first=False), Pull(ResourceTarget(SERVICE), "uuid:W"))
        assert isinstance(page, Page)
        assert page.context == "uuid:X"
        read = page.items[1]
        assert (read.class_name, read.class_uri) == (instance.class_name, instance.class_uri)
        assert read.properties.text("text") == text
        assert read.properties.integer("NUMBER") == number
        assert (read.properties.text("Flag") == "true") is flag
        assert read.properties.datetime("Moment") == moment
        assert cim.parsed_duration(read.properties.text("Length") or "") == length
        assert read.properties.array("Items") == tuple(items)
        assert read.properties.text("Null") is None
        assert list(read.properties) == sorted(read.properties, key=str.casefold)


def test_an_embedded_instance_and_a_reference_survive() -> None:
    trustee = Instance(
        Properties({"Name": "deploy"}), class_name="Win32_Trustee", class_uri=wmi_uri("root/cimv2", "Win32_Trustee")
    )
    inner = Reference(SERVICE, (("Name", "W3SVC"),))
    outer = Reference(SERVICE, (("Antecedent", inner), ("Plain", "x")))
    call = asked(Invoke(ResourceTarget(SERVICE), "Set", {"Descriptor": trustee, "Owner": outer, "Many": (trustee, trustee)}))
    assert isinstance(call, Invoke)
    embedded = call.parameters["Descriptor"]
    assert isinstance(embedded, Instance)
    assert (embedded.class_name, embedded.properties.text("Name")) == ("Win32_Trustee", "deploy")
    assert call.parameters["Owner"] == outer
    assert isinstance(call.parameters["Many"], tuple)


def test_null_is_left_out_empty_is_an_empty_element_and_an_array_repeats() -> None:
    call = Invoke(ResourceTarget(SERVICE), "Change", {"A": None, "B": "", "C": ("x", "y"), "D": (), "E": True})
    body = call.body()
    assert "A" not in cim.parse_properties(xml.parse(body.encode()))
    assert "<p:B></p:B><p:C>x</p:C><p:C>y</p:C><p:E>true</p:E>" in body
    assert body.startswith("<p:Change_INPUT ")


def test_output_keeps_the_order_of_declaration() -> None:
    output = ShellOutput(Properties({"sNames": ("b", "a"), "Types": (1, 7), "ReturnValue": 0}), "EnumValues", SERVICE)
    assert (
        "<p:sNames>b</p:sNames><p:sNames>a</p:sNames><p:Types>1</p:Types><p:Types>7</p:Types><p:ReturnValue>0<"
        in output.body()
    )
    read = answered(output, Invoke(ResourceTarget(SERVICE), "EnumValues"))
    assert isinstance(read, ShellOutput)
    assert read.properties.array("Types") == ("1", "7")


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2013, 3, 9, 2, 57, 32, tzinfo=UTC), "2013-03-09T02:57:32Z"),
        (datetime(2013, 4, 15, 16, 28, 43, 488171, tzinfo=UTC), "2013-04-15T16:28:43.488171Z"),
        (datetime(2013, 4, 15, 16, 28, 43, 762000, tzinfo=UTC), "2013-04-15T16:28:43.762Z"),
        (datetime(2013, 4, 15, 18, 0, tzinfo=timezone(timedelta(hours=2))), "2013-04-15T16:00:00Z"),
        (datetime(30, 1, 1), "0030-01-01T00:00:00Z"),
    ],
)
def test_points_in_time_are_written_as_hosts_write_them(moment: datetime, text: str) -> None:
    assert cim.text_of(moment) == text


@pytest.mark.parametrize("name", ["integer", "datetime"])
@pytest.mark.parametrize("text", ["", "abc", "1e3", "9" * 30, "P", "PT", "0000-00-00T00:00:00Z", "٣"])
def test_a_value_that_cannot_be_taken_so_is_the_hosts_mistake(name: str, text: str) -> None:
    with pytest.raises(RemoteProtocolError, match="the property X"):
        getattr(Properties({"X": text}), name)("X")


@many
@given(context=carried.map(str.strip).filter(bool), wql=carried, key=carried, option=carried)
def test_requests_survive_with_selectors_and_options(context: str, wql: str, key: str, option: str) -> None:
    target = ResourceTarget(
        SERVICE, (("Name", key),), (Option("wmi:X", option, kind="xs:string"), Option("Y", "1", must_comply=True))
    )
    everything = ResourceTarget(wql_uri(r"root\cimv2"))
    expected: list[messages.AnyRequest] = [
        Get(target),
        Enumerate(everything, expression=wql) if wql else Enumerate(ResourceTarget(SERVICE)),
        Enumerate(everything, max_elements=20, mode="EnumerateEPR"),
        Pull(everything, context=" ".join(context.split())),
        Release(everything, context=" ".join(context.split())),
    ]
    for operation in expected:
        assert asked(operation) == operation


def test_resource_uris_name_namespace_and_class() -> None:
    assert wql_uri(r"root\MSCluster") == "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/MSCluster/*"
    assert split_wmi_uri(SERVICE.replace("schemas", "SCHEMAS")) == ("root/cimv2", "Win32_Service")
    assert split_wmi_uri("http://schemas.microsoft.com/wbem/wsman/1/config") is None
    assert split_wmi_uri("http://schemas.microsoft.com/wbem/wsman/1/wmi/root") is None


def test_a_name_that_is_no_xml_name_is_refused_before_it_is_sent() -> None:
    for name in ("a b", "", "1a", "a><b", "a:b:c"):
        with pytest.raises(LocalProtocolError):
            messages.build_request(Invoke(ResourceTarget(SERVICE), "Change", {name: "x"}), header=HEADER)
