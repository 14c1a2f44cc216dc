"""The operations of WS-Management on WMI classes: Get, Enumerate, Pull, Release and Invoke, with the faults of real hosts."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from tests.wine import soap, wql
from tests.wine.agent import Agent
from tests.wine.files import Directories, Files, Unbound
from tests.wine.machine import ComputerSystem, Events, OperatingSystem, Processes
from tests.wine.registry import Expandable, Registry
from tests.wine.services import DependentServices, Services
from tests.wine.soap import Fault, Request, Row

PAGE_BYTES = 75_000
_NOT_FOUND = (
    "The WS-Management service cannot process the request. The service cannot find the resource identified by the "
    "resource URI and selectors. "
)


class Provider(Protocol):
    """A class that has rows."""

    name: str
    key: str

    def rows(self, query: wql.Select | None) -> Iterable[Row]:
        """Its instances; at least all those that the query selects."""


@dataclass
class _Opened:
    """An enumeration that goes on: what is left, and what its Enumerate had asked for."""

    left: list[str]
    most: int
    envelope_size: int


class Wmi:
    """The classes of one host."""

    def __init__(self, agent: Agent, expandable: Expandable) -> None:
        self.registry = Registry(agent, expandable)
        self.services = Services(agent)
        self.files, self.directories = Files(agent), Directories(agent)
        others = DependentServices(agent), OperatingSystem(agent), ComputerSystem(agent), Processes(agent), Events()
        providers: list[Provider] = [self.services, self.files, self.directories, *others]
        self._providers = {provider.name.lower(): provider for provider in providers}
        self._opened: dict[str, _Opened] = {}
        self._lock = threading.Lock()

    @property
    def open_enumerations(self) -> int:
        """How many enumerations nobody has read to the end or released."""
        return len(self._opened)

    def get(self, request: Request) -> str:
        """One instance."""
        namespace, class_name = _resource(request.uri)
        asked = ("GetObject", class_name)
        provider = self._provider(namespace, class_name, asked)
        key = provider.key.lower()
        unknown = set(request.selectors) - {key}
        if unknown:
            raise Fault(
                "w:InvalidSelectors", 2150858843, "The selectors are not valid. ", detail=_detail("UnexpectedSelectors")
            )
        value = str(request.selectors.get(key, ""))
        if key and not value:
            raise Fault("w:InvalidSelectors", 2150859002, "The request needs keys. ", asked=asked)
        query = wql.Select((), provider.name, wql.Comparison(key, "=", value)) if key else None
        for row in provider.rows(query):
            if query is None or query.holds(row):
                return soap.whole(provider.name, namespace, row)
        raise _missing(("GetObject", f'{class_name}.{provider.key}="{value}"'))

    def _provider(self, namespace: str, class_name: str, asked: tuple[str, str]) -> Provider:
        provider = self._providers.get(class_name.lower())
        if namespace.lower() != "root/cimv2" or provider is None:
            raise _missing(asked)
        return provider

    def enumerate(self, request: Request) -> str:
        """The first page: one item, unless there is only one (Windows Server 2008 R2 and later)."""
        assert request.body is not None
        found = soap.child(request.body, soap.WSMAN, "Filter")
        found = soap.child(request.body, soap.ENUMERATION, "Filter") if found is None else found
        items = self._items(request, found)
        most = int(soap.text(soap.child(request.body, soap.WSMAN, "MaxElements")) or 1)
        optimized = soap.child(request.body, soap.WSMAN, "OptimizeEnumeration") is not None
        first = items if len(items) == 1 and optimized else items[: int(optimized)]
        left = items[len(first) :]
        ended = optimized and not left
        context = "" if ended else self._remember(_Opened(left, most, request.envelope_size))
        inside = f"<w:Items>{''.join(first)}</w:Items>" if first else ""
        end = "<w:EndOfSequence/>" if ended else ""
        return f"<n:EnumerateResponse><n:EnumerationContext>{context}</n:EnumerationContext>{inside}{end}</n:EnumerateResponse>"

    def _items(self, request: Request, found: soap.Element | None) -> list[str]:
        namespace, class_name = _resource(request.uri)
        if found is None:
            provider = self._provider(namespace, class_name, ("CreateInstanceEnum", class_name))
            return [soap.whole(provider.name, namespace, row) for row in provider.rows(None)]
        if found.get("Dialect") != soap.WQL:
            raise Fault("w:FilteringNotSupported", 2150858834, "The dialect is not supported. ")
        if class_name != "*" or request.selectors:
            raise Fault("w:InvalidSelectors", 2150859003, "A query needs the class * and no keys. ")
        text = found.text or ""
        try:
            return self._selected(namespace, wql.parse(text))
        except (wql.BadQuery, Unbound) as error:
            words = "The WS-Management service cannot process the request. The filter is not valid. "
            raise Fault("n:CannotProcessFilter", 2150858778, words, asked=("ExecQuery", text)) from error

    def _selected(self, namespace: str, query: wql.Select | wql.Associators) -> list[str]:
        class_name = query.class_name.lower()
        if namespace.lower() != "root/cimv2" or class_name not in self._providers:
            raise wql.BadQuery("no such class")
        if isinstance(query, wql.Associators):
            if class_name != "win32_service":
                raise wql.BadQuery("associations of that class are not served")
            return [soap.whole("Win32_Service", namespace, row) for row in self.services.associated(query)]
        provider = self._providers[class_name]
        rows = [row for row in provider.rows(query) if query.holds(row)]
        if not query.columns:
            return [soap.whole(provider.name, namespace, row) for row in rows]
        wanted = {column.lower() for column in query.columns}
        return [soap.projection({name: row[name] for name in row if name.lower() in wanted}) for row in rows]

    def _remember(self, opened: _Opened) -> str:
        context = f"uuid:{str(uuid.uuid4()).upper()}"
        with self._lock:
            self._opened[context] = opened
        return context

    def pull(self, request: Request) -> str:
        """A further page, with a new context; the last one has none."""
        opened = self._forget(request)
        assert request.body is not None
        most = int(soap.text(soap.child(request.body, soap.ENUMERATION, "MaxElements")) or 1)
        if (most, request.envelope_size) != (opened.most, opened.envelope_size):
            raise Fault("w:InvalidParameter", 2150859181, "A Pull must repeat what its Enumerate had asked for. ")
        taken = 0
        size = 0
        for item in opened.left[:most]:
            size += len(item.encode())
            if taken and size > PAGE_BYTES:
                break
            taken += 1
        items, opened.left = opened.left[:taken], opened.left[taken:]
        if opened.left:
            again = f"<n:EnumerationContext>{self._remember(opened)}</n:EnumerationContext>"
            return f"<n:PullResponse>{again}<n:Items>{''.join(items)}</n:Items></n:PullResponse>"
        return f"<n:PullResponse><n:Items>{''.join(items)}</n:Items><n:EndOfSequence/></n:PullResponse>"

    def release(self, request: Request) -> str:
        """Forget an enumeration."""
        self._forget(request)
        return ""

    def _forget(self, request: Request) -> _Opened:
        with self._lock:
            opened = self._opened.pop(soap.text(soap.child(request.body, soap.ENUMERATION, "EnumerationContext")), None)
        if opened is None:
            words = "The WS-Management service cannot process the request. The enumeration context is not valid. "
            raise Fault("n:InvalidEnumerationContext", 2150858779, words, code="s:Receiver")
        return opened

    def invoke(self, request: Request, method: str) -> str:
        """Call a method."""
        namespace, class_name = _resource(request.uri)
        parameters = _parameters(request.body, request.uri, method)
        if class_name.lower() == "stdregprov" and namespace.lower() in ("root/default", "root/cimv2"):
            if request.selectors:
                raise Fault(
                    "w:InvalidSelectors",
                    2150858843,
                    "The selectors are not valid. ",
                    detail=_detail("UnexpectedSelectors"),
                )
            return soap.output(request.uri, method, self.registry.invoke(method, parameters))
        self._provider(namespace, class_name, ("GetObject", class_name))
        served = {each.name.lower(): each for each in (self.services, self.files, self.directories)}
        provider = served.get(class_name.lower())
        if provider is None:
            raise Fault("w:InternalError", 2150859010, "The method is not implemented. ", code="s:Receiver")
        key = request.selectors.get(provider.key.lower())
        returned = provider.invoke(method, key if isinstance(key, str) else None, parameters)
        return soap.output(request.uri, method, returned)


def _resource(uri: str) -> tuple[str, str]:
    """The namespace and class of a resource URI. Raises Fault for a URI of no WMI class."""
    if not uri.lower().startswith(soap.WMI):
        raise Fault("a:DestinationUnreachable", 2150858811, _NOT_FOUND, detail=_detail("InvalidResourceURI"))
    namespace, _, class_name = uri[len(soap.WMI) :].rpartition("/")
    return namespace, class_name


def _parameters(body: soap.Element | None, uri: str, method: str) -> Mapping[str, list[str]]:
    if body is None or soap.local(body) != f"{method}_INPUT":
        words = "The SOAP XML in the message does not match the corresponding XML schema definition. "
        raise Fault("w:SchemaValidationError", 2150858817, words)
    given: dict[str, list[str]] = {}
    for item in body:
        if not item.tag.lower().startswith(f"{{{uri.lower()}}}"):
            raise Fault("w:SchemaValidationError", 2150858817, "A parameter lies in another namespace. ")
        if item.get(f"{{{soap.XSI}}}nil") != "true":
            given.setdefault(soap.local(item), []).append(item.text or "")
    return given


def _detail(name: str) -> str:
    return f"{soap.FAULT_DETAIL}/{name}"


def _missing(asked: tuple[str, str]) -> Fault:
    return Fault("a:DestinationUnreachable", 2150858752, _NOT_FOUND, detail=_detail("InvalidResourceURI"), asked=asked)
