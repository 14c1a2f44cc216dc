"""Looking after the worlds of simulated hosts: list, show, reset, and the person of an operator step."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from converge.errors import UsageError
from converge.inventory import load
from converge.lab.components import list_states
from converge.lab.effects import enact
from converge.lab.image import list_images
from converge.lab.world import World
from converge.report.sink import Sink, sink_for
from converge.runs.lab_endpoints import LabRecord
from converge.runs.lab_hosts import LOOK_AGAIN, saved_world, world_path
from converge.runs.options import STATE_FOLDER
from converge.store.names import host_name

FOLDER = STATE_FOLDER / "lab"
_NO_WORLDS = ("up.json",)


def list_all(*, json_wanted: bool) -> int:
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


def show(host: str, *, json_wanted: bool) -> int:
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


def reset(host: str | None) -> int:
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


def play_step(host: str, step: str) -> int:
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
