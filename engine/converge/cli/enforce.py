"""The command `enforce`: groups watched on a cadence, and held to their desired state where the policy says so."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import click

from converge.cli import options
from converge.cli.following import warn
from converge.cli.rounds import Rounds
from converge.cli.signals import stopping
from converge.errors import JournalUnavailable, UsageError
from converge.fleet.stop import StopToken
from converge.model import listening
from converge.model.listening import ListeningPlace
from converge.report.sink import sink_for
from converge.runs.enforce import FleetRunner, LivePolicy
from converge.runs.exit_codes import ExitCode, worst
from converge.runs.options import RunOptions
from converge.runs.recording import recorder_for_changes
from converge.schedule.clock import WallClock
from converge.schedule.enforcer import Enforcer
from converge.schedule.logins import RefusedLogins
from converge.schedule.metrics import Telemetry
from converge.schedule.monitoring import served
from converge.store.store import owner

TOKEN = "CONVERGE_ENFORCE_TOKEN"  # noqa: S105  # the name of a variable


@click.command(short_help="Watch groups on a cadence, and hold them to their desired state where the policy says so.")
@click.option("--policy", metavar="FILE", default="", envvar="CONVERGE_POLICY", help="The policy file.")
@click.option("--once", is_flag=True, help="Make one round of every group now, then end.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=9811, show_default=True, envvar="CONVERGE_ENFORCE_PORT",
    help="Where /metrics and /healthz are served on loopback. 0: a free one.",
)  # fmt: skip
@click.option(
    "--listen", metavar="HOST:PORT", default="", envvar="CONVERGE_ENFORCE_LISTEN",
    help="Where they are served instead. Beyond loopback only with a token and TLS.",
)  # fmt: skip
@click.option(
    "--token-file", metavar="FILE", type=click.Path(path_type=Path), envvar="CONVERGE_ENFORCE_TOKEN_FILE",
    help=f"The token that opens them; or in the variable {TOKEN}.",
)  # fmt: skip
@options.TLS_CERT
@options.TLS_KEY
@options.NAMES
@click.option("--retry-logins", is_flag=True, help="With --once: try logins again that earlier rounds saw refused.")
@click.option("--release", metavar="HOST[=ADDRESS]", help="End a quarantine, then end.")
@options.INVENTORY
@options.EXTRA_VARS
@options.FORKS
@options.EXECUTOR
@options.STORE
@options.NEW_STORE
def command(policy: str, **given: Any) -> int:
    """Look at groups of hosts on a cadence, and repair drift where the policy file says `mode: enforce`.

    Never restarts a computer and never makes a change without a way back that would have to be accepted. SIGTERM and
    Ctrl-C end it at the next boundary between two actions. The policy file is read anew when it changes and on SIGHUP.
    """
    asked = options.run_options(given, command="run")
    if given["release"] is not None:
        return release(given["release"], store=asked.store)
    if not policy:
        raise click.UsageError("--policy FILE is needed")

    place = listening.place(
        given["listen"] or f"127.0.0.1:{given['port']}",
        token=options.token(given["token_file"], TOKEN),
        certificate=given["tls_cert"],
        key=given["tls_key"],
        names=given["names"],
    )
    return enforce(policy, asked, once=given["once"], retry_logins=given["retry_logins"], place=place)


def release(address: str, *, store: str) -> int:
    """End quarantines of HOST or HOST=ADDRESS. Raises UsageError where there is none."""

    host, _, resource = address.partition("=")
    with recorder_for_changes(store) as recorder:
        ended = recorder.store.enforcement.release(host, resource or None)
    if not ended:
        raise UsageError(f"nothing of {address} is in quarantine", try_="`converge enforce --once` names what is")
    sink_for(sys.stdout).line("1 resource released" if ended == 1 else f"{ended} resources released")
    return 0


def enforce(policy_file: str, asked: RunOptions, *, once: bool, retry_logins: bool, place: ListeningPlace) -> int:
    """Make rounds until a signal, or one of each group. Raises InputErrors, UsageError, JournalUnavailable."""

    stop, clock = StopToken(), WallClock()
    with recorder_for_changes(asked.store, is_new=asked.new_store) as recorder:
        store = recorder.store
        logins = RefusedLogins(store.enforcement, clock)
        if once and not retry_logins:
            logins.load()
        else:
            logins.forget()
        runner = FleetRunner(asked, clock, logins, warn)
        source = LivePolicy(Path(policy_file), runner)
        rounds = Rounds(sink_for(sys.stdout), Telemetry(clock, source, logins), source, clock)
        enforcer = Enforcer(source, runner, store, clock, rounds, owner="" if once else owner())
        with stopping(stop, words=b"\nStopping at the next boundary. Again to stop at once.\n"), _hangups(source):
            if once:
                for name in enforcer.source.policy.groups:
                    if not stop.is_set():
                        enforcer.once(name, stop=stop)
                return ExitCode.INTERRUPTED if stop.is_set() else worst(rounds.codes)
            with served(rounds.telemetry, place) as address:
                rounds.line(f"metrics and health are served at {address}/metrics and /healthz")
                rounds.policed()
                enforcer.run(stop)
        with suppress(JournalUnavailable):  # a reader sees by the time that is due that nobody is there
            store.intentions.retire(enforcer.owner)
    rounds.line("stopped")
    return ExitCode.IN_ORDER


@contextmanager
def _hangups(source: LivePolicy) -> Iterator[None]:
    """Within this block SIGHUP has the policy read anew before the next round, and says so at once."""

    def ask(_number: int, _frame: FrameType | None) -> None:
        source.ask()
        words = "SIGHUP: the policy is read anew when no round is under way, and refused logins are tried again"
        os.write(
            1, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {words}\n".encode()
        )  # sys.stdout may be in the middle of a write

    before = signal.signal(signal.SIGHUP, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
