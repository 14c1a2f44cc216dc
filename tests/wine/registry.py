"""StdRegProv over a real registry, as its documentation has each method answer (WMI, Registry provider)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from enum import StrEnum

from tests.wine.agent import (
    HKLM,
    REG_BINARY,
    REG_DWORD,
    REG_EXPAND_SZ,
    REG_MULTI_SZ,
    REG_QWORD,
    REG_SZ,
    Agent,
    Value,
    Win32Error,
    multi_sz,
    sz,
)
from tests.wine.soap import CimValue, Fault, Row

NO_VALUE, NOT_THERE = 1, 2
WRONG_TYPE, INVALID_PARAMETER = 0x80041005, 0x80041008
READING = frozenset(
    {
        "EnumKey",
        "EnumValues",
        "GetStringValue",
        "GetExpandedStringValue",
        "GetMultiStringValue",
        "GetDWORDValue",
        "GetQWORDValue",
        "GetBinaryValue",
        "CheckAccess",
    }
)

Parameters = Mapping[str, list[str]]


class Expandable(StrEnum):
    """What GetStringValue makes of an expandable string: undocumented, so a client has to cope with all three."""

    RAW = "raw"
    EXPANDED = "expanded"
    REFUSED = "refused"


class Registry:
    """The methods of StdRegProv."""

    name = "StdRegProv"

    def __init__(self, agent: Agent, expandable: Expandable = Expandable.RAW) -> None:
        self._agent = agent
        self.expandable = expandable
        self._methods: dict[str, Callable[[_Call], Row]] = {
            "EnumKey": self._enum_key,
            "EnumValues": self._enum_values,
            "CreateKey": self._create_key,
            "DeleteKey": self._delete_key,
            "DeleteValue": self._delete_value,
            "GetStringValue": self._get_string,
            "GetExpandedStringValue": self._get_expanded,
            "GetMultiStringValue": self._get_multi_string,
            "GetDWORDValue": lambda call: self._get(call, REG_DWORD, "uValue", lambda value: value.number),
            "GetQWORDValue": lambda call: self._get(call, REG_QWORD, "uValue", lambda value: value.number),
            "GetBinaryValue": lambda call: self._get(call, REG_BINARY, "uValue", lambda value: list(value.data)),
            "SetStringValue": lambda call: self._set(call, REG_SZ, sz(call.text("sValue", "hello"))),
            "SetExpandedStringValue": lambda call: self._set(call, REG_EXPAND_SZ, sz(call.text("sValue", "hello"))),
            "SetMultiStringValue": lambda call: self._set(call, REG_MULTI_SZ, multi_sz(call.texts("sValue"))),
            "SetDWORDValue": lambda call: self._set(call, REG_DWORD, struct.pack("<I", call.number("uValue", 32))),
            "SetQWORDValue": lambda call: self._set(call, REG_QWORD, struct.pack("<Q", call.number("uValue", 64))),
            "SetBinaryValue": lambda call: self._set(call, REG_BINARY, call.octets("uValue")),
            "CheckAccess": self._check_access,
        }

    def invoke(self, method: str, parameters: Parameters) -> Row:
        """Call a method: its out parameters and what it returned. Raises Fault for one there is not."""
        found = self._methods.get(method)
        if not found:
            raise Fault("w:InternalError", 2150859010, f"The method {method} is not implemented. ", code="s:Receiver")
        try:
            call = _Call(parameters)
            return {**found(call), "ReturnValue": 0}
        except Win32Error as error:
            return {"ReturnValue": NOT_THERE if error.code in (2, 3) else error.code}
        except _Returns as returns:
            return {"ReturnValue": returns.code}

    def _enum_key(self, call: _Call) -> Row:
        return {"sNames": self._agent.keys(call.hive, call.key)}

    def _enum_values(self, call: _Call) -> Row:
        values = self._agent.values(call.hive, call.key)
        if not any(value.name for value in values):
            # By the documentation neither is given where there is only the default value.
            return {}
        return {"sNames": [value.name for value in values], "Types": [value.kind for value in values]}

    def _create_key(self, call: _Call) -> Row:
        self._agent.make_key(call.hive, call.key)
        return {}

    def _delete_key(self, call: _Call) -> Row:
        self._agent.remove_key(call.hive, call.key)
        return {}

    def _delete_value(self, call: _Call) -> Row:
        self._agent.remove_value(call.hive, call.key, call.text("sValueName"))
        return {}

    def _value(self, call: _Call) -> Value:
        self._agent.keys(call.hive, call.key)  # raises where there is no such key
        try:
            return self._agent.value(call.hive, call.key, call.text("sValueName"))
        except Win32Error as error:
            raise _Returns(NO_VALUE) if error.code == NOT_THERE else error from error

    def _get(self, call: _Call, kind: int, parameter: str, read: Callable[[Value], CimValue]) -> Row:
        value = self._value(call)
        if value.kind != kind:
            raise _Returns(WRONG_TYPE)
        return {parameter: read(value)}

    def _get_string(self, call: _Call) -> Row:
        value = self._value(call)
        if value.kind == REG_EXPAND_SZ and self.expandable is not Expandable.REFUSED:
            raw = self.expandable is Expandable.RAW
            return {"sValue": value.text if raw else self._agent.expand(value.text)}
        return self._get(call, REG_SZ, "sValue", lambda value: value.text)

    def _get_expanded(self, call: _Call) -> Row:
        return self._get(call, REG_EXPAND_SZ, "sValue", lambda value: self._agent.expand(value.text))

    def _get_multi_string(self, call: _Call) -> Row:
        return self._get(call, REG_MULTI_SZ, "sValue", lambda value: value.texts)

    def _set(self, call: _Call, kind: int, data: bytes) -> Row:
        self._agent.set_value(call.hive, call.key, Value(call.text("sValueName"), kind, data))
        return {}

    def _check_access(self, call: _Call) -> Row:
        code = self._agent.opens(call.hive, call.key, call.number("uRequired", 32) or 1)
        if code not in (0, 5):
            raise Win32Error("CheckAccess", code)
        return {"bGranted": code == 0}


class _Returns(Exception):
    """The method returns this and nothing else."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class _Call:
    """The parameters of one call, taken as their types. Raises _Returns for those no method takes."""

    def __init__(self, parameters: Parameters) -> None:
        self._given = parameters
        self.hive = self.number("hDefKey", 32) if "hDefKey" in parameters else HKLM
        self.key = self.text("sSubKeyName")

    def text(self, name: str, otherwise: str = "") -> str:
        return (self._given.get(name) or [otherwise])[0]

    def texts(self, name: str) -> list[str]:
        return self._given.get(name, [])

    def number(self, name: str, bits: int) -> int:
        given = self.text(name, "3")
        if not given.lstrip("-").isdigit() or not 0 <= int(given) < 2**bits:
            raise _Returns(INVALID_PARAMETER)
        return int(given)

    def octets(self, name: str) -> bytes:
        given = self.texts(name) or ["1", "2"]  # the default that the class declares, where none is sent
        if any(not item.isdigit() or int(item) > 255 for item in given):
            raise _Returns(INVALID_PARAMETER)
        return bytes(int(item) for item in given)
