"""How many values a YAML document stands for once its aliases are followed: a few lines may mean billions."""

from __future__ import annotations

from typing import Any, Final

MOST_VALUES: Final = 100_000
GROWTH: Final = 10
"""A document may stand for so many values, and so many times as many as it writes out."""


def unfolds_too_far(root: Any) -> bool:
    """Whether a composed document, in which an alias is its anchor's very node, stands for too much, or holds itself."""
    weights: dict[int, int] = {}
    _weigh(root, weights)
    return weights.get(id(root), 0) > MOST_VALUES + GROWTH * len(weights)


def _weigh(node: Any, weights: dict[int, int]) -> int:
    if (known := weights.get(id(node))) is not None:
        return known
    weights[id(node)] = 1 << 62  # until it is known: what holds itself never ends
    total = 1
    if isinstance(getattr(node, "value", None), list):
        for each in node.value:
            total += sum(_weigh(part, weights) for part in (each if isinstance(each, tuple) else (each,)))
    weights[id(node)] = total
    return total
