"""Renders `{{ }}` in values: a sandboxed Jinja in which a whole-string expression keeps its type, as in Ansible."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, TemplateAssertionError, Undefined, pass_context
from jinja2.nativetypes import NativeCodeGenerator
from jinja2.runtime import Context

from converge.model.secret import Locked
from converge.reading.sandbox import LockedUsed, Sandbox, Unusable, readable
from converge.reading.scalars import Unsafe

MAX_NODES = 100_000
"""Values that one variable may hold once rendered, aliases followed."""

MAX_DEPTH = 64
_MARKS = ("{{", "{%", "{#")
_TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})


class _Environment(Sandbox):
    code_generator_class = NativeCodeGenerator

    @staticmethod
    def concat(values: Iterator[Any]) -> object:  # type: ignore[override] # a lone value keeps its type: the point of it
        pieces = list(values)
        if len(pieces) == 1:
            return pieces[0]
        return "".join(str(readable(piece)) for piece in pieces)

    def getattr(self, obj: Any, attribute: str) -> Any:
        return readable(super().getattr(obj, attribute))

    def getitem(self, obj: Any, argument: Any) -> Any:
        return readable(super().getitem(obj, argument))


@pass_context
def _finalize(_context: Context, value: Any) -> Any:
    """Refuses a locked value in the output. Taking the context keeps Jinja from turning constants into texts early."""
    return readable(value)


def _lookup(plugin: str, *terms: object, **options: object) -> object:
    """Ansible's `lookup`: only the environment can be looked up here."""
    return ",".join(_query(plugin, *terms, **options))


def _query(plugin: str, *terms: object, **options: object) -> list[str]:
    if plugin not in ("env", "ansible.builtin.env"):
        raise LockedUsed(Locked(f"it needs lookup('{str(plugin)[:60]}'), which converge does not run"))
    default = str(options.get("default", ""))
    return [os.environ.get(str(term), default) for term in terms]


def _bool(value: object) -> bool:
    return value if isinstance(value, bool) else str(value).strip().lower() in _TRUE


def _ternary(value: object, true: object, false: object = None) -> object:
    return true if value else false


def _mandatory(value: object) -> object:
    if isinstance(value, Undefined):
        str(value)  # a strict undefined value raises the error that names it
    return value


def _environment() -> _Environment:
    environment = _Environment(undefined=StrictUndefined, keep_trailing_newline=True, finalize=_finalize)
    environment.globals.update(lookup=_lookup, query=_query, q=_query)
    environment.filters.update(bool=_bool, ternary=_ternary, mandatory=_mandatory)
    return environment


_ENVIRONMENT = _environment()


@lru_cache(maxsize=4096)
def _compiled(text: str) -> Any:
    return _ENVIRONMENT.from_string(text)


class _Names(Mapping[str, object]):
    """The variables of a host, then what Jinja itself offers."""

    def __init__(self, scope: Mapping[str, object]) -> None:
        self._scope = scope

    def __getitem__(self, name: str) -> object:
        if name in self._scope:
            return readable(self._scope[name])
        return _ENVIRONMENT.globals[name]

    def __contains__(self, name: object) -> bool:
        return name in self._scope or name in _ENVIRONMENT.globals

    def __iter__(self) -> Iterator[str]:
        yield from {**_ENVIRONMENT.globals, **dict.fromkeys(self._scope)}

    def __len__(self) -> int:
        return len(list(iter(self)))


def is_template(value: object) -> bool:
    """Whether a value is a text with braces that Jinja would act on."""
    return isinstance(value, str) and not isinstance(value, Unsafe) and any(mark in value for mark in _MARKS)


def holds_template(value: object, depth: int = 0) -> bool:
    """Whether a value is or contains such a text, or is nested so deeply that rendering it is an error."""
    if depth > MAX_DEPTH:
        return True
    if isinstance(value, dict):
        return any(holds_template(item, depth + 1) for item in value.values())
    if isinstance(value, list):
        return any(holds_template(item, depth + 1) for item in value)
    return is_template(value)


def render(value: object, scope: Mapping[str, object]) -> object:
    """A value with every template in it rendered.

    A template that uses a locked value makes the whole value a `Locked`; a locked item of a list or mapping stays one
    item. Raises jinja2.TemplateError (an undefined name, a mistake in the template) and whatever the expression itself
    raises, Unusable among it.
    """
    try:
        return _Rendering(scope).value(value)
    except LockedUsed as error:
        return error.locked
    except TemplateAssertionError as error:
        if "No filter named" in str(error) or "No test named" in str(error):
            return Locked(f"it needs a plugin of Ansible: {error.message}")
        raise


class _Rendering:
    def __init__(self, scope: Mapping[str, object]) -> None:
        self._names = _Names(scope)
        self._nodes = 0

    def value(self, value: object, depth: int = 0) -> object:
        self._nodes += 1
        if self._nodes > MAX_NODES or depth > MAX_DEPTH:
            raise Unusable("the value is too large or too deeply nested")
        if isinstance(value, dict):
            return {key: self.value(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(item, depth + 1) for item in value]
        if is_template(value):
            return self._text(str(value))
        return str(value) if isinstance(value, Unsafe) else value

    def _text(self, text: str) -> object:
        template = _compiled(text)
        context = template.new_context(self._names, shared=True)
        result = _ENVIRONMENT.concat(template.root_render_func(context))
        if isinstance(result, Undefined):
            str(result)  # a strict undefined value raises the error that names it
        return result
