"""The command `report`: what is remembered of the fleet, for people who would rather look than read."""

from __future__ import annotations

import click


@click.command(short_help="Write one page about the fleet: hosts, drift over time, a run's journal.")
@click.option("--html", metavar="FILE", required=True, envvar="CONVERGE_HTML", help="Write the page there.")
@click.option("--runs", type=click.IntRange(1, 500), default=30, show_default=True, help="Tell of so many newest runs.")
@click.option(
    "--run", metavar="RUN", help="Whose journal to show. Default: that of the newest run that changed something."
)
@click.option(
    "--store", metavar="URL", default="", envvar="CONVERGE_STORE",
    help="Where runs are remembered. Default: .converge/converge.db",
)  # fmt: skip
def command(html: str, *, runs: int, run: str | None, store: str) -> int:
    """Write one HTML page that needs nothing else: no network, no server. Contacts no host."""
    from converge.cli.reporting import write_report

    return write_report(html, runs=runs, run=run, store=store)
