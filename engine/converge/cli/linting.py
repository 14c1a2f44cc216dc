"""What `lint` finds: errors that would stop a run, and warnings that would not."""

from __future__ import annotations

import json
import sys

from converge import __version__
from converge.cli.exit_codes import ExitCode
from converge.cli.options import Sources
from converge.cli.playbooks import known_kinds
from converge.cli.refusals import problems_of, tell
from converge.cli.selection import select
from converge.errors import ConvergeError
from converge.playbook import lint as lint_playbooks
from converge.report.document import SCHEMA, problem_as_json
from converge.report.sink import sink_for


def lint(sources: Sources, *, json_wanted: bool) -> ExitCode:
    """Read everything as a run would, and tell what is wrong."""
    try:
        selection = select(sources)
    except ConvergeError as error:
        if json_wanted:
            _document([problem_as_json(problem) for problem in problems_of(error)], [])
        else:
            tell(error, sink_for(sys.stderr))
        return ExitCode.USAGE
    found = lint_playbooks(selection.playbooks, kinds=known_kinds(), known_variables=selection.inventory.variable_names)
    warnings = [*selection.warnings, *(str(problem) for problem in found)]
    if json_wanted:
        _document([], warnings)
        return ExitCode.IN_ORDER
    sink = sink_for(sys.stdout)
    for warning in warnings:
        for number, line in enumerate(warning.splitlines()):
            sink.line(line if number else f"warning: {line}", style="yellow")
    entries = sum(len(play.entries) for play in selection.plays)
    sink.line(f"{len(selection.plays)} plays, {entries} entries, {len(selection.targets)} hosts: no errors")
    return ExitCode.IN_ORDER


def _document(errors: list[dict[str, object]], warnings: list[str]) -> None:
    head = {"converge": __version__, "schema": SCHEMA, "mode": "lint", "errors": errors, "warnings": warnings}
    sys.stdout.write(json.dumps(head, indent=1) + "\n")
