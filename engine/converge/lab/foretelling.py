"""How one action changes the answers about registry and services, in memory."""

from __future__ import annotations

from dataclasses import replace

from converge.model.action import (
    AnyAction,
    NewRegistryKey,
    RemoveRegistryKey,
    RemoveRegistryValue,
    ResumeService,
    SetRegistryValue,
    SetServiceImagePath,
    SetServiceStartMode,
    StartService,
    StopService,
)
from converge.model.answer import Absent, Answer, Found
from converge.model.facts import KeyContents, ServiceFacts, ServiceState
from converge.model.names import same
from converge.model.query import AnyQuery, RegistryKey, RegistryValue, Service
from converge.model.registry import RegistryPath

_EMPTY = KeyContents((), ())


def foretell_service(action: AnyAction, query: Service, answer: Answer[object]) -> Answer[object]:
    """The answer about a service after an action, given the one before it."""
    if not isinstance(answer, Found) or not isinstance(answer.value, ServiceFacts):
        return answer
    service = answer.value
    match action:
        case StartService(name=name) | ResumeService(name=name) if same(name, query.name):
            return Found(replace(service, state=ServiceState.RUNNING, exit_code=0, specific_exit_code=0))
        case StopService(name=name) if same(name, query.name):
            return Found(replace(service, state=ServiceState.STOPPED, process_id=0))
        case SetServiceStartMode(name=name, start_mode=mode) if same(name, query.name):
            return Found(replace(service, start_mode=mode))
        case SetServiceImagePath(name=name, image_path=path) if same(name, query.name):
            return Found(replace(service, path_name=path))
    return answer


def foretell_registry(action: AnyAction, query: AnyQuery, answer: Answer[object]) -> Answer[object]:
    """The answer about a registry key or value after an action, given the one before it."""
    if isinstance(query, RegistryValue):
        return _foretell_value(action, query, answer)
    if isinstance(query, RegistryKey):
        return _foretell_key(action, query, answer)
    return answer


def _foretell_value(action: AnyAction, query: RegistryValue, answer: Answer[object]) -> Answer[object]:
    match action:
        case SetRegistryValue(key=key, name=name, data=data) if key == query.key and same(name, query.name):
            return Found(data)
        case RemoveRegistryValue(key=key, name=name) if key == query.key and same(name, query.name):
            return Absent()
        case RemoveRegistryKey(key=key) if query.key.is_within(key):
            return Absent()
    return answer


def _foretell_key(action: AnyAction, query: RegistryKey, answer: Answer[object]) -> Answer[object]:
    contents = answer.value if isinstance(answer, Found) and isinstance(answer.value, KeyContents) else _EMPTY
    match action:
        case SetRegistryValue(key=key, name=name, data=data) if key == query.key:
            others = tuple(item for item in contents.values if not same(item[0], name))
            return Found(replace(contents, values=(*others, (name, data.type))))
        case RemoveRegistryValue(key=key, name=name) if key == query.key and isinstance(answer, Found):
            return Found(replace(contents, values=tuple(item for item in contents.values if not same(item[0], name))))
        case NewRegistryKey(key=key) if key == query.key:
            return answer if isinstance(answer, Found) else Found(_EMPTY)
        case NewRegistryKey(key=key) if key.is_within(query.key):
            child = _child(key, query.key)
            known = any(same(child, name) for name in contents.subkeys)
            return Found(contents if known else replace(contents, subkeys=(*contents.subkeys, child)))
        case RemoveRegistryKey(key=key) if query.key.is_within(key):
            return Absent()
        case RemoveRegistryKey(key=key) if key.parent == query.key and isinstance(answer, Found):
            return Found(
                replace(contents, subkeys=tuple(name for name in contents.subkeys if not same(name, key.name)))
            )
    return answer


def _child(key: RegistryPath, ancestor: RegistryPath) -> str:
    rest = key.subkey[len(ancestor.subkey) :].lstrip("\\")
    return rest.split("\\")[0]
