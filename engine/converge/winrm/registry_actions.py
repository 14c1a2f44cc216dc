"""What can be done to the registry, through the setters of StdRegProv."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from converge.errors import ActionRefused
from converge.model.action import NewRegistryKey, Performed, RemoveRegistryKey, RemoveRegistryValue, SetRegistryValue
from converge.model.registry import RegistryType
from converge.windows.commands import command_line
from converge.windows.return_codes import failed
from converge.winrm.answering import action_refused
from converge.winrm.exchange import Faulted
from converge.winrm.registry import ACCESS_DENIED, DONE, MEANINGS, parameters, return_value
from converge.winrm.session import REGISTRY, Session
from converge.wsman.cim import Value
from converge.wsman.envelopes import ResourceTarget

COMMAND_SECONDS: Final = 60.0
RegistryAction = SetRegistryValue | RemoveRegistryValue | NewRegistryKey | RemoveRegistryKey

_SETTERS: Final = {
    RegistryType.STRING: ("SetStringValue", "sValue"),
    RegistryType.EXPAND_STRING: ("SetExpandedStringValue", "sValue"),
    RegistryType.MULTI_STRING: ("SetMultiStringValue", "sValue"),
    RegistryType.DWORD: ("SetDWORDValue", "uValue"),
    RegistryType.QWORD: ("SetQWORDValue", "uValue"),
    RegistryType.BINARY: ("SetBinaryValue", "uValue"),
}


def perform_on_registry(session: Session, action: RegistryAction) -> Performed:
    """Do one thing to the registry. Raises ActionRefused, Interrupted, HostUnreachable."""
    if isinstance(action, SetRegistryValue):
        if action.data.type is RegistryType.BINARY and not action.data.data:
            return _set_empty_binary(session, action)
        return _set(session, action)
    if isinstance(action, RemoveRegistryValue):
        return _called(session, "DeleteValue", parameters(action.key, action.name), what=f"{action.key}\\{action.name}")
    method = "CreateKey" if isinstance(action, NewRegistryKey) else "DeleteKey"
    return _called(session, method, parameters(action.key), what=str(action.key))


def _set(session: Session, action: SetRegistryValue) -> Performed:
    kind, data = action.data.type, action.data.data
    if kind not in _SETTERS or data is None:
        raise ActionRefused(f"a value of the type {kind.label} cannot be written")
    method, parameter = _SETTERS[kind]
    value: Value = tuple(data) if isinstance(data, (bytes, tuple)) else data
    given = parameters(action.key, action.name) | {parameter: value}
    return _called(session, method, given, what=f"{action.key}\\{action.name}")


def _set_empty_binary(session: Session, action: SetRegistryValue) -> Performed:
    """An empty array cannot be sent, and without one Windows 2003 writes a default of its own. reg.exe writes none."""
    name = ("/v", action.name) if action.name else ("/ve",)
    try:
        line = command_line(("reg.exe", "add", str(action.key), *name, "/t", "REG_BINARY", "/f"))
    except ValueError as error:
        raise ActionRefused(f"{action.key}\\{action.name} cannot be written", why=str(error)) from error
    try:
        finished = session.run(line, seconds=COMMAND_SECONDS)
    except Faulted as faulted:
        raise action_refused(f"writing {action.key}\\{action.name}", faulted) from faulted
    if finished.exit_code:
        raise ActionRefused(f"reg.exe could not write {action.key}\\{action.name}", why=finished.complaint)
    return Performed()


def _called(session: Session, method: str, given: Mapping[str, Value], *, what: str) -> Performed:
    try:
        code = return_value(session.call(ResourceTarget(REGISTRY), method, given))
    except Faulted as faulted:
        raise action_refused(f"{method} of {what}", faulted) from faulted
    if code == DONE:
        return Performed()
    remedy = "grant the account the right to write this key" if code == ACCESS_DENIED else ""
    told, why = failed(f"{method} of {what}", code, MEANINGS)
    raise ActionRefused(told, why=why, try_=remedy)
