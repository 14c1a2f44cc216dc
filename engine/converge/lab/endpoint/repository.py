"""The classes a host serves: those every Windows of its release has, and those its image adds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from converge.lab import effects
from converge.lab.endpoint.classes import built_in
from converge.lab.endpoint.schema import (
    AccessDenied,
    CimClass,
    CimType,
    Handler,
    Method,
    MethodCall,
    Property,
    Row,
    ServedClass,
)
from converge.lab.endpoint.wql import Condition
from converge.lab.specs import ClassSpec, MethodSpec
from converge.lab.world import World
from converge.model.names import fold, same
from converge.wsman.cim import Value

_TYPES: Final = {bool: CimType.BOOLEAN, int: CimType.UINT32, list: CimType.STRING}


class Repository:
    """Finds classes by namespace and name."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._built_in = built_in(world.profile.release)

    def has_namespace(self, namespace: str) -> bool:
        """Whether the host serves a namespace."""
        return any(same(namespace, held) for held in self._world.namespaces())

    def classes(self, namespace: str) -> list[CimClass]:
        """All classes of a namespace; one that the image states takes the place of a built-in one."""
        added = [_from_image(namespace, name, spec) for name, spec in self._stated(namespace).items()]
        names = {fold(item.name) for item in added}
        own = [item for item in self._built_in if same(item.namespace, namespace) and fold(item.name) not in names]
        return [*own, *added]

    def _stated(self, namespace: str) -> Mapping[str, ClassSpec]:
        return next((classes for held, classes in self._world.cim.items() if same(held, namespace)), {})

    def find(self, namespace: str, name: str) -> CimClass | None:
        """A class by its name."""
        return next((item for item in self.classes(namespace) if same(item.name, name)), None)

    def family(self, namespace: str, name: str) -> list[CimClass]:
        """The classes whose instances a query for this class yields: it and those derived from it."""
        return [item for item in self.classes(namespace) if item.is_a(name)]


def _from_image(namespace: str, name: str, spec: ClassSpec) -> CimClass:
    def rows(served: ServedClass, condition: Condition | None) -> Iterable[Row]:
        del served, condition
        if spec.deny:
            raise AccessDenied
        return [{key: _value(held) for key, held in instance.items()} for instance in spec.instances]

    return CimClass(
        namespace,
        name,
        _properties(spec),
        (spec.key,),
        rows,
        tuple(_method(method, stated) for method, stated in spec.methods.items()),
    )


def _value(held: object) -> Value:
    if isinstance(held, list):
        return tuple(held)
    return held if isinstance(held, (str, int, float)) else None


def _properties(spec: ClassSpec) -> tuple[Property, ...]:
    kinds: dict[str, Property] = {spec.key: Property(spec.key)}
    for instance in spec.instances:
        for name, held in instance.items():
            if held is not None or name not in kinds:
                kinds[name] = Property(name, _TYPES.get(type(held), CimType.STRING), isinstance(held, list))
    return tuple(kinds.values())


def _method(name: str, spec: MethodSpec) -> Method:
    outputs = tuple(
        Property(item, _TYPES.get(type(held), CimType.STRING), isinstance(held, list))
        for item, held in spec.results.items()
    )
    return Method(name, _handler(spec), outputs=outputs, takes_anything=True, reads=spec.effects is None)


def _handler(spec: MethodSpec) -> Handler:
    def handler(call: MethodCall) -> Mapping[str, Value]:
        if spec.effects is not None:
            effects.enact(call.host.world, spec.effects)
        return {name: _value(held) for name, held in spec.results.items()} | {"ReturnValue": spec.return_value}

    return handler
