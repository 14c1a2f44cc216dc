"""Registry keys as a playbook names them, found where a host keeps them: in its 32-bit or its 64-bit view."""

from __future__ import annotations

from converge.model.answer import Answers
from converge.model.facts import OperatingSystemFacts
from converge.model.query import AnyQuery, OperatingSystem
from converge.model.registry import RegistryPath
from converge.windows.registry import in_view, parse_path


def questions(view: int | None) -> list[AnyQuery]:
    """What must be asked before a key can be located: nothing, unless the 32-bit view is meant."""
    return [OperatingSystem()] if view == 32 else []


def locate(key: str, view: int | None, answers: Answers) -> RegistryPath:
    """Where the key lies on this host. Raises Undecided, Unpredictable, and ValueError for a text that is no key."""
    path = parse_path(key)
    if view != 32:
        return path
    return in_view(path, view=view, is_64_bit=bool(answers.part(OperatingSystem(), _is_64_bit)))


def locate_known(key: str, view: int | None, answers: Answers) -> RegistryPath | None:
    """Where the key lies, if that can be told already. For choosing further queries only."""
    if view == 32 and answers.known_part(OperatingSystem(), _is_64_bit) is None:
        return None
    return locate(key, view, answers)


def _is_64_bit(facts: OperatingSystemFacts) -> bool:
    return facts.is_64_bit
