"""The command `lint`: checks the user's files and contacts nobody."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from converge import __version__
from converge.cli.options import Paths, WholeText
from converge.cli.refusals import problems_of, tell
from converge.errors import ConvergeError, InputErrors, InputProblem
from converge.inventory import load
from converge.model.play import Play
from converge.playbook import lint as lint_playbooks
from converge.playbook import warnings_of
from converge.report.document import SCHEMA, problem_as_json
from converge.report.sink import Sink, sink_for
from converge.runs.exit_codes import ExitCode
from converge.runs.extra_vars import read_extra_vars
from converge.runs.options import Sources
from converge.runs.playbooks import chosen_playbooks, known_kinds, load_plays
from converge.runs.selection import DEFAULT_INVENTORY, AnyName, select


@click.command(short_help="Check playbooks and inventory.")
@click.argument("playbooks", nargs=-1, metavar="[PLAYBOOK]...")
@click.option("-i", "--inventory", multiple=True, type=Paths(), envvar="CONVERGE_INVENTORY")
@click.option("-e", "--extra-vars", multiple=True, type=WholeText(), envvar="CONVERGE_EXTRA_VARS")
@click.option(
    "--format", "output_format", type=click.Choice(["text", "json"]), default="text", envvar="CONVERGE_FORMAT"
)
def command(
    playbooks: tuple[str, ...], inventory: tuple[str, ...], extra_vars: tuple[str, ...], output_format: str
) -> int:
    """Check playbooks and inventory without contacting any host.

    Exit codes: 0 nothing wrong; 1 something is, each with file, line and column.
    """

    sources = Sources(playbooks=playbooks, inventories=inventory, extra_vars=extra_vars)
    return lint(sources, json_wanted=output_format == "json")


_ALONE = (
    f"there is not an inventory (no {DEFAULT_INVENTORY}/ in this folder, none named with -i): "
    "names of variables were not checked"
)


@dataclass(frozen=True, slots=True)
class _Read:
    """What could be read, and what may not be meant."""

    plays: Sequence[Play]
    warnings: tuple[str, ...]
    hosts: int = 0


def lint(sources: Sources, *, json_wanted: bool) -> ExitCode:
    """Read everything as a run would, and tell what is wrong."""
    alone = not sources.inventories and not Path(DEFAULT_INVENTORY).exists()
    warnings = [_ALONE] if alone else []
    try:
        read = _playbooks_alone(sources) if alone else _everything(sources)
    except ConvergeError as error:
        warnings += _despite_errors(sources, alone=alone)
        if json_wanted:
            _document([problem_as_json(problem) for problem in problems_of(error)], warnings)
        else:
            _warn(warnings, sink_for(sys.stderr))
            tell(error, sink_for(sys.stderr))
        return ExitCode.USAGE
    warnings += read.warnings
    if json_wanted:
        _document([], warnings)
        return ExitCode.IN_ORDER
    sink = sink_for(sys.stdout)
    _warn(warnings, sink)
    counts = [(len(read.plays), "play", "plays"), (sum(len(play.entries) for play in read.plays), "entry", "entries")]
    if not alone:
        counts.append((read.hosts, "host", "hosts"))
    sink.line(", ".join(f"{count} {one if count == 1 else more}" for count, one, more in counts) + ": no errors")
    return ExitCode.IN_ORDER


def _despite_errors(sources: Sources, *, alone: bool) -> list[str]:
    """The warnings about what could be read all the same."""
    inventories = sources.inventories or (() if alone else (DEFAULT_INVENTORY,))
    steps: tuple[Callable[[], Iterable[InputProblem]], ...] = (
        lambda: load(inventories).warnings,
        lambda: warnings_of(chosen_playbooks(sources.playbooks), kinds=known_kinds()),
    )
    found: list[InputProblem] = []
    for step in steps:
        try:
            found += step()
        except InputErrors as error:
            found += error.warnings
        except ConvergeError:
            continue
    return list(map(str, found))


def _everything(sources: Sources) -> _Read:
    selection = select(sources)
    found = lint_playbooks(selection.playbooks, kinds=known_kinds(), known_variables=selection.inventory.variable_names)
    return _Read(selection.plays, (*selection.warnings, *map(str, found)), len(selection.targets))


def _playbooks_alone(sources: Sources) -> _Read:
    playbooks = chosen_playbooks(sources.playbooks)
    read_extra_vars(sources.extra_vars)
    plays, _ = load_plays(playbooks, known_variables=AnyName())
    found = lint_playbooks(playbooks, kinds=known_kinds(), known_variables=AnyName())
    return _Read(plays, tuple(map(str, found)))


def _warn(warnings: Iterable[str], sink: Sink) -> None:
    for warning in warnings:
        for number, line in enumerate(warning.splitlines()):
            sink.line(line if number else f"warning: {line}", style="yellow")


def _document(errors: list[dict[str, object]], warnings: list[str]) -> None:
    head = {"converge": __version__, "schema": SCHEMA, "mode": "lint", "errors": errors, "warnings": warnings}
    sys.stdout.write(json.dumps(head, indent=1) + "\n")
