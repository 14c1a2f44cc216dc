"""The command `undo`: take a run back."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import click

from converge.cli import options
from converge.cli.following import Follower, carry_out, require_answer
from converge.runs.context import Caller, RunContext
from converge.runs.exit_codes import ExitCode
from converge.runs.undo import check_undoing, undoing


@click.command(short_help="Take a run back.")
@click.argument("run")
@options.INVENTORY
@options.LIMIT
@options.EXTRA_VARS
@options.CHECK
@options.DIFF
@options.FORKS
@options.EXECUTOR
@options.VERBOSE
@options.FORMAT
@options.OUTPUT
@options.YES
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

    asked, view = options.run_options(given, command="undo"), options.view_of(given)

    def begin(new: str, caller: Caller) -> AbstractContextManager[RunContext]:
        require_answer(asked, view)
        return undoing(new, asked, run, caller=caller)

    def steps(context: RunContext, follower: Follower) -> ExitCode:
        return follower.conclude(context, follower.follow(check_undoing(context)))

    return carry_out(asked, view, begin=begin, steps=steps)
