"""Playbook files, read and checked all at once: every problem of every file is told before any host is contacted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from converge.model.play import Play
from converge.model.resource import Resource
from converge.playbook.plays import read_plays
from converge.reading.files import decoded, read_bytes
from converge.reading.problems import Problems
from converge.reading.tree import Node
from converge.reading.yaml import read_yaml

MAX_BYTES = 4 * 1024 * 1024
Text = tuple[str, bytes]
"""A file that was read: its name and what it holds."""


def load(
    paths: Iterable[str | Path], *, kinds: Mapping[str, type[Resource]], known_variables: Collection[str] = ()
) -> tuple[Play, ...]:
    """The plays of playbook files, sorted by their order, then by the name of their file.

    `known_variables` are the names that the inventory or -e give a value for some host. Raises InputErrors.
    """
    problems = Problems()
    return load_texts(read_files(paths, problems), kinds=kinds, known_variables=known_variables, problems=problems)


def load_texts(
    texts: Iterable[Text],
    *,
    kinds: Mapping[str, type[Resource]],
    known_variables: Collection[str] = (),
    problems: Problems | None = None,
) -> tuple[Play, ...]:
    """The same for files that were read before. `problems` are those met in reading. Raises InputErrors with all of them."""
    problems = problems if problems is not None else Problems()
    plays = [
        play
        for root in _roots(texts, problems)
        for play in read_plays(root, kinds=kinds, known_variables=known_variables, problems=problems)
    ]
    problems.raise_if_any()
    return tuple(sorted(plays, key=lambda play: (play.order, Path(play.file).name, play.file)))


def read_files(paths: Iterable[str | Path], problems: Problems) -> tuple[Text, ...]:
    """Every file that can be read; what is wrong with the others is noted."""
    read = ((str(path), read_bytes(str(path), limit=MAX_BYTES, problems=problems)) for path in paths)
    return tuple((name, data) for name, data in read if data is not None)


def read_roots(paths: Iterable[str | Path], problems: Problems) -> list[Node]:
    """The tree of every file that can be read; what is wrong with the others is noted."""
    return _roots(read_files(paths, problems), problems)


def _roots(texts: Iterable[Text], problems: Problems) -> list[Node]:
    roots = (_root(name, data, problems) for name, data in texts)
    return [root for root in roots if root is not None]


def _root(name: str, data: bytes, problems: Problems) -> Node | None:
    text = decoded(data, file=name, problems=problems)
    return None if text is None else read_yaml(text, file=name, problems=problems)
