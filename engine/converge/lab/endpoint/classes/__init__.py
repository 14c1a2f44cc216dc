"""The WMI classes that every Windows serves: their properties, methods and providers over a world."""

from __future__ import annotations

from converge.lab.endpoint.classes import events, files, machine, processes, registry, services
from converge.lab.endpoint.schema import CimClass


def built_in(release: tuple[int, int]) -> tuple[CimClass, ...]:
    """The classes of a release of Windows (major, minor), without the properties it does not have."""
    return (
        *services.classes(),
        *files.classes(),
        *machine.classes(release),
        *processes.classes(),
        *events.classes(),
        *registry.classes(release),
    )
