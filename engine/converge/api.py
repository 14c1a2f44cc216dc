"""converge as a library: check, plan, apply, undo and diagnose as functions that return what they found.

They raise the errors of `converge.errors` before any host is contacted; what goes wrong on a host is that host's result. They
print nothing, ask nothing, end no process and install no signal handler. Every event of a run can be watched (`on_event`).

    from converge import api

    result = api.check(playbooks="playbooks/web.yml", limit="web*")
    for name, host in result.hosts.items():
        print(name, host.status, [each.address for each in host.resources if each.status == "changed"])
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from converge import __version__
from converge.errors import UsageError
from converge.fleet.stop import StopToken
from converge.model.change import Change, HostResult, Json, Problem, Status
from converge.model.saved_plan import SavedPlan
from converge.report.diagnosis import diagnosed_as_json
from converge.report.document import JsonDocument
from converge.runs import saved_plans
from converge.runs.apply import apply as apply_checked
from converge.runs.apply import as_checked
from converge.runs.check import check as check_hosts
from converge.runs.check import converging, selected
from converge.runs.context import Caller, RunContext
from converge.runs.diagnose import diagnose as diagnose_hosts
from converge.runs.diagnose import diagnosing
from converge.runs.events import Ended, Event, Events, Warned, result_of, watched
from converge.runs.exit_codes import ExitCode
from converge.runs.options import RunOptions, Sources
from converge.runs.plan import plan as plan_hosts
from converge.runs.plan import planning
from converge.runs.undo import check_undoing, undoing
from converge.store.names import new_run_id
from converge.store.plan_files import check_place, write_plan

__all__ = [
    "Change", "Ended", "Event", "ExitCode", "HostResult", "Plan", "Problem", "Result", "Status", "StopToken",
    "apply", "check", "diagnose", "plan", "undo",
]  # fmt: skip

Names = str | Path | Sequence[str | Path]
"""One file or several. An inventory may also be a list of hosts with a comma."""
Variables = Mapping[str, object]
OnEvent = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Result:
    """What a run came to, as `--format json` writes it: of each host its `status`, its `resources`, its `error`.

    `run` names it for `undo`; `exit_code` is the one with which the command would have ended.
    """

    run: str
    mode: str
    playbooks: tuple[str, ...]
    hosts: Mapping[str, HostResult]
    exit_code: ExitCode
    warnings: tuple[str, ...] = ()

    def document(self) -> dict[str, Json]:
        """The JSON document that the command writes, as Python values."""
        text = io.StringIO()
        document = JsonDocument(text, version=__version__, mode=self.mode, run=self.run, playbooks=self.playbooks)
        for result in self.hosts.values():
            if self.mode == "diagnose":
                document.entry(result, diagnosed_as_json(result, result.diagnoses, {}))
            else:
                document.host(result)
        document.end()
        found: dict[str, Json] = json.loads(text.getvalue())
        return found


@dataclass(frozen=True, slots=True)
class Plan(Result):
    """A plan, with what the check behind it found."""

    content: SavedPlan | None = field(default=None, repr=False)
    signing_key: bytes = field(default=b"", repr=False)

    def save(self, path: str | Path) -> None:
        """Write the plan to a file, signed, for its owner alone. Raises UsageError."""
        assert self.content is not None
        check_place(Path(path))
        write_plan(self.content, Path(path), key=self.signing_key)


def check(
    *,
    playbooks: Names = (),
    inventory: Names = (),
    limit: str | None = None,
    extra_vars: Variables | None = None,
    store: str = "",
    forks: int = 50,
    on_event: OnEvent | None = None,
    stop: StopToken | None = None,
) -> Result:
    """What would change, on every host. Sends only reads. Raises InputErrors, UsageError, JournalUnavailable."""
    options = RunOptions(_sources(playbooks, inventory, limit, extra_vars), check=True, store=store, forks=forks)

    def begin(run: str, caller: Caller) -> AbstractContextManager[RunContext]:
        return converging(run, options, selected(options), caller=caller)

    def steps(context: RunContext) -> Events[ExitCode]:
        checked = yield from check_hosts(context)
        return context.code(checked.codes)

    return _carry_out(begin, steps, on_event=on_event, stop=stop)


def plan(
    *,
    playbooks: Names = (),
    inventory: Names = (),
    limit: str | None = None,
    extra_vars: Variables | None = None,
    store: str = "",
    forks: int = 50,
    accept_no_way_back: bool = False,
    allow_reboot: bool = False,
    on_event: OnEvent | None = None,
    stop: StopToken | None = None,
) -> Plan:
    """What would change, as a plan that can be saved, and applied later. Sends only reads. Raises as `check` does."""
    options = RunOptions(
        _sources(playbooks, inventory, limit, extra_vars), "plan", check=True, store=store, forks=forks,
        accept_no_way_back=accept_no_way_back, allow_reboot=allow_reboot,
    )  # fmt: skip
    made: list[tuple[SavedPlan, bytes]] = []

    def begin(run: str, caller: Caller) -> AbstractContextManager[RunContext]:
        return planning(run, options, selected(options), caller=caller)

    def steps(context: RunContext) -> Events[ExitCode]:
        content, checked = yield from plan_hosts(context)
        made.append((content, context.recorder.store.signing_key))
        return context.code(checked.codes)

    result = _carry_out(begin, steps, on_event=on_event, stop=stop)
    content, signing_key = made[0]
    return Plan(
        result.run, result.mode, result.playbooks, result.hosts, result.exit_code, result.warnings, content, signing_key
    )


def apply(
    *,
    plan: Plan | str | Path | None = None,
    playbooks: Names = (),
    inventory: Names = (),
    limit: str | None = None,
    extra_vars: Variables | None = None,
    store: str = "",
    forks: int = 50,
    accept_no_way_back: bool = False,
    allow_reboot: bool = False,
    on_event: OnEvent | None = None,
    stop: StopToken | None = None,
) -> Result:
    """Change the hosts: what a plan says, where it still holds, or whatever differs now from playbooks. Asks nothing.

    A change by which something is lost for good is made only with `accept_no_way_back`; computers are restarted only with
    `allow_reboot`. Raises as `check` does.
    """
    options = RunOptions(
        _sources(playbooks, inventory, limit, extra_vars), "run" if plan is None else "apply", store=store, forks=forks,
        accept_no_way_back=accept_no_way_back, allow_reboot=allow_reboot,
    )  # fmt: skip
    if plan is not None:
        if playbooks:
            raise UsageError("apply takes a plan or playbooks, not both")
        content = plan.content if isinstance(plan, Plan) else Path(plan)
        assert content is not None
        return _apply_plan(content, options, on_event=on_event, stop=stop)

    def begin(run: str, caller: Caller) -> AbstractContextManager[RunContext]:
        return converging(run, options, selected(options), caller=caller)

    def steps(context: RunContext) -> Events[ExitCode]:
        checked = yield from check_hosts(context)
        outcome = yield from apply_checked(context, checked)
        return outcome.code

    return _carry_out(begin, steps, on_event=on_event, stop=stop)


def undo(
    *,
    run: str,
    inventory: Names = (),
    limit: str | None = None,
    extra_vars: Variables | None = None,
    store: str = "",
    forks: int = 50,
    accept_no_way_back: bool = False,
    allow_reboot: bool = False,
    on_event: OnEvent | None = None,
    stop: StopToken | None = None,
) -> Result:
    """Put back what a run changed, newest first. Raises as `check` does."""
    options = RunOptions(
        _sources((), inventory, limit, extra_vars), "undo", store=store, forks=forks,
        accept_no_way_back=accept_no_way_back, allow_reboot=allow_reboot,
    )  # fmt: skip

    def begin(new: str, caller: Caller) -> AbstractContextManager[RunContext]:
        return undoing(new, options, run, caller=caller)

    def steps(context: RunContext) -> Events[ExitCode]:
        checked = yield from check_undoing(context)
        outcome = yield from apply_checked(context, checked)
        return outcome.code

    return _carry_out(begin, steps, on_event=on_event, stop=stop)


def diagnose(
    *,
    playbooks: Names = (),
    inventory: Names = (),
    limit: str | None = None,
    extra_vars: Variables | None = None,
    store: str = "",
    forks: int = 50,
    on_event: OnEvent | None = None,
    stop: StopToken | None = None,
) -> Result:
    """Which of the playbooks' problems each host shows: `hosts[NAME].diagnoses`. Sends only reads. Raises as `check` does."""
    sources = _sources(playbooks, inventory, limit, extra_vars)
    options = RunOptions(sources, "diagnose", check=True, store=store, forks=forks)

    def begin(run: str, caller: Caller) -> AbstractContextManager[RunContext]:
        return diagnosing(run, options, selected(options), caller=caller)

    return _carry_out(begin, diagnose_hosts, on_event=on_event, stop=stop)


def _apply_plan(
    content: SavedPlan | Path, options: RunOptions, *, on_event: OnEvent | None, stop: StopToken | None
) -> Result:
    run, caller = new_run_id(), Caller(stop or StopToken())
    with saved_plans.applying(run, options, content, caller=caller) as (context, to_apply):

        def steps(context: RunContext) -> Events[ExitCode]:
            checked = yield from as_checked(context, to_apply.planned)
            outcome = yield from saved_plans.apply_plan(context, to_apply, checked)
            return outcome.code

        return _followed(context, steps(context), on_event=on_event)


def _carry_out(
    begin: Callable[[str, Caller], AbstractContextManager[RunContext]],
    steps: Callable[[RunContext], Events[ExitCode]],
    *,
    on_event: OnEvent | None,
    stop: StopToken | None,
) -> Result:
    with begin(new_run_id(), Caller(stop or StopToken())) as context:
        return _followed(context, steps(context), on_event=on_event)


def _followed(context: RunContext, events: Events[ExitCode], *, on_event: OnEvent | None) -> Result:
    """Let a run go on to its end, and record how it ended. Of each host the result that was yielded last, in the inventory's order."""
    hosts: dict[str, HostResult] = {}
    warnings: list[str] = []

    def keep(result: HostResult) -> None:
        hosts[result.host] = result

    def see(event: Event) -> None:
        if isinstance(event, Warned):
            warnings.append(event.text)
        if on_event is not None:
            on_event(event)

    code = result_of(watched(events, keep), on_event=see)
    context.recorder.end(code)
    warnings += context.recorder.warnings
    order = {host: number for number, host in enumerate(context.selection.targets)}
    hosts = {host: hosts[host] for host in sorted(hosts, key=lambda host: order.get(host, -1))}
    return Result(context.id, context.options.mode, context.selection.playbooks, hosts, code, tuple(warnings))


def _sources(playbooks: Names, inventory: Names, limit: str | None, extra_vars: Variables | None) -> Sources:
    return Sources(
        playbooks=_names(playbooks),
        inventories=_names(inventory),
        limit=limit,
        extra_vars=(json.dumps(dict(extra_vars)),) if extra_vars else (),
    )


def _names(given: Names) -> tuple[str, ...]:
    return (str(given),) if isinstance(given, str | Path) else tuple(str(name) for name in given)
