"""Every option of the commands, declared once, each with its twin in the environment, and what they say as values."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import click

from converge.cli.words import COMMANDS
from converge.errors import UsageError
from converge.model.durations import in_words, read_duration
from converge.model.rollout import Rollout, Share, parse_batches
from converge.model.secret import Secret
from converge.runs.options import RunOptions, Sources

FORMATS = ("text", "json", "jsonl", "junit", "prometheus")


@dataclass(frozen=True, slots=True)
class View:
    """How results are shown, and what is asked."""

    output_format: str = "text"
    output: str | None = None
    diff: bool = True
    verbose: int = 0
    yes: bool = False
    exit_zero_on_drift: bool = False

    @property
    def json(self) -> bool:
        """Whether the JSON document was asked for."""
        return self.output_format == "json"


def view_of(given: Mapping[str, Any], *, yes: bool = False) -> View:
    """How results are shown."""
    said = {field.name: given[field.name] for field in fields(View) if field.name in given}
    return View(**{"yes": yes, **said})


def run_options(
    given: Mapping[str, Any], *, command: Literal["run", "plan", "apply", "undo", "diagnose"], **fixed: Any
) -> RunOptions:
    """What the options of a command ask of a run; `fixed` are those that the command has no word for."""
    said = {field.name: given[field.name] for field in fields(RunOptions) if field.name in given}
    if "batch" in given:
        said["rollout"] = Rollout(given["batch"], given["max_failures"], given["canary"], given["soak"] or 0.0)
        said["soak_said"] = given["soak"] is not None
    sources = Sources(
        playbooks=given.get("playbooks", ()),
        inventories=given.get("inventory", ()),
        limit=given.get("limit"),
        tags=_words(given.get("tags", ())),
        skip_tags=_words(given.get("skip_tags", ())),
        extra_vars=given.get("extra_vars", ()),
    )
    return RunOptions(**{**said, "sources": sources, "command": command, **fixed})


def _words(given: tuple[str, ...]) -> frozenset[str]:
    """Words that were given one by one or with commas between."""
    return frozenset(word.strip() for item in given for word in item.split(",") if word.strip())


class Paths(click.types.StringParamType):
    """Paths; the environment twin separates them as the system's PATH does."""

    name = "path"
    envvar_list_splitter = os.pathsep


class Tags(click.types.StringParamType):
    """Words with commas between, on the command line and in the environment."""

    name = "tags"
    envvar_list_splitter = ","


class WholeText(click.types.StringParamType):
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


def _playbooks_named(_context: click.Context, _parameter: click.Parameter, words: tuple[str, ...]) -> tuple[str, ...]:
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


def _reason(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
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


def _executor(_context: click.Context, _parameter: click.Parameter, word: str) -> str:
    """Words that name an executor. Raises click.BadParameter."""
    from converge.runs.executors import require_known

    try:
        require_known(word)
    except UsageError as error:
        raise click.BadParameter(f"{error.what}; try {error.try_}") from None
    return word


PLAYBOOKS = click.argument("playbooks", nargs=-1, metavar="[PLAYBOOK]...", callback=_playbooks_named)
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
    "-e", "--extra-vars", multiple=True, type=WholeText(), metavar="k=v | @FILE | YAML", envvar="CONVERGE_EXTRA_VARS",
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
    "--executor", metavar="WHERE", default="threads", show_default=True, envvar="CONVERGE_EXECUTOR", callback=_executor,
    help="Who visits the hosts: threads, dask[:N], dask+tls://HOST:PORT.",
)  # fmt: skip
VERBOSE = click.option(
    "-v", "--verbose", count=True, envvar="CONVERGE_VERBOSE", help="Tell more: round trips, seconds, actions."
)
FORMAT = click.option(
    "--format", "output_format", type=click.Choice(FORMATS), default="text", envvar="CONVERGE_FORMAT",
    help="How results are written.",
)  # fmt: skip
TEXT_OR_JSON = click.option(
    "--format", "output_format", type=click.Choice(["text", "json"]), default="text", envvar="CONVERGE_FORMAT",
    help="How results are written.",
)  # fmt: skip
ACCEPT_NO_WAY_BACK = click.option(
    "--accept-no-way-back", is_flag=True, envvar="CONVERGE_ACCEPT_NO_WAY_BACK",
    help="Go on where something cannot be undone.",
)  # fmt: skip
ALLOW_REBOOT = click.option(
    "--allow-reboot", is_flag=True, envvar="CONVERGE_ALLOW_REBOOT", help="Allow restarts of computers."
)
LEASE_TIMEOUT = click.option(
    "--lease-timeout", type=Duration(), default=0.0, envvar="CONVERGE_LEASE_TIMEOUT",
    help="How long to wait for another run that holds a host, such as 10m. Default: not at all.",
)  # fmt: skip
OUTSIDE_WINDOW = click.option(
    "--outside-window", metavar="REASON", default="", callback=_reason, envvar="CONVERGE_OUTSIDE_WINDOW",
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
    "--trust", is_flag=True, help="Use a plan whose signature does not match: from another store, or edited."
)
CHECK = click.option("-C", "--check", is_flag=True, envvar="CONVERGE_CHECK", help="Show what would change; change nothing.")
LOGIN_FORKS = click.option(
    "--login-forks", type=click.IntRange(0, 1000), default=0, envvar="CONVERGE_LOGIN_FORKS", metavar="NUMBER",
    help="Logins at once, for the sake of domain controllers. Default: as many as hosts.",
)  # fmt: skip
BATCH = click.option(
    "--batch", metavar="SIZES", default="", envvar="CONVERGE_BATCH", callback=_batches,
    help="Hosts changed at a time: 10, 25%, or 1,10,25%. Wins over the playbooks.",
)  # fmt: skip
MAX_FAILURES = click.option(
    "--max-failures", metavar="NUMBER|PERCENT", default=None, envvar="CONVERGE_MAX_FAILURES", callback=_limit,
    help="Failed and unreachable hosts after which no further one is changed.",
)  # fmt: skip
CANARY = click.option("--canary", metavar="PATTERN", default="", envvar="CONVERGE_CANARY", help="Hosts changed first.")
SOAK = click.option(
    "--soak", type=Duration(), default=None, envvar="CONVERGE_SOAK",
    help="How long after the canaries they are checked again, before the others: 90s, 10m, 1h30m.",
)  # fmt: skip
RERUN = click.option(
    "--rerun", nargs=2, metavar="STATUS RUN", default=None,
    help="Only hosts with this status in an earlier run: failed 2026-11-20T220107Z-1f3a",
)  # fmt: skip
OUTPUT = click.option("-o", "--output", metavar="FILE", envvar="CONVERGE_OUTPUT", help="Write results there.")
LIST_HOSTS = click.option("--list-hosts", is_flag=True, envvar="CONVERGE_LIST_HOSTS", help="List the hosts, contact none.")
LIST_RESOURCES = click.option("--list-resources", is_flag=True, envvar="CONVERGE_LIST_RESOURCES", help="List what is declared.")
YES = click.option("-y", "--yes", is_flag=True, envvar="CONVERGE_YES", help="Apply without asking.")
EXIT_ZERO = click.option(
    "--exit-zero-on-drift", is_flag=True, envvar="CONVERGE_EXIT_ZERO_ON_DRIFT", help="Drift found by --check exits 0.",
)  # fmt: skip
SETTLE = click.option(
    "--settle", multiple=True, metavar="HOST=done|not-done", type=WholeText(), envvar="CONVERGE_SETTLE",
    callback=_settled,
    help="The outcome of a command whose connection was lost; with HOST:HANDLER=done of a pending handler of a play that is gone.",
)  # fmt: skip
FULL_SEARCH = click.option(
    "--full-search", is_flag=True, envvar="CONVERGE_FULL_SEARCH",
    help="Let --check search registries in full, not only the places known from a search of the last seven days.",
)  # fmt: skip
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
