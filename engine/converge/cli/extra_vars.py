"""`-e`: `name=value` words, `@FILE` of YAML or JSON, or a YAML mapping written out."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from converge.errors import InputErrors, InputProblem, UsageError
from converge.model.opening import read_bounded, require_own
from converge.model.unfolding import unfolds_too_far

LARGEST_FILE = 16 * 1024 * 1024  # bytes


def read_extra_vars(words: Sequence[str]) -> dict[str, object]:
    """The variables, later ones winning. As in Ansible, values of `name=value` are texts. Raises InputErrors, UsageError."""
    variables: dict[str, object] = {}
    for word in words:
        text = word.strip()
        if text.startswith("@"):
            variables |= _from_file(Path(text[1:]))
        elif text.startswith(("{", "[")) or _has_yaml_colon(text):
            variables |= _mapping(text, name="--extra-vars")
        else:
            variables |= _pairs(text)
    return variables


def _has_yaml_colon(text: str) -> bool:
    name, colon, _ = text.partition(": ")
    return bool(colon) and "=" not in name


def _from_file(path: Path) -> dict[str, object]:
    try:
        data = read_bounded(path, most=LARGEST_FILE)
        require_own(path)
    except OSError as error:
        raise UsageError(f"--extra-vars @{path} cannot be read: {error.strerror or error}") from error
    if len(data) > LARGEST_FILE:
        raise UsageError(f"--extra-vars @{path} is larger than {LARGEST_FILE:,} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"--extra-vars @{path} is not UTF-8") from error
    return _mapping(text, name=str(path))


def _mapping(text: str, *, name: str) -> dict[str, object]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        if "*" in text and unfolds_too_far(YAML(typ="safe", pure=True).compose(text)):
            raise InputErrors([InputProblem(name, 0, 0, "it stands for too many values once its aliases are followed")])
        loaded = YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise InputErrors([InputProblem(name, line, column, str(error.problem), "YAML")]) from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise InputErrors([InputProblem(name, 0, 0, str(error), "YAML")]) from error
    if loaded is None:
        return {}
    if not isinstance(loaded, dict) or not all(isinstance(key, str) for key in loaded):
        raise InputErrors([InputProblem(name, 0, 0, "this is no mapping", "names with values")])
    return loaded


def _pairs(text: str) -> dict[str, object]:
    try:
        words = shlex.split(text, posix=True) if "\\" not in text else _split_keeping_backslashes(text)
    except ValueError as error:
        raise UsageError(f"--extra-vars {text}: {error}") from error
    variables: dict[str, object] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(
                f"--extra-vars {word}: this is no variable", try_="write name=value, @FILE, or {name: value}"
            )
        variables[name] = value
    return variables


def _split_keeping_backslashes(text: str) -> list[str]:
    """Words of a text with Windows paths in it: quotes group, a backslash is a backslash."""
    splitter = shlex.shlex(text, posix=True, punctuation_chars=False)
    splitter.whitespace_split = True
    splitter.commenters = ""
    splitter.escape = ""
    return list(splitter)
