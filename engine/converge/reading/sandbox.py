"""What expressions may do in any file: a Jinja2 sandbox that uses nothing locked, and whose arithmetic cannot fill the memory."""

from __future__ import annotations

from typing import Any

from jinja2.runtime import Context, Undefined
from jinja2.sandbox import SandboxedEnvironment

from converge.model.secret import Locked

MAX_TEXT = 1024 * 1024
MAX_ITEMS = 100_000


class Unusable(ValueError):
    """An expression cannot be worked out, in words for people; `hint` says what to do."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class LockedUsed(Unusable):
    """An expression uses a value that cannot be read here."""

    def __init__(self, locked: Locked) -> None:
        super().__init__(f"a value is used that cannot be read here: {locked.why}")
        self.locked = locked


def readable(value: Any) -> Any:
    """The value, unless it is one that cannot be read here. Raises LockedUsed."""
    if isinstance(value, Locked):
        raise LockedUsed(value)
    return value


def bounded(value: Any) -> Any:
    """The value, unless it has grown beyond what anybody means. Raises Unusable."""
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise Unusable(f"the text grows beyond {MAX_TEXT} characters")
    if isinstance(value, list | tuple) and len(value) > MAX_ITEMS:
        raise Unusable(f"the list grows beyond {MAX_ITEMS} items")
    return value


class Sandbox(SandboxedEnvironment):
    """Bounds what operators make. What else may be named and called, each kind of file says."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic, which must not be a way to fill the memory."""
        for side in (left, right):
            if isinstance(side, Undefined):
                side._fail_with_undefined_error()
        if operator == "**" and any(not isinstance(side, int | float) or abs(side) > 64 for side in (left, right)):
            raise Unusable("the power is too large")
        if operator == "*":
            _require_bounded_product(left, right)
        return bounded(super().call_binop(context, operator, left, right))


def _require_bounded_product(left: Any, right: Any) -> None:
    """Numbers that are not very large, or a text or a flat list repeated to a bounded size. Raises Unusable."""
    repeated, times = (left, right) if isinstance(left, str | list | tuple) else (right, left)
    if isinstance(repeated, str) and isinstance(times, int):
        if len(repeated) * times > MAX_TEXT:
            raise Unusable(f"the text grows beyond {MAX_TEXT} characters")
    elif isinstance(repeated, list | tuple) and isinstance(times, int):
        if any(not isinstance(item, str | int | float | None) for item in repeated):
            raise Unusable("only lists of texts and numbers are repeated")
        size = sum(len(item) if isinstance(item, str) else 1 for item in repeated)
        if len(repeated) * times > MAX_ITEMS or size * times > MAX_TEXT:
            raise Unusable(f"the list grows beyond {MAX_ITEMS} items or {MAX_TEXT} characters")
    elif not all(isinstance(side, int | float) and abs(side) < 2**128 for side in (left, right)):
        raise Unusable("only numbers are multiplied, and not very large ones; texts and lists are repeated")
