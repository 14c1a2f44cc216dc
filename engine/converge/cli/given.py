"""Options that several commands share, each with its twin in the environment."""

from __future__ import annotations

import click

from converge.cli.run import FORMATS, Duration, Paths, Tags, Whole, executor, reason

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
