"""Options that several commands share, each with its twin in the environment."""

from __future__ import annotations

import os
from pathlib import Path

import click

from converge.cli.run import FORMATS, Duration, Paths, Tags, Whole, executor, reason
from converge.errors import UsageError
from converge.model.secret import Secret

INVENTORY = click.option(
    "-i", "--inventory", multiple=True, type=Paths(), envvar="CONVERGE_INVENTORY",
    help="A file, a directory, a program, or a list of hosts with a comma. Default: inventory/",
)  # fmt: skip
LIMIT = click.option("-l", "--limit", metavar="PATTERN", envvar="CONVERGE_LIMIT", help="Only these of the hosts.")
TAGS = click.option("-t", "--tags", multiple=True, type=Tags(), envvar="CONVERGE_TAGS", help="Only entries so tagged.")
SKIP_TAGS = click.option(
    "--skip-tags", multiple=True, type=Tags(), envvar="CONVERGE_SKIP_TAGS", help="No entries so tagged."
)
EXTRA_VARS = click.option(
    "-e", "--extra-vars", multiple=True, type=Whole(), metavar="k=v | @FILE | YAML", envvar="CONVERGE_EXTRA_VARS",
    help="Variables that win over all others.",
)  # fmt: skip
DIFF = click.option(
    "-D", "--diff/--no-diff", default=True, envvar="CONVERGE_DIFF", help="Show values before and after."
)
FORKS = click.option(
    "-f", "--forks", type=click.IntRange(1, 1000), default=50, show_default=True, envvar="CONVERGE_FORKS",
    help="Hosts at once.",
)  # fmt: skip
EXECUTOR = click.option(
    "--executor", metavar="WHERE", default="threads", show_default=True, envvar="CONVERGE_EXECUTOR", callback=executor,
    help="Who visits the hosts: threads, dask[:N], dask+tls://HOST:PORT.",
)  # fmt: skip
VERBOSE = click.option(
    "-v", "--verbose", count=True, envvar="CONVERGE_VERBOSE", help="Tell more: round trips, seconds, actions."
)
FORMAT = click.option(
    "--format", "output_format", type=click.Choice(FORMATS), default="text", envvar="CONVERGE_FORMAT",
    help="How results are written.",
)  # fmt: skip
ACCEPT_NO_WAY_BACK = click.option(
    "--accept-no-way-back", is_flag=True, envvar="CONVERGE_ACCEPT_NO_WAY_BACK",
    help="Go on where something cannot be taken back.",
)  # fmt: skip
ALLOW_REBOOT = click.option(
    "--allow-reboot", is_flag=True, envvar="CONVERGE_ALLOW_REBOOT", help="Allow restarts of computers."
)
LEASE_TIMEOUT = click.option(
    "--lease-timeout", type=Duration(), default=0.0, envvar="CONVERGE_LEASE_TIMEOUT",
    help="How long to wait for another run that holds a host, such as 10m. Default: not at all.",
)  # fmt: skip
OUTSIDE_WINDOW = click.option(
    "--outside-window", metavar="REASON", default="", callback=reason, envvar="CONVERGE_OUTSIDE_WINDOW",
    help="Change hosts outside their change windows too, and journal why.",
)  # fmt: skip
STORE = click.option(
    "--store", metavar="URL", default="", envvar="CONVERGE_STORE",
    help="Where runs are remembered. Default: .converge/converge.db",
)  # fmt: skip
NEW_STORE = click.option(
    "--new-store", is_flag=True,
    help="Begin a new store where one that was used here is lost: what earlier runs changed is not known then.",
)  # fmt: skip
TRUST = click.option(
    "--trust", is_flag=True, help="Use a plan whose signature is not right: of another store, or changed by hand."
)
TLS_CERT = click.option(
    "--tls-cert", metavar="FILE", type=click.Path(path_type=Path), envvar="CONVERGE_TLS_CERT",
    help="The certificate, PEM, with those between it and its authority.",
)  # fmt: skip
TLS_KEY = click.option(
    "--tls-key", metavar="FILE", type=click.Path(path_type=Path), envvar="CONVERGE_TLS_KEY",
    help="Its key, PEM, without a passphrase.",
)  # fmt: skip
NAMES = click.option(
    "--name", "names", metavar="NAME", multiple=True,
    help="Another name by which it may be asked for, like that of a proxy. Repeatable.",
)  # fmt: skip


def token(file: Path | None, variable: str) -> Secret | None:
    """What one must know to look, from a file or a variable of the environment. Raises UsageError."""
    from converge.model.listening import read_token

    text = os.environ.pop(variable, "")  # nothing that is started from here needs it
    if file is not None and text:
        raise UsageError(f"--token-file and {variable} are both given", try_="give one of them")
    return read_token(file) if file is not None else Secret(text) if text else None
