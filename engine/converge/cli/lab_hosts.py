"""Simulated hosts of an inventory or of images: their worlds kept in files, their endpoints served from this process."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from converge.errors import UsageError
from converge.lab.endpoint.host import Host
from converge.lab.endpoint.server import LabServer
from converge.lab.image import load_image
from converge.lab.world import World
from converge.model.secret import Secret
from converge.store.names import file_name


@dataclass(frozen=True, slots=True)
class Served:
    """Where a simulated host listens, and who may log in."""

    endpoint: str
    username: str
    password: Secret
    image: str


class LabHosts:
    """Keeps worlds as `FOLDER/HOST.json` and serves them. Safe to use from many threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = LabServer()
        self._served: dict[str, Served] = {}
        self._lock = threading.Lock()

    def serve(self, host: str, *, image: str | None) -> Served:
        """Serve a host, made from its image if it is not kept yet. Raises UsageError, InputErrors, WorldUnreadable."""
        with self._lock:
            if host not in self._served:
                self._served[host] = self._start(host, image)
            return self._served[host]

    def close(self) -> None:
        """Stop serving."""
        with self._lock:
            self._server.stop()

    def _start(self, host: str, image: str | None) -> Served:
        path = world_path(self._folder, host)
        world = kept_world(path, host=host, image=image)
        account = next(iter(world.accounts.values()), None)
        if account is None:
            raise UsageError(f"the image {world.image} of {host} has no account to log in with")
        served = Host(host, world, on_change=lambda: world.save(path))
        (endpoint,) = self._server.start([served])
        return Served(endpoint.url, account.name, Secret(account.password), world.image)


def world_path(folder: Path, host: str) -> Path:
    """Where a host's world is kept."""
    return folder / (file_name(host) + ".json")


def kept_world(path: Path, *, host: str, image: str | None) -> World:
    """The world kept there, or a new one from its image, which is then kept. Raises UsageError without either."""
    if path.exists():
        world = World.load(path)
        if image is None or world.image == image:
            return world
    if not image:
        raise UsageError(
            f"{host} is a simulated host without an image", try_="set converge_lab_image; `converge lab list`"
        )
    world = load_image(image, host_name=host.partition(".")[0])
    world.save(path)
    return world
