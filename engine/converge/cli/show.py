"""The command `show`: tell what a saved plan would do."""

from __future__ import annotations

from pathlib import Path

import click

from converge.cli import given as options
from converge.runs.options import RunOptions


@click.command(short_help="Show a saved plan.")
@click.argument("file", type=click.Path(path_type=Path))
@options.DIFF
@options.VERBOSE
@click.option(
    "--format", "output_format", type=click.Choice(["text", "json"]), default="text", envvar="CONVERGE_FORMAT",
    help="How it is written.",
)  # fmt: skip
@options.STORE
def command(file: Path, diff: bool, verbose: int, output_format: str, store: str) -> int:
    """Show what a saved plan would do. Contacts no host; works for plans that are stale, applied or of another store too."""
    from converge.cli.planning import show_plan

    shown = RunOptions(command="plan", check=True, diff=diff, verbose=verbose, output_format=output_format, store=store)
    return show_plan(shown, file)
