"""What is allowed in a playbook and hardly meant: warnings, each with its place."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from converge.errors import InputProblem
from converge.model.resource import Resource
from converge.playbook.loading import read_roots
from converge.playbook.plays import read_plays
from converge.reading.problems import Problems, problem
from converge.reading.tree import Listing, Node, Scalar, Table

_WOW = re.compile(r"\\wow6432node(?:\\|$)", re.IGNORECASE)
_WINDOWS = re.compile(r"^[A-Za-z]:\\(?:winnt|windows)(?:\\|$)", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_GUARDS = ("unless", "creates")


def lint(
    paths: Iterable[str | Path], *, kinds: Mapping[str, type[Resource]], known_variables: Collection[str] = ()
) -> tuple[InputProblem, ...]:
    """Warnings about playbook files that load. Raises InputErrors for files that do not."""
    problems = Problems()
    roots = read_roots(paths, problems)
    for root in roots:
        read_plays(root, kinds=kinds, known_variables=known_variables, problems=problems)
    problems.raise_if_any()
    return _of_roots(roots, kinds)


def warnings_of(paths: Iterable[str | Path], *, kinds: Mapping[str, type[Resource]]) -> tuple[InputProblem, ...]:
    """The warnings about whatever of these files can be read, whether they load or not."""
    return _of_roots(read_roots(paths, Problems()), kinds)


def _of_roots(roots: Iterable[Node], kinds: Mapping[str, type[Resource]]) -> tuple[InputProblem, ...]:
    return tuple(
        sorted(
            (warning for root in roots for play in _tables(root) for warning in _of_play(play, kinds)),
            key=lambda item: (item.file, item.line, item.column),
        )
    )


def _of_play(play: Table, kinds: Collection[str]) -> Iterator[InputProblem]:
    yield from _of_texts(play)
    yield from _of_names(play)
    for entry in _tables(play.items.get("resources")):
        if "name" not in entry.items:
            hint = "say what it brings about: name: ..."
            yield problem(entry.position, "the resource has no name: reports show its address", hint=hint)
        yield from _of_commands(entry, kinds)


def _of_commands(entry: Table, kinds: Collection[str]) -> Iterator[InputProblem]:
    """Commands nobody can predict, among the resources and the steps of procedures."""
    for kind in kinds:
        body = entry.items.get(kind)
        if not isinstance(body, Table):
            continue
        if kind == "command" and not any(guard in body.items for guard in _GUARDS):
            message = "the command has no guard: it runs every time, and check cannot tell what it brings"
            yield problem(entry.place(kind), message, hint="give it `unless` or `creates`")
        for step in _tables(body.items.get("steps")):
            yield from _of_commands(step, kinds)


def _of_texts(node: Node) -> Iterator[InputProblem]:
    """Paths that hold on some Windows only."""
    for scalar in _scalars(node):
        text = scalar.value if isinstance(scalar.value, str) else ""
        if _WOW.search(text) and text.upper().startswith("HK"):
            message = "the path names Wow6432Node, which 32-bit Windows does not have"
            yield problem(scalar.position, message, hint="leave it out and say view: 32")
        if _WINDOWS.match(text):
            message = "Windows lies in different folders on different hosts"
            yield problem(scalar.position, message, hint=r"write %SystemRoot%\...")


def _of_names(play: Table) -> Iterator[InputProblem]:
    """Handlers and variables that nothing uses."""
    notified = {text for entry in _tables(play.items.get("resources")) for text in _texts(entry.items.get("notify"))}
    for handler in _tables(play.items.get("handlers")):
        for name in _texts(handler.items.get("name")):
            if name not in notified:
                yield problem(
                    handler.position, f"nothing notifies the handler {name}", hint="leave it out, or notify it"
                )
    used = {word for text in _all_texts(play) for word in _WORD.findall(text)}
    for key in ("vars", "discover"):
        node = play.items.get(key)
        for name in node.items if isinstance(node, Table) else ():
            if name not in used:
                assert isinstance(node, Table)
                yield problem(node.place(name), f"nothing uses the variable {name}", hint="leave it out")


def _tables(node: Node | None) -> Iterator[Table]:
    if isinstance(node, Listing):
        yield from (item for item in node.items if isinstance(item, Table))


def _scalars(node: Node) -> Iterator[Scalar]:
    if isinstance(node, Scalar):
        yield node
        return
    for child in node.items if isinstance(node, Listing) else node.items.values():
        yield from _scalars(child)


def _all_texts(node: Node) -> Iterator[str]:
    return (scalar.value for scalar in _scalars(node) if isinstance(scalar.value, str))


def _texts(node: Node | None) -> Iterator[str]:
    return _all_texts(node) if node is not None else iter(())
