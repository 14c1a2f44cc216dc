"""Every host is checked for the problems that playbooks solve; each result holds what was found, with evidence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from converge.apply.diagnosing import diagnose as diagnose_host
from converge.apply.options import ApplyOptions
from converge.model.change import HostResult
from converge.model.diagnosis import Certainty
from converge.model.machine import Observer
from converge.runs.context import Caller, RunContext, opened
from converge.runs.events import Ended, Events, StageBegan, StageEnded, Warned
from converge.runs.exit_codes import ExitCode, code_of
from converge.runs.options import RunOptions
from converge.runs.recording import recorder_for_check
from converge.runs.selection import Selection
from converge.runs.tasks import Converging, Subject


@dataclass(frozen=True, slots=True)
class Diagnosing(Converging):
    """Hosts are only asked what their plays would find wrong."""

    def check(self, subject: Subject, observer: Observer, *, options: ApplyOptions) -> HostResult:
        """What the host shows."""
        result, diagnoses = diagnose_host(
            subject.plays,
            observer=observer,
            variables=subject.variables,
            history=subject.recorder.history(subject.host),
            run=subject.run,
            options=options,
        )
        return replace(result, diagnoses=diagnoses)


@contextmanager
def diagnosing(run: str, options: RunOptions, selection: Selection, *, caller: Caller) -> Iterator[RunContext]:
    """A diagnosis. It is not recorded. Raises JournalUnavailable, UsageError."""
    with ExitStack() as stack:
        recorder = stack.enter_context(recorder_for_check(options.store, what="diagnosis"))
        yield stack.enter_context(
            opened(run, options, selection, task=Diagnosing(), recorder=recorder, caller=caller)
        )


def diagnose(context: RunContext) -> Events[ExitCode]:
    """Diagnose every host. Yields `Ended` of each."""
    for text in context.selection.warnings:
        yield Warned(text)
    yield from context.warnings()
    stage = context.stage()
    context.prepare(stage)
    hosts = tuple(context.selection.targets)
    codes: set[ExitCode] = set()
    yield StageBegan("checking", len(hosts))
    for result in context.go(hosts, stage):
        codes.add(code_of(result, checking=True))
        if any(found.certainty is Certainty.UNKNOWN for found in result.diagnoses):
            codes.add(ExitCode.FAILED)
        yield Ended(result)
    yield StageEnded()
    return context.code(codes)
