"""One request and the answer that belongs to it, checked; faults become exceptions that stay within this room."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from typing import Final, Protocol, TypeVar

from converge.errors import RemoteProtocolError
from converge.model.redaction import Redaction
from converge.winrm.carrier import MessageCarrier, Reply
from converge.winrm.connection import LONGEST_OPERATION, Connection
from converge.winrm.held import HeldBytes
from converge.wsman import messages
from converge.wsman.envelopes import RequestHeader, new_message_id
from converge.wsman.faults import Fault
from converge.wsman.messages import AnyRequest
from converge.wsman.operations import Identity
from converge.wsman.shells import Received

__all__ = ["LONGEST_OPERATION", "Exchange", "ExchangeRecorder", "Faulted", "gave_up"]

A = TypeVar("A")

WIDEST_ANSWER: Final = 512_000
"""The envelope asked for, in bytes: what WinRM 3.0 grants by default. Older hosts grant their own 150 kB ([MS-WSMV] 3.1.4.1.7)."""


class Faulted(Exception):
    """The host answered with a fault. Caught by whoever knows what it means for a question or an action."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.text)
        self.fault = fault


PATIENCE: Final = (0.5, 1.0, 2.0, 4.0)
"""Seconds to wait when the host is over a quota, before each further try; of a whole conversation, not of each question."""
_one_at_a_time: Final = threading.Lock()
"""The tree of a message takes many times its size: only one is built at a time."""


class OutOfTime(Faulted):
    """A command did not end in the time it was given, and was ended."""


def gave_up(reason: str) -> Faulted:
    """A fault of our own making: we stopped asking, for this reason."""
    return Faulted(Fault("s:Receiver", "", reason=reason))


class ExchangeRecorder(Protocol):
    """Is shown every exchange as it is before sealing and after unsealing."""

    def exchanged(self, request: bytes, answer: bytes | None, *, status: int = 0) -> None:
        """A request, and its answer with its HTTP status; None where none came."""


class Exchange:
    """Sends requests to one host and counts them."""

    def __init__(self, connection: Connection, *, recorder: ExchangeRecorder | None = None) -> None:
        self.connection = connection
        self._recorder = recorder
        self.carrier = MessageCarrier(connection)
        self.round_trips = 0
        self.held = HeldBytes()
        self._waits = iter(PATIENCE)

    def once(self, operation: AnyRequest, expected: type[A], *, seconds: float = 0.0) -> A:
        """The answer to a request that is sent once. `seconds` is what the host is given, by default as connected.

        Raises Faulted; RemoteProtocolError for an answer of another kind or to another request; and as `Carrier.send`.
        """
        given = min(seconds or self.connection.operation_timeout, self.connection.longest_operation)
        header = RequestHeader(
            to=self.connection.endpoint,
            message_id=new_message_id(),
            max_envelope_size=WIDEST_ANSWER,
            operation_timeout=timedelta(seconds=given),
        )
        envelope = messages.build_request(operation, header=header)
        # What the line gets beyond the host: time for the host to say that it needs longer.
        spare = self.connection.read_timeout - self.connection.operation_timeout
        reply = self._send(envelope, seconds=given + spare)
        # What commands write is not gathered here: whoever receives it bounds it.
        if expected is not Received and not self.held.take(reply):
            raise gave_up("the answers are larger than converge's own limit of what it holds in memory")
        with _one_at_a_time:
            answer = messages.parse_answer(reply, limit=self.connection.max_answer)
        if isinstance(answer.body, Fault):
            # Hosts relate an MSFT_WmiError, and what they could not read, to nothing.
            if answer.header.relates_to:
                self._check_related(answer.header.relates_to, header.message_id)
            raise Faulted(self._redacted(answer.body))
        self._check_related(answer.header.relates_to, header.message_id)
        if not isinstance(answer.body, expected):
            raise RemoteProtocolError(f"an answer of another kind, {type(answer.body).__name__}")
        return answer.body

    def patiently(self, operation: AnyRequest, expected: type[A], *, seconds: float = 0.0) -> A:
        """As `once`; asked again, a few times per conversation, where the host did nothing for being over a quota."""
        for wait in self._waits:
            try:
                return self.once(operation, expected, seconds=seconds)
            except Faulted as faulted:
                if not faulted.fault.over_quota or self.carrier.remaining < wait:
                    raise
            time.sleep(wait)
        return self.once(operation, expected, seconds=seconds)

    def identify(self) -> Identity:
        """The protocol and product versions: the cheapest question. Raises as `once`."""
        reply = self._send(messages.build_identify(), seconds=self.connection.read_timeout)
        body = messages.parse_answer(reply, limit=self.connection.max_answer).body
        if isinstance(body, Fault):
            raise Faulted(self._redacted(body))
        if not isinstance(body, Identity):
            raise RemoteProtocolError(f"an answer of another kind, {type(body).__name__}")
        return body

    @cached_property
    def _redaction(self) -> Redaction:
        return Redaction((self.connection.password,))

    def _redacted(self, fault: Fault) -> Fault:
        """A fault's texts are shown: what they give back of the password, as a proxy that echoes a login, is cut out."""
        hide = self._redaction.of_text
        provider = replace(fault.provider, message=hide(fault.provider.message)) if fault.provider else None
        return replace(
            fault, reason=hide(fault.reason), message=hide(fault.message), detail=hide(fault.detail), provider=provider
        )

    def _send(self, envelope: bytes, *, seconds: float) -> bytes:
        reply: Reply | None = None
        try:
            reply = self.carrier.send(envelope, seconds=seconds)
            return reply.body
        finally:
            self.round_trips += 1
            if self._recorder is not None:
                self._recorder.exchanged(envelope, reply.body if reply else None, status=reply.status if reply else 0)

    def _check_related(self, relates_to: str, message_id: str) -> None:
        if relates_to.upper() != message_id.upper():
            self.carrier.drop()
            raise RemoteProtocolError("an answer to another request", why="somebody else's answer, or a forged one")
