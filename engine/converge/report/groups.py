"""Hosts to which the same happens, told once. Only a digest and one example are kept per group."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field, replace

from converge.model.change import HostResult, Problem
from converge.report.document import host_as_json
from converge.report.folding import natural

MOST_GROUPS = 2000  # beyond that, a host of its own kind is told at once instead of being kept
_ANY = "\0"  # stands for what each host of a group has for itself: its name, address or port
_ADDRESS = re.compile(r"(?<=://)[^\s/]+|(?<![\w.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?::[0-9]{1,5})?(?![\w])")


@dataclass(slots=True)
class HostGroup:
    """Hosts with the same changes: one of them as the example, and the names of all."""

    example: HostResult
    hosts: list[str] = field(default_factory=list)
    alike: bool = True
    """Whether the problem is told of all in the same words: else those of the example name it, its address or port."""


class Groups:
    """Results sorted by what happens, whatever the host's name and however long it took."""

    def __init__(self, most: int = MOST_GROUPS) -> None:
        self._most = most
        self._groups: dict[bytes, HostGroup] = {}

    def add(self, result: HostResult) -> HostGroup | None:
        """Take a result in. A group comes back when there are too many to keep it: it must be told now."""
        digest = digest_of(result)
        group = self._groups.get(digest)
        if group is None:
            group = HostGroup(result)
            if len(self._groups) >= self._most:
                group.hosts.append(result.host)
                return group
            self._groups[digest] = group
        elif result.error != group.example.error:
            group.alike = False
        group.hosts.append(result.host)
        return None

    def all(self) -> list[HostGroup]:
        """Every group, in the order of their first hosts."""
        return sorted(self._groups.values(), key=lambda group: min(map(natural, group.hosts)))


def _of_any_host(result: HostResult) -> HostResult:
    """The result, its problem without the host's name, address and port."""
    if (problem := result.error) is None:
        return result
    own = re.compile(rf"(?<![\w.-]){re.escape(result.host)}(?![\w-])")
    what, why, try_ = (
        own.sub(_ANY, _ADDRESS.sub(_ANY, text)) for text in (problem.what, problem.why, problem.try_)
    )
    return replace(result, error=Problem(problem.code, what, why, try_))


def digest_of(result: HostResult) -> bytes:
    """Equal for hosts to which the same happened."""
    shown = host_as_json(_of_any_host(result))
    del shown["round_trips"], shown["seconds"]
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).digest()
