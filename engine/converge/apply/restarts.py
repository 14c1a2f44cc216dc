"""Finishing a restart that an earlier run broke off: every service it stopped must run again."""

from __future__ import annotations

from collections.abc import Sequence

from converge.apply.carrying import Carrier
from converge.apply.changing import cut_by
from converge.apply.options import StoppedError
from converge.errors import ActionRefused, HostUnreachable, Interrupted, JournalUnavailable, Undecided
from converge.model.action import StartService, StopService, action_as_json
from converge.model.change import Change, Problem, Status
from converge.model.facts import ServiceState
from converge.model.journal import JournalEvent, OpenRestart, ServicesStarted, ServicesStopped
from converge.model.names import same
from converge.model.query import Service
from converge.model.resource import Resource
from converge.plan.decision import Label


def finish_restart(restart: OpenRestart, carrier: Carrier) -> list[Change]:
    """Start what a broken restart left stopped, in the order it recorded. Nothing to show if everything runs already."""
    performer = carrier.performer
    names = (restart.service, *restart.dependents)
    answers = performer.cache.ask(tuple(Service(name) for name in names))
    address = f"handler:{restart.handler}"
    actions: list[StartService] = []
    before = len(performer.attempts)
    try:
        for name in names:
            service = answers.value(Service(name))
            if service is not None and service.state is not ServiceState.RUNNING:
                actions.append(StartService(name))
        for action in actions:
            carrier.changes += 1
            performer.perform(action, change=carrier.changes, address=address)
        carrier.settle_earlier(address, done=True)
        performer.journal.write(ServicesStarted(restart.handler, restart.service))
    except (StoppedError, HostUnreachable, JournalUnavailable) as error:
        planned = [type(action).__name__ for action in actions]
        change = _shown(restart, address, status=Status.CHANGED, actions=actions)
        carrier.broken_off = (cut_by(error, change, performer.attempts[before:], planned),)
        raise
    except (ActionRefused, Interrupted, Undecided) as error:
        status = Status.UNDECIDED if isinstance(error, Undecided) else Status.FAILED
        return [_shown(restart, address, status=status, actions=actions, error=Problem.of(error))]
    return [_shown(restart, address, status=Status.CHANGED, actions=actions)] if actions else []


def restarted(
    carrier: Carrier, resource: Resource, label: Label, *, handler: str, done: Sequence[JournalEvent]
) -> Change:
    """Carry out a handler. The services that it stops are pending from its first action on; `done` is written when it ended well."""
    performer = carrier.performer
    started = ServicesStarted(handler, getattr(resource, "name", ""))
    before, traces = len(performer.attempts), performer.traces
    change = carrier.carry_out(resource, label, pending=lambda: _stopping(carrier, handler, resource))
    carrier.broken_off = (change,)  # until what it did is written down
    if change.status in (Status.OK, Status.CHANGED):
        performer.journal.write(*done, started)
    elif len(performer.attempts) > before and performer.traces == traces:
        performer.journal.write(started)  # whatever was asked was refused: nothing was stopped
    carrier.broken_off = ()
    return change


def _stopping(carrier: Carrier, handler: str, resource: Resource) -> tuple[ServicesStopped, ...]:
    """The services that a restart will stop, in the order in which they must be started again."""
    answers = carrier.performer.cache.answers
    actual = resource.actual_state(answers)
    actions = resource.actions(actual, resource.desired_state(actual, answers), answers)
    service = getattr(resource, "name", "")
    started = tuple(action.name for action in actions if isinstance(action, StartService))
    if any(isinstance(action, StopService) for action in actions):
        dependents = tuple(name for name in started if not same(name, service))
        return (ServicesStopped(handler, service, dependents),)
    return ()


def _shown(
    restart: OpenRestart, address: str, *, status: Status, actions: list[StartService], error: Problem | None = None
) -> Change:
    return Change(
        address,
        {"kind": "restart_service", "name": restart.service},
        name=restart.handler,
        play="",
        status=status,
        reason=error.what if error else "an earlier run stopped these services and was broken off",
        actions=tuple(action_as_json(action) for action in actions),
        error=error,
    )
