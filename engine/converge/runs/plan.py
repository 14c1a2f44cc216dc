"""Every host is checked, and what would be done becomes a plan that can be approved, kept and applied later."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from converge import __version__
from converge.apply.options import ApplyOptions
from converge.errors import UsageError
from converge.model.change import HostResult, Status
from converge.model.machine import Observer
from converge.model.opening import read_bounded
from converge.model.saved_plan import HostPlan, PlannedFrom, SavedPlan
from converge.plan.answer_cache import AnswerCache
from converge.plan.evidence import evidence
from converge.runs.check import Checked, check
from converge.runs.context import Caller, RunContext, opened
from converge.runs.events import Events, watched
from converge.runs.extra_vars import read_extra_vars
from converge.runs.options import RunOptions
from converge.runs.recording import recorder_for_changes
from converge.runs.selection import Selection, default_inventory
from converge.runs.tasks import Converging, Subject
from converge.runs.variable_digests import variable_digests
from converge.runs.window_keeper import written_windows
from converge.store.keys import derived_key, key_name

LARGEST_PLAYBOOK = 64 * 1024 * 1024  # bytes; more than any that is read


@dataclass(frozen=True, slots=True)
class PlanKeys:
    """The keys of one plan: of what it rests on, and of the sensitive values that are only told apart."""

    evidence: bytes = field(repr=False)
    sensitive: bytes = field(repr=False)

    @classmethod
    def of(cls, signing_key: bytes, plan: str) -> PlanKeys:
        """Those that follow from the store's key."""
        return cls(*(derived_key(signing_key, purpose=purpose, plan=plan) for purpose in ("evidence", "sensitive")))


@dataclass(frozen=True, slots=True)
class Planning(Converging):
    """Checks, and keeps with what was found all that it rests on. `plan` is the id of the plan that is made."""

    plan: str
    keys: PlanKeys

    def check(self, subject: Subject, observer: Observer, *, options: ApplyOptions) -> HostResult:
        """What would change."""
        cache = AnswerCache(observer, run=subject.run)
        result = Converging.check(self, subject, cache, options=replace(options, digest_key=self.keys.sensitive))
        return replace(result, evidence=evidence(cache.answers, key=self.keys.evidence))


@contextmanager
def planning(run: str, options: RunOptions, selection: Selection, *, caller: Caller) -> Iterator[RunContext]:
    """A run that makes a plan. Raises JournalUnavailable, UsageError."""
    with ExitStack() as stack:
        recorder = stack.enter_context(recorder_for_changes(options.store, is_new=options.new_store))
        recorder.begin(run, mode=options.mode, playbooks=selection.playbooks)
        plan_id = secrets.token_hex(8)
        task = Planning(plan_id, PlanKeys.of(recorder.store.signing_key, plan_id))
        yield stack.enter_context(opened(run, options, selection, task=task, recorder=recorder, caller=caller))


def plan(context: RunContext) -> Events[tuple[SavedPlan, Checked]]:
    """Check every host, and make a plan of what would be done. Yields what `check` yields."""
    task, selection = context.task, context.selection
    assert isinstance(task, Planning)
    begun = datetime.now(UTC).isoformat(timespec="seconds")
    made_from = _made_from(context.options, selection)
    found: dict[str, HostResult] = {}

    def keep(result: HostResult) -> None:
        if result.status is not Status.SKIPPED or result.error is None:
            found[result.host] = result

    checked = yield from watched(check(context), keep)
    hosts = tuple(_planned(found[host], selection, task.keys) for host in selection.targets if host in found)
    signed_by = key_name(context.recorder.store.signing_key)
    made = SavedPlan(
        task.plan, context.id, begun, __version__, signed_by, made_from, hosts, selection.play_warnings
    )
    return made, checked


def _planned(result: HostResult, selection: Selection, keys: PlanKeys) -> HostPlan:
    host = result.host
    return HostPlan(
        host, result.status, result.changes, result.error,
        tuple(play.name for play in selection.targets[host].plays), result.evidence,
        variable_digests(selection.inventory.variables(host), key=keys.evidence),
        written_windows(selection.inventory, host) if host in selection.windows else None,
    )  # fmt: skip


def _made_from(options: RunOptions, selection: Selection) -> PlannedFrom:
    sources = options.sources
    return PlannedFrom(
        {name: digest_of_playbook(name) for name in selection.playbooks},
        tuple(sources.inventories) or (default_inventory(),),
        sources.limit,
        tuple(sorted(sources.tags)),
        tuple(sorted(sources.skip_tags)),
        tuple(sorted(read_extra_vars(sources.extra_vars))),
        options.accept_no_way_back,
        options.allow_reboot,
    )


def digest_of_playbook(name: str) -> str:
    """The SHA-256 of a playbook as it is now. Raises UsageError."""
    try:
        return hashlib.sha256(read_bounded(name, most=LARGEST_PLAYBOOK)).hexdigest()
    except OSError as error:
        raise UsageError(f"the playbook {name} cannot be read: {error.strerror or error}") from error
