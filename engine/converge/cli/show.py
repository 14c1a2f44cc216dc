"""The command `show`: what a saved plan would do."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from converge.cli import options
from converge.cli.following import warn
from converge.cli.output import opened_for, written
from converge.report.saved import tell_plan
from converge.report.text import TextOptions
from converge.runs.exit_codes import ExitCode
from converge.runs.saved_plans import read_to_show
from converge.runs.window_keeper import planned_windows


@click.command(short_help="Show a saved plan.")
@click.argument("file", type=click.Path(path_type=Path))
@options.DIFF
@options.VERBOSE
@options.TEXT_OR_JSON
@options.STORE
def command(file: Path, **given: Any) -> int:
    """Show what a saved plan would do. Contacts no host; works for plans that are stale, applied or of another store too."""

    view = options.view_of(given)
    shown = read_to_show(options.run_options(given, command="plan"), file)
    if shown.read.doubt:
        warn(shown.read.doubt)
    with opened_for(view) as out:
        tell_plan(
            out,
            shown.read.plan,
            options=TextOptions(True, view.diff, view.verbose),
            as_json=view.json,
            applied=shown.applied,
            windows=planned_windows(shown.read.plan, now=datetime.now(UTC)),
        )
        return written(out, ExitCode.IN_ORDER)
