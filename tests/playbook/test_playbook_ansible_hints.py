"""Hints for Ansible's words name what there is, by the schema and the options, and name the best there is."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from converge.cli.run import command
from converge.cli.words import COMMANDS
from converge.playbook import ansible, playbook_schema
from converge.runs.playbooks import known_kinds

KINDS = known_kinds()
SCHEMA = playbook_schema(KINDS)
OPTIONS = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
HINTS = [
    (word, hint)
    for table in (ansible.PLAY_KEYWORDS, ansible.ENTRY_KEYWORDS, ansible.MODULES)
    for word, hint in table.items()
]

BEST = {
    "serial": ["batch"],
    "max_fail_percentage": ["max_failures"],
    "any_errors_fatal": ["max_failures"],
    "throttle": ["batch"],
    "no_log": ["sensitive"],
    "import_playbook": ["import_playbook", "order"],
    "import_tasks": ["import_resources", "resources"],
    "vars_files": ["vars_files", "group_vars"],
    "block": ["block", "requires"],
    "win_feature": ["windows_feature", "component"],
    "win_optional_feature": ["windows_feature", "component"],
    "win_environment": ["environment_variable", "registry_value"],
    "win_template": ["template", "content"],
    "win_lineinfile": ["line", "content"],
    "win_regedit": ["registry_value"],
    "win_service": ["service"],
}
"""For a word of Ansible's, what stands for it here: the first of these that the schema has is the one to name."""


def properties(node: object) -> Iterator[str]:
    """Every name of a property, anywhere in the schema."""
    if isinstance(node, dict):
        yield from node.get("properties", ())
        for child in node.values():
            yield from properties(child)
    elif isinstance(node, list):
        for child in node:
            yield from properties(child)


NAMES = set(properties(SCHEMA)) | set(KINDS)


@pytest.mark.parametrize(("word", "hint"), HINTS, ids=[word for word, _ in HINTS])
def test_what_a_hint_names_is_there(word: str, hint: str) -> None:
    for name in re.findall(r"`([a-z_]+)[:`]", hint):
        assert name in NAMES | {"item"}, f"{word}: there is no {name}"
    for option in re.findall(r"(?<![\w-])--[a-z-]+", hint):
        assert option in OPTIONS
    for kind in re.findall(r"\b(?:use|handler) ([a-z]+_[a-z_]+)", hint):
        assert kind in NAMES, f"{word}: there is no {kind}"
    for name in re.findall(r"converge ([a-z]+) HOST", hint):
        assert name in COMMANDS


@pytest.mark.parametrize("word", BEST)
def test_a_hint_names_the_best_there_is(word: str) -> None:
    hint = ansible.play_keyword_hint(word) or ansible.entry_keyword_hint(word)
    if word in NAMES:
        return  # it is a word of converge's own by now
    best = next((name for name in BEST[word] if name in NAMES), BEST[word][-1])
    assert re.search(rf"\b{best}\b", hint), f"{word}: {hint}"
