"""What WMI does with a query, a key or a method call: finds the classes, checks names and types, asks the providers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from converge.lab.endpoint import wql, wql_match
from converge.lab.endpoint.object_path import ObjectPath
from converge.lab.endpoint.repository import Repository
from converge.lab.endpoint.schema import (
    RANGES,
    AccessDenied,
    CimClass,
    CimType,
    InstanceMissing,
    Key,
    Method,
    MethodCall,
    Property,
    Row,
    ServedClass,
)
from converge.lab.endpoint.wql_lexer import InvalidQuery
from converge.lab.world import Right
from converge.model.names import fold, same
from converge.wsman.cim import Instance, Properties, Reference, Value, parsed_datetime
from converge.wsman.namespaces import split_wmi_uri, wmi_uri

_SYSTEM: Final = "__"


class ClassMissing(Exception):
    """There is no such class in the namespace: WBEM_E_INVALID_CLASS."""


class MethodMissing(Exception):
    """The class has no such method."""


class InvalidArgument(Exception):
    """A parameter that the method lacks, or a value that is none of its type: WBEM_E_INVALID_PARAMETER."""


class NamespaceDenied(Exception):
    """The account may not enter the namespace, or call methods in it."""


class WrongKeys(Exception):
    """Keys that do not select an instance: `missing` some, or naming some that are none."""

    def __init__(self, *, missing: bool, none: bool = False) -> None:
        super().__init__()
        self.missing = missing
        self.none = none


@dataclass(frozen=True, slots=True)
class Wmi:
    """WMI as one account meets it in one namespace."""

    repository: Repository
    served: ServedClass
    namespace: str

    def query(self, text: str) -> list[Instance]:
        """The instances a WQL text selects. Raises InvalidQuery, QueryTooComplex, ClassMissing, InstanceMissing, AccessDenied."""
        self._enter()
        parsed = wql.parse(text)
        return self._select(parsed) if isinstance(parsed, wql.Select) else self._related(parsed)

    def instances(self, class_name: str) -> list[Instance]:
        """All instances of a class. Raises as `query` does."""
        self._enter()
        return self._select(wql.Select(class_name))

    def instance(self, class_name: str, keys: Mapping[str, Key]) -> Instance:
        """One instance. Raises ClassMissing, WrongKeys, InstanceMissing, AccessDenied."""
        self._enter()
        cim_class = self._class(class_name)
        return whole(cim_class, self._row(cim_class, keys))

    def _enter(self) -> None:
        if not self._permits(Right.NAMESPACE, self.namespace):
            raise NamespaceDenied

    def _permits(self, right: Right, subject: str = "") -> bool:
        return self.served.world.permits(self.served.account, right, subject)

    def _class(self, class_name: str) -> CimClass:
        found = self.repository.find(self.namespace, class_name)
        if found is None:
            raise ClassMissing(class_name)
        return found

    def _rows(self, cim_class: CimClass, condition: wql.Condition | None) -> Iterable[Row]:
        if not self._permits(Right.CLASS, cim_class.name):
            raise AccessDenied
        rows = cim_class.rows(self.served, condition) if cim_class.rows else ()
        return (row for row in rows if wql_match.matches(condition, row, cim_class))

    def _select(self, query: wql.Select) -> list[Instance]:
        family = self.repository.family(self.namespace, query.class_name)
        if not family:
            raise ClassMissing(query.class_name)
        found: list[Instance] = []
        for cim_class in family:
            wql_match.check(query.where, cim_class)
            wanted = _projected(cim_class, query.properties)
            rows = self._rows(cim_class, query.where)
            found += [whole(cim_class, row) if wanted is None else _projection(wanted, row) for row in rows]
        return found

    def _row(self, cim_class: CimClass, keys: Mapping[str, Key]) -> Row:
        """The instance with these keys."""
        wanted = _checked_keys(cim_class, keys)
        comparisons = [wql.Comparison(name, "=", value) for name, value in wanted.items() if isinstance(value, str)]
        condition = wql.And(tuple(comparisons)) if comparisons else None
        if condition is not None:
            wql_match.check(condition, cim_class)
        for row in self._rows(cim_class, condition):
            if all(_same_key(value, row.get(name)) for name, value in wanted.items()):
                return row
        raise InstanceMissing

    def _related(self, query: wql.Related) -> list[Instance]:
        source = self._class(query.source.class_name)
        if query.class_definitions:
            raise InvalidQuery("class definitions are not sent")
        keys: dict[str, Key] = {name or source.keys[0]: value for name, value in query.source.keys}
        row = self._row(source, keys)
        path = ObjectPath(source.name, tuple((name, str(value)) for name, value in source.keys_of(row).items()))
        found: dict[tuple[str, str], Instance] = {}
        for cim_class, association, role in self._associations(path, query):
            if query.references:
                found[cim_class.name, str(association)] = _result(query, cim_class, association)
                continue
            for other in cim_class.properties:
                target = association.get(other.name)
                if other.type is CimType.REFERENCE and other.name != role and isinstance(target, Reference):
                    self._add_target(target, role=other.name, query=query, found=found)
        return list(found.values())

    def _associations(self, path: ObjectPath, query: wql.Related) -> Iterable[tuple[CimClass, Row, str]]:
        """Instances of association classes that point to the source, and the role in which they do."""
        wanted = query.clauses.get("RESULTCLASS" if query.references else "ASSOCCLASS")
        for cim_class in self.repository.classes(self.namespace):
            roles = [item.name for item in cim_class.properties if item.type is CimType.REFERENCE]
            if not roles or (wanted and not cim_class.is_a(wanted)):
                continue
            for row in self._rows(cim_class, None):
                for role in roles:
                    reference = row.get(role)
                    if not same(query.clauses.get("ROLE", role), role) or not isinstance(reference, Reference):
                        continue
                    if wql_match.refers(path, reference):
                        yield cim_class, row, role

    def _add_target(
        self, target: Reference, *, role: str, query: wql.Related, found: dict[tuple[str, str], Instance]
    ) -> None:
        named = split_wmi_uri(target.resource_uri)
        if named is None or not same(query.clauses.get("RESULTROLE", role), role):
            return
        cim_class = self.repository.find(*named)
        if cim_class is None or not cim_class.is_a(query.clauses.get("RESULTCLASS", cim_class.name)):
            return
        try:
            row = self._row(cim_class, dict(target.selectors))
        except InstanceMissing:
            return
        found[cim_class.name, str(cim_class.keys_of(row))] = _result(query, cim_class, row)

    def invoke(self, class_name: str, name: str, *, keys: Mapping[str, Key], arguments: Properties) -> Properties:
        """What a method returns, in order of declaration, ReturnValue last.

        Raises ClassMissing, MethodMissing, InvalidArgument, WrongKeys, InstanceMissing, AccessDenied.
        """
        self._enter()
        cim_class = self._class(class_name)
        method = cim_class.method(name, version=self.served.world.profile.release)
        if method is None:
            raise MethodMissing(name)
        if not self._permits(Right.INVOKE, f"{class_name}.{name}"):
            raise NamespaceDenied
        if not self._permits(Right.CLASS, cim_class.name):
            raise AccessDenied
        selected: dict[str, Key] = {}
        if not method.static:
            selected = cim_class.keys_of(self._row(cim_class, keys))
        returned = method.handler(MethodCall(self.served, selected, _arguments(method, arguments)))
        results: Mapping[str, Value] = {"ReturnValue": returned} if isinstance(returned, int) else returned
        return Properties(_outputs(method, results))


def _result(query: wql.Related, cim_class: CimClass, row: Row) -> Instance:
    """A related instance; under KEYSONLY all but its keys is null."""
    return whole(cim_class, {name: row.get(name) for name in cim_class.keys} if query.keys_only else row)


def whole(cim_class: CimClass, row: Row) -> Instance:
    """A whole instance: every property of its class, null scalars included and null arrays left out."""
    return Instance(
        Properties(_shown(cim_class.properties, row)),
        class_name=cim_class.name,
        class_uri=wmi_uri(cim_class.namespace, cim_class.name),
    )


def _projection(wanted: Iterable[Property], row: Row) -> Instance:
    return Instance(Properties(_shown(wanted, row)))


def _shown(wanted: Iterable[Property], row: Row) -> dict[str, Value]:
    return {item.name: row.get(item.name) for item in wanted if not item.array or row.get(item.name)}


def _projected(cim_class: CimClass, names: tuple[str, ...]) -> list[Property] | None:
    """The properties a query names, None for `*`. System properties are known and never sent."""
    if not names:
        return None
    wanted: dict[str, Property] = {}
    for name in names:
        found = cim_class.by_name.get(fold(name))
        if found is not None:
            wanted[found.name] = found
        elif not name.startswith(_SYSTEM):
            raise InvalidQuery(f"{cim_class.name} has no property {name[:80]!r}")
    return list(wanted.values())


def _checked_keys(cim_class: CimClass, keys: Mapping[str, Key]) -> dict[str, Key]:
    spelled = {fold(name): name for name in cim_class.keys}
    given = {name: value for name, value in keys.items() if not same(name, "__cimnamespace")}
    if not given and cim_class.keys and not cim_class.singleton:
        raise WrongKeys(missing=True, none=True)
    if any(fold(name) not in spelled for name in given):
        raise WrongKeys(missing=False)
    if len(given) < len(spelled) and not cim_class.singleton:
        raise WrongKeys(missing=True)
    return {spelled[fold(name)]: value for name, value in given.items()}


def _same_key(wanted: Key, held: Value) -> bool:
    if isinstance(wanted, Reference) or isinstance(held, Reference):
        if not isinstance(wanted, Reference) or not isinstance(held, Reference):
            return False
        return same(wanted.resource_uri, held.resource_uri) and _folded(wanted) == _folded(held)
    return same(wanted, str(held))


def _folded(reference: Reference) -> dict[str, str]:
    return {fold(name): fold(value) for name, value in reference.selectors if isinstance(value, str)}


def _arguments(method: Method, given: Properties) -> dict[str, Value]:
    """The arguments under their declared names and as their types. Names are case-sensitive on the wire."""
    if method.takes_anything:
        return dict(given)
    declared = {item.name: item for item in method.inputs}
    unknown = [name for name in given if name not in declared]
    if unknown:
        raise InvalidArgument(unknown[0])
    return {name: _argument(declared[name], value) for name, value in given.items()}


def _argument(declared: Property, value: Value) -> Value:
    if declared.array:
        items = value if isinstance(value, tuple) else (value,)
        return tuple(_scalar(declared, item) for item in items if item is not None)
    return _scalar(declared, value)


def _scalar(declared: Property, value: Value) -> str | int | None:
    if value is None or (isinstance(value, str) and declared.type is CimType.STRING):
        return value
    if not isinstance(value, str):
        raise InvalidArgument(declared.name)
    text = value.strip()
    if declared.type is CimType.BOOLEAN and text.lower() in ("true", "false", "1", "0"):
        return text.lower() in ("true", "1")
    if declared.type is CimType.DATETIME and parsed_datetime(text) is not None:
        return text
    digits = text.removeprefix("-").removeprefix("+")
    if declared.type in RANGES and digits.isascii() and digits.isdigit() and len(digits) <= 20:
        number = int(text)
        if number in RANGES[declared.type]:
            return number
    raise InvalidArgument(declared.name)


def _outputs(method: Method, results: Mapping[str, Value]) -> dict[str, Value]:
    shown = _shown(method.outputs, results)
    if "ReturnValue" in results:
        shown["ReturnValue"] = results["ReturnValue"]
    return shown
