"""The JSON Schema of YAML inventories, for editors and for `converge schema inventory`."""

from __future__ import annotations

from converge.inventory.known import KNOWN, JsonSchema
from converge.inventory.yaml_source import SECTIONS

SCHEMA_VERSION = 1
"""Raised when an inventory that was valid would no longer be."""


def inventory_schema() -> JsonSchema:
    """The schema. Variables of the user's own are allowed everywhere; those of Ansible and converge are described."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:converge:schema:inventory:{SCHEMA_VERSION}",
        "title": "converge inventory",
        "description": "Hosts, groups and variables: an Ansible inventory in YAML.",
        "type": ["object", "null"],
        "additionalProperties": {"$ref": "#/$defs/group"},
        "$defs": {
            "group": {
                "description": "A group: its hosts, its variables, and the groups it consists of.",
                "type": ["object", "null"],
                "properties": {
                    "hosts": {
                        "description": "Hosts as keys; ranges like web[01:20] stand for many.",
                        "type": ["object", "string", "null"],
                        "additionalProperties": {"$ref": "#/$defs/variables"},
                    },
                    "vars": {"$ref": "#/$defs/variables"},
                    "children": {
                        "description": "Groups whose hosts belong to this group too.",
                        "type": ["object", "string", "null"],
                        "additionalProperties": {"$ref": "#/$defs/group"},
                    },
                },
                "propertyNames": {"enum": list(SECTIONS)},
            },
            "variables": {
                "description": "Variables, stronger on a host than on a group, and on a group than on its parents.",
                "type": ["object", "null"],
                "properties": {name: _described(name) for name in sorted(KNOWN)},
            },
        },
    }


def _described(name: str) -> JsonSchema:
    """null means not set."""
    known = KNOWN[name]
    if not known.schema:
        return {"description": known.meaning}
    return {"description": known.meaning, "anyOf": [known.schema, {"type": "null"}]}
