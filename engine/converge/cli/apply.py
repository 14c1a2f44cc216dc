"""The command `apply`: do what a saved plan says, where it still holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from converge.cli import given as options
from converge.runs.options import RunOptions, Sources


@click.command(short_help="Apply a saved plan.")
@click.argument("file", type=click.Path(path_type=Path))
@options.INVENTORY
@options.LIMIT
@options.EXTRA_VARS
@options.DIFF
@options.FORKS
@options.EXECUTOR
@options.VERBOSE
@options.FORMAT
@options.ACCEPT_NO_WAY_BACK
@options.ALLOW_REBOOT
@options.LEASE_TIMEOUT
@options.OUTSIDE_WINDOW
@options.STORE
@options.NEW_STORE
@options.TRUST
def command(file: Path, trust: bool, **given: Any) -> int:
    """Do what a saved plan says, and nothing else. Asks nothing.

    Each host is looked at again first; one that is no longer as it was planned is stale: it is left alone and told,
    and the others go on. A plan applies once to each host. Passwords come from the inventory; variables that were given
    with -e are given again.

    Exit codes: those of `run`, and 5 where the plan is stale for some host.
    """
    from converge.cli.planning import apply_plan

    return apply_plan(
        RunOptions(
            command="apply",
            sources=Sources(inventories=given["inventory"], limit=given["limit"], extra_vars=given["extra_vars"]),
            yes=True,
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
        file,
        trust=trust,
    )
