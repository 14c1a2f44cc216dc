"""Facts read from a world itself, not through converge: what a case says must hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from converge.lab.specs import KeySpec
from converge.lab.world import World
from converge.windows.registry import parse_path


def facts(world: World, subjects: dict[str, Any]) -> dict[str, Any]:
    """What the world holds of everything that `subjects` names, in the same form."""
    return {
        "values": {
            key: {name: _value(world, key, name) for name in names} for key, names in subjects.get("values", {}).items()
        },
        "keys": {key: world.registry.find(parse_path(key)) is not None for key in subjects.get("keys", {})},
        "files": {path: _file(world, path, wanted) for path, wanted in subjects.get("files", {}).items()},
        "folders": {path: world.files.folder(path) is not None for path in subjects.get("folders", {})},
        "services": {name: _service(world, name, wanted) for name, wanted in subjects.get("services", {}).items()},
        "restarts": world.restarts if "restarts" in subjects else 0,
    }


def wanted(subjects: dict[str, Any], *, run: str) -> dict[str, Any]:
    """The facts that a case says must hold after a run (it names what is kept aside)."""
    return {
        "values": {
            key: {name: _stored(name, held) for name, held in names.items()}
            for key, names in subjects.get("values", {}).items()
        },
        "keys": dict(subjects.get("keys", {})),
        "files": {path.replace("RUN", run): held for path, held in subjects.get("files", {}).items()},
        "folders": {path.replace("RUN", run): held for path, held in subjects.get("folders", {}).items()},
        "services": dict(subjects.get("services", {})),
        "restarts": subjects.get("restarts", 0),
    }


def settled(subjects: dict[str, Any]) -> dict[str, Any]:
    """The subjects without what is kept aside, whose names depend on the run."""
    return {
        kind: {name: held for name, held in named.items() if "RUN" not in name} if isinstance(named, dict) else named
        for kind, named in subjects.items()
    }


def _stored(name: str, raw: Any) -> Any:
    if raw is None:
        return None
    (value,) = KeySpec({"\\": {"values": {name: raw}}}).values
    return value.number, value.data


def _value(world: World, key: str, name: str) -> Any:
    value = world.registry.value(parse_path(key), name)
    return None if value is None else (value.number, value.data)


def _file(world: World, path: str, wanted: Any) -> Any:
    file = world.files.file(path)
    if file is None:
        return None
    told = {"size": file.size, "version": file.version, "text": _text(file.read())}
    return {name: told[name] for name in wanted} if isinstance(wanted, dict) else told


def _text(content: bytes) -> str | None:
    try:
        return content.decode("utf-8")
    except ValueError:
        return None


def _service(world: World, name: str, wanted: Any) -> Any:
    record = world.service(name)
    if record is None:
        return None
    image = world.registry.value(record.key, "ImagePath")
    told = {
        "state": record.state.value,
        "start": record.start_mode.value,
        "image": image.data if image else None,
    }
    return {field: told[field] for field in wanted} if isinstance(wanted, dict) else told


def names_of(actions: Sequence[Any]) -> list[str]:
    """The names of actions in their JSON form."""
    return [action["action"] for action in actions]
