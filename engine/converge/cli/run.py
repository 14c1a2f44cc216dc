"""The command `run`: its options, and what they mean together."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import click

from converge.cli.words import COMMANDS
from converge.model.durations import in_words, read_duration
from converge.model.rollout import Rollout, Share, parse_batches
from converge.runs.options import RunOptions, Sources

FORMATS = ("text", "json", "jsonl", "junit", "prometheus")


class Paths(click.types.StringParamType):
    """Paths; the environment twin separates them as the system's PATH does."""

    name = "path"
    envvar_list_splitter = os.pathsep


class Tags(click.types.StringParamType):
    """Words with commas between, on the command line and in the environment."""

    name = "tags"
    envvar_list_splitter = ","


class Whole(click.types.StringParamType):
    """Texts with anything in them: the environment twin is one of them, for no environment variable holds a NUL."""

    name = "text"
    envvar_list_splitter = "\0"


class Duration(click.ParamType):  # type: ignore[type-arg]  # takes one only from click 8.4 on
    """A length of time of a day at most, held in seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Fails with the words of what reads it."""
        try:
            duration = read_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if duration > timedelta(days=1):
            self.fail(f"{in_words(duration)} is more than a day", param, ctx)
        return duration.total_seconds()


def playbooks_named(_context: click.Context, _parameter: click.Parameter, words: tuple[str, ...]) -> tuple[str, ...]:
    """Playbooks, among which no word of a command may be. Raises click.UsageError."""
    for word in words:
        if word in COMMANDS:
            raise click.UsageError(f"{word} is the word of a command; a playbook of that name is written ./{word}")
    return words


def _settled(_context: click.Context, _parameter: click.Parameter, words: tuple[str, ...]) -> dict[str, str]:
    settled = {}
    for word in words:
        host, _, said = word.rpartition("=")
        if not host or said not in ("done", "not-done"):
            raise click.BadParameter(f"{word}: write HOST=done or HOST=not-done")
        settled[host] = said
    return settled


def reason(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    """What is journaled as the reason. Given and empty, it is none."""
    from click.core import ParameterSource

    said = text.strip()[:2000]
    if not said and _context.get_parameter_source(str(_parameter.name)) is not ParameterSource.DEFAULT:
        raise click.BadParameter("say why: it is written into the journal")
    return said


def _batches(_context: click.Context, _parameter: click.Parameter, word: str) -> tuple[Share, ...]:
    try:
        return parse_batches(word.split(",")) if word else ()
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _limit(_context: click.Context, _parameter: click.Parameter, word: str | None) -> Share | None:
    try:
        return None if word is None else Share.parse(word)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def executor(_context: click.Context, _parameter: click.Parameter, word: str) -> str:
    """Words that name an executor. Raises click.BadParameter."""
    from converge.errors import UsageError
    from converge.runs.executors import require_known

    try:
        require_known(word)
    except UsageError as error:
        raise click.BadParameter(f"{error.what}; try {error.try_}") from None
    return word


@click.command(short_help="Bring the hosts to the desired state.")
@click.argument("playbooks", nargs=-1, metavar="[PLAYBOOK]...", callback=playbooks_named)
@click.option(
    "-i",
    "--inventory",
    multiple=True,
    type=Paths(),
    envvar="CONVERGE_INVENTORY",
    help="A file, a directory, a program, or a list of hosts with a comma. Default: inventory/",
)
@click.option("-l", "--limit", metavar="PATTERN", envvar="CONVERGE_LIMIT", help="Only these of the hosts.")
@click.option("-t", "--tags", multiple=True, type=Tags(), envvar="CONVERGE_TAGS", help="Only entries so tagged.")
@click.option("--skip-tags", multiple=True, type=Tags(), envvar="CONVERGE_SKIP_TAGS", help="No entries so tagged.")
@click.option(
    "-e",
    "--extra-vars",
    multiple=True,
    type=Whole(),
    metavar="k=v | @FILE | YAML",
    envvar="CONVERGE_EXTRA_VARS",
    help="Variables that win over all others.",
)
@click.option("-C", "--check", is_flag=True, envvar="CONVERGE_CHECK", help="Show what would change; change nothing.")
@click.option("-D", "--diff/--no-diff", default=True, envvar="CONVERGE_DIFF", help="Show values before and after.")
@click.option(
    "-f", "--forks", type=click.IntRange(1, 1000), default=50, show_default=True, envvar="CONVERGE_FORKS",
    help="Hosts at once.",
)  # fmt: skip
@click.option(
    "--executor", metavar="WHERE", default="threads", show_default=True, envvar="CONVERGE_EXECUTOR", callback=executor,
    help="Who visits the hosts: threads, dask[:N], dask+tls://HOST:PORT.",
)  # fmt: skip
@click.option(
    "--login-forks", type=click.IntRange(0, 1000), default=0, envvar="CONVERGE_LOGIN_FORKS", metavar="NUMBER",
    help="Logins at once, for the sake of domain controllers. Default: as many as hosts.",
)  # fmt: skip
@click.option(
    "--batch", metavar="SIZES", default="", envvar="CONVERGE_BATCH", callback=_batches,
    help="Hosts changed at a time: 10, 25%, or 1,10,25%. Wins over the playbooks.",
)  # fmt: skip
@click.option(
    "--max-failures", metavar="NUMBER|PERCENT", default=None, envvar="CONVERGE_MAX_FAILURES", callback=_limit,
    help="Failed and unreachable hosts after which no further one is changed.",
)  # fmt: skip
@click.option("--canary", metavar="PATTERN", default="", envvar="CONVERGE_CANARY", help="Hosts changed first.")
@click.option(
    "--soak", type=Duration(), default=None, envvar="CONVERGE_SOAK",
    help="How long after the canaries they are looked at again, before the others: 90s, 10m, 1h30m.",
)  # fmt: skip
@click.option(
    "--rerun", nargs=2, metavar="STATUS RUN", default=None,
    help="Only hosts that ended so in an earlier run: failed 2026-11-20T220107Z-1f3a",
)  # fmt: skip
@click.option(
    "-v", "--verbose", count=True, envvar="CONVERGE_VERBOSE", help="Tell more: round trips, seconds, actions."
)
@click.option(
    "--format", "output_format", type=click.Choice(FORMATS), default="text", envvar="CONVERGE_FORMAT",
    help="How results are written.",
)  # fmt: skip
@click.option("-o", "--output", metavar="FILE", envvar="CONVERGE_OUTPUT", help="Write results there.")
@click.option("--list-hosts", is_flag=True, envvar="CONVERGE_LIST_HOSTS", help="List the hosts, contact none.")
@click.option("--list-resources", is_flag=True, envvar="CONVERGE_LIST_RESOURCES", help="List what is declared.")
@click.option("-y", "--yes", is_flag=True, envvar="CONVERGE_YES", help="Apply without asking.")
@click.option(
    "--accept-no-way-back", is_flag=True, envvar="CONVERGE_ACCEPT_NO_WAY_BACK",
    help="Allow changes that cannot be taken back.",
)  # fmt: skip
@click.option("--allow-reboot", is_flag=True, envvar="CONVERGE_ALLOW_REBOOT", help="Allow restarts of computers.")
@click.option(
    "--exit-zero-on-drift", is_flag=True, envvar="CONVERGE_EXIT_ZERO_ON_DRIFT", help="Drift found by --check exits 0.",
)  # fmt: skip
@click.option(
    "--settle", multiple=True, metavar="HOST=done|not-done", type=Whole(), envvar="CONVERGE_SETTLE",
    callback=_settled,
    help="What became of a command whose line was cut; with HOST:HANDLER=done of a handler owed by a play that is gone.",
)  # fmt: skip
@click.option(
    "--lease-timeout", type=Duration(), default=0.0, envvar="CONVERGE_LEASE_TIMEOUT",
    help="How long to wait for another run that holds a host, such as 10m. Default: not at all.",
)  # fmt: skip
@click.option(
    "--outside-window", metavar="REASON", default="", callback=reason, envvar="CONVERGE_OUTSIDE_WINDOW",
    help="Change hosts outside their change windows too, and journal why.",
)  # fmt: skip
@click.option(
    "--full-search", is_flag=True, envvar="CONVERGE_FULL_SEARCH",
    help="Let --check search registries in full, not only the places known from a search of the last seven days.",
)  # fmt: skip
@click.option(
    "--store", metavar="URL", default="", envvar="CONVERGE_STORE",
    help="Where runs are remembered. Default: .converge/converge.db",
)  # fmt: skip
@click.option(
    "--new-store", is_flag=True,
    help="Begin a new store where one that was used here is lost: what earlier runs changed is not known then.",
)  # fmt: skip
def command(**given: Any) -> int:
    """Bring the hosts to the desired state: plan, show, ask, apply, look again.

    With --check it stops after showing, and has only read. Playbooks: those named, or playbooks/*.yml.

    Every option has a twin in the environment: CONVERGE_FORKS for --forks.

    Exit codes: 0 in the desired state; 1 usage, playbook or inventory error; 2 drift found by --check, or declined;
    3 some host failed or is undecided; 4 some host unreachable; 6 outside a change window; 7 another run holds a host;
    70 a bug in converge; 130 interrupted.
    """
    from converge.cli.running import run

    options = RunOptions(
        sources=Sources(
            playbooks=given["playbooks"],
            inventories=given["inventory"],
            limit=given["limit"],
            tags=words(given["tags"]),
            skip_tags=words(given["skip_tags"]),
            extra_vars=given["extra_vars"],
        ),
        check=given["check"],
        diff=given["diff"],
        forks=given["forks"],
        verbose=given["verbose"],
        output_format=given["output_format"],
        output=given["output"],
        list_hosts=given["list_hosts"],
        list_resources=given["list_resources"],
        yes=given["yes"],
        accept_no_way_back=given["accept_no_way_back"],
        allow_reboot=given["allow_reboot"],
        exit_zero_on_drift=given["exit_zero_on_drift"],
        settle=given["settle"],
        store=given["store"],
        new_store=given["new_store"],
        full_search=given["full_search"],
        lease_timeout=given["lease_timeout"],
        outside_window=given["outside_window"],
        rollout=Rollout(given["batch"], given["max_failures"], given["canary"], given["soak"] or 0.0),
        soak_said=given["soak"] is not None,
        login_forks=given["login_forks"],
        rerun=given["rerun"],
        executor=given["executor"],
    )
    return run(options)


def words(given: tuple[str, ...]) -> frozenset[str]:
    """Words that were given one by one or with commas between."""
    return frozenset(word.strip() for item in given for word in item.split(",") if word.strip())
