"""States and actions within a sentence, as a person would say them: what is so or not, and what has which value."""

from __future__ import annotations

from converge.model.change import Json
from converge.model.names import quoted

NOTHING = "nothing there"


def phrase(value: Json, *, most: int = 0) -> str:
    """A state, an action or a list of them; cut after `most` characters where that is given."""
    text = NOTHING if value is None else quoted(value) if isinstance(value, str) else _spoken(value)
    return text if not most or len(text) <= most else text[:most] + "..."


def _spoken(value: Json) -> str:
    if isinstance(value, dict):
        return ", ".join(_field(name.replace("_", " "), each) for name, each in value.items() if each is not None)
    if isinstance(value, list):
        return "; ".join(_spoken(each) for each in value) or "none"
    return str(value)


def _field(name: str, value: Json) -> str:
    if isinstance(value, bool):
        return name if value else f"not {name}"
    return f"{name} {_spoken(value)}"
