"""How statuses are called where people read them: one set of words for the terminal, the pages and the report."""

from __future__ import annotations

from converge.model.recorded import LOOKING, UNDO_CHECK

ORDER = (
    "failed", "unknown", "unreachable", "undecided", "waiting", "held", "stale", "drift", "undone", "would-undo", "changed",
    "skipped", "ok",
)  # fmt: skip
"""Statuses, the one that needs attention most first. For those of `changed` that say something else see `shown_status`."""
_OF_UNDO = {"undo": "undone", UNDO_CHECK: "would-undo"}
_WORDS = {"drift": "would change", "would-undo": "would undo"}


COLUMNS = 80
"""What a line fits into where it can; nothing is cut."""


def title(name: str, address: str) -> str:
    """What a change is called: its entry's sentence first, its address second."""
    return f"{name}  ({address})" if name and name != address else address


def titled(before: str, name: str, address: str, *, after: str = "") -> tuple[str, ...]:
    """The head of a change as lines: the address has a line of its own where one line would be too long."""
    line = f"{before}{name or address}{after}"
    if not name or name == address:
        return (line,)
    whole = f"{line}  ({address})"
    if len(whole) <= COLUMNS:
        return (whole,)
    return (line, f"{' ' * (len(before) + 2)}({address})")


def shown_status(status: str, mode: str) -> str:
    """What `changed` means in a run of this mode: drift where it only looked, undone by an undo. Other statuses as they are."""
    if status != "changed":
        return status
    return _OF_UNDO.get(mode) or ("drift" if mode in LOOKING else status)


def stored_status(shown: str) -> str:
    """The status as a run tells it."""
    return "changed" if shown in ("drift", *_OF_UNDO.values()) else shown


def word(shown: str) -> str:
    """A status as people read it."""
    return _WORDS.get(shown, shown)
