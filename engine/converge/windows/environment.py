"""Paths that hold %VARIABLES%, made real with what a host tells of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from converge.errors import ResourceError
from converge.model.answer import Answers
from converge.model.facts import OperatingSystemFacts
from converge.model.names import fold
from converge.model.query import AnyQuery, OperatingSystem, RegistryValue
from converge.model.registry import Hive, RegistryPath
from converge.windows import paths

_CURRENT_VERSION: Final = RegistryPath(Hive.LOCAL_MACHINE, r"SOFTWARE\Microsoft\Windows\CurrentVersion")
_ENVIRONMENT: Final = RegistryPath(Hive.LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Control\Session Manager\Environment")
_OF_THE_SYSTEM: Final = frozenset(map(fold, ("SystemRoot", "windir", "SystemDrive")))
_FOLDERS: Final = {
    fold("ProgramFiles"): "ProgramFilesDir",
    fold("ProgramFiles(x86)"): "ProgramFilesDir (x86)",
    fold("ProgramW6432"): "ProgramFilesDir",
    fold("CommonProgramFiles"): "CommonFilesDir",
    fold("CommonProgramFiles(x86)"): "CommonFilesDir (x86)",
    fold("CommonProgramW6432"): "CommonFilesDir",
}
"""Where Windows keeps what these variables become at a login (KB 933700 names the value ProgramFilesDir)."""


def variables(facts: OperatingSystemFacts) -> dict[str, str]:
    """The host's machine variables. SystemRoot, windir and SystemDrive follow from its system folder where it tells no others."""
    root = facts.system_root
    return {"SystemRoot": root, "windir": root, "SystemDrive": paths.drive(root), **facts.environment}


def questions(*texts: str | None) -> list[AnyQuery]:
    """What must be asked before these paths can be resolved: nothing, unless one holds a variable."""
    named = dict.fromkeys(name for text in texts if text for name in paths.variables_in(text))
    asked = [question for name in named if (question := _question(name)) is not None]
    return [OperatingSystem(), *asked] if named else []


def _question(name: str) -> RegistryValue | None:
    """Where a variable lies in the registry; None for those that follow from the system folder."""
    folded = fold(name)
    if folded in _OF_THE_SYSTEM:
        return None
    return (
        RegistryValue(_CURRENT_VERSION, _FOLDERS[folded]) if folded in _FOLDERS else RegistryValue(_ENVIRONMENT, name)
    )


def _told(text: str, answers: Answers) -> dict[str, str]:
    """The variables of this text that the host told, those from the registry too as far as it answered."""
    told = _of_the_system(text, answers)
    for name in paths.variables_in(text):
        question = _question(name)
        data = answers.known(question) if question is not None else None
        if data is not None and data.text is not None:
            told.setdefault(name, paths.expand(data.text, _of_the_system(data.text, answers) | told))
    return told


def _of_the_system(text: str, answers: Answers) -> dict[str, str]:
    return answers.known_part(OperatingSystem(), _those(tuple(paths.variables_in(text)))) or {}


@lru_cache(maxsize=1024)
def _those(names: tuple[str, ...]) -> Callable[[OperatingSystemFacts], dict[str, str]]:
    """What makes of a host's facts the variables of these names: all else, such as the computer's name, is each host's own."""

    def those(facts: OperatingSystemFacts) -> dict[str, str]:
        told = variables(facts)
        if any(name not in told for name in names):
            told = {fold(name): value for name, value in told.items()}
            return {name: told[fold(name)] for name in names if fold(name) in told}
        return {name: told[name] for name in names}

    return those


def known(answers: Answers) -> Mapping[str, str] | None:
    """The variables, if the host has told them. For choosing further queries only."""
    return answers.known_part(OperatingSystem(), variables)


def expanded(text: str, answers: Answers) -> str:
    """A text with the host's variables in place. Asks nothing of the host where none occurs. Raises Undecided, Unpredictable."""
    if paths.is_expanded(text):
        return text
    answers.part(OperatingSystem(), _those(tuple(paths.variables_in(text))))
    for name in paths.variables_in(text):
        question = _question(name)
        if question is not None and question in answers:
            answers.value(question)  # what was refused or cannot be predicted ends here
    return paths.expand(text, _told(text, answers))


def resolve(path: str, answers: Answers) -> str:
    """A full path on the host. Raises Undecided, Unpredictable, and ResourceError where it is none."""
    text = expanded(path, answers)
    if not paths.is_expanded(text):
        raise ResourceError(f"{path} holds a variable that this host does not report", try_="write the path out")
    try:
        return paths.check(text)
    except ValueError as error:
        raise ResourceError(str(error)) from error


def resolve_known(path: str, answers: Answers) -> str | None:
    """The full path as far as it can be told already, else None. For choosing further queries only."""
    text = path
    if not paths.is_expanded(path):
        text = paths.expand(path, _told(path, answers))
    try:
        return paths.check(text) if paths.is_expanded(text) else None
    except ValueError:
        return None
