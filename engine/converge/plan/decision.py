"""Deciding one resource: compare how it is with how it should be, and choose the actions between."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from converge.errors import NotAsked, ResourceError, Undecided, Unpredictable
from converge.model.action import AnyAction, action_as_json
from converge.model.answer import Answers
from converge.model.change import Change, Json, Problem, Status, WayBack
from converge.model.position import Position
from converge.model.resource import Resource, State
from converge.plan.state_cache import cached

DIGEST_KEY = secrets.token_bytes(32)
"""Digests of sensitive values can be compared within a run, and guessed by nobody. A saved plan brings a key of its own."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided for one resource. `actions` is empty unless the status is changed."""

    status: Status
    before: State | None = None
    after: State | None = None
    actions: tuple[AnyAction, ...] = ()
    way_back: WayBack = field(default_factory=WayBack)
    reason: str | None = None
    error: Problem | None = None
    notes: tuple[str, ...] = ()
    before_json: Json = None  # where no state could be made: what was refused


@dataclass(frozen=True, slots=True)
class Label:
    """How a resource is called where it is shown."""

    name: str
    play: str
    position: Position | None
    sensitive: bool = False
    address: str = ""  # in place of the resource's own: handlers are shown as handler:NAME
    accepted: bool = False  # a loss without way back was accepted for the whole of which this is a part
    notify: tuple[str, ...] = ()  # handlers that the change asks for
    part_of: str = ""  # the address of the procedure of which this is a step
    way_back: WayBack | None = None  # of the whole, where that decides whether a part can be taken back


def decide(resource: Resource, answers: Answers) -> Decision:
    """Compare and choose. Refusals, what cannot be predicted and what cannot be brought about become statuses."""
    return cached(resource, "decide", answers, work=lambda looked_at: _decide(resource, looked_at))


def _decide(resource: Resource, answers: Answers) -> Decision:
    try:
        before = resource.actual_state(answers)
        after = resource.desired_state(before, answers)
        notes = tuple(resource.notes(answers))
        if before == after:
            return Decision(Status.OK, before, after, notes=notes)
        actions = tuple(resource.actions(before, after, answers))
        way_back = resource.way_back(before, after)
        return Decision(Status.CHANGED, before, after, actions, way_back, notes=notes)
    except Undecided as error:
        return Decision(Status.UNDECIDED, reason=error.what, error=Problem.of(error), before_json=refused(error))
    except Unpredictable as error:
        return Decision(Status.LATER, reason=error.what)
    except NotAsked as error:
        error = NotAsked(error.query, kind=str(resource.key["kind"]))
        return Decision(Status.FAILED, reason=error.what, error=Problem.of(error))
    except ResourceError as error:
        return Decision(Status.FAILED, reason=error.what, error=Problem.of(error))


def refused(error: Undecided) -> Json:
    """What is shown in place of a state that could not be read."""
    return {"refused": {"code": error.refusal, "text": error.what}}


def shown(resource: Resource, decision: Decision, label: Label, *, digest_key: bytes = DIGEST_KEY) -> Change:
    """The decision as people and pipelines read it; sensitive states as digests."""
    before = decision.before.as_json() if decision.before is not None else decision.before_json
    after = decision.after.as_json() if decision.after is not None else None
    actions: tuple[Mapping[str, Json], ...] = tuple(action_as_json(action) for action in decision.actions)
    if label.sensitive:
        before, after = digest(before, digest_key), digest(after, digest_key)
        actions = tuple({"action": action["action"]} for action in actions)
    return Change(
        address=label.address or resource.address,
        key=resource.key,
        name=label.name,
        play=label.play,
        status=decision.status,
        reason=decision.reason,
        way_back=decision.way_back,
        before=before,
        after=after,
        actions=actions,
        error=decision.error,
        position=label.position,
        notes=decision.notes,
    )


def digest(value: Json, key: bytes = DIGEST_KEY) -> Json:
    """What is shown in place of a sensitive value: equal values have equal digests under one key."""
    if value is None or (isinstance(value, dict) and "refused" in value):
        return value
    text = json.dumps(value, sort_keys=True).encode()
    return {"sensitive": hmac.new(key, text, hashlib.sha256).hexdigest()[:16]}


def with_outcome(change: Change, status: Status, *, reason: str | None = None, error: Problem | None = None) -> Change:
    """The same change with what became of it."""
    return replace(change, status=status, reason=reason or (error.what if error else change.reason), error=error)
