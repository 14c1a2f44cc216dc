"""The variables of one host in one play: layered, and worked out only when they are used."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any

from converge.errors import InputErrors
from converge.model.position import Position
from converge.model.secret import Locked, Secret
from converge.playbook.expressions import Mention
from converge.playbook.templates import Value
from converge.reading.problems import Problems, failure
from converge.reading.sandbox import Unusable
from converge.reading.spelling import did_you_mean

FACTS: Mapping[str, Collection[str]] = {
    "os": ("version", "build", "service_pack", "product_type", "architecture", "language", "system_root"),
    "host": ("name", "domain", "clustered"),
}
RESERVED = frozenset(
    {"facts", "item", "self", "super", "caller", "loop", "varargs", "kwargs", "context", "environment"}
)
_FACT_LEVELS = 2  # facts.os.version
_NO_VALUE = None, "no value"  # no variable comes to a tuple
_ANSIBLE_FACTS = {
    "ansible_facts": "facts.os.* and facts.host.*",
    "ansible_hostname": "facts.host.name",
    "ansible_fqdn": "facts.host.name",
    "ansible_domain": "facts.host.domain",
    "ansible_distribution_version": "facts.os.version",
    "ansible_kernel": "facts.os.version",
    "ansible_architecture": "facts.os.architecture",
    "ansible_os_product_type": "facts.os.product_type",
    "ansible_env": "%VARIABLES%, which paths may hold",
    "ansible_user_dir": "%USERPROFILE%",
}


class Variables(Mapping[str, object]):
    """Every variable an expression may name. Host variables win over discovered values, these over the play's own.

    `secret_used` turns true when a secret is handed out, so that what is made of it can be kept from being shown.
    """

    __slots__ = ("_facts", "_item", "_item_is_secret", "_layers", "_play", "_underway", "_worked_out", "secret_used")

    def __init__(
        self,
        play: Mapping[str, tuple[Value, Position]],
        *,
        host: Mapping[str, object],
        facts: Mapping[str, object],
        discovered: Mapping[str, object],
    ) -> None:
        self._play = play
        self._layers = (host, discovered)
        self._facts = facts
        self._item: dict[str, object] = {}
        self._item_is_secret = False
        self._worked_out: dict[str, tuple[object, bool]] = {}
        self._underway: dict[str, None] = {}
        self.secret_used = False

    def __getitem__(self, name: str) -> object:
        if name in self._item:
            self.secret_used = self.secret_used or self._item_is_secret
            return self._item[name]
        if name == "facts" and self._facts:
            return self._facts
        if name not in self._worked_out:
            self._worked_out[name] = self._work_out(name)
        value, secret = self._worked_out[name]
        self.secret_used = self.secret_used or secret
        if isinstance(value, Locked):
            raise Unusable(f"the variable {name} cannot be read here: {value.why}")
        return value

    def __contains__(self, name: object) -> bool:
        if name in self._item or name in self._play or any(name in layer for layer in self._layers):
            return True
        return name == "facts" and bool(self._facts)

    def __iter__(self) -> Iterator[str]:
        names = dict.fromkeys([*self._item, *self._play, *(name for layer in self._layers for name in layer)])
        return iter([*names, "facts"] if self._facts else names)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @classmethod
    def of(cls, scope: Mapping[str, object]) -> Variables:
        """A scope as it was handed out by a play, or variables that are all given."""
        return scope if isinstance(scope, Variables) else cls({}, host=scope, facts={}, discovered={})

    def with_item(self, item: object, *, secret: bool) -> Variables:
        """The same variables inside a loop, with its `item`."""
        inner = Variables(self._play, host=self._layers[0], facts=self._facts, discovered=self._layers[1])
        inner._item = {"item": item}
        inner._item_is_secret = secret
        inner._worked_out = self._worked_out
        return inner

    def digest(self, mentions: Iterable[Mention]) -> bytes | None:
        """Equal for two hosts for which all of this comes to the same, 1 told from true; None where a secret is among it.

        None too where something of it cannot be worked out: who uses it will say so.
        """
        before, self.secret_used = self.secret_used, False
        try:
            values = [self._mentioned(mention) for mention in mentions]
            return None if self.secret_used else blake2b(repr(values).encode("utf-8", "surrogatepass")).digest()
        except (InputErrors, Unusable, LookupError, TypeError):
            return None
        finally:
            self.secret_used = before

    def _mentioned(self, mention: Mention) -> object:
        """The value of what is mentioned; of facts no more than that, for each host tells others."""
        if mention.name != "facts":
            return self.get(mention.name, _NO_VALUE)
        value: Any = self._facts
        for attribute in mention.attributes[: _FACT_LEVELS if value else 0]:
            value = value[attribute]
        return value

    def _work_out(self, name: str) -> tuple[object, bool]:
        for layer in self._layers:
            if name in layer:
                return _revealed(layer[name])
        if name not in self._play:
            raise KeyError(name)
        value, position = self._play[name]
        if name in self._underway:
            raise failure(position, f"the variable {name} refers to itself: {' -> '.join([*self._underway, name])}")
        self._underway[name] = None
        before, self.secret_used = self.secret_used, False
        try:
            rendered = value.render(self)
            return rendered, self.secret_used
        finally:
            self.secret_used = before
            del self._underway[name]


def _revealed(value: object) -> tuple[object, bool]:
    """The value with the text of the secrets in it, and whether there are any."""
    if isinstance(value, Secret):
        return value.reveal(), True
    if isinstance(value, Mapping):
        pairs = {key: _revealed(item) for key, item in value.items()}
        return {key: item for key, (item, _) in pairs.items()}, any(secret for _, secret in pairs.values())
    if isinstance(value, list | tuple):
        items = [_revealed(item) for item in value]
        return [item for item, _ in items], any(secret for _, secret in items)
    return value, False


class Names:
    """What expressions of one play may name: its own variables and those from `outside`. `check` notes what is neither."""

    def __init__(self, known: Collection[str], *, outside: Collection[str], problems: Problems) -> None:
        self._known = frozenset(known)
        self._outside = outside
        self._problems = problems

    def check(self, value: Value, *, in_loop: bool = False) -> None:
        """Note every name in a value that nothing gives a meaning to."""
        for mention, position in value.mentions():
            if self._problems.full:
                return
            if mention.name == "facts":
                self._check_fact(mention, position)
            elif mention.name == "item":
                if not in_loop:
                    self._problems.error(
                        position, "item has a meaning only in an entry with a loop", hint="add loop: [...]"
                    )
            elif mention.optional and mention.name not in RESERVED:
                continue
            elif mention.name not in self._known and mention.name not in self._outside:
                self._problems.error(position, f"unknown variable {mention.name}", hint=self._hint(mention.name))

    def _hint(self, name: str) -> str:
        if name in _ANSIBLE_FACTS:
            return f"known from Ansible, use {_ANSIBLE_FACTS[name]}"
        near = did_you_mean(name, {*self._known, *self._outside, "facts", "item"})
        return near or "give it a value under vars, discover, in the inventory or with -e"

    def _check_fact(self, mention: Mention, position: Position) -> None:
        room, name = (*mention.attributes, "", "")[:2]
        if room and room not in FACTS:
            known = [f"facts.{item}" for item in FACTS]
            hint = next((f"did you mean facts.{item}.{room}?" for item in FACTS if room in FACTS[item]), "")
            self._problems.error(
                position,
                f"unknown fact facts.{room}",
                expected=" or ".join(known),
                hint=hint or did_you_mean(room, FACTS),
            )
        elif name and name not in FACTS[room]:
            names = ", ".join(FACTS[room])
            hint = did_you_mean(name, FACTS[room])
            self._problems.error(position, f"unknown fact facts.{room}.{name}", expected=f"one of {names}", hint=hint)


def check_cycles(play: Mapping[str, tuple[Value, Position]], problems: Problems) -> None:
    """Note every variable of a play that refers to itself, with the way around."""
    needs = {
        name: [mention.name for mention, _ in value.mentions() if mention.name in play]
        for name, (value, _) in play.items()
    }
    done: set[str] = set()
    for start in play:
        path: list[str] = []
        todo: list[tuple[str, bool]] = [(start, True)]
        while todo:
            name, entering = todo.pop()
            if not entering:
                path.remove(name)
                done.add(name)
            elif name in path:
                around = [*path[path.index(name) :], name]
                problems.error(play[name][1], f"the variable {name} refers to itself: {' -> '.join(around)}")
            elif name not in done:
                path.append(name)
                todo.append((name, False))
                todo += [(other, True) for other in needs[name]]
