"""Puts into a world, or takes out of it, what an image, a component, an operator step or a method states."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta

from converge.lab import service_manager
from converge.lab.file_tree import StoredFile
from converge.lab.registry_tree import StoredValue
from converge.lab.specs import (
    ClassSpec,
    ComponentSpec,
    Effects,
    EventSpec,
    FileSpec,
    KeySpec,
    ServiceSpec,
    aware,
)
from converge.lab.world import LoggedEvent, ServiceRecord, World, check_namespace
from converge.model.facts import ServiceState
from converge.model.names import fold, same
from converge.model.registry import Hive, RegistryPath
from converge.windows import paths
from converge.windows.registry import parse_path

SUBCOMPONENTS = RegistryPath(
    Hive.LOCAL_MACHINE, r"SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\OC Manager\Subcomponents"
)
_OWN, _SHARED = 0x10, 0x20  # Type: SERVICE_WIN32_OWN_PROCESS, SERVICE_WIN32_SHARE_PROCESS


def enact(world: World, effects: Effects) -> None:
    """Make it so. Raises ValueError where something cannot be, such as a namespace this Windows never had."""
    _remove(world, effects)
    for folder, files in effects.files.items():
        _place(world, world.expand(folder), files)
    for key, raw in effects.registry.items():
        _write_key(world, parse_path(key), KeySpec(raw))
    for name, component in effects.components.items():
        _define_component(world, name, component)
    for name, service in effects.services.items():
        define_service(world, name, service)
    for namespace, classes in effects.cim.items():
        check_namespace(namespace, world.profile)
        for name, spec in classes.items():
            _merge_class(world, namespace.replace("\\", "/"), name, spec)
    for event in effects.events:
        _log(world, event)
    for name in effects.stop:
        service_manager.stop(world, name)
    for name in effects.start:
        service_manager.start(world, name)


def _remove(world: World, effects: Effects) -> None:
    for name in effects.remove_services:
        service_manager.delete(world, name)
    for path in effects.remove_files:
        world.files.remove(world.expand(path))
    for key in effects.remove_keys:
        world.registry.remove(parse_path(key))
    for key, names in effects.remove_values.items():
        held = world.registry.find(parse_path(key))
        if held is not None:
            for name in names:
                held.remove(name)
    for namespace, classes in effects.remove_instances.items():
        for name, gone in classes.items():
            spec = world.cim_class(namespace, name)
            if spec is not None:
                kept = tuple(item for item in spec.instances if str(item.get(spec.key)) not in gone)
                _replace_class(world, namespace, name, spec.model_copy(update={"instances": kept}))


def _place(world: World, folder: str, files: dict[str, FileSpec]) -> None:
    made = world.files.make_folder(folder)
    for name, spec in files.items():
        if name == "\\":
            made.deny = set(spec.deny)
            made.modified = aware(spec.modified) if spec.modified else made.modified
        else:
            world.files.place(paths.join(folder, name), _file(world, name, spec))


def _file(world: World, name: str, spec: FileSpec) -> StoredFile:
    content = spec.content
    size = len(content) if content is not None else spec.size or 0
    return StoredFile(
        name,
        size,
        spec.version,
        aware(spec.modified) if spec.modified else world.started - timedelta(days=365),
        content if content is not None or size else b"",
        spec.seed or f"{fold(name)}:{spec.version or ''}",
        set(spec.deny),
        spec.in_use,
    )


def _write_key(world: World, path: RegistryPath, spec: KeySpec) -> None:
    key = world.registry.create(path)
    key.deny |= spec.deny
    for value in spec.values:
        key.values[fold(value.name)] = StoredValue(value.name, value.number, value.data)
    for name, below in spec.subkeys.items():
        place = path
        for component in name.split("\\"):
            place = place / component
        _write_key(world, place, below)


def _define_component(world: World, name: str, spec: ComponentSpec) -> None:
    held = world.components.get(fold(name))
    stated = {field: getattr(spec, field) for field in spec.model_fields_set}
    world.components[fold(name)] = held.model_copy(update=stated) if held else spec
    if "installed" in spec.model_fields_set or held is None:
        world.registry.create(SUBCOMPONENTS).set(name, number=4, data=int(spec.installed))


def define_service(world: World, name: str, spec: ServiceSpec) -> ServiceRecord:
    """Add a service, or change of one that is there what is stated; its settings are written to the registry too."""
    record = world.service(name)
    if record is None:
        record = ServiceRecord(name=name, display_name=spec.display_name or name)
        world.services[fold(name)] = record
        stated = (
            set(ServiceSpec.model_fields) - {"image_path"} if not spec.image_path else set(ServiceSpec.model_fields)
        )
    else:
        stated = set(spec.model_fields_set)
    for field in stated & set(ServiceRecord.model_fields) - {"state", "display_name"}:
        setattr(record, field, getattr(spec, field))
    if spec.display_name:
        record.display_name = spec.display_name
    if "start" in stated:
        record.start_mode = spec.start
    _write_service_key(world, record, spec if "image_path" in stated else None)
    if "state" in stated:
        service_manager.put_in_state(world, record, ServiceState(spec.state))
    return record


def _write_service_key(world: World, record: ServiceRecord, spec: ServiceSpec | None) -> None:
    key = world.registry.create(record.key)
    if spec is not None:
        path = spec.image_path if isinstance(spec.image_path, dict) else {"expand_string": spec.image_path}
        for label, text in path.items():
            key.set("ImagePath", number=1 if label == "string" else 2, data=text)
    key.set("DisplayName", number=1, data=record.display_name)
    key.set("ObjectName", number=1, data=record.account)
    key.set("Start", number=4, data=service_manager.STARTS.index(record.start_mode))
    key.set("Type", number=4, data=_SHARED if record.shares_process else _OWN)
    if record.depends_on:
        key.set("DependOnService", number=7, data=record.depends_on)


def _merge_class(world: World, namespace: str, name: str, spec: ClassSpec) -> None:
    held = world.cim_class(namespace, name)
    if held is None:
        _replace_class(world, namespace, name, spec)
        return
    merged = {str(item.get(held.key)): item for item in held.instances}
    for item in spec.instances:
        identity = str(item.get(held.key))
        merged[identity] = {**merged.get(identity, {}), **item}
    update: dict[str, object] = {"instances": tuple(merged.values()), "methods": {**held.methods, **spec.methods}}
    if "deny" in spec.model_fields_set:
        update["deny"] = spec.deny
    _replace_class(world, namespace, name, held.model_copy(update=update))


def _replace_class(world: World, namespace: str, name: str, spec: ClassSpec) -> None:
    held = next((key for key in world.cim if same(key, namespace)), namespace)
    classes = world.cim.setdefault(held, {})
    spelled = next((key for key in classes if same(key, name)), name)
    classes[spelled] = spec


def _log(world: World, spec: EventSpec) -> None:
    moment: datetime = world.now() - timedelta(minutes=spec.minutes_ago or 0)
    strings = tuple(spec.strings)
    message = spec.message
    for number, text in zip(itertools.count(1), strings, strict=False):
        message = message.replace(f"%{number}", text)
    world.log(
        LoggedEvent(
            log=spec.log,
            provider=spec.provider,
            id=spec.id,
            type=spec.type,
            time=aware(spec.time) if spec.time else moment,
            strings=strings,
            message=message,
        )
    )
