"""How a run is told while it goes on: as text, or as a document for programs."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from converge import __version__
from converge.cli.options import View
from converge.cli.output import Output
from converge.cli.refusals import problems_of, tell
from converge.errors import ConvergeError, InputProblem
from converge.model.change import HostResult
from converge.report.diagnosis import DiagnosisText, diagnosed_as_json
from converge.report.document import JsonDocument
from converge.report.sink import Sink, sink_for
from converge.report.text import TextOptions, TextReport
from converge.runs.options import Sources
from converge.runs.selection import Selection


class Reporter(Protocol):
    """Is told of a run, in this order: what was planned, what ended, the end."""

    def planned(self, result: HostResult) -> None:
        """This host would change, and has not yet."""

    def ended(self, result: HostResult) -> None:
        """This is what became of the host."""

    def show_plan(self, *, whole: bool = True) -> None:
        """Every host was looked at: show what would change, or if not `whole` leave that to what is told as it is made."""

    def summed_up(self, lines: Sequence[str]) -> None:
        """What would be done and what not, in numbers, and what to do next."""

    def finish(self) -> None:
        """Nothing more will come. May be called twice."""

    def refuse(self, error: ConvergeError) -> None:
        """Nothing was done, and why."""


class TextReporter:
    """Text: the plan grouped by what happens, then, if something was applied, what became of it."""

    def __init__(self, out: Output, view: View, *, warnings: Mapping[str, str]) -> None:
        self._sink = sink_for(out)
        self._view = view
        self._plan = TextReport(self._sink, TextOptions(True, view.diff, view.verbose), warnings=warnings)
        self._outcome: TextReport | None = None
        self._planned: set[str] = set()
        self._shown = False
        self._whole = True
        self._last: Sequence[str] = ()

    def planned(self, result: HostResult) -> None:
        """Keep it for the plan."""
        self._planned.add(result.host)
        self._plan.host(result)

    def ended(self, result: HostResult) -> None:
        """Before the plan was shown it belongs there; afterwards to what became of it."""
        if not self._shown:
            self._plan.host(result)
            return
        if self._outcome is None:
            self._sink.line()
            diff = self._view.diff and not self._whole  # else the plan has shown it
            self._outcome = TextReport(
                self._sink, TextOptions(False, diff, self._view.verbose, at_once=not self._whole)
            )
            self._outcome.carry(self._plan, without=self._planned)
        self._outcome.host(result)

    def show_plan(self, *, whole: bool = True) -> None:
        """Show the plan; if not `whole` only what is told of hosts that are left as they are."""
        self._shown = True
        self._whole = whole
        if whole:
            self._plan.end()
        else:
            self._plan.end(without=self._planned)

    def summed_up(self, lines: Sequence[str]) -> None:
        """Below the plan."""
        self._last = lines if not self._shown else ()
        for line in lines if self._shown else ():
            self._sink.line(line, style="bold")

    def finish(self) -> None:
        """Show what has not been shown."""
        if not self._shown:
            self.show_plan()
            for line in self._last:
                self._sink.line(line, style="bold")
        if self._outcome is not None:
            self._outcome.end()
            self._outcome = None

    def refuse(self, error: ConvergeError) -> None:
        """Errors go to standard error; nothing else is shown."""
        self._shown = True
        tell(error, sink_for(sys.stderr))


class Document(Protocol):
    """Results written for programs."""

    def host(self, result: HostResult) -> None:
        """This became of a host."""

    def end(self, errors: Iterable[InputProblem] = ()) -> None:
        """Nothing more will come. May be called twice."""


class DocumentReporter:
    """A document for programs. Where a person will be asked, the plan is shown to that person as text on standard error."""

    def __init__(self, document: Document, *, plan: TextReport | None) -> None:
        self._document = document
        self._plan = plan

    def planned(self, result: HostResult) -> None:
        """It is written when it ends."""
        if self._plan is not None:
            self._plan.host(result)

    def ended(self, result: HostResult) -> None:
        """Write it."""
        self._document.host(result)

    def summed_up(self, lines: Sequence[str]) -> None:
        """A document has its own summary."""

    def show_plan(self, *, whole: bool = True) -> None:
        """Show the plan to who will be asked."""
        if self._plan is not None:
            self._plan.end()

    def finish(self) -> None:
        """Close the document."""
        self._document.end()

    def refuse(self, error: ConvergeError) -> None:
        """The same document, with the errors."""
        self._document.end(problems_of(error))


class DiagnosisReporter:
    """A diagnosis: each host as it ends, as text or as a document."""

    def __init__(self, shown: DiagnosisText | JsonDocument, commands: Callable[[str], Mapping[str, str]]) -> None:
        self._shown = shown
        self._commands = commands

    def planned(self, result: HostResult) -> None:
        """A diagnosis plans nothing."""

    def ended(self, result: HostResult) -> None:
        """Show what the host shows, and the commands to run."""
        commands = self._commands(result.host)
        if isinstance(self._shown, DiagnosisText):
            self._shown.host(result, result.diagnoses, commands)
        else:
            self._shown.entry(result, diagnosed_as_json(result, result.diagnoses, commands))

    def summed_up(self, lines: Sequence[str]) -> None:
        """It has its own summary."""

    def show_plan(self, *, whole: bool = True) -> None:
        """It has none."""

    def finish(self) -> None:
        """Show the summary."""
        self._shown.end()

    def refuse(self, error: ConvergeError) -> None:
        """Nothing was diagnosed."""
        if isinstance(self._shown, DiagnosisText):
            tell(error, sink_for(sys.stderr))
        else:
            self._shown.end(problems_of(error))


def reporter_for(
    out: Output, view: View, *, mode: str, run: str, selection: Selection | None = None, sources: Sources | None = None
) -> Reporter:
    """The reporter for what was asked."""
    playbooks = selection.playbooks if selection is not None else ()
    if mode == "diagnose":
        shown = (
            JsonDocument(out, version=__version__, mode=mode, run=run, playbooks=playbooks)
            if view.json
            else DiagnosisText(sink_for(out), verbose=view.verbose)
        )
        return DiagnosisReporter(shown, lambda host: _commands(host, playbooks, sources or Sources()))
    warnings = selection.play_warnings if selection is not None else {}
    if view.output_format == "text":
        return TextReporter(out, view, warnings=warnings)
    document = _document(out, view, mode=mode, run=run, playbooks=playbooks)
    asked = not mode.endswith("check") and mode != "plan" and not view.yes
    text = TextOptions(True, view.diff, view.verbose)
    return DocumentReporter(document, plan=TextReport(_stderr(), text, warnings=warnings) if asked else None)


def _commands(host: str, playbooks: Sequence[str], sources: Sources) -> dict[str, str]:
    """The command to run for a host, by playbook, as it would be typed in this folder."""
    where = [word for path in sources.inventories for word in ("-i", path)]
    return {playbook: shlex.join(["converge", *where, "-l", host, playbook]) for playbook in playbooks}


def _document(out: Output, view: View, *, mode: str, run: str, playbooks: tuple[str, ...]) -> Document:
    match view.output_format:
        case "junit":
            from converge.report.junit import JunitDocument

            return JunitDocument(out, mode=mode, run=run)
        case "prometheus":
            from converge.report.textfile import MetricsDocument

            return MetricsDocument(out, mode=mode)
        case "jsonl":
            from converge.report.lines import JsonLines

            return JsonLines(out, version=__version__, mode=mode, run=run, playbooks=playbooks)
        case _:
            return JsonDocument(out, version=__version__, mode=mode, run=run, playbooks=playbooks)


def _stderr() -> Sink:
    return sink_for(sys.stderr)
