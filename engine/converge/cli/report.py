"""The command `report`: what is remembered of the fleet, as one page or one document."""

from __future__ import annotations

import click

from converge.cli import options


@click.command(short_help="Write one page about the fleet: hosts, drift over time, a run's journal.")
@click.option(
    "--format", "output_format", type=click.Choice(["html", "json"]), default="html", show_default=True,
    help="One page for a browser, or one document.",
)  # fmt: skip
@options.OUTPUT
@click.option("--runs", type=click.IntRange(1, 500), default=30, show_default=True, help="Show this many of the newest runs.")
@click.option(
    "--run", metavar="RUN", help="Whose journal the page shows. Default: the newest run that changed something."
)
@options.STORE
def command(output: str | None, *, output_format: str, runs: int, run: str | None, store: str) -> int:
    """Write one file about the fleet that needs nothing else: no network, no server. Contacts no host."""
    from datetime import UTC, datetime

    from converge import __version__
    from converge.cli.output import opened, written
    from converge.errors import UsageError
    from converge.report.fleet import fleet_as_json
    from converge.runs.exit_codes import ExitCode
    from converge.runs.recording import where
    from converge.store.store import Store
    from converge.web.single import single_page

    now = datetime.now(UTC)
    with Store.open(where(store)) as known:
        if run is not None and known.runs.get(run) is None:
            raise UsageError(f"there is no run {run} in {known.name}", try_="see `converge runs`")
        with opened(output, whole=True) as out:
            if output_format == "json":
                hosts, newest = known.overview.hosts(), known.overview.runs(limit=runs)
                fleet_as_json(hosts, newest, out, version=__version__, made=now.isoformat(timespec="seconds"))
            else:
                out.write(single_page(known, columns=runs, run=run, now=now))
            return written(out, ExitCode.IN_ORDER)
