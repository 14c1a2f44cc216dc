"""Folders written with 8.3 names, such as C:\\PROGRA~1: which folders they are, by what the host tells of their neighbours."""

from __future__ import annotations

import re

from converge.model.answer import Answers
from converge.model.names import same
from converge.model.query import CimInstances
from converge.windows import paths, wql

_SHORT = re.compile(r"[^\\~]{1,6}~\d{1,6}(?:\.[^\\.]{1,3})?")
_LEFT_AWAY = re.compile(r"[ .]")
_REPLACED = re.compile(r"[+,;=\[\]]")
Rows = tuple[dict[str, str | None], ...]


def is_short(folder: str) -> bool:
    """Whether a path holds a name as Windows makes 8.3 names. Only such a one costs questions."""
    return bool(paths.drive(folder)) and any(_SHORT.fullmatch(name) for name in paths.normalise(folder).split("\\"))


def questions(folder: str, known: Answers) -> list[CimInstances]:
    """What must be asked before the folder is known; what lies below a name that is not told yet is asked for later."""
    place, asked = "", []
    for name in paths.normalise(folder).split("\\"):
        bearer = name
        if place and _SHORT.fullmatch(name):
            asked.append(_neighbours(place))
            if asked[-1] not in known:
                break
            bearer = _bearer(name, known.known(asked[-1])) or name
        place = f"{place}\\{bearer}" if place else bearer
    return asked


def long_form(folder: str, answers: Answers) -> str:
    """The path with the long names of its folders; a name that no folder bears stays. Raises Undecided, Unpredictable."""
    return "\\".join(bearer or name for name, bearer in _bearers(folder, answers))


def leads_to(folder: str, long_folder: str, answers: Answers) -> bool:
    """Whether a path is that of a folder. Raises Undecided, Unpredictable.

    An 8.3 name that no folder bears leads nowhere. Where it is the one that Windows gives first to such a name as the
    folder's, it is taken for that: nothing that works is lost by pointing it elsewhere.
    """
    bearers, meant = _bearers(folder, answers), paths.normalise(long_folder).split("\\")
    return len(bearers) == len(meant) and all(
        same(bearer or name, long_name) or (not bearer and same(name, first_short_name(long_name)))
        for (name, bearer), long_name in zip(bearers, meant, strict=True)
    )


def first_short_name(name: str) -> str:
    """The 8.3 name that Windows gives to a long name where no neighbour has it yet."""
    stem, dot, extension = name.lstrip(". ").rpartition(".")
    if not dot:
        stem, extension = extension, ""
    ending = f".{_plain(extension)[:3]}" if extension else ""
    return f"{_plain(stem)[:6]}~1{ending}"


def _plain(text: str) -> str:
    return _REPLACED.sub("_", _LEFT_AWAY.sub("", text)).upper()


def _bearers(folder: str, answers: Answers) -> list[tuple[str, str]]:
    """Each name of the path with the long name of the folder that bears it, which is empty where an 8.3 name has none."""
    place, found = "", []
    for name in paths.normalise(folder).split("\\"):
        is_one = bool(place) and bool(_SHORT.fullmatch(name))
        bearer = _bearer(name, answers.value(_neighbours(place))) if is_one else name
        place = f"{place}\\{bearer or name}" if place else name
        found.append((name, bearer))
    return found


def _neighbours(folder: str) -> CimInstances:
    drive = paths.drive(folder).lower()  # one question, however the folder is spelled
    inside = folder[len(drive) :].lower().rstrip("\\") + "\\"
    where = wql.all_of([wql.equals("Drive", drive), wql.equals("Path", inside)])
    return CimInstances("root/cimv2", wql.select(("EightDotThreeFileName", "Name"), "Win32_Directory", where=where))


def _bearer(name: str, rows: Rows | None) -> str:
    for row in rows or ():
        if same(paths.name(row.get("EightDotThreeFileName") or ""), name):
            return paths.name(row.get("Name") or "") or name
    return ""
