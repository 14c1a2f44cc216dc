"""Which answers an action may change: asked again after it on the host, predicted anew in a rehearsal. Doubt counts as yes."""

from __future__ import annotations

from converge.model.action import (
    AnyAction,
    CopyFile,
    InvokeCimMethod,
    MoveDirectory,
    MoveFile,
    NewDirectory,
    NewRegistryKey,
    RemoveDirectory,
    RemoveFile,
    RemoveRegistryKey,
    RemoveRegistryValue,
    RestartComputer,
    ResumeService,
    RunCommand,
    SetRegistryValue,
    SetServiceImagePath,
    SetServiceStartMode,
    StartService,
    StopService,
    WriteFile,
)
from converge.model.names import same
from converge.model.query import (
    AnyQuery,
    CimInstances,
    Directory,
    Events,
    File,
    OperatingSystem,
    RegistryKey,
    RegistrySearch,
    RegistryValue,
    Service,
    ServiceStartTime,
)
from converge.model.registry import Hive, RegistryPath
from converge.windows import paths
from converge.windows.registry import SERVICES

_ENVIRONMENT = RegistryPath(Hive.LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Control\Session Manager\Environment")


def may_change(action: AnyAction, query: AnyQuery) -> bool:
    """Whether performing the action may change the answer to the query.

    A registry search is kept through writes to single values: what it found is confirmed value by value anyway. A WQL
    query may show anything there is, so it is asked again after every action.
    """
    if isinstance(query, CimInstances):
        return True
    match action:
        case RunCommand() | RestartComputer() | InvokeCimMethod():
            return not (isinstance(query, OperatingSystem) and not isinstance(action, RestartComputer))
        case (
            SetRegistryValue(key=key)
            | RemoveRegistryValue(key=key)
            | NewRegistryKey(key=key)
            | RemoveRegistryKey(key=key)
        ):
            return _registry_may_change(action, key, query)
        case StartService() | StopService() | ResumeService():
            return isinstance(query, Service | ServiceStartTime | Events)
        case SetServiceStartMode(name=name) | SetServiceImagePath(name=name):
            return isinstance(query, Service | Events) or _is_about_key(query, SERVICES / name)
        case CopyFile(source=source, target=target) | MoveFile(source=source, target=target):
            return _file_may_change((source, target), query)
        case WriteFile(path=path) | RemoveFile(path=path):
            return _file_may_change((path,), query)
        case NewDirectory(path=path) | RemoveDirectory(path=path):
            return _folder_may_change((path,), query)
        case MoveDirectory(source=source, target=target):
            return _folder_may_change((source, target), query)


def _registry_may_change(action: AnyAction, key: RegistryPath, query: AnyQuery) -> bool:
    real = key.real
    if isinstance(query, RegistryValue):
        if isinstance(action, SetRegistryValue | RemoveRegistryValue):
            return query.key.real == real and same(query.name, action.name)
        return query.key.real.is_within(real)
    if isinstance(query, RegistryKey):
        return query.key.real.is_within(real) or real.is_within(query.key.real)
    if isinstance(query, Service):
        return real.is_within(SERVICES)  # the key of one service may name others it depends on
    if isinstance(query, OperatingSystem):
        return real.is_within(_ENVIRONMENT) or _ENVIRONMENT.is_within(real)
    return isinstance(query, RegistrySearch) and isinstance(action, RemoveRegistryKey)


def _is_about_key(query: AnyQuery, key: RegistryPath) -> bool:
    return isinstance(query, RegistryKey | RegistryValue) and query.key.real.is_within(key)


def _file_may_change(named: tuple[str, ...], query: AnyQuery) -> bool:
    if isinstance(query, File):
        return any(same(query.path, each) for each in named)
    if isinstance(query, Directory):
        return any(same(query.path, paths.folder_of(each)) for each in named)
    return False


def _folder_may_change(named: tuple[str, ...], query: AnyQuery) -> bool:
    if not isinstance(query, File | Directory):
        return False
    return any(paths.lies_in(query.path, each) or paths.lies_in(each, query.path) for each in named)
