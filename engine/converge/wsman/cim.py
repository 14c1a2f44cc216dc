"""CIM values, instances and references <-> XML, as [MS-WSMV] 3.1.4.1.25-33 and recorded hosts render them.

A message does not tell an array of one from a scalar, nor a number from its digits. So what is read stays text
(or a reference, or an embedded instance, or a tuple of them) and the accessors of `Properties` say how to take it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from converge.errors import LocalProtocolError, RemoteProtocolError
from converge.wsman import xml
from converge.wsman.namespaces import ADDRESSING, ANONYMOUS, CIM, WSMAN, XSI
from converge.wsman.xml import Element, Markup, element

T = TypeVar("T")

_NIL: Final = f"{{{XSI}}}nil"
_TYPE: Final = f"{{{XSI}}}type"
_TIMES: Final = frozenset({"Datetime", "Interval", "Date", "Time"})
_DURATION: Final = re.compile(
    r"P(?:(?P<days>\d{1,9})D)?"
    r"(?:T(?:(?P<hours>\d{1,9})H)?(?:(?P<minutes>\d{1,9})M)?(?:(?P<seconds>\d{1,9}(?:\.\d{1,9})?)S)?)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Reference:
    """A pointer to a resource: its URI and the keys that select an instance; a key may itself be a reference."""

    resource_uri: str
    selectors: tuple[tuple[str, Selector], ...] = ()
    address: str = ANONYMOUS


Selector = str | Reference


class Properties(Mapping[str, "Value"]):
    """Named values in order, looked up in any case.

    The accessors raise RemoteProtocolError where a value cannot be taken that way; None is a null or a missing value.
    """

    __slots__ = ("_folded", "_values")

    def __init__(self, values: Mapping[str, Value] | None = None) -> None:
        self._values = dict(values or {})
        self._folded = {name.casefold(): name for name in self._values}

    def __getitem__(self, name: str) -> Value:
        return self._values[name if name in self._values else self._folded[name.casefold()]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Properties({self._values!r})"

    def array(self, name: str) -> tuple[str, ...]:
        """The texts of an array, without the nulls in it; a null or missing array is empty."""
        found = self.get(name)
        items = found if isinstance(found, tuple) else (found,)
        return tuple(_as_text(name, item) for item in items if item is not None)

    def text(self, name: str) -> str | None:
        """A string."""
        found = self.get(name)
        return None if found is None else _as_text(name, found)

    def integer(self, name: str) -> int | None:
        """A whole number of up to 64 bits."""
        return self._taken(name, "a whole number", xml.integer)

    def datetime(self, name: str) -> datetime | None:
        """A point in time, in UTC; one written without a zone is UTC."""
        return self._taken(name, "a date and time", parsed_datetime)

    def _taken(self, name: str, kind: str, read: Callable[[str], T | None]) -> T | None:
        text = self.text(name)
        if text is None:
            return None
        taken = read(text.strip())
        if taken is None:
            raise RemoteProtocolError(f"the property {name} is {text[:80]!r}, not {kind}")
        return taken


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance of a class; without a class name, the projection that `SELECT a,b` yields (an XmlFragment)."""

    properties: Properties = field(default_factory=Properties)
    class_name: str = ""
    class_uri: str = ""

    def as_texts(self) -> dict[str, str | None]:
        """Its properties as one text each: arrays joined, references by their last name and keys."""
        return {name: _joined(value) for name, value in self.properties.items()}


Scalar = str | int | float | datetime | timedelta | Reference | Instance
Value = Scalar | None | tuple[Scalar | None, ...]


def _as_text(name: str, found: Value) -> str:
    if isinstance(found, str):
        return found
    if isinstance(found, (tuple, Reference, Instance)) or found is None:
        raise RemoteProtocolError(f"the property {name} is not a single value")
    return text_of(found)


def _joined(value: Value) -> str | None:
    if value is None:
        return None
    if isinstance(value, tuple):
        return ", ".join(_joined(item) or "" for item in value)
    if isinstance(value, Reference):
        keys = ",".join(f"{name}={_joined(key)}" for name, key in value.selectors)
        return f"{value.resource_uri.rpartition('/')[2]}.{keys}"
    return value.class_name if isinstance(value, Instance) else text_of(value)


def text_of(scalar: str | int | float | datetime | timedelta) -> str:
    """A simple value as the wire spells it: decimal numbers, `true`, UTC with `Z` and no trailing zeros."""
    if isinstance(scalar, bool):
        return "true" if scalar else "false"
    if isinstance(scalar, datetime):
        return _datetime_text(scalar)
    if isinstance(scalar, timedelta):
        return duration_text(scalar)
    return str(scalar)


def _datetime_text(moment: datetime) -> str:
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    text = moment.replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if "." in text else text) + "Z"


def parsed_datetime(text: str) -> datetime | None:
    """The point in time that an xs:dateTime spells, in UTC; None if it is none (a wildcard, a year 0)."""
    try:
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text[:64]))
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def duration_text(length: timedelta) -> str:
    """An xs:duration such as `P1DT2H3M4.5S`. Raises LocalProtocolError for a negative one."""
    if length < timedelta(0):
        raise LocalProtocolError("an interval cannot be negative")
    minutes, seconds = divmod(length.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{length.microseconds:06d}".rstrip("0").rstrip(".")
    return f"P{length.days}DT{hours}H{minutes}M{seconds}{fraction}S"


def parsed_duration(text: str) -> timedelta | None:
    """The length of time an xs:duration of days, hours, minutes and seconds spells; None if it spells none."""
    match = _DURATION.fullmatch(text)
    if not match or text.endswith(("P", "T")):
        return None
    try:
        return timedelta(**{unit: float(amount) for unit, amount in match.groupdict(default="0").items()})
    except OverflowError:
        return None


def in_host_order(names: Mapping[str, T]) -> list[tuple[str, T]]:
    """Properties as hosts send them: alphabetical, whatever the case."""
    return sorted(names.items(), key=lambda item: item[0].casefold())


def property_elements(name: str, value: Value, *, prefix: str = "p:") -> Markup:
    """One property or parameter: null as nil, an array as repeated elements, an empty array as nothing.

    Raises LocalProtocolError for characters that XML cannot carry.
    """
    if isinstance(value, tuple):
        return xml.join(_single(name, item, prefix) for item in value)
    return _single(name, value, prefix)


def _single(name: str, value: Scalar | None, prefix: str) -> Markup:
    tag = prefix + name
    if value is None:
        return element(tag, attributes={"xsi:nil": "true"})
    if isinstance(value, Instance):
        return instance_element(value, tag=tag)
    if isinstance(value, Reference):
        return element(tag, reference_content(value))
    if isinstance(value, (datetime, timedelta)):
        wrapper = "Interval" if isinstance(value, timedelta) else "Datetime"
        return element(tag, element(f"cim:{wrapper}" if prefix else wrapper, text_of(value)))
    return element(tag, text_of(value))


def instance_element(instance: Instance, *, tag: str = "") -> Markup:
    """A whole instance, or a projection if it has no class; embedded in the property `tag` if one is named."""
    properties = in_host_order(instance.properties)
    if not instance.class_name:
        content = xml.join(property_elements(name, value, prefix="") for name, value in properties)
        return element("w:XmlFragment", content, attributes=xml.declarations(["xsi", "w"]))
    content = xml.join(property_elements(name, value) for name, value in properties)
    return element(
        tag or f"p:{instance.class_name}", content, attributes=class_attributes(instance.class_name, instance.class_uri)
    )


def class_attributes(class_name: str, class_uri: str) -> dict[str, str]:
    """The declarations and type a host puts on an instance."""
    declared = {"xmlns:xsi": XSI, "xmlns:p": class_uri, "xmlns:cim": CIM}
    return declared | {"xsi:type": f"p:{class_name}_Type"}


def reference_content(reference: Reference) -> Markup:
    """The inside of an endpoint reference."""
    parameters = element("w:ResourceURI", reference.resource_uri)
    if reference.selectors:
        parameters = xml.join([parameters, selector_set(reference.selectors)])
    return xml.join([element("a:Address", reference.address), element("a:ReferenceParameters", parameters)])


def selector_set(selectors: tuple[tuple[str, Selector], ...]) -> Markup:
    """The keys that select one instance."""
    return element("w:SelectorSet", xml.join(_selector(name, value) for name, value in selectors))


def _selector(name: str, value: Selector) -> Markup:
    content = value if isinstance(value, str) else element("a:EndpointReference", reference_content(value))
    return element("w:Selector", content, attributes={"Name": name})


def shown(value: Value) -> Value:
    """The value as a host can send it: `?` for every character XML cannot carry."""
    if isinstance(value, tuple):
        return tuple(_shown_scalar(item) for item in value)
    return _shown_scalar(value)


def _shown_scalar(value: Scalar | None) -> Scalar | None:
    if isinstance(value, str):
        return xml.shown(value)
    return shown_instance(value) if isinstance(value, Instance) else value


def shown_instance(instance: Instance) -> Instance:
    """The instance as a host can send it."""
    properties = Properties({name: shown(value) for name, value in instance.properties.items()})
    return Instance(properties, class_name=instance.class_name, class_uri=instance.class_uri)


def parse_instance(node: Element) -> Instance:
    """The instance or projection an element holds."""
    uri, name = xml.namespace(node), xml.local_name(node)
    properties = parse_properties(node)
    if uri == WSMAN and name == "XmlFragment":
        return Instance(properties)
    named = (node.get(_TYPE) or "").rpartition(":")[2]
    return Instance(properties, class_name=named.removesuffix("_Type") or name, class_uri=_class_uri(node))


def _class_uri(node: Element) -> str:
    """An embedded instance bears the property's name; its class is where its own `p` points, or its first property."""
    prefix = (node.get(_TYPE) or "").rpartition(":")[0]
    return node.nsmap.get(prefix or None) or xml.namespace(node)


def parse_properties(node: Element) -> Properties:
    """The properties or parameters that are an element's children; siblings of one name are an array."""
    values: dict[str, list[Scalar | None]] = {}
    for item in node:
        values.setdefault(xml.local_name(item), []).append(_parse_value(item))
    return Properties({name: items[0] if len(items) == 1 else tuple(items) for name, items in values.items()})


def _parse_value(node: Element) -> Scalar | None:
    if node.get(_NIL) in ("true", "1"):
        return None
    if len(node) == 0:
        return node.text or ""
    first = node[0]
    if len(node) == 1 and xml.local_name(first) in _TIMES and xml.namespace(first) in (CIM, ""):
        return xml.value(first)
    if xml.namespace(first) == ADDRESSING:
        return parse_reference(node)
    return parse_instance(node)


def parse_reference(node: Element) -> Reference:
    """The reference an element holds, directly or in an EndpointReference."""
    inner = xml.child(node, ADDRESSING, "EndpointReference")
    holder = node if inner is None else inner
    parameters = xml.child(holder, ADDRESSING, "ReferenceParameters")
    return Reference(
        resource_uri=xml.value(xml.child(parameters, WSMAN, "ResourceURI")),
        selectors=parse_selectors(xml.child(parameters, WSMAN, "SelectorSet")),
        address=xml.value(xml.child(holder, ADDRESSING, "Address")),
    )


def parse_selectors(node: Element | None) -> tuple[tuple[str, Selector], ...]:
    """The keys in a SelectorSet, in order; none if there is no such element."""
    if node is None:
        return ()
    return tuple((item.get("Name") or "", _parse_selector(item)) for item in node.iterchildren(f"{{{WSMAN}}}Selector"))


def _parse_selector(node: Element) -> Selector:
    return parse_reference(node) if len(node) else node.text or ""
