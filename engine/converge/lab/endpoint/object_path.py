r"""Object paths of WMI, as queries name instances by them: `\\host\root\cimv2:Win32_Service.Name="W3SVC"`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from converge.lab.endpoint.wql_lexer import InvalidQuery, unescaped
from converge.model.names import fold

MAX_KEYS: Final = 16

_HEAD = re.compile(
    r"(?:(?:\\\\[^\\/:]+[\\/])?(?P<namespace>[^:\"'=.]+):)?(?P<class_name>[^\W\d]\w*)(?P<rest>.*)", re.DOTALL
)
_VALUE: Final = r"'(?:[^'\\]|\\.)*'" + "|" + r'"(?:[^"\\]|\\.)*"' + r"|[^,\s\"']+"
_KEY = re.compile(rf"\s*(?P<name>[^\W\d]\w*)\s*=\s*(?P<value>{_VALUE})\s*(?P<more>,|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ObjectPath:
    """A class, or with keys one instance of it. A key without a name (`Class="x"`) is the only one of its class.

    No keys and `singleton` is the one instance of a class without keys (`Class=@`).
    """

    class_name: str
    keys: tuple[tuple[str, str], ...] = ()
    namespace: str = ""
    singleton: bool = False

    def names(self, class_name: str, keys: dict[str, str]) -> bool:
        """Whether it names this instance; class names, key names and key values are read in any case."""
        if fold(self.class_name) != fold(class_name) or len(self.keys) != len(keys):
            return False
        given = {fold(name): fold(value) for name, value in self.keys}
        if "" in given and len(keys) == 1:
            return given[""] == fold(next(iter(keys.values())))
        return given == {fold(name): fold(value) for name, value in keys.items()}


def parse_object_path(text: str) -> ObjectPath:
    """The instance or class a path names. Raises InvalidQuery."""
    head = _HEAD.fullmatch(text.strip())
    if head is None:
        raise InvalidQuery(f"{text[:80]!r} is no object path")
    rest = head["rest"].strip()
    namespace = (head["namespace"] or "").replace("\\", "/").strip("/")
    path = ObjectPath(head["class_name"], namespace=namespace)
    if not rest:
        return path
    if rest == "=@":
        return ObjectPath(path.class_name, namespace=namespace, singleton=True)
    if rest.startswith("="):
        value = re.fullmatch(rf"=\s*({_VALUE})", rest, re.DOTALL)
        if value is None:
            raise InvalidQuery(f"{text[:80]!r} is no object path")
        return ObjectPath(path.class_name, (("", _plain(value[1])),), namespace)
    if not rest.startswith("."):
        raise InvalidQuery(f"{text[:80]!r} is no object path")
    return ObjectPath(path.class_name, _keys(rest[1:]), namespace)


def _keys(text: str) -> tuple[tuple[str, str], ...]:
    keys: list[tuple[str, str]] = []
    position, more = 0, ","
    while more:
        match = _KEY.match(text, position)
        if match is None or len(keys) >= MAX_KEYS:
            raise InvalidQuery(f"{text[position : position + 80]!r} is no key of an object path")
        keys.append((match["name"], _plain(match["value"])))
        position, more = match.end(), match["more"]
    return tuple(keys)


def _plain(value: str) -> str:
    return unescaped(value[1:-1]) if value[:1] in "'\"" else value
