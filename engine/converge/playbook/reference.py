"""The reference of playbooks in words, made of the same declarations as their checks and their schema: every kind and form."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from converge.model.resource import Resource
from converge.playbook.conditions import CONDITION_MODELS
from converge.playbook.forms import EntryForm, HandlerForm, PlayForm
from converge.windows import fields

_NAMED = {
    fields.KeyName: "key",
    fields.HostPath: "path",
    fields.ServiceName: "text",
    fields.Duration: "duration",
    fields.Version: "version",
}
"""Field types that have a name of their own in the reference."""
_PLAIN = {str: "text", int: "number", float: "number", bool: "true or false", object: "value", type(None): "nothing"}


def kind_reference(kind: type[Resource]) -> str:
    """One kind in Markdown: what it is, its fields, its way back, an example."""
    lines = [f"### `{kind.kind}`", "", _paragraph(kind), "", *_table(kind)]
    if kind.way_back_summary:
        lines += ["", f"Undo: {kind.way_back_summary}"]
    if kind.example:
        lines += ["", "```yaml", kind.example.strip("\n"), "```"]
    return "\n".join(lines)


def forms_reference() -> str:
    """What may stand in a play, beside the kind of an entry, and beside that of a handler, in Markdown."""
    titles: dict[type[BaseModel], str] = {PlayForm: "A play", EntryForm: "An entry", HandlerForm: "A handler"}
    parts = ["\n".join((f"### {title}", "", *_table(form))) for form, title in titles.items()]
    return "\n\n".join(parts)


def kinds_reference(kinds: Mapping[str, type[Resource]]) -> str:
    """Every kind in Markdown, those that stand under `handlers:` last."""
    ordered = sorted(kinds.values(), key=lambda kind: (kind.handler_only, kind.kind))
    return "\n\n".join(kind_reference(kind) for kind in ordered)


def conditions_reference() -> str:
    """Every condition with its properties, in Markdown."""
    return "\n\n".join(
        "\n".join((f"### `{_word(model)}`", "", _paragraph(model), "", *_rows(model))) for model in CONDITION_MODELS
    )


def _word(condition: type[BaseModel]) -> str:
    """The word that a condition begins with in a playbook."""
    name, field = next(iter(condition.model_fields.items()))
    return field.alias or name


def _rows(condition: type[BaseModel]) -> Iterator[str]:
    """The properties of what a condition is about, or the condition's own field where it is about no single thing."""
    about = next(iter(condition.model_fields.values())).annotation
    yield from _table(about if isinstance(about, type) and issubclass(about, BaseModel) else condition)


def _paragraph(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split())


def _table(model: type[BaseModel]) -> Iterator[str]:
    yield "| field | value | default | meaning |"
    yield "|---|---|---|---|"
    for name, field in model.model_fields.items():
        cells = (f"`{field.alias or name}`", _type_of(field), _default_of(field), field.description or "")
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type_of(field: FieldInfo) -> str:
    annotation: Any = field.annotation
    if field.metadata:
        annotation = Annotated[(annotation, *field.metadata)]
    return " or ".join(dict.fromkeys(_types(annotation)))


def _types(annotation: Any) -> Iterator[str]:
    """The words for an annotation; `None` among the choices only says that the field may be left out."""
    for alias, name in _NAMED.items():
        if annotation == alias:
            yield name
            return
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        same = next((name for alias, name in _NAMED.items() if get_args(alias)[1] in arguments[1:]), None)
        yield from (same,) if same else _types(arguments[0])
    elif origin in (Union, types.UnionType):
        for choice in arguments:
            if choice is not type(None):
                yield from _types(choice)
    elif origin is Literal:
        yield ", ".join(f"`{word}`" for word in arguments)
    elif origin in (tuple, list):
        choices = tuple(dict.fromkeys(_types(arguments[0])))
        yield f"list of {choices[0]}s" if len(choices) == 1 else f"list ({' or '.join(choices)})"
    elif origin is dict:
        yield "mapping"
    elif isinstance(annotation, type) and issubclass(annotation, StrEnum):
        yield ", ".join(f"`{word}`" for word in annotation)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield "condition" if annotation in CONDITION_MODELS else "mapping"
    else:
        yield _PLAIN.get(annotation, "value")


def _default_of(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True, validated_data={})
    if default is PydanticUndefined or default is None or default in ("", (), [], {}) or isinstance(default, BaseModel):
        return ""
    words = {True: "true", False: "false"}
    return f"`{words.get(default, default) if isinstance(default, bool) else _plain(default)}`"


def _plain(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return ", ".join(str(item) for item in value) if isinstance(value, tuple) else str(value)
