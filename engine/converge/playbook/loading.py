"""Playbook files, read and checked all at once: every problem of every file is told before any host is contacted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from converge.model.change import Position
from converge.model.play import Play
from converge.model.resource import Resource
from converge.playbook.document import MAX_BYTES, read_document
from converge.playbook.plays import read_plays
from converge.playbook.problems import Problems


def load(
    paths: Iterable[str | Path], *, kinds: Mapping[str, type[Resource]], known_variables: Collection[str] = ()
) -> tuple[Play, ...]:
    """The plays of playbook files, sorted by their order, then by the name of their file.

    `known_variables` are the names that the inventory or -e give a value for some host. Raises InputErrors.
    """
    problems = Problems()
    plays: list[Play] = []
    for path in paths:
        data = _read(Path(path), problems)
        if data is not None:
            plays += load_text(data, file=str(path), kinds=kinds, known_variables=known_variables, problems=problems)
    problems.raise_if_any()
    return tuple(sorted(plays, key=lambda play: (play.order, Path(play.file).name, play.file)))


def load_text(
    data: bytes,
    *,
    file: str,
    kinds: Mapping[str, type[Resource]],
    known_variables: Collection[str] = (),
    problems: Problems,
) -> list[Play]:
    """The plays of one file's bytes, in its order. What is wrong is noted."""
    root = read_document(file, data, problems)
    if root is None:
        if not len(problems):
            problems.add(Position(file, 0, 0), "the file holds no play", expected="a list of plays")
        return []
    return read_plays(root, kinds=kinds, known_variables=known_variables, problems=problems)


def _read(path: Path, problems: Problems) -> bytes | None:
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        problems.add(Position(str(path), 0, 0), f"the file cannot be read: {error.strerror or error}")
        return None
