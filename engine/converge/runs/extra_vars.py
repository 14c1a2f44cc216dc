"""`-e`: `name=value` words, `@FILE` of YAML or JSON, or a YAML mapping written out."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from converge.errors import UsageError
from converge.reading.files import decoded, read_bytes
from converge.reading.problems import Problems, failure
from converge.reading.tree import Scalar, Table, plain
from converge.reading.yaml import read_yaml

LARGEST_FILE = 16 * 1024 * 1024  # bytes


def read_extra_vars(words: Sequence[str]) -> dict[str, object]:
    """The variables, later ones winning. As in Ansible, values of `name=value` are texts. Raises InputErrors, UsageError."""
    variables: dict[str, object] = {}
    for word in words:
        text = word.strip()
        if text.startswith("@"):
            variables |= _from_file(text[1:])
        elif text.startswith(("{", "[")) or _has_yaml_colon(text):
            variables |= _mapping(text, name="--extra-vars", problems=Problems())
        else:
            variables |= _pairs(text)
    return variables


def _has_yaml_colon(text: str) -> bool:
    name, colon, _ = text.partition(": ")
    return bool(colon) and "=" not in name


def _from_file(path: str) -> dict[str, object]:
    problems = Problems()
    data = read_bytes(path, limit=LARGEST_FILE, problems=problems)
    text = decoded(data, file=path, problems=problems) if data is not None else None
    return _mapping(text or "", name=path, problems=problems)


def _mapping(text: str, *, name: str, problems: Problems) -> dict[str, object]:
    root = read_yaml(text, file=name, problems=problems)
    problems.raise_if_any()
    assert root is not None  # else a problem was noted
    if isinstance(root, Scalar) and root.value is None:
        return {}
    if not isinstance(root, Table) or root.typed:
        raise failure(root.position, "this is not a mapping", expected="names with values")
    return {key: plain(node) for key, node in root.items.items()}


def _pairs(text: str) -> dict[str, object]:
    try:
        words = shlex.split(text, posix=True) if "\\" not in text else _split_keeping_backslashes(text)
    except ValueError as error:
        # Only names are told: a value may be a secret, and what is told ends in logs.
        raise UsageError(f"--extra-vars {_name_of(text)}: {str(error).lower()}", try_="close every quote") from None
    variables: dict[str, object] = {}
    for number, word in enumerate(words, start=1):
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(
                f"word {number} of --extra-vars{' ' + _name_of(word) if equals else ''} is not a variable",
                try_="write name=value, with quotes around a value that holds blanks, @FILE, or {name: value}",
            )
        variables[name] = value
    return variables


def _name_of(word: str) -> str:
    return f"{word.partition('=')[0][:60]}=..."


def _split_keeping_backslashes(text: str) -> list[str]:
    """Words of a text with Windows paths in it: quotes group, a backslash is a backslash."""
    splitter = shlex.shlex(text, posix=True, punctuation_chars=False)
    splitter.whitespace_split = True
    splitter.commenters = ""
    splitter.escape = ""
    return list(splitter)
