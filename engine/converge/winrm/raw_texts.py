r"""The raw texts of expandable strings: who tells `%SystemRoot%\x` rather than `C:\WINNT\x`.

No documented method of StdRegProv does. GetStringValue may, by host, which a value that is known to hold a variable on every
Windows shows; otherwise `reg.exe query` prints values as they are stored, if a shell may be opened.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from converge.errors import LocalProtocolError
from converge.model.names import fold
from converge.model.registry import Hive, RegistryPath
from converge.windows.commands import ReadingCommand
from converge.winrm.exchange import Faulted
from converge.winrm.session import Reader, ReadingMethod
from converge.wsman.cim import Properties

Getter = Callable[[ReadingMethod, RegistryPath, str], tuple[int, Properties]]

SECONDS: Final = 60.0
_ENVIRONMENT: Final = RegistryPath(Hive.LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Control\Session Manager\Environment")
_HOLDS_A_VARIABLE: Final = "windir"  # %SystemRoot%, or in a key's own spelling %systemroot%
# Vista and later part the columns by four blanks, older ones by tabs. A name may hold blanks, and even "REG_SZ".
_VARIABLE: Final = re.compile(r"%[^%]+%")
_LINE: Final = re.compile(r"(?:    |\t)(?P<name>.*?)(?:    |\t)(?P<type>REG_[A-Z_]+)(?:(?:    |\t)(?P<data>.*))?")


def parse_value_line(line: str) -> tuple[str, str, str] | None:
    """Name, type and data of a line `reg.exe query` prints for a value; None for any other line."""
    match = _LINE.fullmatch(line)
    return (match["name"], match["type"], match["data"] or "") if match else None


def may_expand_to(raw: str, expanded: str) -> bool:
    """Whether an expandable string's raw text can be what the host expanded to this. A question mark may be a lost character."""
    parts = [re.escape(part) for part in _VARIABLE.split(raw)]
    return (
        "?" not in raw
        and "\ufffd" not in raw
        and bool(re.fullmatch(".*".join(parts), expanded, re.DOTALL | re.IGNORECASE))
    )


class RawTexts:
    """Finds raw texts on one host, remembering how it tells them."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._told: bool | None = None
        self._printed: dict[tuple[RegistryPath, str], str | None] = {}

    def forget(self) -> None:
        """What was printed may have changed; how the host tells it has not."""
        self._printed.clear()

    def are_told(self, text: str, expanded: str | None, get: Getter) -> bool:
        """Whether GetStringValue answers expandable strings raw on this host; `text` and `expanded` are one it answered.

        It does if they differ. Where they do not, a value that holds a variable on every Windows is looked at.
        """
        if self._told is None:
            self._told = (expanded is not None and text != expanded) or self._known_variable_is_told(get)
        return self._told

    def _known_variable_is_told(self, get: Getter) -> bool:
        code, output = get(ReadingMethod.GET_STRING, _ENVIRONMENT, _HOLDS_A_VARIABLE)
        return code == 0 and "%" in (output.text("sValue") or "")

    def of(self, key: RegistryPath, name: str) -> str | None:
        """The raw text as reg.exe prints it; None where it cannot be known. Raises HostUnreachable."""
        place = (key, fold(name))
        if place not in self._printed:
            found = self._queried(key, name)
            raw = found[2] if found and found[1] == "REG_EXPAND_SZ" else None
            # A question mark may stand for a character that the shell's code page lacks.
            self._printed[place] = None if raw is None or "?" in raw else raw
        return self._printed[place]

    def is_expandable_default(self, key: RegistryPath) -> bool:
        """Whether the default value of a key is an expandable string, as far as that can be known."""
        found = self._queried(key, "")
        return found is not None and found[1] == "REG_EXPAND_SZ"

    def _queried(self, key: RegistryPath, name: str) -> tuple[str, str, str] | None:
        try:
            command = ReadingCommand.query_registry_value(key, name)
            finished = self._reader.run_reading(command, seconds=SECONDS)
        except (LocalProtocolError, Faulted):
            return None
        if finished.exit_code:
            return None
        lines = [line for line in finished.text.splitlines() if parse_value_line(line)]
        # Data that holds a line end, or a character that its code page lost, was not printed as it is stored.
        if len(lines) != 1 or "\ufffd" in lines[0] or _others(finished.text, lines[0]):
            return None
        return parse_value_line(lines[0])


def _others(text: str, line: str) -> bool:
    """Whether anything but the key's name and a banner was printed around the value's line."""
    around = [other for other in text.splitlines() if other.strip() and other != line]
    return any(not other.startswith(("HKEY_", "! REG.EXE")) for other in around)
