"""The command `runs`: what was run, what came of it, and forgetting what is old."""

from __future__ import annotations

import click


@click.command(short_help="List past runs, show one, or forget old ones.")
@click.argument("run", required=False)
@click.option("-n", "--newest", type=click.IntRange(1), default=50, show_default=True, help="List so many.")
@click.option("--all", "every", is_flag=True, help="List all of them.")
@click.option("--prune", type=click.FloatRange(0), metavar="DAYS", help="Forget runs older than this.")
@click.option("--keep", type=click.IntRange(0), metavar="N", help="Forget all but the newest N runs.")
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
    output_format: str,
    output: str | None,
    store: str,
) -> int:
    """List past runs, newest first; or show one: its hosts, changes, actions with their outcomes, what is still open.

    --prune and --keep forget runs for good, never one that left something open on a host.
    """
    if sum(given is not None for given in (run, prune, keep)) > 1:
        raise click.UsageError("give one of RUN, --prune and --keep")
    from converge.cli import remembered

    json = output_format == "json"
    if prune is not None or keep is not None:
        return remembered.forget(store, days=prune, keep=keep)
    if run is not None:
        return remembered.show(store, run, json=json, output=output)
    return remembered.list_runs(store, newest=None if every else newest, json=json, output=output)
