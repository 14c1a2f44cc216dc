"""What expressions may do: a Jinja2 sandbox of values, a few filters and text methods, all of bounded size.

Nothing here reaches files, the network, Python objects or the clock.
"""

from __future__ import annotations

import ntpath
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from itertools import islice
from types import BuiltinMethodType
from typing import Any

from jinja2 import StrictUndefined, Undefined
from jinja2.filters import FILTERS as JINJA_FILTERS
from jinja2.runtime import Context
from jinja2.tests import TESTS as JINJA_TESTS

from converge.reading.sandbox import MAX_ITEMS, MAX_TEXT, Sandbox, Unusable, bounded, readable

MAX_DEPTH = 40
_TEXT_METHODS = frozenset(
    {"lower", "upper", "strip", "lstrip", "rstrip", "startswith", "endswith", "split", "rsplit", "partition"}
)
_TABLE_METHODS = frozenset({"get", "items", "keys", "values"})
_KEPT_FILTERS = (
    "d", "default", "first", "last", "length", "count", "lower", "upper", "trim", "list", "map", "select", "reject",
    "selectattr", "rejectattr", "sort", "unique", "min", "max",
)  # fmt: skip
_KEPT_TESTS = (
    "defined", "undefined", "none", "true", "false", "boolean", "string", "number", "integer", "mapping", "sequence",
    "iterable", "in", "eq", "equalto", "==", "ne", "!=", "lt", "lessthan", "<", "le", "<=", "gt", "greaterthan", ">",
    "ge", ">=", "odd", "even", "divisibleby", "lower", "upper",
)  # fmt: skip
_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0", ""})


def truth(value: object) -> bool:
    """Whether a condition's value holds: truth values, their words, numbers, and lists that are not empty. Raises Unusable."""
    if isinstance(value, str):
        word = value.strip().lower()
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
        raise Unusable("a condition evaluates to text, not to true or false", hint="compare it: NAME != ''")
    return bool(value)


def _as_int(value: Any, base: int = 10) -> int:
    """A whole number of a text; unlike Jinja's own, nothing else is taken for 0."""
    try:
        return int(str(value).strip(), base) if isinstance(value, str) else int(value)
    except (TypeError, ValueError, OverflowError):
        raise Unusable("the filter int was given something that is not a whole number") from None


def _join(value: Iterable[Any], separator: str = "") -> str:
    texts = [str(readable(item)) for item in islice(value, MAX_ITEMS + 1)]
    if sum(map(len, texts)) + len(texts) * len(separator) > MAX_TEXT:
        raise Unusable(f"the text grows beyond {MAX_TEXT} characters")
    return separator.join(texts)


def _replace(value: str, old: str, new: str) -> str:
    if old and len(value) + value.count(old) * len(new) <= MAX_TEXT:
        return value.replace(old, new)
    raise Unusable("the filter replace needs a text to look for, and a result of bounded size")


def _split(value: str, separator: str | None = None) -> list[str]:
    return value.split(separator)


def _string(value: Any) -> str:
    return str(settled(value))


_OWN_FILTERS: dict[str, Callable[..., Any]] = {
    "bool": truth,
    "int": _as_int,
    "join": _join,
    "replace": _replace,
    "split": _split,
    "string": _string,
    "win_basename": ntpath.basename,
    "win_dirname": ntpath.dirname,
}


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, which neither takes a value that cannot be read nor gives one that is too large."""

    @wraps(function)
    def guarded(*arguments: Any, **options: Any) -> Any:
        for argument in arguments:
            readable(argument)
        return bounded(function(*arguments, **options))

    return guarded


class _Sandbox(Sandbox):
    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """An entry first, so that a key named `items` is what it says; then one of the few methods; else undefined."""
        if isinstance(obj, Mapping) and isinstance(argument, str) and argument in obj:
            return readable(obj[argument])
        if isinstance(obj, Undefined):
            obj._fail_with_undefined_error()
        methods = _TEXT_METHODS if isinstance(obj, str) else _TABLE_METHODS if isinstance(obj, Mapping) else ()
        if isinstance(argument, str):
            return getattr(obj, argument) if argument in methods else self.undefined(obj=obj, name=argument)
        try:
            return readable(obj[argument])
        except (LookupError, TypeError):
            return self.undefined(obj=obj, name=argument)

    def is_safe_callable(self, obj: Any) -> bool:
        owner = getattr(obj, "__self__", None)
        return isinstance(obj, BuiltinMethodType) and isinstance(owner, str | Mapping)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "%" and isinstance(left, str):
            raise Unusable("texts are not formatted by %", hint="join them with ~")
        return super().call_binop(context, operator, left, right)


def _environment() -> _Sandbox:
    # Statements and comments get marks that no YAML text can hold: only {{ }} means anything.
    environment = _Sandbox(
        undefined=StrictUndefined,
        block_start_string="\x00{%",
        block_end_string="%}\x00",
        comment_start_string="\x00{#",
        comment_end_string="#}\x00",
        keep_trailing_newline=True,
        optimized=False,
        cache_size=0,
    )
    environment.globals.clear()
    kept = {name: JINJA_FILTERS[name] for name in _KEPT_FILTERS}
    environment.filters = {name: _guarded(function) for name, function in (kept | _OWN_FILTERS).items()}
    environment.tests = {name: JINJA_TESTS[name] for name in _KEPT_TESTS}
    return environment


SANDBOX = _environment()
FILTERS = frozenset(SANDBOX.filters)
TESTS = frozenset(SANDBOX.tests)


def settled(value: object) -> object:
    """What an expression came to as plain data: nothing undefined, nothing locked, no iterator. Raises Unusable."""
    if isinstance(value, str | int | float | None):
        return bounded(value)
    return _settled(value, [MAX_ITEMS], depth=0)


def _settled(value: object, budget: list[int], *, depth: int) -> object:
    """`budget` holds how much more there may be, in items and in pieces of text."""
    budget[0] -= 1 + (len(value) // 64 if isinstance(value, str) else 0)
    if budget[0] < 0 or depth > MAX_DEPTH:
        raise Unusable("the value is too large or nested too deeply")
    if isinstance(value, str | int | float | None):
        return bounded(value)
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()
    if isinstance(value, Mapping):
        return {str(key): _settled(item, budget, depth=depth + 1) for key, item in value.items()}
    readable(value)
    if isinstance(value, Iterable):
        return [_settled(item, budget, depth=depth + 1) for item in value]
    raise Unusable(f"the expression does not evaluate to a plain value ({type(value).__name__})")
