"""The reference of playbooks: complete, and its examples are right."""

from __future__ import annotations

import textwrap

import pytest
from tests.playbook.reference_page import PAGE, with_reference

from converge.playbook.forms import PlayForm
from converge.playbook.loading import load_texts
from converge.playbook.reference import conditions_reference, forms_reference, kind_reference
from converge.runs.playbooks import known_kinds

KINDS = known_kinds()


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_field_of_a_kind_has_a_meaning(name: str) -> None:
    kind = KINDS[name]
    text = kind_reference(kind)
    for field_name, field in kind.model_fields.items():
        assert field.description
        assert f"| `{field.alias or field_name}` |" in text
    assert f"Undo: {kind.way_back_summary}" in text
    assert kind.way_back_summary.endswith(".")


@pytest.mark.parametrize("name", sorted(KINDS))
def test_the_example_of_a_kind_can_be_loaded(name: str) -> None:
    kind = KINDS[name]
    place = "handlers" if kind.handler_only else "resources"
    other = "" if place == "resources" else "  resources: [{service: {name: W3SVC, running: true}, notify: [x]}]\n"
    entries = textwrap.indent(kind.example.strip("\n"), "    ")
    text = f"- name: An example\n  hosts: all\n{other}  {place}:\n{entries}\n"
    notified = kind.example.partition("name: ")[2].partition("\n")[0]
    (play,) = load_texts(
        [("example.yml", text.replace("[x]", f"['{notified}']").encode())], kinds=KINDS, known_variables=()
    )
    entry = (play.handlers if kind.handler_only else play.entries)[0]
    assert entry.kind == name


def test_conditions_and_plays_are_described_by_their_own_words() -> None:
    conditions = conditions_reference()
    for word in ("service", "registry_value", "file", "component", "events", "cim", "expr", "all", "any", "not"):
        assert f"### `{word}`" in conditions
    forms = forms_reference()
    for name in PlayForm.model_fields:
        assert f"| `{name}` |" in forms
    assert "| `settle` | duration | `5` |" in kind_reference(KINDS["service"])
    assert "condition" in kind_reference(KINDS["requirement"])


def test_the_page_of_playbooks_holds_the_reference_as_it_is_now() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_reference(page), "run `python -m tests.playbook.reference_page`"
