"""Playbook files, read and checked all at once: every problem of every file is told before any host is contacted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from converge.model.change import Position
from converge.model.play import Play
from converge.model.resource import Resource
from converge.playbook.document import MAX_BYTES, Node, read_document
from converge.playbook.plays import read_plays
from converge.playbook.problems import Problems


def load(
    paths: Iterable[str | Path], *, kinds: Mapping[str, type[Resource]], known_variables: Collection[str] = ()
) -> tuple[Play, ...]:
    """The plays of playbook files, sorted by their order, then by the name of their file.

    `known_variables` are the names that the inventory or -e give a value for some host. Raises InputErrors.
    """
    problems = Problems()
    plays = [
        play
        for root in read_roots(paths, problems)
        for play in read_plays(root, kinds=kinds, known_variables=known_variables, problems=problems)
    ]
    problems.raise_if_any()
    return tuple(sorted(plays, key=lambda play: (play.order, Path(play.file).name, play.file)))


def read_roots(paths: Iterable[str | Path], problems: Problems) -> list[Node]:
    """The tree of every file that can be read; what is wrong with the others is noted."""
    roots = []
    for path in paths:
        data = _read(Path(path), problems)
        root = read_document(str(path), data, problems) if data is not None else None
        roots += [root] if root is not None else []
    return roots


def _read(path: Path, problems: Problems) -> bytes | None:
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        problems.add(Position(str(path), 0, 0), f"the file cannot be read: {error.strerror or error}")
        return None
