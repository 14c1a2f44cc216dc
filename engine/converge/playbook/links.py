"""Names by which entries of a play refer to each other: `notify` to handlers, `requires` to earlier entries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from converge.model.position import Position
from converge.reading.problems import Problems
from converge.reading.spelling import did_you_mean
from converge.reading.tree import Listing, Node, Scalar, Table


def check_links(play: Table, problems: Problems) -> None:
    """Note every name that leads nowhere, or to two. Names are taken as they are written, of broken entries too."""
    handlers: dict[str, Position] = {}
    for handler in _entries(play.items.get("handlers")):
        for name, position in _texts(handler.items.get("name")):
            if name in handlers:
                hint = f"the other is in line {handlers[name].line}"
                problems.error(position, f"two handlers are called {name}", hint=hint)
            handlers[name] = position
    entries = list(_entries(play.items.get("resources")))
    all_names = {name for entry in entries for name, _ in _texts(entry.items.get("name"))}
    earlier: dict[str, int] = {}
    for entry in entries:
        if problems.full:
            break
        for name, position in _texts(entry.items.get("notify")):
            if name not in handlers:
                hint = did_you_mean(name, handlers) or "declare it under handlers"
                problems.error(position, f"no handler is called {name}", hint=hint)
        for name, position in _texts(entry.items.get("requires")):
            _check_requires(name, position, earlier, later=all_names, problems=problems)
        for name, _ in _texts(entry.items.get("name")):
            earlier[name] = earlier.get(name, 0) + 1


def _check_requires(
    name: str, position: Position, earlier: Mapping[str, int], *, later: set[str], problems: Problems
) -> None:
    if name not in earlier:
        hint = "it does not stand before: move it up" if name in later else did_you_mean(name, earlier)
        problems.error(position, f"no earlier entry is called {name}", hint=hint)
    elif earlier[name] > 1:
        problems.error(position, f"two earlier entries are called {name}", hint="give them different names")


def _entries(node: Node | None) -> Iterator[Table]:
    if isinstance(node, Listing):
        yield from (item for item in node.items if isinstance(item, Table))


def _texts(node: Node | None) -> Iterator[tuple[str, Position]]:
    """One text or those of a list, with their places."""
    for item in node.items if isinstance(node, Listing) else (node,):
        if isinstance(item, Scalar) and isinstance(item.value, str) and item.value:
            yield item.value, item.position
