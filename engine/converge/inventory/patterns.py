"""Patterns that choose hosts, with Ansible's words: `web*:&prod:!web[0]`, `~web\\d+`, `db[-1]`, `@file`."""

from __future__ import annotations

import fnmatch
import os
import re
from typing import TYPE_CHECKING

from converge.errors import UsageError
from converge.inventory.hostnames import BadRange, is_host_pattern, split_port
from converge.model.opening import read_own
from converge.reading.spelling import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MAX_LIMIT_FILE = 16 * 1024 * 1024

_SUBSCRIPT = re.compile(r"(.+)\[(?:(-?[0-9]{1,9})|([0-9]{1,9}):([0-9]{0,9}))\]")
_PARTS = re.compile(r"(?:[^\s:\[\]]|\[[^\]]*\])+")
_SPECIAL = (".", "?", "*", "[")


def split(pattern: str) -> list[str]:
    """The parts of a pattern: separated by commas, or, where there are none, by colons outside of brackets."""
    if "," in pattern:
        parts = pattern.split(",")
    elif _is_one_host(pattern):
        parts = [pattern]
    else:
        parts = _PARTS.findall(pattern)
    return [part.strip() for part in parts if part.strip()]


def _is_one_host(pattern: str) -> bool:
    """A colon may belong to a port, an IPv6 address or a subscript instead of separating two patterns."""
    try:
        name, port = split_port(pattern)
    except BadRange:
        return True
    return port is not None or is_host_pattern(name)


def read_limit(pattern: str) -> list[str]:
    """The parts of a limit; `@FILE` stands for the lines of a file. Raises UsageError."""
    parts: list[str] = []
    for part in split(pattern):
        parts.extend(_lines(part[1:]) if part.startswith("@") else [part])
    return parts


def _lines(path: str) -> list[str]:
    try:
        if not os.path.exists(path):
            raise UsageError(f"--limit @{path}: no such file", try_="name a file with one host or pattern in a line")
        text = read_own(path, most=MAX_LIMIT_FILE).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else ""
        raise UsageError(f"--limit @{path}: cannot be read", why=reason or str(error)) from error
    if len(text) > MAX_LIMIT_FILE:
        raise UsageError(f"--limit @{path}: is larger than {MAX_LIMIT_FILE >> 20} MiB")
    return [line.strip() for line in text.splitlines() if line.strip()]


class Selector:
    """Chooses hosts of one inventory."""

    def __init__(self, hosts: Sequence[str], groups: Mapping[str, object], *, members: Callable[[str], Sequence[str]]):
        """`members` gives the hosts of a group by its name, in the order of the inventory."""
        self._hosts = dict.fromkeys(hosts)
        self._groups = groups
        self._members = members

    def select(self, parts: Sequence[str]) -> tuple[str, ...]:
        """The hosts chosen by all parts together: plain ones first, then `&`, then `!`. Raises UsageError."""
        plain = [part for part in parts if part[0] not in "&!"] or ["all"]
        chosen: dict[str, None] = {}
        for part in plain:
            chosen.update(dict.fromkeys(self.match(part)))
        for part in parts:
            if part.startswith("&"):
                wanted = set(self.match(part[1:]))
                chosen = {name: None for name in chosen if name in wanted}
        for part in parts:
            if part.startswith("!"):
                for name in self.match(part[1:]):
                    chosen.pop(name, None)
        return tuple(chosen)

    def match(self, part: str) -> list[str]:
        """The hosts that one part without `&` and `!` names. Raises UsageError."""
        if part in self._hosts:
            return [part]
        if not part:
            raise UsageError("a pattern is missing behind & or !")
        subscript = None if part.startswith("~") else _SUBSCRIPT.fullmatch(part)
        if subscript is None:
            return self._named(part)
        return _subscripted(self._named(subscript[1]), subscript)

    def _named(self, pattern: str) -> list[str]:
        found: dict[str, None] = {}
        matching_groups = _matching(pattern, self._groups)
        for group in matching_groups:
            found.update(dict.fromkeys(self._members(group)))
        if not matching_groups or pattern.startswith("~") or any(mark in pattern for mark in _SPECIAL):
            found.update(dict.fromkeys(_matching(pattern, self._hosts)))
        return list(found)

    def stray(self, parts: Sequence[str]) -> str:
        """The first part that names nothing there is. An empty group is there; a wildcard may exclude nothing."""
        for part in parts:
            name = part.lstrip("&!")
            excludes_by_pattern = part.startswith("!") and any(mark in name for mark in "~?*[")
            if name and name not in self._groups and not excludes_by_pattern and not self.match(name):
                return part
        return ""

    def advice(self, parts: Sequence[str]) -> str:
        """What may have been meant by parts that name nothing."""
        for part in parts:
            name = part.lstrip("&!")
            if name and not self.match(name):
                return (
                    did_you_mean(name, [*self._groups, *list(self._hosts)[:5000]]) or f"{name} names no host or group"
                )
        return ""


def _matching(pattern: str, names: Mapping[str, object]) -> list[str]:
    if not any(mark in pattern for mark in "~?*["):
        return [pattern] if pattern in names else []
    try:
        expression = re.compile(pattern[1:] if pattern.startswith("~") else fnmatch.translate(pattern))
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(f"{pattern[:100]} is not a pattern of hosts", why=str(error)) from error
    return [name for name in names if expression.match(name)]


def _subscripted(hosts: list[str], subscript: re.Match[str]) -> list[str]:
    """`[2]`, `[-1]`, or `[0:2]`, in which both ends are meant."""
    _, index, first, last = subscript.groups()
    if not hosts:
        return hosts
    if index is None and last != "0":
        return hosts[int(first) : int(last) + 1 if last else None]
    try:
        return [hosts[int(index if index is not None else first)]]
    except IndexError:
        raise UsageError(
            f"{subscript[0][:100]} points beyond the last host", why=f"{subscript[1][:80]} names {len(hosts)} hosts"
        ) from None
