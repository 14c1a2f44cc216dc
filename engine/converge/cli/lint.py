"""The command `lint`: checks the user's files and contacts nobody."""

from __future__ import annotations

import click

from converge.cli.options import Paths, Whole


@click.command(short_help="Check playbooks and inventory.")
@click.argument("playbooks", nargs=-1, metavar="[PLAYBOOK]...")
@click.option("-i", "--inventory", multiple=True, type=Paths(), envvar="CONVERGE_INVENTORY")
@click.option("-e", "--extra-vars", multiple=True, type=Whole(), envvar="CONVERGE_EXTRA_VARS")
@click.option(
    "--format", "output_format", type=click.Choice(["text", "json"]), default="text", envvar="CONVERGE_FORMAT"
)
def command(
    playbooks: tuple[str, ...], inventory: tuple[str, ...], extra_vars: tuple[str, ...], output_format: str
) -> int:
    """Check playbooks and inventory without contacting any host.

    Exit codes: 0 nothing wrong; 1 something is, each with file, line and column.
    """
    from converge.cli.linting import lint
    from converge.runs.options import Sources

    sources = Sources(playbooks=playbooks, inventories=inventory, extra_vars=extra_vars)
    return lint(sources, json_wanted=output_format == "json")
