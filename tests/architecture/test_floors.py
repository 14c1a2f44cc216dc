"""Rooms and floors: a room imports only the rooms its row names. Every import statement of every file is looked at."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "engine" / "converge"

FLOORS = {
    "cli": 7,
    "api": 7,
    "testing": 6,
    "runs": 6,
    "schedule": 5,
    "web": 5,
    "fleet": 4,
    "rehearsal": 3,
    "apply": 3,
    "resources": 3,
    "winrm": 3,
    "lab": 3,
    "playbook": 3,
    "inventory": 3,
    "store": 3,
    "report": 3,
    "reading": 2,
    "plan": 2,
    "windows": 2,
    "wsman": 2,
    "model": 1,
    "errors": 0,
}
MAY_IMPORT = {
    "cli": set(FLOORS),
    "api": set(FLOORS) - {"cli"},
    "testing": set(FLOORS) - {"cli", "api"},
    "runs": set(FLOORS) - {"cli", "api", "testing"},
    "schedule": {"fleet", "store", "reading", "model", "errors"},
    "web": {"store", "report", "model", "errors"},
    "fleet": {"apply", "plan", "inventory", "model", "errors"},
    "apply": {"rehearsal", "plan", "windows", "model", "errors"},
    "rehearsal": {"plan", "windows", "model", "errors"},
    "resources": {"windows", "model", "errors"},
    "winrm": {"wsman", "windows", "model", "errors"},
    "lab": {"reading", "windows", "model", "errors"},
    "playbook": {"reading", "windows", "model", "errors"},
    "inventory": {"reading", "model", "errors"},
    "reading": {"model", "errors"},
    "store": {"model", "errors"},
    "report": {"model", "errors"},
    "plan": {"windows", "model", "errors"},
    "windows": {"model", "errors"},
    "wsman": {"errors"},
    "model": {"errors"},
    "errors": set[str](),
}
ALSO = {"lab/endpoint": {"wsman"}}
"""Part of a room that may import more than the rest of it."""
ROOMLESS = {"converge", "converge.__version__"}


def files() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py") if path.parent != SOURCE or path.name == "api.py")


def room_of(path: Path) -> str:
    """The folder of a file below `converge`; the library is a room of one file."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Every module of converge that a file imports, wherever the statement stands, with its line."""
    package = ["converge", *path.relative_to(SOURCE).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            if module == "converge":
                for alias in node.names:
                    yield node.lineno, f"converge.{alias.name}"
            else:
                yield node.lineno, module


def rooms_imported(path: Path) -> Iterator[tuple[int, str]]:
    for line, module in imported(path):
        if module.partition(".")[0] == "converge" and module not in ROOMLESS:
            yield line, module.split(".")[1]


def test_every_folder_is_a_room_of_the_table() -> None:
    found = {room_of(path) for path in files()}
    assert found == set(FLOORS) == set(MAY_IMPORT)


def test_rooms_may_import_lower_floors_or_what_their_row_names() -> None:
    for room, others in MAY_IMPORT.items():
        for other in others - {room}:
            assert FLOORS[other] <= FLOORS[room], f"{room} may not import {other}, which lies above it"


def test_a_file_imports_only_what_its_room_may() -> None:
    wrong = []
    for path in files():
        place = path.relative_to(SOURCE)
        room = room_of(path)
        allowed = {room, *MAY_IMPORT[room]}
        for part, more in ALSO.items():
            if place.as_posix().startswith(part + "/"):
                allowed |= more
        wrong += [f"{place}:{line} imports {other}" for line, other in rooms_imported(path) if other not in allowed]
    assert not wrong


@pytest.mark.parametrize(
    ("text", "rooms"),
    [
        ("import converge.cli.main", ["cli"]),
        ("from converge.winrm import machine", ["winrm"]),
        ("from converge import winrm, __version__", ["winrm"]),
        ("from ..winrm.machine import x", ["winrm"]),
        ("from .. import winrm", ["winrm"]),
        ("from . import other", ["store"]),
        ("def f():\n    import converge.lab.world as w", ["lab"]),
        ("if x:\n    from converge.lab.world import y", ["lab"]),
        ("import json, convergence", []),
    ],
)
def test_no_way_of_importing_is_overlooked(
    text: str, rooms: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.SOURCE", tmp_path)
    path = tmp_path / "store" / "file.py"
    path.parent.mkdir()
    path.write_text(text)
    assert [room for _, room in rooms_imported(path)] == rooms


def test_a_file_opens_with_its_charter_and_is_named_for_something() -> None:
    silent = [path for path in files() if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))]
    assert not silent, "the first line of a module says what it is for"
    assert not [path for path in files() if path.stem in ("utils", "helpers", "common", "base")], "names that say nothing"


def test_pywinrm_is_known_to_one_file() -> None:
    users = {
        path.relative_to(SOURCE).as_posix()
        for path in files()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "winrm" and not node.level)
        or (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "winrm" for alias in node.names))
    }
    assert users == {"winrm/pywinrm_transport.py"}


def test_a_class_name_stands_once_in_the_package() -> None:
    places: dict[str, list[str]] = {}
    for path in files():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(path.relative_to(SOURCE).as_posix())
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
