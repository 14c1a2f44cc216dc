"""Warnings about what is hardly meant, and the schema that editors use."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import yaml

from converge.errors import InputErrors
from converge.model.resource import KINDS
from converge.playbook import lint, playbook_schema

Texts = Callable[[str], str]
SHIPPED = sorted((Path(__file__).parents[2] / "playbooks").glob("*.yml"))
VALIDATOR = jsonschema.Draft202012Validator(playbook_schema(KINDS))


@pytest.mark.parametrize(
    ("body", "line", "words"),
    [
        ("resources:\n- {name: a, command: {name: x, argv: [setup.exe]}}", 4, "no guard"),
        (
            "resources:\n- name: a\n  procedure: {name: x, done_when: {expr: true}, steps: [\n"
            "    {name: s, command: {name: x, argv: [setup.exe]}}]}",
            6,
            "no guard",
        ),
        (
            "resources:\n- {name: a, registry_value: {key: 'HKLM\\SOFTWARE\\Wow6432Node\\x', name: v, type: dword, data: 1}}",
            4,
            "Wow6432Node",
        ),
        ("resources:\n- {name: a, file: {path: 'C:\\WINNT\\x'}}", 4, "%SystemRoot%"),
        ("resources:\n- {service: {name: x, running: true}}", 4, "no name"),
        ("handlers: [{name: h, restart_service: {name: x}}]\nresources: []", 3, "nothing notifies the handler h"),
        ("vars: {unused: 1}\nresources: []", 3, "nothing uses the variable unused"),
    ],
)
def test_lint_warns_with_the_place(tmp_path: Path, play_text: Texts, body: str, line: int, words: str) -> None:
    path = tmp_path / "p.yml"
    path.write_text(play_text(body))
    (warning,) = lint([path], kinds=KINDS)
    assert warning.line == line
    assert words in str(warning)


def test_lint_is_silent_about_what_is_well_written(tmp_path: Path, play_text: Texts) -> None:
    path = tmp_path / "p.yml"
    path.write_text(
        play_text(
            r"""
            vars: {a: x}
            handlers: [{name: h, command: {name: c, argv: [x.exe], creates: 'C:\{{ a }}'}}]
            resources:
              - name: n
                command: {name: d, argv: [x.exe], unless: {service: {name: s, running: true}}}
                notify: h
            """
        )
    )
    assert lint([path], kinds=KINDS) == ()


def test_lint_raises_what_a_run_would(tmp_path: Path) -> None:
    path = tmp_path / "p.yml"
    path.write_text("- {nme: x}")
    with pytest.raises(InputErrors):
        lint([path], kinds=KINDS)


def test_the_schema_is_one_and_has_a_version() -> None:
    schema = playbook_schema(KINDS)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert str(schema["$id"]).endswith(":1")
    assert json.loads(json.dumps(schema)) == schema


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_playbooks_are_valid_by_the_schema(path: Path) -> None:
    data = yaml.safe_load(path.read_text())
    assert [error.json_path for error in VALIDATOR.iter_errors(data)] == []


@pytest.mark.parametrize(
    ("change", "valid"),
    [
        ({}, True),
        ({"resources": [{"service": {"name": "x", "running": "{{ y }}"}, "when": True, "loop": "{{ z }}"}]}, True),
        ({"resources": [{"service": {"name": "x", "running": "perhaps"}}]}, False),
        ({"resources": [{"service": {"name": "x", "runing": True}}]}, False),
        ({"resources": [{"servce": {"name": "x"}}]}, False),
        ({"resources": [{"restart_service": {"name": "x"}}]}, False),
        ({"resources": [{"service": {"name": "x"}, "file": {"path": "C:\\x"}}]}, False),
        ({"handlers": [{"name": "h", "restart_service": {"name": "x"}}]}, True),
        ({"handlers": [{"restart_service": {"name": "x"}}]}, False),
        ({"discover": {"x": {"directory": "C:\\x"}}}, True),
        ({"discover": {"x": {"directry": "C:\\x"}}}, False),
        ({"applies_when": {"that": {"not": {"expr": "a == b"}}, "else": "no"}}, True),
        ({"applies_when": {"that": {"nott": {"expr": "a == b"}}, "else": "no"}}, False),
        ({"tasks": []}, False),
        ({"order": "x"}, False),
    ],
)
def test_the_schema_tells_right_from_wrong(change: dict[str, object], valid: bool) -> None:
    play = {"name": "p", "hosts": "all", "resources": [], **change}
    assert VALIDATOR.is_valid([play]) is valid


def test_every_field_of_every_kind_is_described() -> None:
    definitions = playbook_schema(KINDS)["$defs"]
    for name, definition in definitions.items():
        for field, schema in definition.get("properties", {}).items():
            assert "description" in schema or "$ref" in str(schema), f"{name}.{field}"
