"""How Windows compares names (case-insensitively, one character at a time), and how messages quote them."""

from __future__ import annotations

import re

_DEVICE = re.compile(
    r"(?:CON|PRN|AUX|NUL|CLOCK\$|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9\u00b9\u00b2\u00b3]) *(?:\..*)?", re.IGNORECASE
)
"""What names a device in any folder, with an ending too (Naming Files, Paths, and Namespaces)."""

def fold(name: str) -> str:
    """The form in which two spellings of one Windows name are equal.

    Windows upcases each UTF-16 unit by itself (RtlUpcaseUnicodeString), so a character whose upper case is longer
    than one character, such as the German sharp s, stays as it is.
    """
    upper = name.upper()
    if len(upper) == len(name):
        return upper
    return "".join(big if len(big := character.upper()) == 1 else character for character in name)


def same(left: str, right: str) -> bool:
    """Whether two spellings name one thing."""
    return fold(left) == fold(right)


def is_device(name: str) -> bool:
    """Whether a name of a file names a device instead, in whatever folder."""
    return bool(_DEVICE.fullmatch(name))


def quoted(text: str) -> str:
    """A text as messages quote it, as it would stand in a playbook: backslashes are not doubled."""
    return f"'{text}'" if text.isprintable() and "'" not in text else repr(text)
