"""The operations on WMI classes: Get, Enumerate, Pull, Release, Invoke, Identify; requests and answers, both ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

from converge.errors import RemoteProtocolError
from converge.wsman import cim, namespaces, xml
from converge.wsman.cim import Instance, Properties, Value
from converge.wsman.envelopes import ResourceTarget
from converge.wsman.namespaces import CIM, ENUMERATION, IDENTITY, WSMAN, XSI
from converge.wsman.xml import Element, Markup, element

MAX_ELEMENTS: Final = 32000


@dataclass(frozen=True, slots=True)
class Get:
    """Read one instance."""

    target: ResourceTarget
    prefixes: ClassVar[tuple[str, ...]] = ()
    action: ClassVar[str] = namespaces.GET

    def body(self) -> Markup:
        """The inside of s:Body."""
        return Markup("")


@dataclass(frozen=True, slots=True)
class Enumerate:
    """Begin to read the instances of a class, or those that a filter (WQL) selects."""

    target: ResourceTarget
    expression: str = ""
    dialect: str = namespaces.WQL_DIALECT
    max_elements: int = MAX_ELEMENTS
    optimized: bool = True
    mode: str = ""
    prefixes: ClassVar[tuple[str, ...]] = ("n",)
    action: ClassVar[str] = namespaces.ENUMERATE

    def body(self) -> Markup:
        """The inside of s:Body."""
        parts = []
        if self.optimized:
            parts += [element("w:OptimizeEnumeration"), element("w:MaxElements", str(self.max_elements))]
        if self.mode:
            parts.append(element("w:EnumerationMode", self.mode))
        if self.expression:
            parts.append(element("w:Filter", self.expression, attributes={"Dialect": self.dialect}))
        return element("n:Enumerate", *parts)


@dataclass(frozen=True, slots=True)
class Pull:
    """Read on. Must repeat the MaxEnvelopeSize and MaxElements of its Enumerate (2150859181 otherwise)."""

    target: ResourceTarget
    context: str
    max_elements: int = MAX_ELEMENTS
    prefixes: ClassVar[tuple[str, ...]] = ("n",)
    action: ClassVar[str] = namespaces.PULL

    def body(self) -> Markup:
        """The inside of s:Body."""
        context = element("n:EnumerationContext", self.context)
        return element("n:Pull", context, element("n:MaxElements", str(self.max_elements)))


@dataclass(frozen=True, slots=True)
class Release:
    """Stop reading before the end: an open enumeration counts against the account's quota."""

    target: ResourceTarget
    context: str
    prefixes: ClassVar[tuple[str, ...]] = ("n",)
    action: ClassVar[str] = namespaces.RELEASE

    def body(self) -> Markup:
        """The inside of s:Body."""
        return element("n:Release", element("n:EnumerationContext", self.context))


@dataclass(frozen=True, slots=True)
class Invoke:
    """Call a method of a class, or of the instance the selectors name.

    Parameters are sent in the order given. None is left out, an array repeats its element, an empty array is nothing.
    """

    target: ResourceTarget
    method: str
    parameters: Mapping[str, Value] = field(default_factory=dict)
    prefixes: ClassVar[tuple[str, ...]] = ()

    @property
    def action(self) -> str:
        """The addressing action."""
        return f"{self.target.resource_uri}/{self.method}"

    def body(self) -> Markup:
        """The inside of s:Body."""
        given = [(name, value) for name, value in self.parameters.items() if value is not None]
        attributes = {"xmlns:p": self.target.resource_uri, "xmlns:cim": CIM}
        content = xml.join(cim.property_elements(name, value) for name, value in given)
        return element(f"p:{self.method}_INPUT", *([content] if given else []), attributes=attributes)


@dataclass(frozen=True, slots=True)
class Identify:
    """Ask for the protocol and product versions: the cheapest request, with no header at all."""

    prefixes: ClassVar[tuple[str, ...]] = ("wsmid",)

    def body(self) -> Markup:
        """The inside of s:Body."""
        return element("wsmid:Identify")


@dataclass(frozen=True, slots=True)
class Got:
    """The instance that was asked for."""

    instance: Instance
    prefixes: ClassVar[tuple[str, ...]] = ("s", "a", "x", "w", "p")

    def body(self) -> Markup:
        """The inside of s:Body."""
        return cim.instance_element(cim.shown_instance(self.instance))


@dataclass(frozen=True, slots=True)
class Page:
    """Instances of an enumeration. `context` names the rest; empty at the end.

    `first` is whether it answers Enumerate (items in the `w` namespace) or Pull (in `n`), as recorded hosts do.
    """

    items: tuple[Instance, ...]
    context: str
    first: bool
    prefixes: ClassVar[tuple[str, ...]] = ("s", "a", "n", "w")

    def body(self) -> Markup:
        """The inside of s:Body."""
        prefix = "w" if self.first else "n"
        parts = []
        if self.first or self.context:
            parts.append(element("n:EnumerationContext", self.context))
        if self.items:
            items = xml.join(cim.instance_element(cim.shown_instance(item)) for item in self.items)
            parts.append(element(f"{prefix}:Items", items))
        if not self.context:
            parts.append(element(f"{prefix}:EndOfSequence"))
        return element("n:EnumerateResponse" if self.first else "n:PullResponse", *parts)


@dataclass(frozen=True, slots=True)
class Released:
    """The enumeration is forgotten."""

    prefixes: ClassVar[tuple[str, ...]] = ("s", "a", "n", "w")

    def body(self) -> Markup:
        """The inside of s:Body: nothing."""
        return Markup("")


@dataclass(frozen=True, slots=True)
class ShellOutput:
    """What a method returned: its out parameters in order of declaration, ReturnValue last."""

    properties: Properties
    method: str = ""
    class_uri: str = ""
    prefixes: ClassVar[tuple[str, ...]] = ("s", "a", "x", "w", "p")

    def body(self) -> Markup:
        """The inside of s:Body."""
        content = xml.join(cim.property_elements(name, cim.shown(value)) for name, value in self.properties.items())
        attributes = {"xmlns:xsi": XSI, "xmlns:p": self.class_uri, "xmlns:cim": CIM}
        return element(f"p:{self.method}_OUTPUT", content, attributes=attributes)


@dataclass(frozen=True, slots=True)
class Identity:
    """What a host says of itself: `OS: 6.3.9600 SP: 0.0 Stack: 3.0`, zeros when it was not authenticated."""

    product_version: str
    product_vendor: str = "Microsoft Corporation"
    protocol_version: str = WSMAN
    security_profiles: tuple[str, ...] = ()
    prefixes: ClassVar[tuple[str, ...]] = ("s",)

    def body(self) -> Markup:
        """The inside of s:Body."""
        parts = [
            element("wsmid:ProtocolVersion", self.protocol_version),
            element("wsmid:ProductVendor", self.product_vendor),
            element("wsmid:ProductVersion", self.product_version),
        ]
        if self.security_profiles:
            names = xml.join(element("wsmid:SecurityProfileName", name) for name in self.security_profiles)
            parts.append(element("wsmid:SecurityProfiles", names))
        return element("wsmid:IdentifyResponse", *parts, attributes=xml.declarations(["wsmid"]))


def parse_enumerate(target: ResourceTarget, node: Element) -> Enumerate:
    """The Enumerate a body holds; w:Filter and n:Filter are equal."""
    found = xml.child(node, WSMAN, "Filter")
    expression = xml.child(node, ENUMERATION, "Filter") if found is None else found
    limit = xml.integer(xml.value(xml.child(node, WSMAN, "MaxElements")))
    return Enumerate(
        target,
        expression=(expression.text or "") if expression is not None else "",
        dialect=(expression.get("Dialect") or "") if expression is not None else namespaces.WQL_DIALECT,
        max_elements=1 if limit is None else limit,
        optimized=xml.child(node, WSMAN, "OptimizeEnumeration") is not None,
        mode=xml.value(xml.child(node, WSMAN, "EnumerationMode")),
    )


def parse_pull(target: ResourceTarget, node: Element) -> Pull:
    """The Pull a body holds; without a limit it asks for one item (DSP0226)."""
    limit = xml.integer(xml.value(xml.child(node, ENUMERATION, "MaxElements")))
    return Pull(target, context=_context(node), max_elements=1 if limit is None else limit)


def parse_release(target: ResourceTarget, node: Element) -> Release:
    """The Release a body holds."""
    return Release(target, context=_context(node))


def _context(node: Element) -> str:
    return xml.value(xml.child(node, ENUMERATION, "EnumerationContext"))


def parse_invoke(target: ResourceTarget, node: Element) -> Invoke:
    """The call a body holds; the method's name is that of the `_INPUT` element."""
    name = xml.local_name(node)
    if not name.endswith("_INPUT"):
        raise RemoteProtocolError(f"the body of a method call is {name[:80]!r}")
    return Invoke(target, method=name.removesuffix("_INPUT"), parameters=cim.parse_properties(node))


def parse_page(node: Element) -> Page:
    """The page an EnumerateResponse or PullResponse holds. Raises RemoteProtocolError when it neither ends nor goes on."""
    first = xml.local_name(node) == "EnumerateResponse"
    uri = WSMAN if first else ENUMERATION
    items = xml.child(node, uri, "Items")
    instances = tuple(cim.parse_instance(item) for item in (items if items is not None else ()))
    ended = xml.child(node, uri, "EndOfSequence") is not None
    context = "" if ended else _context(node)
    if not ended and not context:
        raise RemoteProtocolError("an enumeration that neither ends nor says how to go on")
    return Page(instances, context=context, first=first)


def parse_output(node: Element) -> ShellOutput:
    """What a method's `_OUTPUT` element holds."""
    method = xml.local_name(node).removesuffix("_OUTPUT")
    return ShellOutput(cim.parse_properties(node), method=method, class_uri=xml.namespace(node))


def parse_identity(node: Element) -> Identity:
    """What an IdentifyResponse holds."""
    profiles = xml.child(node, IDENTITY, "SecurityProfiles")
    return Identity(
        product_version=xml.value(xml.child(node, IDENTITY, "ProductVersion")),
        product_vendor=xml.value(xml.child(node, IDENTITY, "ProductVendor")),
        protocol_version=xml.value(xml.child(node, IDENTITY, "ProtocolVersion")),
        security_profiles=tuple(xml.value(name) for name in (profiles if profiles is not None else ())),
    )
