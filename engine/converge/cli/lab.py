"""The command `lab`: simulated Windows hosts behind real WinRM endpoints on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from select import select

import click

from converge.cli.options import Paths
from converge.cli.signals import stopping
from converge.errors import UsageError
from converge.fleet.stop import StopToken
from converge.inventory import load
from converge.lab.components import list_states
from converge.lab.effects import enact
from converge.lab.image import list_images
from converge.lab.world import World
from converge.model.opening import OWNER_ONLY, create_output, make_state_folder
from converge.report.sink import Sink, sink_for
from converge.runs.lab_endpoints import LabRecord, Served
from converge.runs.lab_hosts import LOOK_AGAIN, LabHosts, Wanted, saved_world, world_path
from converge.runs.options import STATE_FOLDER
from converge.store.names import host_name

FOLDER = STATE_FOLDER / "lab"
_NO_WORLDS = ("up.json",)
START_SECONDS = 120.0

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

    if detach:
        return _detach(images, inventory, json_wanted=output_format == "json")
    return _serve(images, inventory, json_wanted=output_format == "json")


@command.command()
def down() -> int:
    """Stop the hosts that `lab up` serves."""

    return _down()


@command.command()
@click.argument("host", required=False)
def reset(host: str | None) -> int:
    """Make a host, or all of them, anew from its image at its next use."""

    return _reset(host)


@command.command(name="list")
@_FORMAT
def list_(output_format: str) -> int:
    """List the images."""

    return _list_all(json_wanted=output_format == "json")


@command.command()
@click.argument("host")
@_FORMAT
def show(host: str, output_format: str) -> int:
    """Show a host's world: its Windows, services, components, operator steps; as JSON everything."""

    return _show_host(host, json_wanted=output_format == "json")


@command.command()
@click.argument("host")
@click.argument("step")
def operator(host: str, step: str) -> int:
    """Play the person of an operator step."""

    return _play_step(host, step)


def _serve(images: Sequence[str], inventories: Sequence[str], *, json_wanted: bool) -> int:
    """Serve until interrupted, which is the expected end: exit code 0."""
    wanted = wanted_hosts(images, inventories)
    record = LabRecord(FOLDER)
    record.claim()
    hosts = LabHosts(FOLDER)
    stop = StopToken()
    try:
        with stopping(stop, words=b""):
            served = {host.name: hosts.serve(host) for host in wanted}
            record.write(served)
            _announce(served, json_wanted=json_wanted, until_interrupted=True)
            while not stop.wait(LOOK_AGAIN):
                hosts.refresh()
    finally:
        record.release()
        hosts.close()
    return 0


def _detach(images: Sequence[str], inventories: Sequence[str], *, json_wanted: bool) -> int:
    """Start a process that serves, and return once its hosts listen. Raises UsageError where it ends at once."""
    wanted_hosts(images, inventories)  # what is wrong with the files is told here, not in a log
    if LabRecord(FOLDER).is_up():
        raise UsageError("the lab is up already in this folder", try_="converge lab down")
    make_state_folder(FOLDER)
    words = [*images, *(word for inventory in inventories for word in ("-i", inventory))]
    log = FOLDER / "up.log"
    with open(create_output(log, mode=OWNER_ONLY), "wb") as errors:
        process = subprocess.Popen(  # noqa: S603  # this very program
            [sys.executable, "-m", "converge.cli.main", "lab", "up", "--format", "json", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
    hosts = _first_line(process, log)
    served = {name: LabRecord(FOLDER).served(name) for name in hosts}
    _announce({name: at for name, at in served.items() if at}, json_wanted=json_wanted, until_interrupted=False)
    return 0


def _down() -> int:
    """Stop the process that serves; nothing to do where there is none."""
    words = "stopped" if LabRecord(FOLDER).stop() else "the lab is not up"
    sink_for(sys.stdout).line(words)
    return 0


def wanted_hosts(images: Sequence[str], inventories: Sequence[str]) -> list[Wanted]:
    """The hosts to serve: one per image, or those of the inventories. Raises UsageError where there are none."""
    if images:
        names: dict[str, str] = {}
        for image in images:
            taken = [name for name in names if name == image or name.startswith(f"{image}-")]
            names[f"{image}-{len(taken) + 1}" if taken else image] = image
        return [Wanted(name, image) for name, image in names.items()]
    if not inventories and not Path("inventory").exists():
        raise UsageError("nothing to serve", try_="name images (`converge lab list`), or an inventory with -i")
    inventory = load(inventories or ["inventory"])
    found = []
    for host in inventory.hosts:
        settings = inventory.settings(host)
        if settings.connection == "lab":
            found.append(Wanted(host, settings.lab_image, settings.user, settings.password()))
    if not found:
        raise UsageError(
            "the inventory has no simulated host", try_="set ansible_connection: lab and converge_lab_image"
        )
    return found


def _first_line(process: subprocess.Popen[bytes], log: Path) -> list[str]:
    assert process.stdout is not None
    readable, _, _ = select([process.stdout], [], [], START_SECONDS)
    line = process.stdout.readline() if readable else b""
    try:
        hosts = list(json.loads(line)["hosts"])
    except ValueError:  # the document of errors is more than one line
        raise _not_up(process, line, log) from None
    process.stdout.close()
    return hosts


def _not_up(process: subprocess.Popen[bytes], begun: bytes, log: Path) -> UsageError:
    assert process.stdout is not None
    if process.poll() is None and not begun:
        process.terminate()
    document = begun + process.stdout.read()
    process.wait(timeout=START_SECONDS)
    why = log.read_text("utf-8", "replace")[-2000:].strip()
    with suppress(ValueError):
        why = "\n".join(error["message"] for error in json.loads(document)["errors"])
    return UsageError("the lab did not come up", why=why, try_=f"see {log}")


def _announce(served: dict[str, Served], *, json_wanted: bool, until_interrupted: bool) -> None:
    if json_wanted:
        hosts = {name: host.as_json() for name, host in served.items()}
        sys.stdout.write(json.dumps({"hosts": hosts}) + "\n")
        sys.stdout.flush()
        return
    sink = sink_for(sys.stdout)
    width = max(len(name) for name in served)
    for name, host in served.items():
        sink.line(f"{name:<{width}}  {host.endpoint}  {host.username}  {host.image}")
    sink.line("Ctrl-C stops them" if until_interrupted else "`converge lab down` stops them", style="dim")
    sys.stdout.flush()


def _list_all(*, json_wanted: bool) -> int:
    """Every image: its name, what it stands for, its article."""
    images = list_images()
    if json_wanted:
        shown = [{"image": image.name, "describe": image.describe, "article": image.article} for image in images]
        sys.stdout.write(json.dumps({"images": shown}, indent=1) + "\n")
        return 0
    sink = sink_for(sys.stdout)
    width = max((len(image.name) for image in images), default=0)
    for image in images:
        article = f" ({image.article})" if image.article else ""
        sink.line(f"{image.name:<{width}}  {image.describe}{article}")
    return 0


def _show_host(host: str, *, json_wanted: bool) -> int:
    """A host's world as it is kept now. Raises UsageError for a host that has none."""
    world = _world(host)
    if json_wanted:
        content = world.to_json()
        content.pop("accounts")
        content["components"] = {name: {"installed": there} for name, there in list_states(world).items()}
        sys.stdout.write(json.dumps(content, indent=1) + "\n")
        return 0
    _show(host, world, sink_for(sys.stdout))
    return 0


def _show(host: str, world: World, sink: Sink) -> None:
    profile = world.profile
    sink.line(
        f"{host}: {profile.caption} {profile.version} ({profile.architecture}), image {world.image}", style="bold"
    )
    for service in sorted(world.services.values(), key=lambda service: service.name):
        sink.line(f"  service {service.name}: {service.state.value}, {service.start_mode.value}")
    for name, there in list_states(world).items():
        sink.line(f"  component {name}: {'installed' if there else 'not installed'}")
    for name, step in world.steps.items():
        sink.line(f"  operator step {name}: {step.describe}")


def _reset(host: str | None) -> int:
    """Forget what became of a host, or of all: its next use begins with its image."""
    hosts = [host] if host is not None else _saved_hosts()
    up = LabRecord(FOLDER)
    for name in hosts:
        path = world_path(FOLDER, name)
        if not path.exists():
            raise UsageError(f"{name} has no world to reset", try_=_describe_saved())
        if up.served(name) is not None:
            image = World.load(path).image
            path.unlink()
            saved_world(path, host=name, image=image)  # written at once, for the process that serves it
        else:
            path.unlink()
    _wait_for_server(up)
    sink_for(sys.stdout).line(f"reset: {', '.join(hosts) or 'no host'}")
    return 0


def _play_step(host: str, step: str) -> int:
    """Do to a host's world what the person of an operator step does. Raises UsageError for an unknown step."""
    world = _world(host)
    spec = world.steps.get(step)
    if spec is None:
        known = ", ".join(world.steps) or "none"
        raise UsageError(f"{host} has no operator step {step}", try_=f"its steps: {known}")
    with world.lock:
        enact(world, spec.effects)
        world.save(world_path(FOLDER, host))
    _wait_for_server(LabRecord(FOLDER))
    sink_for(sys.stdout).line(f"{host}: {step}: {spec.describe or 'done'}")
    return 0


def _world(host: str) -> World:
    """The world kept, or the one the default inventory would make. Raises UsageError."""
    path = world_path(FOLDER, host)
    if path.exists():
        return World.load(path)
    if Path("inventory").exists():
        inventory = load(["inventory"])
        if host in inventory.hosts and inventory.settings(host).connection == "lab":
            return saved_world(path, host=host, image=inventory.settings(host).lab_image)
    raise UsageError(f"there is no simulated host {host} in this folder", try_=_describe_saved())


def _saved_hosts() -> list[str]:
    return sorted(host_name(path.stem) for path in FOLDER.glob("*.json") if path.name not in _NO_WORLDS)


def _describe_saved() -> str:
    return f"kept here: {', '.join(_saved_hosts()) or 'none yet'}"


def _wait_for_server(up: LabRecord) -> None:
    """A process that serves the hosts looks at their files this often: afterwards it knows."""
    if up.is_up():
        time.sleep(3 * LOOK_AGAIN)
