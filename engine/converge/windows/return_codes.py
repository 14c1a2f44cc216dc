"""What methods of WMI return, in words: a value that nobody documents stands after all that explains it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SYSTEM_ERRORS: Final[Mapping[int, str]] = {
    5: "access denied",
    21: "the device is not ready",
    87: "invalid parameter",
    1115: "the computer is shutting down already",
    1190: "a shutdown is scheduled already",
    1191: "other users are logged on",
    1314: "the account lacks the privilege for it",
    1717: "the interface is unknown",
}
"""Those that Win32_OperatingSystem.Win32Shutdown may return (System Error Codes)."""


def describe(code: int, meanings: Mapping[int, str]) -> str:
    """A return value with its meaning: `2, access denied`."""
    return f"{code}, {meanings[code]}" if code in meanings else str(code)


def failed(what: str, code: int, meanings: Mapping[int, str]) -> tuple[str, str]:
    """What to say of a method that returned this, and why."""
    if code in meanings:
        return f"{what} returned {describe(code, meanings)}", ""
    shown = f"{code} (0x{code % 2**32:08x})" if code < 0 or code >= 2**31 else str(code)
    return f"{what} did not succeed", f"It returned {shown}, a value without a documented meaning."
