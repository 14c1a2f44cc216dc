"""File paths as Windows reads them, and the expansion of %VARIABLES%."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from converge.model.names import fold, is_device, quoted, same

_VARIABLE = re.compile(r"%([^%]+)%")
_ABSOLUTE = re.compile(r"^(?:[A-Za-z]:\\|\\\\[^\\]+\\[^\\]+)")
_FORBIDDEN = re.compile(r'[<>"|?*\x00-\x1f]')
_VERBATIM = re.compile(r"\\\\[?.]\\(?P<rest>.*)", re.DOTALL)
_PROGRAM = re.compile(
    r"(.*?\.(?:exe|com|bat|cmd|scr|sys|drv|dll|ocx|cpl|vb[se]|jse?|ws[fh]|ps1|msc|msi))(?:\s+(.*)|([,;/].*))?",
    re.IGNORECASE | re.DOTALL,
)
"""A path as far as the ending of something that is run or loaded, and what follows it, after a blank or at once."""
_SWITCHES = re.compile(r"(.*?)\s+([-/].*)", re.DOTALL)


@lru_cache(maxsize=8192)  # a fleet's hosts are asked for the same paths
def normalise(path: str) -> str:
    """One spelling for one path: backslashes, none doubled, none trailing except a drive's root. Case is kept."""
    text = path.strip().replace("/", "\\")
    unc = text.startswith("\\\\")
    text = re.sub(r"\\+", r"\\", text)
    if unc:
        text = "\\" + text
    if len(text) == 3 and text[1:] == ":\\":
        return text
    if len(text) == 2 and text[1] == ":":
        return text + "\\"
    return text.rstrip("\\")


def is_absolute(path: str) -> bool:
    """Whether a path names one place whatever the current folder: a drive and a backslash, or a share."""
    return bool(_ABSOLUTE.match(path.replace("/", "\\")))


@lru_cache(maxsize=8192)
def check(path: str) -> str:
    """The normalised form of an absolute path without variables. Raises ValueError with words for people."""
    if verbatim := _VERBATIM.fullmatch(path.strip().replace("/", "\\")):
        raise ValueError(f"{quoted(path)} is a spelling for programs: write {quoted(verbatim['rest'])}")
    text = normalise(path)
    if path != path.strip():
        raise ValueError(f"{quoted(path)} begins or ends with a blank, which Windows leaves away: write {quoted(text)}")
    if not is_absolute(text):
        raise ValueError(f"{quoted(path)} is not a full path such as C:\\folder\\file")
    if found := _FORBIDDEN.search(text):
        raise ValueError(f"{quoted(path)} holds {found.group()!r}, which no Windows file name may hold")
    parts = text.split("\\")
    if any(part in (".", "..") for part in parts):
        raise ValueError(f"{quoted(path)} goes back and forth: write where it leads to, without `.` and `..`")
    if ":" in text[2:]:
        meant = text[:2] + text[2:].partition(":")[0]
        raise ValueError(
            f"{quoted(path)} holds a colon: it names a stream, and streams are not managed; the file is {quoted(meant)}"
        )
    meant = "\\".join(part.rstrip(". ") for part in parts)
    if meant != text:
        raise ValueError(f"{quoted(path)} ends a name with a dot or a blank, which Windows leaves away: write {quoted(meant)}")
    if device := next((part for part in parts if is_device(part)), ""):
        raise ValueError(f"{quoted(path)} holds the name of a device, {quoted(device)}, in place of a file's: give it another name")
    return text


def join(folder: str, *names: str) -> str:
    """A path below a folder."""
    return normalise("\\".join((folder, *names)))


def parent(path: str) -> str:
    """The folder a path lies in; a drive's root for what lies there and for itself."""
    text = normalise(path)
    head, separator, _ = text.rpartition("\\")
    if not separator:
        return text
    return head + "\\" if len(head) == 2 and head[1] == ":" else head


def name(path: str) -> str:
    """The last component of a path."""
    return normalise(path).rpartition("\\")[2]


def drive(path: str) -> str:
    """The drive, such as `C:`, in the spelling of the path; empty for a share."""
    return path[:2] if len(path) > 1 and path[1] == ":" else ""


def expand(text: str, environment: Mapping[str, str]) -> str:
    """Replace every %NAME% that the environment knows, in any case; others stay, as Windows leaves them."""
    known = {fold(key): value for key, value in environment.items()}

    def replacement(match: re.Match[str]) -> str:
        return known.get(fold(match.group(1)), match.group())

    return _VARIABLE.sub(replacement, text)


def variables_in(text: str) -> list[str]:
    """The names between percent signs, as they are written."""
    return _VARIABLE.findall(text)


def is_expanded(text: str) -> bool:
    """Whether no %VARIABLE% is left in a text."""
    return _VARIABLE.search(text) is None


def same_folder(left: str, right: str) -> bool:
    """Whether two texts without quotes and variables name one folder."""
    return same(normalise(left), normalise(right))


def same_path(left: str, right: str) -> bool:
    """Whether two texts, with their variables expanded, name one path, or one program with the same arguments.

    Case and a trailing backslash of the path do not count, nor quotes around one that holds no blank: around one that does,
    they decide which program is started. Arguments are compared as they are.
    """
    return _comparable(left) == _comparable(right)


def _comparable(text: str) -> tuple[str, bool, str, str]:
    """The path, whether it stands in quotes that count, what follows it without a blank, and the arguments."""
    text = text.strip()
    quoted = text.startswith('"') and text.count('"') > 1
    if quoted:
        path, _, rest = text[1:].partition('"')
        attached, rest = ("", rest) if rest[:1].isspace() else (rest, "")
    elif found := _PROGRAM.fullmatch(text):
        path, rest, attached = found[1], found[2] or "", found[3] or ""
    else:
        switches = _SWITCHES.fullmatch(text)
        path, rest = (switches[1], switches[2]) if switches else (text, "")
        attached = ""
    if len(path) > 3:
        path = path.rstrip("\\")
    return fold(path), quoted and bool(re.search(r"\s", path)), attached, rest.strip()


def folder_of(path: str) -> str:
    """The folder of a path that is normalised already: `parent`, without the cost of normalising."""
    head = path.rpartition("\\")[0]
    return head + "\\" if head.endswith(":") else head


def is_below(path: str, folder: str) -> bool:
    """Whether a path lies below a folder, both normalised already."""
    return fold(path).startswith(fold(folder).rstrip("\\") + "\\")


def lies_in(path: str, folder: str) -> bool:
    """Whether a path is a folder or lies below it, both normalised already: `is_within`, without the cost of normalising."""
    return fold(path) == fold(folder) or is_below(path, folder)


def is_within(path: str, folder: str) -> bool:
    """Whether a path is a folder or lies below it."""
    return lies_in(normalise(path), normalise(folder))


def executable_of(command: str) -> str:
    """The program's path of a service's command line, without quotes and arguments.

    An unquoted path with blanks is read as far as its `.exe`, as the service manager finds it in practice
    (CreateProcess tries each blank in turn).
    """
    text = command.strip()
    if text.startswith('"'):
        return normalise(text[1:].partition('"')[0])
    found = re.match(r"(.*?\.exe)(?:\s|$)", text, re.IGNORECASE)
    return normalise(found.group(1) if found else text.partition(" ")[0])
