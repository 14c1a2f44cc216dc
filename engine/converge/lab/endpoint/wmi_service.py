"""The WMI plug-in of WinRM: Get, Enumerate, Pull, Release and Invoke over classes, with paging and the faults of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from converge.lab.endpoint import enumerations, queries
from converge.lab.endpoint.enumerations import WIDEST_PAGE, Enumeration, Enumerations
from converge.lab.endpoint.faulting import (
    WBEM_E_INVALID_CLASS,
    WBEM_E_INVALID_QUERY,
    WBEM_E_QUOTA_VIOLATION,
    SentFault,
    Speaker,
)
from converge.lab.endpoint.host import SimulatedHost
from converge.lab.endpoint.queries import Wmi
from converge.lab.endpoint.repository import Repository
from converge.lab.endpoint.schema import AccessDenied, InstanceMissing, ServedClass
from converge.lab.endpoint.wql_lexer import InvalidQuery, QueryTooComplex
from converge.lab.world import LabAccount
from converge.wsman import faults
from converge.wsman.cim import Instance, Properties
from converge.wsman.envelopes import RequestHeader, ResourceTarget
from converge.wsman.messages import AnyAnswer, AnyRequest
from converge.wsman.namespaces import WQL_DIALECT, split_wmi_uri
from converge.wsman.operations import Enumerate, Get, Got, Identify, Invoke, Page, Pull, Release, Released, ShellOutput

T = TypeVar("T")


class WmiService:
    """Serves the classes of one host."""

    def __init__(self, host: SimulatedHost, repository: Repository) -> None:
        self._host = host
        self._repository = repository
        self._enumerations = Enumerations(expiry=host.winrm.enumeration_timeout)

    def open_enumerations(self, account: LabAccount) -> int:
        """How many enumerations an account has open."""
        return self._enumerations.count(account.name)

    def reads(self, operation: AnyRequest | Identify) -> bool:
        """Whether an operation of this kind changes nothing. What a shell's command does is not judged: it does not read."""
        if isinstance(operation, Invoke):
            named = split_wmi_uri(operation.target.resource_uri)
            found = self._repository.find(*named) if named else None
            method = found.method(operation.method, version=self._host.world.profile.release) if found else None
            return method is not None and method.reads
        return isinstance(operation, (Get, Enumerate, Pull, Release, Identify))

    def perform(
        self, operation: AnyRequest | Identify, header: RequestHeader, *, speaker: Speaker, account: LabAccount
    ) -> AnyAnswer:
        """The answer to an operation. Raises Faulted."""
        if isinstance(operation, Pull):
            return self._pull(operation, header, speaker=speaker, account=account)
        if isinstance(operation, Release):
            if self._enumerations.take(operation.context, account=account.name) is None:
                raise SentFault(speaker.context_gone())
            return Released()
        if isinstance(operation, (Get, Enumerate, Invoke)):
            wmi, class_name = self._opened(operation.target, speaker=speaker, account=account)
            if header.fragment:
                raise SentFault(speaker.fragment_unsupported())
            if isinstance(operation, Get):
                return self._get(operation, wmi, class_name, speaker=speaker)
            if isinstance(operation, Invoke):
                return self._invoke(operation, wmi, class_name, speaker=speaker)
            return self._enumerate(operation, header, wmi, class_name, speaker=speaker)
        raise SentFault(speaker.action_unsupported())

    def _opened(self, target: ResourceTarget, *, speaker: Speaker, account: LabAccount) -> tuple[Wmi, str]:
        """WMI in the namespace a resource URI names, and the class (or `*`) in it."""
        named = split_wmi_uri(target.resource_uri)
        if named is None:
            raise SentFault(speaker.invalid_uri())
        namespace, class_name = named
        if not self._repository.has_namespace(namespace):
            raise SentFault(speaker.resource_not_found(namespace, what=namespace))
        served = ServedClass(self._host.world, account, _architecture(target, stack=self._host.winrm.version))
        return Wmi(self._repository, served, namespace), class_name

    def _asked(self, ask: Callable[[], T], *, wmi: Wmi, speaker: Speaker, what: str, query: bool = False) -> T:
        """What WMI answers, its refusals as faults. The world's lock is held meanwhile."""
        try:
            with self._host.world.lock:
                return ask()
        except queries.ClassMissing as error:
            if query:
                raise SentFault(speaker.bad_filter(wmi.namespace, query=what, why=WBEM_E_INVALID_CLASS)) from error
            raise SentFault(speaker.resource_not_found(wmi.namespace, what=what)) from error
        except InvalidQuery as error:
            raise SentFault(speaker.bad_filter(wmi.namespace, query=what, why=WBEM_E_INVALID_QUERY)) from error
        except QueryTooComplex as error:
            raise SentFault(speaker.bad_filter(wmi.namespace, query=what, why=WBEM_E_QUOTA_VIOLATION)) from error
        except queries.NamespaceDenied as error:
            raise SentFault(speaker.wmi_access_denied()) from error
        except AccessDenied as error:
            raise SentFault(speaker.wmi_access_denied(by_provider=True)) from error
        except queries.WrongKeys as error:
            missing = faults.KEYS_REQUIRED if error.none else faults.TOO_FEW_SELECTORS
            raise SentFault(speaker.selectors(missing if error.missing else faults.UNEXPECTED_SELECTORS)) from error
        except InstanceMissing as error:
            raise SentFault(speaker.resource_not_found(wmi.namespace, what=what, provider="CIMWin32")) from error
        except ValueError as error:
            # What a provider cannot hold or read: an image's own method, a made-up file too large for memory.
            raise SentFault(speaker.provider_failure(wmi.namespace, what=what)) from error

    def _get(self, operation: Get, wmi: Wmi, class_name: str, *, speaker: Speaker) -> Got:
        keys = dict(operation.target.selectors)
        what = _path(class_name, operation.target)
        return Got(self._asked(lambda: wmi.instance(class_name, keys), wmi=wmi, speaker=speaker, what=what))

    def _invoke(self, operation: Invoke, wmi: Wmi, class_name: str, *, speaker: Speaker) -> ShellOutput:
        what = f"{_path(class_name, operation.target)}::{operation.method}"

        def call() -> Properties:
            try:
                return wmi.invoke(
                    class_name,
                    operation.method,
                    keys=dict(operation.target.selectors),
                    arguments=Properties(operation.parameters),
                )
            except InstanceMissing as error:
                raise SentFault(speaker.instance_missing(wmi.namespace, what=what)) from error
            except queries.MethodMissing as error:
                raise SentFault(speaker.method_missing(wmi.namespace, what=what)) from error
            except queries.InvalidArgument as error:
                raise SentFault(speaker.invalid_parameter(wmi.namespace, what=str(error))) from error
            finally:
                if not self.reads(operation) and self._host.on_change is not None:
                    self._host.on_change()

        returned = self._asked(call, wmi=wmi, speaker=speaker, what=what)
        return ShellOutput(returned, method=operation.method, class_uri=operation.target.resource_uri)

    def _enumerate(
        self, operation: Enumerate, header: RequestHeader, wmi: Wmi, class_name: str, *, speaker: Speaker
    ) -> Page:
        if operation.mode not in ("", "EnumerateObject"):
            raise SentFault(speaker.mode_unsupported())
        query = operation.expression
        if query and operation.dialect != WQL_DIALECT:
            raise SentFault(speaker.dialect_unavailable())
        if bool(query) is not (class_name == "*") or (query and operation.target.selectors):
            raise SentFault(speaker.wql_wants_star())
        what = query or class_name
        items = self._asked(
            lambda: wmi.query(query) if query else wmi.instances(class_name),
            wmi=wmi,
            speaker=speaker,
            what=what,
            query=bool(query),
        )
        enumeration = Enumeration(
            wmi.served.account.name, items, header.max_envelope_size or 0, operation.max_elements, used=0.0
        )
        if not operation.optimized:
            enumeration.max_elements = None
            return Page((), context=self._enumerations.begin(enumeration), first=True)
        most = self._most(enumeration)
        if self._host.winrm.first_page_of_one:
            most = min(1, most)
        return self._page(enumeration, most=most, first=True, speaker=speaker)

    def _pull(self, operation: Pull, header: RequestHeader, *, speaker: Speaker, account: LabAccount) -> Page:
        found = self._enumerations.take(operation.context, account=account.name)
        if found is None:
            raise SentFault(speaker.context_gone())
        if found.max_elements is None:
            found.max_elements = operation.max_elements
        if ((header.max_envelope_size or 0), operation.max_elements) != (found.max_envelope, found.max_elements):
            raise SentFault(speaker.pull_changed())
        return self._page(found, most=self._most(found), first=False, speaker=speaker)

    def _most(self, enumeration: Enumeration) -> int:
        return max(1, min(enumeration.max_elements or 1, self._host.winrm.max_batch_items))

    def _page(self, enumeration: Enumeration, *, most: int, first: bool, speaker: Speaker) -> Page:
        room = min(enumeration.max_envelope or WIDEST_PAGE, WIDEST_PAGE)
        limit = room // 2 if self._host.winrm.first_page_of_one else room
        try:
            items: list[Instance] = enumerations.page(enumeration.items, limit=limit, most=most)
        except enumerations.TooLarge as error:
            raise SentFault(speaker.too_large(faults.ENVELOPE_TOO_SMALL_FOR_ITEM)) from error
        context = self._enumerations.begin(enumeration) if enumeration.items else ""
        return Page(tuple(items), context=context, first=first)


def _path(class_name: str, target: ResourceTarget) -> str:
    keys = ",".join(f'{name}="{value}"' for name, value in target.selectors if isinstance(value, str))
    return f"{class_name}.{keys}" if keys else class_name


def _architecture(target: ResourceTarget, *, stack: str) -> int:
    """The registry view asked for by `wmi:__ProviderArchitecture`. Before 2012 the option's type is lost, and it does nothing."""
    if stack != "3.0":
        return 0
    asked = next((option for option in target.options if option.name.lower() == "wmi:__providerarchitecture"), None)
    return {"32": 32, "64": 64}.get(asked.value.strip(), 0) if asked and asked.kind else 0
