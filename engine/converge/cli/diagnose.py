"""The command `diagnose`: which articles' problems does a host show?"""

from __future__ import annotations

import click

from converge.cli.run import Paths, Whole


@click.command(short_help="Tell which articles' problems hosts show.")
@click.argument("hosts", nargs=-1, metavar="[HOST]...")
@click.option(
    "-i", "--inventory", multiple=True, type=Paths(), envvar="CONVERGE_INVENTORY",
    help="A file, a directory, a program, or a list of hosts with a comma. Default: inventory/",
)  # fmt: skip
@click.option(
    "-p", "--playbook", "playbooks", multiple=True, metavar="FILE", type=Paths(), envvar="CONVERGE_PLAYBOOKS",
    help="Only these playbooks. Default: playbooks/*.yml",
)  # fmt: skip
@click.option(
    "-e", "--extra-vars", multiple=True, type=Whole(), metavar="k=v | @FILE | YAML", envvar="CONVERGE_EXTRA_VARS",
    help="Variables that win over all others.",
)  # fmt: skip
@click.option(
    "-f", "--forks", type=click.IntRange(1, 1000), default=50, show_default=True, envvar="CONVERGE_FORKS",
    help="Hosts at once.",
)  # fmt: skip
@click.option("-v", "--verbose", count=True, envvar="CONVERGE_VERBOSE", help="Tell what was ruled out, too.")
@click.option(
    "--format", "output_format", type=click.Choice(["text", "json"]), default="text", envvar="CONVERGE_FORMAT",
    help="How results are written.",
)  # fmt: skip
@click.option("-o", "--output", metavar="FILE", envvar="CONVERGE_OUTPUT", help="Write results there.")
@click.option(
    "--store", metavar="URL", default="", envvar="CONVERGE_STORE",
    help="Where runs are remembered. Default: .converge/converge.db",
)  # fmt: skip
def command(
    hosts: tuple[str, ...],
    inventory: tuple[str, ...],
    playbooks: tuple[str, ...],
    *,
    extra_vars: tuple[str, ...],
    forks: int,
    verbose: int,
    output_format: str,
    output: str | None,
    store: str,
) -> int:
    """Look at hosts (all of the inventory, or these patterns) and tell of each playbook's article whether its problem is there.

    Says how certain that is, the evidence (drift found by a check, events of the host's logs), what would change, and the
    command to run. Texts of dialogs are asked as questions: only a person can have seen them. Reads only; an event log is
    asked once for each source, within the time that the playbook names.

    Exit codes as with --check: 0 no article's problem found; 1 usage; 2 found; 3 some host failed, or would not say;
    4 unreachable.
    """
    from converge.cli.diagnosing import DiagnoseOptions, run
    from converge.runs.options import Sources

    sources = Sources(
        playbooks=playbooks, inventories=inventory, limit=",".join(hosts) if hosts else None, extra_vars=extra_vars
    )
    return run(
        DiagnoseOptions(sources, forks=forks, verbose=verbose, json=output_format == "json", output=output, store=store)
    )
