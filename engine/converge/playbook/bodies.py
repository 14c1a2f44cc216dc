"""Bodies of kinds and conditions: checked as far as they can be when read, worked out and checked fully for each host."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from converge.errors import InputErrors
from converge.model.resource import Resource
from converge.playbook.checking import problems_of
from converge.playbook.templates import Constant, Value, read_value
from converge.playbook.variables import Names, Variables
from converge.reading.problems import Problems
from converge.reading.tree import Node, Table, kind_of, plain


@dataclass(slots=True)
class Body:
    """What stands under a kind. `fixed` is its resource if it is the same for every host."""

    kind: type[Resource]
    node: Table
    value: Value
    sensitive: bool
    fixed: Resource | None = None

    def rendered(self, scope: Variables) -> tuple[dict[str, object], bool]:
        """The body for one host as plain data, and whether a secret is part of it."""
        scope.secret_used = False
        raw = self.value.render(scope)
        assert isinstance(raw, dict)
        return raw, scope.secret_used

    def validated(self, raw: Mapping[str, object], *, secret: bool) -> Resource:
        """The resource of a body that is worked out. Raises InputErrors with the place of each field at fault."""
        try:
            return self.kind.model_validate(raw, context=_context(self.node))
        except ValidationError as error:
            quiet = secret or self.sensitive
            found = problems_of(error, self.node, models=(self.kind,), kind=self.kind.kind, quiet=quiet)
            raise InputErrors(found) from None


def read_body(
    kind: type[Resource],
    node: Node,
    *,
    names: Names,
    problems: Problems,
    in_loop: bool,
    sensitive: bool,
    skipping: Collection[str] = (),
) -> Body | None:
    """The body of a kind. None once what is wrong with it is noted. `skipping`: keys that are read elsewhere."""
    if not isinstance(node, Table):
        expected = "a mapping such as {" + ", ".join(f"{name}: ..." for name in list(kind.model_fields)[:2]) + "}"
        problems.error(node.position, f"{kind.kind} takes a mapping, not {kind_of(node)}", expected=expected)
        return None
    own = Table(node.position, {key: item for key, item in node.items.items() if key not in skipping}, node.keys)
    value = read_value(own, problems)
    names.check(value, in_loop=in_loop)
    body = Body(kind, node, value, sensitive)
    try:
        raw = {**_mapping(plain(own)), **dict.fromkeys(skipping, ())}
        resource = kind.model_validate(raw, context=_context(node))
        if isinstance(value, Constant) and not skipping:
            body.fixed = resource
    except ValidationError as error:
        found = problems_of(error, own, models=(kind,), kind=kind.kind, static=True, quiet=sensitive, skipping=skipping)
        problems.extend(found)
    return body


def _context(node: Table) -> dict[str, str]:
    """Files that a kind brings from here lie beside the playbook."""
    return {"folder": str(Path(node.position.file).parent)}


def _mapping(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return value
