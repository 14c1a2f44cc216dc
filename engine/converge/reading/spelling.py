"""The nearest right spelling of a word that somebody mistyped."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from converge.model.names import quoted

MAX_CANDIDATES = 2000
"""Names among which the nearest spelling is looked for; among more it takes too long."""


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.72) -> str:
    """The known word that was probably meant, or an empty text. Case and hyphens do not count."""
    candidates = {name.lower().replace("-", "_"): name for name in known}
    if len(candidates) > MAX_CANDIDATES:
        return ""
    found = get_close_matches(word[:100].lower().replace("-", "_"), candidates, n=1, cutoff=cutoff)
    return candidates[found[0]] if found else ""


def did_you_mean(word: str, known: Iterable[str], *, cutoff: float = 0.72) -> str:
    """A hint with the nearest right spelling, or an empty text."""
    match = nearest(word, known, cutoff=cutoff)
    return f"did you mean {match}?" if match else ""


def shown(value: object) -> str:
    """A value as messages quote it, cut short."""
    text = quoted(value) if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
