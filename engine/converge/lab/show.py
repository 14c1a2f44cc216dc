"""A world as plain data, for people to look at: what it is, its services, files, registry and last events."""

from __future__ import annotations

from typing import Any

from converge.lab import service_manager
from converge.lab.operator import list_steps
from converge.lab.registry_tree import StoredValue
from converge.lab.shell.reg import NAMES
from converge.lab.world import ServiceRecord, World
from converge.model.registry import Hive, RegistryPath
from converge.windows import paths

_EVENTS = 20


def show_world(world: World) -> dict[str, Any]:
    """JSON-ready data; passwords are left out."""
    with world.lock:
        service_manager.settle(world)
        profile = world.profile
        return {
            "host": profile.host_name,
            "image": world.image,
            "windows": f"{profile.caption}, {profile.version}, Service Pack {profile.service_pack}, {profile.architecture}",
            "now": world.now().isoformat(timespec="seconds"),
            "started": world.started.isoformat(timespec="seconds"),
            "restarts": world.restarts,
            "services": {record.name: _service(world, record) for record in world.services.values()},
            "files": _files(world),
            "registry": _registry(world),
            "events": [
                {
                    "log": event.log,
                    "source": event.provider,
                    "id": event.id,
                    "type": event.type,
                    "time": event.time.isoformat(timespec="seconds"),
                    "message": event.message,
                }
                for event in world.events[-_EVENTS:]
            ],
            "namespaces": list(world.namespaces()),
            "accounts": {account.name: {"denies": list(account.denies)} for account in world.accounts.values()},
            "steps": list_steps(world),
        }


def _service(world: World, record: ServiceRecord) -> dict[str, Any]:
    return {
        "display_name": record.display_name,
        "state": record.state.value,
        "start_mode": record.start_mode.value,
        "path": service_manager.image_path(world, record),
        "exit_code": record.exit_code,
        "process_id": record.process_id,
        "depends_on": list(record.depends_on),
    }


def _files(world: World) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for volume in world.files.volumes.values():
        for place, folder in world.files.walk(paths.normalise(volume.name)):
            shown[place] = {
                file.name: f"{file.size} bytes{f', {file.version}' if file.version else ''}"
                for file in folder.files.values()
            }
    return shown


def _registry(world: World) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for hive in (Hive.LOCAL_MACHINE, Hive.USERS):
        for place, key in world.registry.walk(RegistryPath(hive, "")):
            if key.values:
                shown[str(place)] = {value.name or "(default)": _value(value) for value in key.values.values()}
    return shown


def _value(value: StoredValue) -> dict[str, Any]:
    data: Any = value.data
    if isinstance(data, bytes):
        data = data.hex(" ")
    elif isinstance(data, tuple):
        data = list(data)
    elif value.number == 11:
        data = str(data)
    return {"type": NAMES.get(value.number, str(value.number)), "data": data}
