"""How a run is told while it goes on: as text, or as a document for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from converge import __version__
from converge.cli.output import Output
from converge.cli.refusals import problems_of, tell
from converge.errors import ConvergeError, InputProblem
from converge.model.change import HostResult
from converge.report.document import JsonDocument
from converge.report.sink import Sink, sink_for
from converge.report.text import TextOptions, TextReport
from converge.runs.options import RunOptions


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

    def __init__(self, out: Output, options: RunOptions, *, warnings: Mapping[str, str]) -> None:
        self._sink = sink_for(out)
        self._options = options
        self._plan = TextReport(self._sink, TextOptions(True, options.diff, options.verbose), warnings=warnings)
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
            diff = self._options.diff and not self._whole  # else the plan has shown it
            self._outcome = TextReport(
                self._sink, TextOptions(False, diff, self._options.verbose, at_once=not self._whole)
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
        del whole
        if self._plan is not None:
            self._plan.end()

    def finish(self) -> None:
        """Close the document."""
        self._document.end()

    def refuse(self, error: ConvergeError) -> None:
        """The same document, with the errors."""
        self._document.end(problems_of(error))


def reporter_for(
    out: Output, options: RunOptions, *, run: str, playbooks: Iterable[str] = (), warnings: Mapping[str, str]
) -> Reporter:
    """The reporter for what was asked. `warnings` are what a play says of itself, by its name."""
    if options.output_format == "text":
        return TextReporter(out, options, warnings=warnings)
    document = _document(out, options, run=run, playbooks=tuple(playbooks))
    asked = not options.check and not options.yes
    text = TextOptions(True, options.diff, options.verbose)
    return DocumentReporter(document, plan=TextReport(_stderr(), text, warnings=warnings) if asked else None)


def _document(out: Output, options: RunOptions, *, run: str, playbooks: tuple[str, ...]) -> Document:
    match options.output_format:
        case "junit":
            from converge.report.junit import JunitDocument

            return JunitDocument(out, mode=options.mode, run=run)
        case "prometheus":
            from converge.report.textfile import MetricsDocument

            return MetricsDocument(out, mode=options.mode)
        case "jsonl":
            from converge.report.lines import JsonLines

            return JsonLines(out, version=__version__, mode=options.mode, run=run, playbooks=playbooks)
        case _:
            return JsonDocument(out, version=__version__, mode=options.mode, run=run, playbooks=playbooks)


def _stderr() -> Sink:
    return sink_for(sys.stderr)
