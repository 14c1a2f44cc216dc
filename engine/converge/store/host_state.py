"""The state of hosts as digests: a host that is as it was costs one small row."""

from __future__ import annotations

import hashlib

from converge.model.change import Change, HostResult, Json, Status
from converge.store.chain import canonical

IN_ORDER = (Status.OK, Status.SKIPPED)
LARGEST_KEPT = 4000  # characters of both states of a resource that are kept with a result; beyond that neither is


def state_digest(result: HostResult) -> str:
    """What a host was found to be, as a digest: equal as long as nothing that was looked at has changed.

    Sensitive states count only by being there: their own digests differ from run to run.
    """
    told = [
        result.status.value,
        result.error.code if result.error else None,
        [_told(change) for change in result.changes],
    ]
    return hashlib.sha256(canonical({"state": told}).encode("ascii")).hexdigest()


def _told(change: Change) -> Json:
    steps = [_told(step) for step in change.steps]
    return [change.address, change.status.value, _plain(change.before), _plain(change.after), steps]


def _plain(state: Json) -> Json:
    return "sensitive" if isinstance(state, dict) and set(state) == {"sensitive"} else state


def differing(result: HostResult) -> list[dict[str, Json]]:
    """The resources of a host that are not in order, in few words, with their two states as far as these are small."""
    return [
        {
            "address": change.address,
            "name": change.name,
            "play": change.play,
            "status": change.status.value,
            "reason": change.reason,
            "way_back": str(change.way_back),
            "error": change.error.as_json() if change.error else None,
            **_states(change),
        }
        for change in result.changes
        if change.status not in IN_ORDER
    ]


def _states(change: Change) -> dict[str, Json]:
    """`before` and `after`; `states_too_large` in their place where they would make the store grow without bounds."""
    states = {"before": change.before, "after": change.after}
    return states if len(canonical(states)) <= LARGEST_KEPT else {"states_too_large": True}
