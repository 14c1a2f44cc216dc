"""The command `plan`: look, and save what would be done for somebody to approve."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import click

from converge.cli import options
from converge.cli.following import Follower, carry_out, hint
from converge.runs.check import selected
from converge.runs.context import Caller, RunContext
from converge.runs.exit_codes import ExitCode
from converge.runs.plan import plan, planning
from converge.store.plan_files import check_place, write_plan


@click.command(short_help="Save what would change, to be approved and applied later.")
@options.PLAYBOOKS
@click.option(
    "-o", "--output", "file", metavar="FILE", required=True, type=click.Path(path_type=Path), help="The plan."
)
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
@options.EXIT_ZERO
def command(file: Path, **given: Any) -> int:
    """Look at every host as --check does, and save what would be done. Sends only reads.

    `converge show FILE` shows it again, `converge apply FILE` does it. No secret is in the file. What is agreed to here, as
    --accept-no-way-back, is part of the plan: show names it, and apply need not be told again. Exit codes are those of
    --check.
    """

    asked = options.run_options(given, command="plan", check=True)

    def begin(run: str, caller: Caller) -> AbstractContextManager[RunContext]:
        check_place(file)
        return planning(run, asked, selected(asked), caller=caller)

    def steps(context: RunContext, follower: Follower) -> ExitCode:
        made, checked = follower.follow(plan(context))
        code = follower.conclude(context, checked)
        if code is not ExitCode.INTERRUPTED:
            write_plan(made, file, key=context.recorder.store.signing_key)
            hint(f"The plan is in {file}; `converge apply {file}` applies it.")
        return code

    return carry_out(asked, options.view_of(given), begin=begin, steps=steps)
