"""Kinds of other packages: each is named by an entry point of the group `converge.kinds`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points

from converge.errors import UsageError
from converge.model.resource import Resource

GROUP = "converge.kinds"


@lru_cache(maxsize=1)
def plug_ins() -> Mapping[str, str]:
    """Load every kind of another package: by its name the distribution that brings it, with its version. Raises UsageError."""
    found: dict[str, str] = {}
    for point in entry_points(group=GROUP):
        owner = _owner(point)
        if point.name in found:
            raise UsageError(f"two kinds are named {point.name}: of {found[point.name]} and of {owner}", try_=_REMEDY)
        _load(point, owner)
        found[point.name] = owner
    return found


def _load(point: EntryPoint, owner: str) -> None:
    try:
        kind = point.load()
    except Exception as error:  # it is a stranger's module, and may raise anything
        why = f"{type(error).__name__}: {error}"
        raise UsageError(f"the kind {point.name} of {owner} cannot be loaded", why=why, try_=_REMEDY) from error
    if not (isinstance(kind, type) and issubclass(kind, Resource) and kind.kind == point.name):
        what = f"{owner} names {point.value} as the kind {point.name}, and that is not the class of this kind"
        raise UsageError(what, try_=_REMEDY)


def _owner(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown package"


_REMEDY = "mend that package, or remove it with pip uninstall"
