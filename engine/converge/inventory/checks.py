"""Finds slips in connection variables while an inventory loads, before anybody chooses hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from converge.inventory.known import KNOWN, OTHER_ANSIBLE, UNUSED_WINRM, Wrong
from converge.inventory.templates import holds_template
from converge.inventory.values import Variable
from converge.model.position import Position
from converge.model.secret import Locked
from converge.reading.problems import Problems
from converge.reading.spelling import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

_OURS = "converge_"
_WINRM = "ansible_winrm_"
_ANSIBLE = "ansible_"


def check_variables(variables: Iterable[tuple[str, Variable]], problems: Problems) -> None:
    """Note values that cannot be meant, and names that look like another. Templates are checked when they are used."""
    for name, variable in variables:
        if not name.startswith((_OURS, _ANSIBLE)):
            continue
        known = KNOWN.get(name)
        if known is None:
            _unknown(name, variable.place, problems=problems)
            continue
        value = variable.value
        if value is None or isinstance(value, Locked) or holds_template(value):
            continue
        try:
            known.read(value)
        except Wrong as error:
            problems.error(variable.place, f"{name} is wrong", expected=str(error), hint=error.hint)


def _unknown(name: str, place: Position, *, problems: Problems) -> None:
    if name.startswith(_OURS):
        hint = did_you_mean(name, (known for known in KNOWN if known.startswith(_OURS)), cutoff=0.8)
        if hint:
            problems.error(place, f"unknown variable {name[:100]}", hint=hint)
        else:
            problems.warn(place, f"converge has no variable {name[:100]}")
    elif name in UNUSED_WINRM:
        problems.warn(place, f"{name} is known from Ansible; converge does not use it")
    elif name.startswith(_WINRM):
        hint = did_you_mean(name, (known for known in KNOWN if known.startswith(_WINRM)), cutoff=0.8)
        problems.warn(place, f"unknown connection variable {name[:100]}", hint=hint)
    elif name not in OTHER_ANSIBLE:
        hint = did_you_mean(name, (known for known in KNOWN if known.startswith(_ANSIBLE)), cutoff=0.87)
        if hint:
            problems.warn(place, f"{name[:100]} is not a connection variable", hint=hint)
