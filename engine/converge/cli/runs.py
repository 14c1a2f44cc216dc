"""The command `runs`: what was run, what came of it, and forgetting what is old."""

from __future__ import annotations

import click


@click.command(short_help="List past runs, show one, verify their journals, or forget old ones.")
@click.argument("run", required=False, metavar="[RUN|verify]")
@click.option("-n", "--newest", type=click.IntRange(1), default=50, show_default=True, help="List so many.")
@click.option("--all", "every", is_flag=True, help="List all of them.")
@click.option("--prune", type=click.FloatRange(0), metavar="DAYS", help="Forget runs older than this.")
@click.option("--keep", type=click.IntRange(0), metavar="N", help="Forget all but the newest N runs.")
@click.option(
    "--write-off", metavar="HOST", help="Give up this host's damaged journal: what is in it cannot be undone any more."
)
@click.option("--reason", metavar="WHY", help="Why it is written off: journaled.")
@click.option("-y", "--yes", is_flag=True, help="Write it off without asking.")
@click.option(
    "--format", "output_format", type=click.Choice(["text", "json"]), default="text", envvar="CONVERGE_FORMAT",
    help="How it is written.",
)  # fmt: skip
@click.option("-o", "--output", metavar="FILE", envvar="CONVERGE_OUTPUT", help="Write it there.")
@click.option(
    "--store", metavar="URL", default="", envvar="CONVERGE_STORE",
    help="Where runs are remembered. Default: .converge/converge.db",
)  # fmt: skip
def command(
    run: str | None,
    newest: int,
    *,
    every: bool,
    prune: float | None,
    keep: int | None,
    write_off: str | None,
    reason: str | None,
    yes: bool,
    output_format: str,
    output: str | None,
    store: str,
) -> int:
    """List past runs, newest first; or show one: its hosts, changes, actions with their outcomes, what is still open.

    `converge runs verify` looks through the journal of every host, row by row; exit 3 where one was changed since.

    --prune and --keep forget runs for good, never one that left something open on a host. --write-off lets runs change a
    host again whose journal was damaged: its rows stay, marked as not to be relied upon, and a new journal begins.
    """
    if sum(given is not None for given in (run, prune, keep, write_off)) > 1:
        raise click.UsageError("give one of RUN, --prune, --keep and --write-off")
    if write_off is None and (reason is not None or yes):
        raise click.UsageError("--reason and --yes go with --write-off")
    reason = (reason or "").strip()[:2000]
    if write_off is not None and not reason:
        raise click.UsageError("--write-off needs a --reason: it is journaled")
    from converge.cli import remembered

    json = output_format == "json"
    if write_off is not None:
        return remembered.write_off(store, host=write_off, reason=reason, yes=yes)
    if prune is not None or keep is not None:
        return remembered.forget(store, days=prune, keep=keep)
    if run == "verify":
        return remembered.verify(store, json=json, output=output)
    if run is not None:
        return remembered.show(store, run, json=json, output=output)
    return remembered.list_runs(store, newest=None if every else newest, json=json, output=output)
