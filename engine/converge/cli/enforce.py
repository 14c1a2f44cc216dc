"""The command `enforce`: its options."""

from __future__ import annotations

from pathlib import Path

import click

from converge.cli import given

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
    help=f"What one must know to ask for them; or in the variable {TOKEN}.",
)  # fmt: skip
@given.TLS_CERT
@given.TLS_KEY
@given.NAMES
@click.option("--retry-logins", is_flag=True, help="With --once: try logins again that earlier rounds saw refused.")
@click.option("--release", metavar="HOST[=ADDRESS]", help="End a quarantine, then end.")
@given.INVENTORY
@given.EXTRA_VARS
@given.FORKS
@given.EXECUTOR
@given.STORE
@given.NEW_STORE
def command(
    policy: str,
    *,
    once: bool,
    retry_logins: bool,
    port: int,
    listen: str,
    token_file: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    names: tuple[str, ...],
    release: str | None,
    inventory: tuple[str, ...],
    extra_vars: tuple[str, ...],
    forks: int,
    executor: str,
    store: str,
    new_store: bool,
) -> int:
    """Look at groups of hosts on a cadence, and repair drift where the policy file says `mode: enforce`.

    Never restarts a computer and never makes a change without a way back that would have to be accepted. SIGTERM and
    Ctrl-C end it at the next boundary between two actions. The policy file is read anew when it changes and on SIGHUP.
    """
    from converge.cli import enforcing
    from converge.cli.enforcing_hands import Wiring
    from converge.model import listening

    if release is not None:
        return enforcing.release(release, store=store)
    if not policy:
        raise click.UsageError("--policy FILE is needed")
    wiring = Wiring(inventory, extra_vars, forks, store, new_store, executor)
    place = listening.place(
        listen or f"127.0.0.1:{port}", token=given.token(token_file, TOKEN), certificate=tls_cert, key=tls_key, names=names
    )
    return enforcing.enforce(policy, wiring, once=once, retry_logins=retry_logins, place=place)
