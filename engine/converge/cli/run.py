"""The command `run`: look, show, ask, apply, look again; with `--check` only look and show."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import click

from converge.cli import options
from converge.cli.following import Follower, carry_out, require_answer
from converge.cli.listing import listed
from converge.runs.check import check, converging, selected
from converge.runs.context import Caller, RunContext
from converge.runs.exit_codes import ExitCode


@click.command(short_help="Bring the hosts to the desired state.")
@options.PLAYBOOKS
@options.INVENTORY
@options.LIMIT
@options.TAGS
@options.SKIP_TAGS
@options.EXTRA_VARS
@options.CHECK
@options.DIFF
@options.FORKS
@options.EXECUTOR
@options.LOGIN_FORKS
@options.BATCH
@options.MAX_FAILURES
@options.CANARY
@options.SOAK
@options.RERUN
@options.VERBOSE
@options.FORMAT
@options.OUTPUT
@options.LIST_HOSTS
@options.LIST_RESOURCES
@options.YES
@options.ACCEPT_NO_WAY_BACK
@options.ALLOW_REBOOT
@options.EXIT_ZERO
@options.SETTLE
@options.LEASE_TIMEOUT
@options.OUTSIDE_WINDOW
@options.FULL_SEARCH
@options.STORE
@options.NEW_STORE
def command(**given: Any) -> int:
    """Bring the hosts to the desired state: plan, show, ask, apply, look again.

    With --check it stops after showing, and has only read. Playbooks: those named, or playbooks/*.yml.

    Every option has a twin in the environment: CONVERGE_FORKS for --forks.

    Exit codes: 0 in the desired state; 1 usage, playbook or inventory error; 2 drift found by --check, or declined;
    3 some host failed or is undecided; 4 some host unreachable; 6 outside a change window; 7 another run holds a host;
    70 a bug in converge; 130 interrupted.
    """

    asked, view = options.run_options(given, command="run"), options.view_of(given)
    if given["list_hosts"] or given["list_resources"]:
        return listed(selected(asked), view, hosts=given["list_hosts"])

    def begin(run: str, caller: Caller) -> AbstractContextManager[RunContext]:
        require_answer(asked, view)
        return converging(run, asked, selected(asked), caller=caller)

    def steps(context: RunContext, follower: Follower) -> ExitCode:
        return follower.conclude(context, follower.follow(check(context)))

    return carry_out(asked, view, begin=begin, steps=steps)
