"""The names that whoever listens for browsers and monitors answers to."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class ServedNames:
    """The names under which this server may be asked: a page elsewhere that points its own name here is not served.

    A name of a certificate may begin with `*.`, which stands for one label.
    """

    names: Collection[str]

    def answers_to(self, host: str) -> bool:
        """Whether the `Host` of a request is one of them, whatever its port."""
        name = _without_port(host).lower().rstrip(".")
        _, _, parent = name.partition(".")
        return bool(name) and (name in self.names or (bool(parent) and f"*.{parent}" in self.names))


def _without_port(host: str) -> str:
    if host.startswith("["):
        name, closed, _ = host[1:].partition("]")
        return name if closed else ""
    return host.partition(":")[0]
