"""The command `doctor`: why can this host not be reached?"""

from __future__ import annotations

import click

from converge.cli.options import Paths, Whole


@click.command(short_help="Explain why a host cannot be reached.")
@click.argument("host")
@click.option("-i", "--inventory", multiple=True, type=Paths(), envvar="CONVERGE_INVENTORY")
@click.option(
    "-e", "--extra-vars", multiple=True, type=Whole(), envvar="CONVERGE_EXTRA_VARS", metavar="k=v | @FILE | YAML"
)
@click.option(
    "--record", metavar="DIR", envvar="CONVERGE_RECORD",
    help="Keep every request and answer in this new folder, without passwords and logins.",
)  # fmt: skip
@click.option("--store", metavar="URL", default="", envvar="CONVERGE_STORE", help="Where runs are remembered.")
def command(
    host: str, inventory: tuple[str, ...], *, extra_vars: tuple[str, ...], record: str | None, store: str
) -> int:
    """Go to a host step by step: settings, name, port, TLS, HTTP, authentication, Identify, WMI, registry, services, shell.

    Reads only.

    The first step that fails is told with its remedy, and ends it: exit code 4. Last, the store: exit code 1 if it cannot be
    used. All well: 0.

    converge reaches Windows Server 2003 and later. NT 4.0 and Windows 2000 never had WinRM.
    """
    from converge.cli.examining import examine

    return examine(host, inventories=inventory, extra_vars=extra_vars, record=record, store=store)
