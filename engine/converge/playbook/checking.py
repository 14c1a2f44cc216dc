"""Checks values against the models of forms, kinds and conditions, and tells every error at its place in the file."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from converge.errors import InputProblem
from converge.model.position import Position
from converge.playbook.ansible import parameter_hint, value_hint
from converge.playbook.templates import BARE, holds_expression
from converge.reading.problems import problem
from converge.reading.spelling import did_you_mean, shown
from converge.reading.tree import Listing, Node, Scalar, Table, kind_of, plain

_QUOTED = re.compile(r"'([^']*)'")
_EXPECTED = {
    "string": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "dict": "a mapping",
    "model": "a mapping",
    "mapping": "a mapping",
    "date": "a day, YYYY-MM-DD",
    "none": "nothing",
}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an error belongs: the way to its node, the node, the key it stands under, and what is left of its location."""

    way: tuple[int | str, ...]
    node: Node
    key: str
    position: Position
    rest: tuple[int | str, ...]

    @property
    def what(self) -> str:
        """The value in words; empty for the whole."""
        return f"an item of {self.key}" if self.way and isinstance(self.way[-1], int) else self.key


def problems_of(
    error: ValidationError,
    node: Node,
    *,
    models: Sequence[type[BaseModel]],
    kind: str = "",
    static: bool = False,
    quiet: bool = False,
    skipping: Collection[str] = (),
    foreign: bool = False,
) -> list[InputProblem]:
    """The errors of a model in words, each at its place in the node that was checked.

    `static`: the node's expressions are not worked out yet, so only what does not depend on them counts. `quiet`: no
    value is quoted. `skipping`: keys of the node that are checked elsewhere. `foreign`: a key known from Ansible was told.
    Beside such a key nothing is told to be missing: it mostly stands for just that.
    """
    found: dict[tuple[Position, int | str], list[InputProblem]] = {}
    located = [
        (details, _locate(node, details["loc"]))
        for details in error.errors(include_url=False)
        if not (details["loc"] and details["loc"][0] in skipping)
    ]
    ways_in = {place.way[:length] for details, place in located for length in range(_depth(details, place))}
    foreign = foreign or any(
        details["type"] == "extra_forbidden" and parameter_hint(kind, place.key) for details, place in located
    )
    for details, place in located:
        if foreign and details["type"] == "missing":
            continue
        # Where one branch of a union got further in, the others' complaint that it is no such thing means nothing;
        # nor does the complaint of a list that it lacks the items that were wrong.
        if place.way in ways_in and details["type"].endswith(("_type", "too_short")):
            continue
        if static and not _counts_before_rendering(details, place):
            continue
        item = _in_words(details, place, models=models, kind=kind, quiet=quiet)
        name = details["loc"][-1] if details["type"] == "missing" else place.key
        found.setdefault((place.position, name), []).append(item)
    return [_merged(items) for items in found.values()]


def _depth(details: ErrorDetails, place: _Place) -> int:
    """How far into the node an error leads: a key that is missing lies one step further in."""
    return len(place.way) + (details["type"] == "missing")


def _locate(node: Node, location: Iterable[int | str]) -> _Place:
    """Follow a location as far as it leads. What names no key or item (the branch of a union) is passed over."""
    key, position = "", node.position
    way: list[int | str] = []
    rest: list[int | str] = []
    for step in location:
        if isinstance(node, Table) and str(step) in node.items:
            key, position = str(step), node.place(str(step))
            node = node.items[key]
            way.append(key)
            rest.clear()
        elif isinstance(node, Listing) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
            position = node.position
            way.append(step)
            rest.clear()
        else:
            rest.append(step)
    return _Place(tuple(way), node, key, position, tuple(rest))


def _counts_before_rendering(details: ErrorDetails, place: _Place) -> bool:
    if details["type"] == "extra_forbidden":
        return not place.rest
    if details["type"] == "missing":
        return isinstance(place.node, Table) and bool(place.rest)
    return place.key != BARE and not holds_expression(place.node)


def _in_words(
    details: ErrorDetails, place: _Place, *, models: Sequence[type[BaseModel]], kind: str, quiet: bool
) -> InputProblem:
    category = details["type"]
    if category == "extra_forbidden":
        known = fields_at(models, details["loc"][:-1])
        hint = parameter_hint(kind, place.key) or did_you_mean(place.key, known)
        return problem(place.position, f"unknown key {place.key}", expected=_one_of(known), hint=hint)
    if category == "missing":
        where = f" in {place.key or kind}" if place.key or kind else ""
        message = f"{details['loc'][-1]} is missing{where}"
        return problem(place.position, message, expected=_description(models, details["loc"]))
    if category == "condition":
        word = next(iter(place.node.items), "") if isinstance(place.node, Table) else ""
        return problem(place.position, str(details["msg"]), hint=did_you_mean(word, fields_at(models, details["loc"])))
    position = place.node.position if isinstance(place.node, Scalar) else place.position
    message, expected, hint = _value_in_words(details, place, what=place.what or kind or "this", quiet=quiet)
    if category == "string_pattern_mismatch":
        expected = _description(models, details["loc"])
    return problem(position, message, expected=expected, hint=hint)


def _value_in_words(details: ErrorDetails, place: _Place, *, what: str, quiet: bool) -> tuple[str, str, str]:
    """Message, what was expected, and a hint, for a value that is not as it should be."""
    category = details["type"]
    value = details["input"] if holds_expression(place.node) else plain(place.node)
    simple = not quiet and isinstance(value, str | int | float | None)
    given = f", not {shown(value)}" if simple else ""
    if category in ("literal_error", "enum"):
        expected = str(details.get("ctx", {}).get("expected", ""))
        word = value if simple and isinstance(value, str) else ""
        hint = value_hint(word) or did_you_mean(word, _QUOTED.findall(expected))
        return f"{what} cannot be {shown(value)}" if simple else f"{what} is none of its values", expected, hint
    if category in ("value_error", "assertion_error"):
        text = str(details["msg"]).partition(", ")[2] or str(details["msg"])
        return (f"{what} cannot be used" if quiet else f"{what}: {text}"), "", ""
    expected = _EXPECTED.get(category.partition("_")[0], "")
    if expected and category.endswith(("_type", "_parsing", "_from_float")):
        quotes = expected == "a text" and isinstance(place.node, Scalar) and not isinstance(value, str | None)
        found = shown(value) if simple else kind_of(place.node)
        return f"{what} takes {expected}, not {found}", expected, "put it in quotes" if quotes else ""
    if category == "string_pattern_mismatch":
        return f"{what} has a character or a form that it cannot have{given}", "", ""
    text = str(details["msg"])
    return f"{what}: {text[:1].lower()}{text[1:]}{given}", "", ""


def _merged(items: list[InputProblem]) -> InputProblem:
    """One problem of those that a union's branches gave for one value."""
    first = items[0]
    expected = list(dict.fromkeys(item.expected for item in items if item.expected))
    if len(items) == 1 or len(expected) < 2:
        return next((item for item in items if not item.expected), first)
    choice = " or ".join(expected)
    message = first.message.replace(first.expected, choice, 1)
    hint = next((item.hint for item in items if item.hint), "")
    return InputProblem(first.file, first.line, first.column, message, choice, hint)


def _one_of(names: Collection[str]) -> str:
    return "one of " + ", ".join(names) if 0 < len(names) <= 30 else ""


def fields_at(models: Sequence[type[BaseModel]], location: Iterable[int | str]) -> tuple[str, ...]:
    """The keys that may stand in the mapping at a location, as they are written."""
    return tuple(dict.fromkeys(name for model in _models_at(models, location) for name in _fields(model)))


def _description(models: Sequence[type[BaseModel]], location: Sequence[int | str]) -> str:
    *before, last = location
    for model in _models_at(models, before):
        if last in _fields(model):
            return model.model_fields[_fields(model)[str(last)]].description or ""
    return ""


def _models_at(models: Sequence[type[BaseModel]], location: Iterable[int | str]) -> Sequence[type[BaseModel]]:
    current = models
    for step in location:
        inner = [
            found
            for model in current
            if step in _fields(model)
            for found in _models_in(model.model_fields[_fields(model)[str(step)]].annotation)
        ]
        current = inner or current
    return current


@lru_cache(maxsize=512)
def _fields(model: type[BaseModel]) -> Mapping[str, str]:
    """The fields of a model: as they are written, and their names in Python."""
    return {field.alias or name: name for name, field in model.model_fields.items()}


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """Every model that occurs in a type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in get_args(annotation) for found in _models_in(argument)]
