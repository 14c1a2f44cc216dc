"""How one action changes the answers about registry and services, in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from converge.model.action import (
    AnyAction,
    NewRegistryKey,
    RemoveRegistryKey,
    RemoveRegistryValue,
    RestartComputer,
    ResumeService,
    SetRegistryValue,
    SetServiceImagePath,
    SetServiceStartMode,
    StartService,
    StopService,
)
from converge.model.answer import Absent, Answer, Found, NotPredicted
from converge.model.facts import KeyContents, ServiceFacts, ServiceState, StartMode
from converge.model.names import fold, same
from converge.model.query import AnyQuery, OperatingSystem, RegistryKey, RegistryValue, Service, ServiceStartTime
from converge.model.registry import RegistryData, RegistryPath, RegistryType
from converge.windows import environment, paths
from converge.windows.registry import SERVICES

_EMPTY = KeyContents((), ())
_STARTS = tuple(StartMode)  # boot 0, system 1, automatic 2, manual 3, disabled 4
_HELD = (ServiceState.PAUSED, ServiceState.PAUSE_PENDING)
_BY_ITSELF = (StartMode.BOOT, StartMode.SYSTEM, StartMode.AUTOMATIC)
Look = Callable[[AnyQuery], Answer[object]]
"""Asks what the answer to another query is at that moment."""


def predict_service(action: AnyAction, query: Service, *, answer: Answer[object], look: Look) -> Answer[object]:
    """The answer about a service after an action, given the one before it."""
    if not isinstance(answer, Found) or not isinstance(answer.value, ServiceFacts):
        return answer
    service = answer.value
    match action:
        case StartService(name=name) if service.state in _HELD and same(name, query.name):
            return answer  # to the service manager it runs already
        case StartService(name=name) if same(name, query.name) or _is_needed_by(name, service, look):
            return Found(replace(service, state=ServiceState.RUNNING, exit_code=0, specific_exit_code=0))
        case ResumeService(name=name) if same(name, query.name):
            return Found(replace(service, state=ServiceState.RUNNING))
        case StopService(name=name) if same(name, query.name):
            return Found(replace(service, state=ServiceState.STOPPED, process_id=0))
        case SetServiceStartMode(name=name, start_mode=mode) if same(name, query.name):
            return Found(replace(service, start_mode=mode))
        case RestartComputer():
            return answer if _is_as_after_boot(service) else NotPredicted("the computer was restarted")
    match in_registry(action):
        case SetRegistryValue(key=key, name=name, data=data) if _is_image_path(key, name, query.name):
            return Found(replace(service, path_name=_expanded(data, look)))
        case RemoveRegistryValue(key=key, name=name) if _is_image_path(key, name, query.name):
            return Found(replace(service, path_name=""))
        case RemoveRegistryKey(key=key) if (SERVICES / query.name).is_within(key.real):
            return Found(replace(service, path_name=""))
    return answer


def _is_needed_by(name: str, service: ServiceFacts, look: Look) -> bool:
    """Whether a stopped service would be started with another, because that one needs it."""
    if service.state is not ServiceState.STOPPED:
        return False
    waiting, seen = list(service.dependents), {fold(service.name)}
    while waiting:
        dependent = waiting.pop()
        if same(dependent, name):
            return True
        if fold(dependent) not in seen:
            seen.add(fold(dependent))
            facts = look(Service(dependent))
            waiting += facts.value.dependents if isinstance(facts, Found) else ()  # type: ignore[attr-defined]  # ServiceFacts
    return False


def _is_as_after_boot(service: ServiceFacts) -> bool:
    """Whether a service does now what Windows will make it do when it starts."""
    if service.state is ServiceState.RUNNING:
        return service.start_mode in _BY_ITSELF
    return service.state is ServiceState.STOPPED and service.start_mode not in _BY_ITSELF and not service.dependents


def _is_image_path(key: RegistryPath, name: str, service: str) -> bool:
    return key.real == SERVICES / service and same(name, "ImagePath")


def _expanded(data: RegistryData, look: Look) -> str:
    """A command line as the service manager reads it: only an expandable string is expanded."""
    text = data.data if isinstance(data.data, str) else ""
    system = look(OperatingSystem()) if data.type is RegistryType.EXPAND_STRING else None
    known = environment.variables(system.value) if isinstance(system, Found) else {}  # type: ignore[arg-type]  # OperatingSystemFacts
    return paths.expand(text, known)


def in_registry(action: AnyAction) -> AnyAction:
    """What an action on a service's settings does in the registry, where they lie; any other action as it is."""
    match action:
        case SetServiceStartMode(name=name, start_mode=mode):
            data = RegistryData(RegistryType.DWORD, _STARTS.index(mode))
            return SetRegistryValue(SERVICES / name, "Start", data)
        case SetServiceImagePath(name=name, image_path=path):
            return SetRegistryValue(SERVICES / name, "ImagePath", RegistryData(RegistryType.EXPAND_STRING, path))
    return action


def is_part_of_service(query: AnyQuery, name: str) -> bool:
    """Whether a question is about what comes and goes with a service: its keys, its process."""
    if isinstance(query, RegistryKey | RegistryValue):
        return query.key.real.is_within(SERVICES / name)
    return isinstance(query, ServiceStartTime) and same(query.name, name)


def predict_registry(action: AnyAction, query: AnyQuery, answer: Answer[object]) -> Answer[object]:
    """The answer about a registry key or value after an action, given the one before it."""
    if isinstance(query, RegistryValue):
        return _predict_value(in_registry(action), query, answer)
    if isinstance(query, RegistryKey):
        return _predict_key(in_registry(action), query, answer)
    return answer


def _predict_value(action: AnyAction, query: RegistryValue, answer: Answer[object]) -> Answer[object]:
    real = query.key.real
    match action:
        case SetRegistryValue(key=key, name=name, data=data) if key.real == real and same(name, query.name):
            return Found(data)
        case RemoveRegistryValue(key=key, name=name) if key.real == real and same(name, query.name):
            return Absent()
        case RemoveRegistryKey(key=key) if real.is_within(key.real):
            return Absent()
    return answer


def _predict_key(action: AnyAction, query: RegistryKey, answer: Answer[object]) -> Answer[object]:
    contents = answer.value if isinstance(answer, Found) and isinstance(answer.value, KeyContents) else _EMPTY
    real = query.key.real
    match action:
        case SetRegistryValue(key=key, name=name, data=data) if key.real == real:
            others = tuple(item for item in contents.values if not same(item[0], name))
            return Found(replace(contents, values=(*others, (name, data.type))))
        case RemoveRegistryValue(key=key, name=name) if key.real == real and isinstance(answer, Found):
            return Found(replace(contents, values=tuple(item for item in contents.values if not same(item[0], name))))
        case NewRegistryKey(key=key) if key.real == real:
            return answer if isinstance(answer, Found) else Found(_EMPTY)
        case NewRegistryKey(key=key) if key.real.is_within(real):
            child = _child(key.real, real)
            known = any(same(child, name) for name in contents.subkeys)
            return Found(contents if known else replace(contents, subkeys=(*contents.subkeys, child)))
        case RemoveRegistryKey(key=key) if real.is_within(key.real):
            return Absent()
        case RemoveRegistryKey(key=key) if key.real.parent == real and isinstance(answer, Found):
            return Found(
                replace(contents, subkeys=tuple(name for name in contents.subkeys if not same(name, key.name)))
            )
    return answer


def _child(key: RegistryPath, ancestor: RegistryPath) -> str:
    rest = key.subkey[len(ancestor.subkey) :].lstrip("\\")
    return rest.split("\\")[0]
