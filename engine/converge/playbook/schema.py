"""The JSON Schema of playbooks, for editors: made of the forms and the kinds themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from converge.model.resource import ProcedureResource, Resource
from converge.playbook.conditions import CONDITION_MODELS
from converge.playbook.discovery import CANDIDATES
from converge.playbook.forms import EntryForm, HandlerForm, PlayForm, StepForm

VERSION = 1
_TEMPLATE = {"type": "string", "pattern": r"\{\{"}
_LITERAL = frozenset({"string"})


def playbook_schema(kinds: Mapping[str, type[Resource]]) -> dict[str, Any]:
    """The schema of a playbook file (draft 2020-12). Wherever a value stands, an expression may stand too."""
    forms: list[type[BaseModel]] = [PlayForm, EntryForm, HandlerForm, StepForm]
    models = [*forms, *kinds.values(), *CONDITION_MODELS, *CANDIDATES.values()]
    names, whole = models_json_schema([(model, "validation") for model in dict.fromkeys(models)], by_alias=True)
    of: dict[Any, str] = {model: reference["$ref"].rpartition("/")[2] for (model, _), reference in names.items()}
    definitions: dict[str, Any] = whole["$defs"]
    for name, definition in definitions.items():
        if name not in {of[form] for form in forms}:
            _allow_expressions(definition)
    for condition in CONDITION_MODELS:
        if set(condition.model_fields) == {"expr"}:
            definitions[of[condition]]["properties"]["expr"]["type"] = ["string", "boolean"]
            definitions[of[condition]]["properties"]["expr"].pop("anyOf", None)
    resources = [name for name, kind in kinds.items() if not kind.handler_only]
    handlers = [name for name, kind in kinds.items() if kind.handler_only or name == "command"]
    steps = [name for name in resources if not issubclass(kinds[name], ProcedureResource)]
    for model, allowed in ((EntryForm, resources), (HandlerForm, handlers), (StepForm, steps)):
        _add_kinds(definitions[of[model]], {name: of[kinds[name]] for name in allowed})
    for kind in kinds.values():
        if issubclass(kind, ProcedureResource):
            definitions[of[kind]]["properties"]["steps"] = {
                "type": "array", "minItems": 1, "items": _reference(of[StepForm]), "description": "Entries in order.",
            }  # fmt: skip
    _fill_play(definitions[of[PlayForm]], definitions, of)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:converge:schema:playbook:{VERSION}",
        "title": "converge playbook",
        "type": "array",
        "minItems": 1,
        "items": _reference(of[PlayForm]),
        "$defs": definitions,
    }


def _fill_play(play: dict[str, Any], definitions: dict[str, Any], of: Mapping[type[BaseModel], str]) -> None:
    """Put what the forms leave open in its place: entries, candidates, conditions."""
    fields = play["properties"]
    fields["resources"]["items"] = _reference(of[EntryForm])
    fields["handlers"]["items"] = _reference(of[HandlerForm])
    candidate = _any_of(of[model] for model in CANDIDATES.values())
    (of_names,) = fields["discover"].pop("patternProperties")
    candidates = {"anyOf": [candidate, {"type": "array", "minItems": 1, "items": candidate}]}
    fields["discover"] |= {"patternProperties": {of_names: candidates}, "additionalProperties": False}
    fields["vars"]["additionalProperties"] = False
    condition = _any_of(of[model] for model in CONDITION_MODELS)
    definitions["ApplicabilityForm"]["properties"]["that"] = {
        **condition,
        "description": definitions["ApplicabilityForm"]["properties"]["that"]["description"],
    }
    needed = definitions["HandlerForm"]["properties"]["needed_when"]
    definitions["HandlerForm"]["properties"]["needed_when"] = {**condition, "description": needed["description"]}


def _add_kinds(form: dict[str, Any], kinds: Mapping[str, str]) -> None:
    """An entry: what may stand beside a kind, and exactly one kind."""
    form["properties"] |= {name: _reference(definition) for name, definition in sorted(kinds.items())}
    form["oneOf"] = [{"required": [name]} for name in sorted(kinds)]


def _any_of(definitions: Iterable[str]) -> dict[str, Any]:
    return {"anyOf": [_reference(name) for name in definitions]}


def _reference(definition: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{definition}"}


def _allow_expressions(definition: dict[str, Any]) -> None:
    """Let every property of a mapping, and every item of a list in it, be an expression as well."""
    properties = definition.get("properties", {})
    for name, schema in properties.items():
        properties[name] = _or_expression(schema)


def _or_expression(schema: dict[str, Any]) -> dict[str, Any]:
    if set(schema) <= {"type", "title", "description", "default"} and schema.get("type") in _LITERAL:
        return schema
    kept: dict[str, Any] = {key: schema[key] for key in ("title", "description", "default") if key in schema}
    inner = {key: value for key, value in schema.items() if key not in kept}
    if isinstance(inner.get("items"), dict):
        inner["items"] = _or_expression(inner["items"])
    if "anyOf" in inner:
        choices = [_or_expression(choice) if "items" in choice else choice for choice in inner.pop("anyOf")]
        return {**kept, **inner, "anyOf": [*choices, _TEMPLATE]}
    return {**kept, "anyOf": [inner, _TEMPLATE]}
