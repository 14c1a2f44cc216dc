"""Registry keys and values through StdRegProv: what EnumKey, EnumValues and the typed getters tell."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, TypeVar

from converge.errors import RemoteProtocolError
from converge.model.answer import Absent, Answer, Found, Refused
from converge.model.facts import KeyContents
from converge.model.names import fold
from converge.model.query import AnyQuery, RegistryKey, RegistrySearch, RegistryValue
from converge.model.registry import RegistryData, RegistryPath, RegistryType
from converge.windows.registry import HIVE_NUMBERS
from converge.windows.return_codes import describe
from converge.winrm.answering import Answered, refused
from converge.winrm.exchange import Faulted
from converge.winrm.printed import LONGEST_TEXT, PrintedValue
from converge.winrm.printed_values import WORTH_A_LINE, WORTH_A_SHELL, PrintedValues
from converge.winrm.raw_texts import RawTexts, may_expand_to, printed_raw
from converge.winrm.session import Reader, ReadingMethod
from converge.wsman.cim import Properties, Value

T = TypeVar("T")

DONE: Final = 0
NO_VALUE: Final = 1
NOT_THERE: Final = 2
ACCESS_DENIED: Final = 5
WRONG_TYPE: Final = 2147749893  # WBEM_E_TYPE_MISMATCH, 0x80041005
MEANINGS: Final = {
    NO_VALUE: "the value is not there",
    NOT_THERE: "the key is not there",
    ACCESS_DENIED: "access denied",
    6: "invalid handle",
    WRONG_TYPE: "the value has another type",
    2147749896: "invalid parameter",
}
_GETTERS: Final = {
    RegistryType.STRING: ReadingMethod.GET_STRING,
    RegistryType.EXPAND_STRING: ReadingMethod.GET_EXPANDED_STRING,
    RegistryType.MULTI_STRING: ReadingMethod.GET_MULTI_STRING,
    RegistryType.DWORD: ReadingMethod.GET_DWORD,
    RegistryType.QWORD: ReadingMethod.GET_QWORD,
    RegistryType.BINARY: ReadingMethod.GET_BINARY,
}


def code_refused(code: int) -> Refused:
    """A return value as a refusal."""
    if code == ACCESS_DENIED:
        return Refused(
            "access-denied", f"StdRegProv returned {describe(code, MEANINGS)}", "read access to the registry key"
        )
    return Refused(str(code), f"StdRegProv returned {describe(code, MEANINGS)}")


def parameters(key: RegistryPath, name: str | None = None) -> dict[str, Value]:
    """The parameters every method begins with, and the value's name where it takes one."""
    given: dict[str, Value] = {"hDefKey": HIVE_NUMBERS[key.hive], "sSubKeyName": key.subkey}
    return given if name is None else given | {"sValueName": name}


def return_value(output: Properties) -> int:
    """What the method returned; some hosts show codes beyond 2^31 as negative. Raises RemoteProtocolError for none."""
    returned = output.integer("ReturnValue")
    if returned is None:
        raise RemoteProtocolError("a registry method without a return value")
    return returned % 2**32


KnownValues = Answer[Mapping[str, tuple[str, RegistryType]]]


@dataclass(slots=True)
class KnownKeys:
    """What was read: by key, its values' names and types; values as reg.exe printed them, and data that leaves no doubt."""

    values: dict[RegistryPath, KnownValues] = field(default_factory=dict)
    printed: dict[tuple[RegistryPath, str], PrintedValue | None] = field(default_factory=dict)
    data: dict[tuple[RegistryPath, str], RegistryData] = field(default_factory=dict)
    _asked: set[AnyQuery] = field(default_factory=set)
    _since: float = field(default_factory=time.monotonic)

    @property
    def age(self) -> float:
        """Seconds since the first of it was read."""
        return time.monotonic() - self._since

    def ask(self, queries: Collection[AnyQuery]) -> None:
        """Forget what was asked before and is asked now: who repeats a question wants to hear what is true by now."""
        repeated = self._asked.intersection(queries)
        self._asked.update(queries)
        keys = {query.key for query in repeated if isinstance(query, (RegistryKey, RegistryValue))}
        if any(isinstance(query, RegistrySearch) for query in repeated):
            keys.update(self.values, (key for key, _ in (*self.data, *self.printed)))
        self.values = {key: known for key, known in self.values.items() if key not in keys}
        self.printed = {place: printed for place, printed in self.printed.items() if place[0] not in keys}
        self.data = {place: data for place, data in self.data.items() if place[0] not in keys}


class RegistryReader:
    """Reads keys and values. What a key holds is asked once, and every value by the getter of its type."""

    def __init__(self, reader: Reader, known: KnownKeys, *, raw_texts: RawTexts, printed_values: PrintedValues) -> None:
        self._reader = reader
        self._known = known
        self._raw_texts = raw_texts
        self._printed_values = printed_values

    def answer_keys(self, queries: Sequence[RegistryKey]) -> Answered:
        """What lies directly in each key."""
        return {query: self._guarded(self._key, query.key) for query in queries}

    def answer_values(self, queries: Sequence[RegistryValue]) -> Answered:
        """Each value with its type; where they are many, those that reg.exe prints beyond doubt are not asked one by one."""
        keys = {query.key for query in queries if not self._is_read(query)}
        self.read_ahead(queries, enumerating=len(keys - self._known.values.keys()))
        return {query: self._guarded(partial(self.value, name=query.name), query.key) for query in queries}

    def read_ahead(self, queries: Iterable[RegistryValue], *, enumerating: int = 0) -> None:
        """Have reg.exe print those values, where that saves requests: one for each, and `enumerating` more."""
        unread = [query for query in queries if not self._is_read(query)]
        if len(unread) + enumerating <= (WORTH_A_LINE if self._reader.has_shell else WORTH_A_SHELL):
            return
        for query, printed in self._printed_values.read_ahead(unread).items():
            place = (query.key, fold(query.name))
            self._known.printed[place] = printed
            if printed.data is not None:
                self._known.data[place] = printed.data

    def _is_read(self, query: RegistryValue) -> bool:
        place = (query.key, fold(query.name))
        return place in self._known.data or place in self._known.printed

    def _guarded(self, ask: Callable[[RegistryPath], Answer[T]], key: RegistryPath) -> Answer[object]:
        try:
            return ask(key)
        except (Faulted, RemoteProtocolError) as error:
            return refused(error)

    def _key(self, key: RegistryPath) -> Answer[KeyContents]:
        if isinstance(self._known.values.get(key), Absent):
            return Absent()
        subkeys = self.subkeys(key)
        if not isinstance(subkeys, Found):
            return subkeys
        values = self.values(key)
        if not isinstance(values, Found):
            return values
        return Found(KeyContents(subkeys=subkeys.value, values=tuple(values.value.values())))

    def subkeys(self, key: RegistryPath) -> Answer[tuple[str, ...]]:
        """The names of the keys directly below. Raises Faulted, RemoteProtocolError."""
        output = self._reader.registry(ReadingMethod.ENUM_KEY, parameters(key))
        code = return_value(output)
        if code == NOT_THERE:
            return Absent()
        return Found(output.array("sNames")) if code == DONE else code_refused(code)

    def values(self, key: RegistryPath) -> KnownValues:
        """The values directly in a key: by folded name, the name and its type. Raises Faulted, RemoteProtocolError."""
        if key not in self._known.values:
            self._known.values[key] = self._enumerated(key)
        return self._known.values[key]

    def forget(self, key: RegistryPath) -> None:
        """The names of the values in a key need not be held any more."""
        self._known.values.pop(key, None)

    def _enumerated(self, key: RegistryPath) -> KnownValues:
        output = self._reader.registry(ReadingMethod.ENUM_VALUES, parameters(key))
        code = return_value(output)
        if code == NOT_THERE:
            return Absent()
        if code != DONE:
            return code_refused(code)
        names, types = _names(output.get("sNames")), output.array("Types")
        if len(names) != len(types):
            raise RemoteProtocolError(f"{len(names)} value names with {len(types)} types")
        numbered = [(name, _type(number)) for name, number in zip(names, types, strict=True)]
        return Found({fold(name): (name, kind) for name, kind in numbered})

    def value(self, key: RegistryPath, name: str) -> Answer[RegistryData]:
        """One value with its type. Raises Faulted, RemoteProtocolError."""
        if (key, fold(name)) in self._known.data:
            return Found(self._known.data[key, fold(name)])
        printed = self._known.printed.get((key, fold(name)))
        if printed is not None:
            return self._typed(key, printed.name, printed.type)
        known = self.values(key)
        if not isinstance(known, Found):
            return known
        if fold(name) in known.value:
            return self._typed(key, *known.value[fold(name)])
        # EnumValues leaves the default value out on hosts where it is the only one.
        return Absent() if name or known.value else self._default(key)

    def shown_text(self, key: RegistryPath, name: str, kind: RegistryType) -> Answer[str]:
        """The text of a string or expandable string as it takes effect. Raises Faulted, RemoteProtocolError."""
        code, output = self._got(_GETTERS[kind], key, name)
        if code in (NO_VALUE, NOT_THERE):
            return Absent()
        return Found(output.text("sValue") or "") if code == DONE else code_refused(code)

    def confirm(self, key: RegistryPath, name: str, printed: RegistryData) -> RegistryData | None:
        """The value as a search printed it, if its getter, or a query of it alone, says the same; None if it says anything else.

        Raises Faulted, RemoteProtocolError.
        """
        known = self._known.data.get((key, fold(name)))
        if known is not None and known.type is RegistryType.STRING:
            return known if known == printed else None
        told = self.shown_text(key, name, printed.type)
        if not isinstance(told, Found) or not may_expand_to(str(printed.data), told.value):
            return None
        data = printed
        if printed.type is RegistryType.EXPAND_STRING:
            data = replace(printed, expanded=told.value)
        elif printed.data != told.value:
            return None
        if len(told.value) <= LONGEST_TEXT:
            self._known.data[key, fold(name)] = data
        return data

    def _default(self, key: RegistryPath) -> Answer[RegistryData]:
        code, _ = self._got(ReadingMethod.GET_STRING, key, "")
        if code not in (DONE, WRONG_TYPE):
            return Absent() if code in (NO_VALUE, NOT_THERE) else code_refused(code)
        printed = self._printed(key, "")
        expandable = printed is not None and printed.type is RegistryType.EXPAND_STRING
        return self._typed(key, "", RegistryType.EXPAND_STRING if expandable else RegistryType.STRING)

    def _printed(self, key: RegistryPath, name: str) -> PrintedValue | None:
        """The value as reg.exe prints it; None where that cannot be known. Raises HostUnreachable."""
        place = (key, fold(name))
        if place not in self._known.printed:
            self._known.printed[place] = self._printed_values.one(RegistryValue(key, name))
        return self._known.printed[place]

    def _typed(self, key: RegistryPath, name: str, kind: RegistryType) -> Answer[RegistryData]:
        if kind is RegistryType.EXPAND_STRING:
            return self._expandable(key, name)
        getter = _GETTERS.get(kind)
        if getter is None:
            return Found(RegistryData(kind, None))
        try:
            code, output = self._got(getter, key, name)
        except Faulted as faulted:
            told = refused(faulted)
            if kind is not RegistryType.QWORD or told.missing_right:
                raise
            return replace(told, text=f"it is a qword, which Windows before Vista and Server 2008 does not tell ({told.text})")
        if code in (NO_VALUE, NOT_THERE):
            return Absent()
        return Found(RegistryData(kind, _data(kind, output))) if code == DONE else code_refused(code)

    def _expandable(self, key: RegistryPath, name: str) -> Answer[RegistryData]:
        """An expandable string: raw as it is stored if that can be known, and as the host expands it.

        GetStringValue answers it raw, expanded or not at all, by host.
        """
        printed = self._known.printed.get((key, fold(name)))
        if printed is not None and printed.text is not None:
            plain = printed.is_exact and "%" not in printed.text
            expanded = printed.text if plain else self._expanded(key, name)
            if expanded is not None and (raw := printed_raw(printed, expanded)) is not None:
                return Found(RegistryData(RegistryType.EXPAND_STRING, raw, expanded=expanded))
        code, output = self._got(ReadingMethod.GET_STRING, key, name)
        if code in (NO_VALUE, NOT_THERE):
            return Absent()
        if code not in (DONE, WRONG_TYPE):
            return code_refused(code)
        text = (output.text("sValue") or "") if code == DONE else None
        # Where nothing is between percent signs, both answers are the same.
        expanded = text if text is not None and "%" not in text else self._expanded(key, name)
        if text is None or not self._raw_texts.are_told(text, expanded, self._got):
            text = printed_raw(self._printed(key, name), expanded)
        if text is None and expanded is None:
            return Refused(str(code), "neither the text of the expandable string nor its expansion can be read")
        return Found(RegistryData(RegistryType.EXPAND_STRING, text, expanded=expanded))

    def _expanded(self, key: RegistryPath, name: str) -> str | None:
        """As the host expands it; None where it cannot."""
        try:
            code, output = self._got(ReadingMethod.GET_EXPANDED_STRING, key, name)
        except Faulted:
            return None
        return (output.text("sValue") or "") if code == DONE else None

    def _got(self, getter: ReadingMethod, key: RegistryPath, name: str) -> tuple[int, Properties]:
        output = self._reader.registry(getter, parameters(key, name))
        return return_value(output), output


def _names(value: Value) -> tuple[str, ...]:
    """The names of an array in which the default value's may be empty or null."""
    items = value if isinstance(value, tuple) else () if value is None else (value,)
    return tuple(item if isinstance(item, str) else "" for item in items)


def _type(number: str) -> RegistryType:
    return RegistryType.from_number(int(number) if number.strip().isdecimal() else -1)


def _data(kind: RegistryType, output: Properties) -> str | int | bytes | tuple[str, ...]:
    if kind is RegistryType.MULTI_STRING:
        return output.array("sValue")
    if kind is RegistryType.BINARY:
        try:
            return bytes(int(item) for item in output.array("uValue"))
        except ValueError as error:
            raise RemoteProtocolError("binary data that is no bytes") from error
    if kind in (RegistryType.DWORD, RegistryType.QWORD):
        number = output.integer("uValue")
        if number is None:
            raise RemoteProtocolError("a number without digits")
        return number % (2**32 if kind is RegistryType.DWORD else 2**64)
    return output.text("sValue") or ""
