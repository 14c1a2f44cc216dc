"""Simulated hosts: their worlds kept in files, their endpoints served from this process, or by a `lab up` that already does."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, fields
from pathlib import Path

from converge.errors import HostUnreachable, UsageError
from converge.lab.endpoint.host import SimulatedHost
from converge.lab.endpoint.server import LabServer
from converge.lab.image import load_image
from converge.lab.world import World
from converge.model.opening import require_state_folder
from converge.model.secret import Secret
from converge.runs.lab_endpoints import LabRecord, Served
from converge.store.names import file_name

LOOK_AGAIN = 0.25  # seconds between two looks at whether somebody else wrote a world's file


@dataclass(frozen=True, slots=True)
class Wanted:
    """A simulated host as the inventory names it; without an account the first of its image is used."""

    name: str
    image: str | None
    user: str = ""
    password: Secret | None = None


@dataclass(slots=True)
class _SavedWorld:
    """A served world and its file as this process wrote it last."""

    world: World
    path: Path
    stamp: tuple[int, int]

    def save(self) -> None:
        self.world.save(self.path)
        self.stamp = _stamp(self.path)

    def refresh(self) -> None:
        """Take over what somebody else wrote."""
        with self.world.lock:
            stamp = _stamp(self.path)
            if stamp == self.stamp or stamp == (0, 0):
                return
            written = World.load(self.path)
            for field in fields(World):
                if field.name != "lock":
                    setattr(self.world, field.name, getattr(written, field.name))
            self.stamp = stamp


class LabHosts:
    """Keeps worlds as `FOLDER/HOST.json` and serves them. Safe to use from many threads."""

    def __init__(self, folder: Path) -> None:
        """Raises UsageError for a folder that another account may change."""
        require_state_folder(folder.parent)
        require_state_folder(folder)
        self._folder = folder
        self._server: LabServer | None = None
        self._served: dict[str, Served] = {}
        self._saved: list[_SavedWorld] = []
        self._lock = threading.Lock()

    def serve(self, wanted: Wanted) -> Served:
        """Serve a host, made from its image if it is not kept yet. Raises UsageError, InputErrors, WorldUnreadable."""
        with self._lock:
            if wanted.name not in self._served:
                self._served[wanted.name] = self._start(wanted)
            return self._served[wanted.name]

    def refresh(self) -> None:
        """Take over worlds that somebody else wrote: a step an operator played, a reset."""
        for saved in list(self._saved):
            saved.refresh()

    def close(self) -> None:
        """Stop serving."""
        with self._lock:
            if self._server is not None:
                self._server.stop()

    def _start(self, wanted: Wanted) -> Served:
        path = world_path(self._folder, wanted.name)
        if (running := LabRecord(self._folder).served(wanted.name)) is not None:
            return running
        world = saved_world(path, host=wanted.name, image=wanted.image)
        saved = _SavedWorld(world, path, _stamp(path))
        self._server = self._server or LabServer()
        (endpoint,) = self._server.start([SimulatedHost(wanted.name, world, on_change=saved.save)])
        self._saved.append(saved)
        user, password = _account(wanted, world)
        return Served(endpoint.url, user, password, world.image)


def world_path(folder: Path, host: str) -> Path:
    """Where a host's world is kept."""
    return folder / (file_name(host) + ".json")


def saved_world(path: Path, *, host: str, image: str | None) -> World:
    """The world kept there, or a new one from its image, which is then kept.

    Raises UsageError without either, HostUnreachable where it cannot be read or kept.
    """
    try:
        return _loaded_world(path, host=host, image=image)
    except OSError as error:
        raise HostUnreachable(
            f"the simulated host {host} cannot be kept in {path}: {error.strerror or error}",
            why=f"Simulated hosts keep their worlds below {path.parent}/, even when they are only looked at.",
            try_="give yourself the right to write there, or run in a copy of this folder that you can write to",
        ) from error


def _loaded_world(path: Path, *, host: str, image: str | None) -> World:
    if path.exists():
        world = World.load(path)
        if image is None or world.image == image:
            return world
    if not image:
        raise UsageError(
            f"{host} is a simulated host without an image",
            try_="set converge_lab_image for it; `converge lab list` shows the images",
        )
    world = load_image(image, host_name=host.partition(".")[0])
    world.save(path)
    return world


def _account(wanted: Wanted, world: World) -> tuple[str, Secret]:
    if wanted.user and wanted.password is not None:
        return wanted.user, wanted.password
    account = next(iter(world.accounts.values()), None)
    if account is None:
        raise UsageError(f"the image {world.image} of {wanted.name} has no account to log in with")
    return account.name, Secret(account.password)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_ino)
