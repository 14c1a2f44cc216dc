"""The command `plan`: look, and save what would be done for somebody to approve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from converge.cli import given as options
from converge.cli.run import playbooks_named, words
from converge.runs.options import RunOptions, Sources


@click.command(short_help="Save what would change, to be approved and applied later.")
@click.argument("playbooks", nargs=-1, metavar="[PLAYBOOK]...", callback=playbooks_named)
@click.option("-o", "--out", "file", metavar="FILE", required=True, type=click.Path(path_type=Path), help="The plan.")
@options.INVENTORY
@options.LIMIT
@options.TAGS
@options.SKIP_TAGS
@options.EXTRA_VARS
@options.DIFF
@options.FORKS
@options.EXECUTOR
@options.VERBOSE
@options.FORMAT
@options.ACCEPT_NO_WAY_BACK
@options.ALLOW_REBOOT
@options.STORE
@options.NEW_STORE
@click.option(
    "--exit-zero-on-drift", is_flag=True, envvar="CONVERGE_EXIT_ZERO_ON_DRIFT", help="Drift exits 0.",
)  # fmt: skip
def command(file: Path, **given: Any) -> int:
    """Look at every host as --check does, and save what would be done. Sends only reads.

    `converge show FILE` tells it again, `converge apply FILE` does it. No secret is in the file. What is agreed to here, as
    --accept-no-way-back, is part of the plan: show tells it, and apply needs not be told again. Exit codes are those of
    --check.
    """
    from converge.cli.planning import save_plan

    return save_plan(
        RunOptions(
            command="plan",
            sources=Sources(
                playbooks=given["playbooks"],
                inventories=given["inventory"],
                limit=given["limit"],
                tags=words(given["tags"]),
                skip_tags=words(given["skip_tags"]),
                extra_vars=given["extra_vars"],
            ),
            check=True,
            diff=given["diff"],
            forks=given["forks"],
            executor=given["executor"],
            verbose=given["verbose"],
            output_format=given["output_format"],
            accept_no_way_back=given["accept_no_way_back"],
            allow_reboot=given["allow_reboot"],
            exit_zero_on_drift=given["exit_zero_on_drift"],
            store=given["store"],
            new_store=given["new_store"],
        ),
        file,
    )
