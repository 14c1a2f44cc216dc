"""The variables of a host as keyed digests, so that a plan can tell whether they are still the same."""

from __future__ import annotations

import json

from converge.errors import InputErrors
from converge.inventory.variables import HostVariables
from converge.plan.evidence import digest_of

_NOT_OF_THE_PLAN = frozenset({"converge_change_windows", "converge_site"})


def variable_digests(variables: HostVariables, *, key: bytes) -> dict[str, str]:
    """A digest of each variable that somebody wrote. Passwords may change between plan and apply, and are left out."""
    digests = {}
    for name in variables:
        if name in _NOT_OF_THE_PLAN or _is_password(name):
            continue
        try:
            variables.written(name)
            text = json.dumps(variables[name], sort_keys=True, default=repr)
        except KeyError:
            continue  # one that follows from the inventory itself
        except InputErrors:
            text = "cannot be rendered"
        digests[name] = digest_of(text, key=key)
    return digests


def _is_password(name: str) -> bool:
    return name.startswith(("ansible_", "converge_")) and "pass" in name
