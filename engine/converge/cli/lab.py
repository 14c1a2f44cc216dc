"""The command `lab`: simulated Windows hosts behind real WinRM endpoints on loopback."""

from __future__ import annotations

import click

from converge.cli.options import Paths

_FORMAT = click.option(
    "--format", "output_format", type=click.Choice(["text", "json"]), default="text", envvar="CONVERGE_FORMAT"
)


@click.group(short_help="Simulated Windows hosts.", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """Serve simulated Windows hosts over WinRM on loopback, and look after them.

    Their worlds are kept below .converge/lab/ of the current folder.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@command.command()
@click.argument("images", nargs=-1, metavar="[IMAGE]...")
@click.option("-i", "--inventory", multiple=True, type=Paths(), envvar="CONVERGE_INVENTORY", help="Hosts to serve.")
@click.option("--detach", is_flag=True, help="Return once they listen; `converge lab down` stops them.")
@_FORMAT
def up(images: tuple[str, ...], inventory: tuple[str, ...], detach: bool, output_format: str) -> int:
    """Serve hosts until interrupted: those of images, or the simulated ones of an inventory (default: inventory/)."""
    if images and inventory:
        raise click.UsageError("name images or an inventory, not both")
    from converge.cli import lab_serving

    if detach:
        return lab_serving.detach(images, inventory, json_wanted=output_format == "json")
    return lab_serving.serve(images, inventory, json_wanted=output_format == "json")


@command.command()
def down() -> int:
    """Stop the hosts that `lab up` serves."""
    from converge.cli import lab_serving

    return lab_serving.down()


@command.command()
@click.argument("host", required=False)
def reset(host: str | None) -> int:
    """Make a host, or all of them, anew from its image at its next use."""
    from converge.cli import lab_worlds

    return lab_worlds.reset(host)


@command.command(name="list")
@_FORMAT
def list_(output_format: str) -> int:
    """List the images."""
    from converge.cli import lab_worlds

    return lab_worlds.list_all(json_wanted=output_format == "json")


@command.command()
@click.argument("host")
@_FORMAT
def show(host: str, output_format: str) -> int:
    """Show a host's world: its Windows, services, components, operator steps; as JSON everything."""
    from converge.cli import lab_worlds

    return lab_worlds.show(host, json_wanted=output_format == "json")


@command.command()
@click.argument("host")
@click.argument("step")
def operator(host: str, step: str) -> int:
    """Play the person of an operator step."""
    from converge.cli import lab_worlds

    return lab_worlds.play_step(host, step)
