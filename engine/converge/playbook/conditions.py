"""Conditions of plays: checked when read, worked out for each host."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

from pydantic import BaseModel, ValidationError

from converge.errors import InputErrors
from converge.model.play import Applicability, Scope
from converge.model.resource import Condition
from converge.playbook.checking import problems_of
from converge.playbook.templates import Constant, Value, read_value
from converge.playbook.variables import Names, Variables
from converge.reading.problems import Problems, failure
from converge.reading.tree import Listing, Node, Table, plain
from converge.windows.conditions import AnyCondition, parse_condition

CONDITION_MODELS: tuple[type[BaseModel], ...] = tuple(
    get_args(choice)[0] for choice in get_args(get_args(AnyCondition)[0])
)
"""What a condition may be."""


def read_applicability(node: Node | None, *, names: Names, problems: Problems) -> tuple[Applicability, ...]:
    """What `applies_when` says: a condition and the reason given where it does not hold, or a list of such."""
    items = node.items if isinstance(node, Listing) else (node,)
    found = []
    for item in items:
        if isinstance(item, Table) and "that" in item.items and "else" in item.items:
            that = read_condition(item.items["that"], names=names, problems=problems)
            reason = read_value(item.items["else"], problems)
            names.check(reason)
            found.append(Applicability(that, _reason(reason, item), item.position))
    return tuple(found)


def _reason(value: Value, node: Table) -> Callable[[Scope], str]:
    def reason(scope: Scope) -> str:
        return str(without_secrets(value, Variables.of(scope), node.items["else"], "this reason"))

    return reason


def without_secrets(value: Value, scope: Variables, node: Node, what: str) -> object:
    """The rendered value, unless it would show a secret. Raises InputErrors."""
    scope.secret_used = False
    rendered = value.render(scope)
    if scope.secret_used:
        raise failure(node.position, f"a secret would be shown in {what}", hint="use it in resources only")
    return rendered


def read_condition(node: Node, *, names: Names, problems: Problems) -> Callable[[Scope], Condition]:
    """A condition, checked now and worked out for each host."""
    value = read_value(node, problems)
    names.check(value)
    fixed: Condition | None = None
    try:
        condition = parse_condition(plain(node))
        fixed = condition if isinstance(value, Constant) else None
    except ValidationError as error:
        problems.extend(problems_of(error, node, models=CONDITION_MODELS, kind="condition", static=True))

    def that(scope: Scope) -> Condition:
        if fixed is not None:
            return fixed
        raw = without_secrets(value, Variables.of(scope), node, "this condition")
        try:
            return parse_condition(raw)
        except ValidationError as error:
            raise InputErrors(problems_of(error, node, models=CONDITION_MODELS, kind="condition")) from None

    return that
