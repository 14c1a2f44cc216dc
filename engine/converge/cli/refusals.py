"""Errors before any host was touched: as text for people, or as the JSON document where that was asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from converge import __version__
from converge.errors import ConvergeError, InputErrors, InputProblem
from converge.report.document import JsonDocument
from converge.report.sink import Sink, sink_for
from converge.runs.exit_codes import ExitCode, code_of_refusal


def refuse(error: ConvergeError, arguments: Sequence[str]) -> ExitCode:
    """Tell why nothing was done."""
    if _wants_json(arguments):
        mode = "check" if _is_check(arguments) else "run"
        document = JsonDocument(sys.stdout, version=__version__, mode=mode, run="", playbooks=())
        document.end(problems_of(error))
    else:
        tell(error, sink_for(sys.stderr))
    return code_of_refusal(error)


def problems_of(error: ConvergeError) -> tuple[InputProblem, ...]:
    """An error as the entries of the document's `errors`."""
    if isinstance(error, InputErrors):
        return error.problems
    message = f"{error.what}: {error.why}" if error.why else error.what
    return (InputProblem("", 0, 0, message, hint=error.try_),)


def tell(error: ConvergeError, sink: Sink) -> None:
    """An error as lines of text: what, why, what to try."""
    if isinstance(error, InputErrors):
        for problem in error.problems:
            _tell_problem(problem, sink)
        many = "1 error" if len(error.problems) == 1 else f"{len(error.problems)} errors"
        sink.line(f"{many}; no host was contacted", style="bold red")
        return
    first, *more = error.what.splitlines() or [""]
    sink.line(f"{first} [{error.code}]", style="bold red")
    for line in (*more, *error.why.splitlines()):
        sink.line(line)
    if error.try_:
        sink.line(f"Try: {error.try_}", style="cyan")


def _tell_problem(problem: InputProblem, sink: Sink) -> None:
    for number, line in enumerate(str(problem).splitlines()):
        sink.line(line, style="bold" if number == 0 else "")


def _wants_json(arguments: Sequence[str]) -> bool:
    """Whether the document was asked for, told from the words as they are: they may not have parsed."""
    before = ""
    for word in arguments:
        if word == "--format=json" or (before == "--format" and word == "json"):
            return True
        before = word
    given = any(word.startswith("--format") for word in arguments)
    return not given and os.environ.get("CONVERGE_FORMAT") == "json"


def _is_check(arguments: Sequence[str]) -> bool:
    return "--check" in arguments or "-C" in arguments
