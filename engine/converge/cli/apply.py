"""The command `apply`: do what a saved plan says, where it still holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from converge.cli import options
from converge.cli.following import Follower, carry_out, warn
from converge.runs.apply import as_checked
from converge.runs.context import Caller, RunContext
from converge.runs.exit_codes import ExitCode
from converge.runs.saved_plans import PlanToApply, apply_plan, applying


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
@options.OUTPUT
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

    asked = options.run_options(given, command="apply")
    plans: list[PlanToApply] = []

    @contextmanager
    def begin(run: str, caller: Caller) -> Iterator[RunContext]:
        with applying(run, asked, file, trust=trust, caller=caller) as (context, plan):
            plans.append(plan)
            yield context

    def steps(context: RunContext, follower: Follower) -> ExitCode:
        (plan,) = plans
        if plan.doubt:
            warn(f"{plan.doubt}; it is used all the same, as --trust says")
        checked = follower.follow(as_checked(context, plan.planned))
        follower.show_plan(context, checked)
        return follower.end(follower.follow(apply_plan(context, plan, checked)))

    return carry_out(asked, options.view_of(given, yes=True), begin=begin, steps=steps)
