"""What a control node and its workers tell each other, and how it becomes bytes: the one place where a Secret is handed over."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from converge.fleet.stop import StopToken
from converge.model.change import HostResult, Problem
from converge.model.secret import Secret


@dataclass(frozen=True, slots=True)
class Begin:
    """A stage of a run begins: `order` is all that its hosts have in common."""

    stage: int
    payload: object = field(repr=False)


@dataclass(frozen=True, slots=True)
class Go:
    """Go to one host: `content` is all that the order does not say. `quiet`: what comes of its login need not be told."""

    stage: int
    host: str
    quiet: bool
    content: object = field(repr=False)


@dataclass(frozen=True, slots=True)
class Stop:
    """End at the next boundary between two actions."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The worker is ready for the hosts of a stage, or cannot be."""

    stage: int
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The login at a host is over. `accepted` is None where the host said nothing of the account."""

    stage: int
    host: str
    accepted: bool | None


@dataclass(frozen=True, slots=True)
class HostEnded:
    """This is what became of a host."""

    stage: int
    result: HostResult


Message = Begin | Go | Stop | Begun | LoggedIn | HostEnded


@dataclass(frozen=True, slots=True)
class Parcel:
    """A packed message with its number, from 1 in each direction. It shows no content: dask logs the arguments of what fails."""

    number: int
    content: bytes = field(repr=False)


class StageRunner(Protocol):
    """What a worker works with during one stage."""

    def run(self, message: Go, stop: StopToken, *, logged_in: Callable[[bool | None], None]) -> HostResult:
        """Do what is to be done with one host. Called from many threads."""

    def bug(self, host: str, error: BaseException) -> Problem:
        """Keep a bug's traceback, and put it into words."""

    def close(self) -> None:
        """The stage is over."""


OpenRunner = Callable[[object], StageRunner]
"""Makes a StageRunner from an order. Raises ConvergeError where this worker cannot do what is ordered."""


class _Packer(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        return (Secret, (value.reveal(),)) if isinstance(value, Secret) else NotImplemented


def pack(message: object) -> bytes:
    """A message as bytes, secrets in clear: for a line over TLS between two members of one cluster."""
    written = io.BytesIO()
    _Packer(written, protocol=pickle.HIGHEST_PROTOCOL).dump(message)
    return written.getvalue()


def unpack(packed: bytes) -> Message:
    """The message. Only for bytes of a process that may run code here anyway: a member of the cluster."""
    message = pickle.loads(packed)  # noqa: S301  # see above
    assert isinstance(message, Message)
    return message
