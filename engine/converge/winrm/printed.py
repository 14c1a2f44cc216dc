"""What `reg.exe query` prints of a value, and how much of it can be believed.

Versions part the columns by four blanks or by a tab and print more or less around them, so how a host prints is learnt from a
value that every Windows has. What does not look like that one to the last blank line is not read: data that holds a line end
could show anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from converge.model.names import fold
from converge.model.registry import Hive, RegistryData, RegistryPath, RegistryType
from converge.windows.commands import ReadingCommand
from converge.windows.registry import long_name

ENVIRONMENT: Final = RegistryPath(Hive.LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Control\Session Manager\Environment")
HOLDS_A_VARIABLE: Final = "windir"  # %SystemRoot%, or in a key's own spelling %systemroot%
TELLING: Final = (
    ReadingCommand.code_page(),
    ReadingCommand.query_registry_value(ENVIRONMENT, HOLDS_A_VARIABLE),
    ReadingCommand.query_registry_value(ENVIRONMENT, ""),
)
"""What `Form.learnt` learns from: a value that every Windows has, and a default value that none has."""
TYPES: Final = {
    "REG_SZ": RegistryType.STRING,
    "REG_EXPAND_SZ": RegistryType.EXPAND_STRING,
    "REG_MULTI_SZ": RegistryType.MULTI_STRING,
    "REG_DWORD": RegistryType.DWORD,
    "REG_QWORD": RegistryType.QWORD,
    "REG_BINARY": RegistryType.BINARY,
}
LONGEST_TEXT: Final = 2000
_UTF_8: Final = "65001"
_INDENT: Final = "    "
_AFTER_NAME: Final = r"(?P<by>    |\t)(?P<type>REG_[A-Z_]+)(?:(?P=by)(?P<data>.*))?"
_COLUMNS: Final = re.compile(_AFTER_NAME, re.DOTALL)
# A name may hold blanks, and even "REG_SZ": of a line alone, the shortest that can be meant is taken.
_LINE: Final = re.compile(rf"(?:{_INDENT}|\t)(?P<name>.*?){_AFTER_NAME}", re.DOTALL)
_KNOWN: Final = re.compile(
    rf"(?P<before>.{{0,200}}?){re.escape(long_name(ENVIRONMENT))}\r\n"
    rf"    {HOLDS_A_VARIABLE}(?P<by>    |\t)REG_(?:EXPAND_)?SZ(?P=by)[^\r\n]+(?P<after>[\r\n]+)",
    re.DOTALL | re.IGNORECASE,
)
# No control characters, and none that a question mark may stand for: some readers put it for what XML cannot carry.
_CLEAR: Final = re.compile("[^\x00-\x1f\x7f-\x9f?\ud800-\udfff\ufffd-\uffff]*")
_HEX: Final = {RegistryType.DWORD: re.compile("0x[0-9a-f]{1,8}"), RegistryType.QWORD: re.compile("0x[0-9a-f]{1,16}")}
_OCTETS: Final = re.compile("(?:[0-9A-Fa-f]{2})*")


def parse_value_line(line: str) -> tuple[str, str, str] | None:
    """Name, type and data of a line `reg.exe query` prints for a value; None for any other line."""
    match = _LINE.fullmatch(line)
    return (match["name"], match["type"], match["data"] or "") if match else None


@dataclass(frozen=True, slots=True)
class PrintedValue:
    """A value as it was printed. `text` is None where that may not be what is stored.

    `is_exact` is whether no character can have been lost to a code page that lacks it; a question mark need not tell of
    one, as some characters are replaced by others that look like them.
    """

    name: str
    type: RegistryType
    text: str | None
    is_exact: bool

    @property
    def data(self) -> RegistryData | None:
        """The value, where what was printed leaves no doubt: numbers, octets, and texts that are not expanded."""
        text = self.text
        if text is None:
            return None
        if self.type in _HEX:
            return RegistryData(self.type, int(text, 16)) if _HEX[self.type].fullmatch(text) else None
        if self.type is RegistryType.BINARY:
            return RegistryData(self.type, bytes.fromhex(text)) if _OCTETS.fullmatch(text) else None
        # An entry of a list may itself hold what is printed between entries.
        return RegistryData(self.type, text) if self.type is RegistryType.STRING and self.is_exact else None


@dataclass(frozen=True, slots=True)
class PrintedForm:
    """How one host prints a value: what stands before the key and after the value, and what parts the columns.

    `unset` is what it prints, in its language, for the data of a default value that is not there.
    """

    before: str
    by: str
    after: str
    unset: str | None
    is_utf_8: bool

    @classmethod
    def learnt(cls, code_page: str, known: str, unset: str) -> PrintedForm | None:
        """From what the commands of TELLING printed; None where that shows no form."""
        form = _KNOWN.fullmatch(known)
        if form is None:
            return None
        lines = [parsed for line in unset.splitlines() if (parsed := parse_value_line(line))]
        return cls(
            form["before"],
            form["by"],
            form["after"],
            unset=lines[0][2] if len(lines) == 1 else None,
            is_utf_8=re.findall(r"\d+", code_page) == [_UTF_8],
        )

    def read(self, printed: str, key: RegistryPath, name: str) -> PrintedValue | None:
        """The value that a query of it alone printed; None where that is not certain, as where there is none."""
        if len(printed) < len(self.before + self.after):
            return None
        if not (printed.startswith(self.before) and printed.endswith(self.after)):
            return None
        lines = printed[len(self.before) : len(printed) - len(self.after)].split("\r\n")
        if len(lines) != 2 or fold(lines[0]) != fold(long_name(key)):
            return None
        return self._value(lines[1], name)

    def _value(self, line: str, name: str) -> PrintedValue | None:
        own = line[len(_INDENT) : len(_INDENT) + len(name)]
        if not line.startswith(_INDENT) or fold(own) != fold(name):
            return None
        # What the host calls the default value is a matter of its language.
        columns = _COLUMNS.fullmatch(line, len(_INDENT) + len(name)) if name else _LINE.fullmatch(line)
        kind = TYPES.get(columns["type"]) if columns and columns["by"] == self.by else None
        if columns is None or kind is None:
            return None
        text = columns["data"] or ""
        if not name and kind is RegistryType.STRING and (self.unset is None or text == self.unset):
            return None
        is_clear = len(text) <= LONGEST_TEXT and _CLEAR.fullmatch(text)
        return PrintedValue(own, kind, text if is_clear else None, self.is_utf_8)
