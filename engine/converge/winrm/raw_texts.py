r"""The raw texts of expandable strings: who tells `%SystemRoot%\x` rather than `C:\WINNT\x`.

No documented method of StdRegProv does. GetStringValue may, by host, which a value that is known to hold a variable on every
Windows shows; otherwise `reg.exe query` prints values as they are stored, if a shell may be opened.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from converge.model.registry import RegistryPath, RegistryType
from converge.winrm.printed import ENVIRONMENT, HOLDS_A_VARIABLE, PrintedValue
from converge.winrm.session import ReadingMethod
from converge.wsman.cim import Properties

Getter = Callable[[ReadingMethod, RegistryPath, str], tuple[int, Properties]]

_VARIABLE: Final = re.compile(r"%[^%]+%")


def may_expand_to(raw: str, expanded: str) -> bool:
    """Whether an expandable string's raw text can be what the host expanded to this. A question mark may be a lost character."""
    parts = [re.escape(part) for part in _VARIABLE.split(raw)]
    return (
        "?" not in raw
        and "\ufffd" not in raw
        and bool(re.fullmatch(".*".join(parts), expanded, re.DOTALL | re.IGNORECASE))
    )


def printed_raw(printed: PrintedValue | None, expanded: str | None) -> str | None:
    """The raw text that was printed of an expandable string; None where that is not certain.

    A character that the shell's code page lacks shows in what the host expands the text to.
    """
    if printed is None or printed.type is not RegistryType.EXPAND_STRING or printed.text is None:
        return None
    certain = printed.is_exact or (expanded is not None and may_expand_to(printed.text, expanded))
    return printed.text if certain else None


class RawTexts:
    """Remembers whether one host tells raw texts by itself."""

    def __init__(self) -> None:
        self._told: bool | None = None

    def are_told(self, text: str, expanded: str | None, get: Getter) -> bool:
        """Whether GetStringValue answers expandable strings raw on this host; `text` and `expanded` are one it answered.

        It does if they differ. Where they do not, a value that holds a variable on every Windows is looked at.
        """
        if self._told is None:
            self._told = (expanded is not None and text != expanded) or self._known_variable_is_told(get)
        return self._told

    def _known_variable_is_told(self, get: Getter) -> bool:
        code, output = get(ReadingMethod.GET_STRING, ENVIRONMENT, HOLDS_A_VARIABLE)
        return code == 0 and "%" in (output.text("sValue") or "")
