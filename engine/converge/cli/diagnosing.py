"""One diagnosis over the fleet: look at every host, and tell what it shows as it comes."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from converge import __version__
from converge.apply.diagnosing import diagnose
from converge.apply.options import ApplyOptions
from converge.cli.output import Output, opened, written
from converge.cli.refusals import problems_of, tell
from converge.cli.signals import stopping
from converge.errors import ConvergeError
from converge.fleet.parallel import Fleet
from converge.fleet.stop import StopToken
from converge.model.change import HostResult, Problem, Status
from converge.model.diagnosis import Certainty, Diagnosis
from converge.rehearsal.rehearsal import Rehearsal
from converge.report.diagnosis import DiagnosisText, diagnosed_as_json
from converge.report.document import JsonDocument
from converge.report.progress import Telling, progress_on
from converge.report.sink import sink_for
from converge.runs import bugs
from converge.runs.connections import Hosts, observing
from converge.runs.exit_codes import ExitCode, code_of, worst
from converge.runs.options import STATE_FOLDER, Sources
from converge.runs.recording import Memory, open_for_looking
from converge.runs.selection import Selection, select
from converge.store.names import new_run_id


@dataclass(frozen=True, slots=True)
class DiagnoseOptions:
    """The options of `diagnose`."""

    sources: Sources
    forks: int = 50
    verbose: int = 0
    json: bool = False
    output: str | None = None
    store: str = ""


class Teller(Protocol):
    """Is told of each host as it ends."""

    def host(self, result: HostResult, diagnoses: Sequence[Diagnosis], commands: Mapping[str, str]) -> None:
        """What one host shows. `commands` are the commands to run, by playbook."""

    def end(self) -> None:
        """Nothing more will come."""


class _Document:
    """Tells as JSON."""

    def __init__(self, document: JsonDocument) -> None:
        self._document = document

    def host(self, result: HostResult, diagnoses: Sequence[Diagnosis], commands: Mapping[str, str]) -> None:
        self._document.entry(result, diagnosed_as_json(result, diagnoses, commands))

    def end(self) -> None:
        self._document.end()


def run(options: DiagnoseOptions) -> ExitCode:
    """Do what the options ask for. Errors before any host was asked are told and end with 1."""
    run_id = new_run_id()
    with opened(options.output) as out:
        try:
            selection = select(options.sources)
            memory = Memory(open_for_looking(options.store, what="diagnosis"))
        except ConvergeError as error:
            _refuse(error, options, out, run_id)
            return ExitCode.USAGE
        for warning in selection.warnings:
            for number, line in enumerate(warning.splitlines()):
                sink_for(sys.stderr).line(line if number else f"warning: {line}", style="yellow")
        teller = _teller(options, out, run_id, selection.playbooks)
        with memory:
            code = _Diagnosis(options, selection, teller, memory=memory).go(run_id)
        return written(out, code)


def _refuse(error: ConvergeError, options: DiagnoseOptions, out: Output, run_id: str) -> None:
    if options.json:
        _json(out, run_id, ()).end(problems_of(error))
    else:
        tell(error, sink_for(sys.stderr))


def _json(out: Output, run_id: str, playbooks: Sequence[str]) -> JsonDocument:
    return JsonDocument(out, version=__version__, mode="diagnose", run=run_id, playbooks=playbooks)


def _teller(options: DiagnoseOptions, out: Output, run_id: str, playbooks: Sequence[str]) -> Teller:
    if options.json:
        return _Document(_json(out, run_id, playbooks))
    return DiagnosisText(sink_for(out), verbose=options.verbose)


def _only_looked_at(host: str, problem: Problem) -> HostResult:
    return HostResult(host, Status.UNDECIDED, error=problem)


class _Diagnosis:
    """The state of one diagnosis over the fleet."""

    def __init__(self, options: DiagnoseOptions, selection: Selection, teller: Teller, *, memory: Memory) -> None:
        self.options = options
        self.memory = memory
        self.selection = selection
        self.teller = teller
        self.stop = StopToken()
        self.codes: set[ExitCode] = set()
        self.found: dict[str, tuple[Diagnosis, ...]] = {}

    def go(self, run_id: str) -> ExitCode:
        hosts = tuple(self.selection.targets)
        fleet = Fleet(forks=self.options.forks, stop=self.stop, on_bug=self._bug, recount=_only_looked_at)
        telling = Telling(every=self.options.verbose > 0)
        with (
            Hosts(self.selection, STATE_FOLDER) as reach,
            stopping(self.stop),
            progress_on(sys.stderr, title="looking", total=len(hosts), telling=telling) as progress,
        ):

            def look(host: str, stop: StopToken) -> HostResult:
                return self._look(host, stop, reach=reach, run_id=run_id)

            def on_result(result: HostResult) -> None:
                self._take(result)
                progress.ended(result)

            try:
                fleet.run(hosts, look, on_result=on_result)
            finally:
                self.teller.end()
        if self.stop.is_set():
            self.codes.add(ExitCode.INTERRUPTED)
        return worst(self.codes)

    def _look(self, host: str, stop: StopToken, *, reach: Hosts, run_id: str) -> HostResult:
        target = self.selection.targets[host]
        if target.settings.skip:
            return HostResult(host, Status.SKIPPED, error=Problem("not-reached", target.settings.skip))
        with observing(reach.to(host), reach.guard) as observer:
            result, self.found[host] = diagnose(
                target.plays,
                observer=observer,
                rehearse=Rehearsal,
                variables=self.selection.variables(host),
                history=self.memory.history(host),
                run=run_id,
                options=ApplyOptions(stop=stop.is_set, keeps_secrets=self.memory.keeps_secrets),
            )
        return result

    def _take(self, result: HostResult) -> None:
        diagnoses = self.found.pop(result.host, ())
        self.codes.add(code_of(result, checking=True))
        if any(item.certainty is Certainty.UNKNOWN for item in diagnoses):
            self.codes.add(ExitCode.FAILED)
        self.teller.host(result, diagnoses, self._commands(result.host))

    def _commands(self, host: str) -> dict[str, str]:
        """The command to run for this host, by playbook, as it would be typed in this folder."""
        where = [word for path in self.options.sources.inventories for word in ("-i", path)]
        return {
            playbook: shlex.join(["converge", *where, "-l", host, playbook]) for playbook in self.selection.playbooks
        }

    def _bug(self, host: str, error: BaseException) -> Problem:
        if self.options.verbose >= 3:
            bugs.show(error)
        return bugs.keep(error, folder=STATE_FOLDER, where=f"host {host}")
