"""The command `undo`: take a run back."""

from __future__ import annotations

from typing import Any

import click

from converge.cli import given as options
from converge.runs.options import RunOptions, Sources


@click.command(short_help="Take a run back.")
@click.argument("run")
@options.INVENTORY
@options.LIMIT
@options.EXTRA_VARS
@click.option("-C", "--check", is_flag=True, envvar="CONVERGE_CHECK", help="Show what would change; change nothing.")
@options.DIFF
@options.FORKS
@options.EXECUTOR
@options.VERBOSE
@options.FORMAT
@click.option("-y", "--yes", is_flag=True, envvar="CONVERGE_YES", help="Take it back without asking.")
@options.ACCEPT_NO_WAY_BACK
@options.ALLOW_REBOOT
@options.LEASE_TIMEOUT
@options.OUTSIDE_WINDOW
@options.STORE
@options.NEW_STORE
def command(run: str, **given: Any) -> int:
    """Take back what a run did (`converge runs` lists them): every recorded before is restored, newest first.

    What somebody else changed since is left alone and told. Where a change has no way back, nothing is begun on that host
    without --accept-no-way-back, which takes back the others. An undo is a run, and can be taken back itself.

    Exit codes are those of `run`.
    """
    from converge.cli.undoing import undo_run

    return undo_run(
        RunOptions(
            command="undo",
            sources=Sources(inventories=given["inventory"], limit=given["limit"], extra_vars=given["extra_vars"]),
            check=given["check"],
            yes=given["yes"],
            diff=given["diff"],
            forks=given["forks"],
            executor=given["executor"],
            verbose=given["verbose"],
            output_format=given["output_format"],
            accept_no_way_back=given["accept_no_way_back"],
            allow_reboot=given["allow_reboot"],
            lease_timeout=given["lease_timeout"],
            outside_window=given["outside_window"],
            store=given["store"],
            new_store=given["new_store"],
        ),
        run,
    )
