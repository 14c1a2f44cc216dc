"""The command `diagnose`: which articles' problems does a host show?"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import click

from converge.cli import options
from converge.cli.following import Follower, carry_out
from converge.runs.check import selected
from converge.runs.context import Caller, RunContext
from converge.runs.diagnose import diagnose, diagnosing
from converge.runs.exit_codes import ExitCode


@click.command(short_help="Find which articles' problems hosts have.")
@click.argument("hosts", nargs=-1, metavar="[HOST]...")
@options.INVENTORY
@click.option(
    "-p", "--playbook", "playbooks", multiple=True, metavar="FILE", type=options.Paths(), envvar="CONVERGE_PLAYBOOKS",
    help="Only these playbooks. Default: playbooks/*.yml",
)  # fmt: skip
@options.EXTRA_VARS
@options.FORKS
@options.EXECUTOR
@options.LOGIN_FORKS
@options.VERBOSE
@options.TEXT_OR_JSON
@options.OUTPUT
@options.STORE
def command(hosts: tuple[str, ...], **given: Any) -> int:
    """Look at hosts (all of the inventory, or these patterns) and tell of each playbook's article whether its problem is there.

    Says how certain that is, the evidence (drift found by a check, events of the host's logs), what would change, and the
    command to run. Texts of dialogs are asked as questions: only a person can have seen them. Reads only; an event log is
    asked once for each source, within the time that the playbook names. -v tells what was ruled out, too.

    Exit codes as with --check: 0 no article's problem found; 1 usage; 2 found; 3 some host failed, or would not say;
    4 unreachable.
    """

    limit = ",".join(hosts) if hosts else None
    asked = options.run_options({**given, "limit": limit}, command="diagnose", check=True)

    def begin(run: str, caller: Caller) -> AbstractContextManager[RunContext]:
        return diagnosing(run, asked, selected(asked), caller=caller)

    def steps(context: RunContext, follower: Follower) -> ExitCode:
        return follower.follow(diagnose(context))

    return carry_out(asked, options.view_of(given), begin=begin, steps=steps)
