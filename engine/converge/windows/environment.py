"""Paths that hold %VARIABLES%, made real with what a host tells of itself."""

from __future__ import annotations

from collections.abc import Mapping

from converge.errors import ResourceError
from converge.model.answer import Answers
from converge.model.facts import OperatingSystemFacts
from converge.model.query import AnyQuery, OperatingSystem
from converge.windows import paths


def variables(facts: OperatingSystemFacts) -> dict[str, str]:
    """The host's machine variables. SystemRoot, windir and SystemDrive follow from its system folder where it tells no others."""
    root = facts.system_root
    return {"SystemRoot": root, "windir": root, "SystemDrive": paths.drive(root), **facts.environment}


def questions(*texts: str | None) -> list[AnyQuery]:
    """What must be asked before these paths can be resolved: nothing, unless one holds a variable."""
    return [OperatingSystem()] if any(text and not paths.is_expanded(text) for text in texts) else []


def known(answers: Answers) -> Mapping[str, str] | None:
    """The variables, if the host has told them. For choosing further queries only."""
    facts = answers.known(OperatingSystem())
    return variables(facts) if facts else None


def expanded(text: str, answers: Answers) -> str:
    """A text with the host's variables in place. Asks nothing of the host where none occurs. Raises Undecided, Unforetold."""
    if paths.is_expanded(text):
        return text
    facts = answers.value(OperatingSystem())
    return paths.expand(text, variables(facts) if facts else {})


def resolve(path: str, answers: Answers) -> str:
    """A full path on the host. Raises Undecided, Unforetold, and ResourceError where it is none."""
    text = expanded(path, answers)
    if not paths.is_expanded(text):
        raise ResourceError(f"{path} holds a variable that this host does not tell", try_="write the path out")
    try:
        return paths.check(text)
    except ValueError as error:
        raise ResourceError(str(error)) from error


def resolve_known(path: str, answers: Answers) -> str | None:
    """The full path as far as it can be told already, else None. For choosing further queries only."""
    text = path
    if not paths.is_expanded(path):
        told = known(answers)
        if told is None:
            return None
        text = paths.expand(path, told)
    try:
        return paths.check(text) if paths.is_expanded(text) else None
    except ValueError:
        return None
