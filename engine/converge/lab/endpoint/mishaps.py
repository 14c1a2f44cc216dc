"""Things that go wrong on purpose: what a broken line, a loaded host or an enemy does to an answer."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from converge.lab.endpoint.request_log import RequestRecord
from converge.wsman.faults import Fault

DEFAULT_OVERSIZE: Final = 64 * 1024 * 1024
_LOOK: Final = 0.1  # seconds between two looks whether it goes on


class MishapKind(StrEnum):
    """What happens. `amount` of the mishap means what is said in brackets."""

    DELAY = "delay"  # the host thinks for [seconds] first
    SLOW_COMMAND = "slow-command"  # of a shell's command, output and end are told only after [seconds]
    SILENCE = "silence"  # nothing is done and nothing answered, for [seconds], or for ever
    DROP_BEFORE = "drop-before"  # the connection is cut and nothing is done
    DROP_AFTER = "drop-after"  # it is done, and the connection is cut without an answer
    CUT_SHORT = "cut-short"  # it is done, and the connection is cut in the middle of the answer
    TRUNCATED_XML = "truncated-xml"  # a whole HTTP answer with half of the XML
    NOT_XML = "not-xml"  # an answer that is no XML at all
    WRONG_RELATES_TO = "wrong-relates-to"  # the answer to another request
    DOCUMENT_TYPE = "document-type"  # an answer with a document type
    ENTITY_BOMB = "entity-bomb"  # one whose entities expand beyond measure
    UNSEALED = "unsealed"  # a plain answer to a sealed request
    BAD_SEAL = "bad-seal"  # a sealed answer that was tampered with
    OVERSIZE = "oversize"  # an answer of [bytes]
    UNAUTHORIZED = "unauthorized"  # 401, and the login of the connection is forgotten
    HTTP_ERROR = "http-error"  # a page of HTML with status [500]
    TRICKLE = "trickle"  # the answer comes one byte per [second]
    LOCALISED = "localised"  # faults speak German
    FAULT = "fault"  # nothing is done; the fault with code [quota of concurrent operations]


@dataclass(frozen=True, slots=True)
class Mishap:
    """One thing to go wrong. With `operation` (and `method`) only requests of that kind are hit.

    The first `skip` requests it could hit pass; then it strikes `times` times, None for ever.
    """

    kind: MishapKind
    amount: float = 0.0
    operation: str = ""
    method: str = ""
    skip: int = 0
    times: int | None = None

    def hits(self, record: RequestRecord) -> bool:
        """Whether it is meant for such a request."""
        return self.operation in ("", record.operation) and self.method in ("", record.method)


class Mishaps:
    """What is to go wrong at one host. Safe to change from any thread while it is served."""

    def __init__(self) -> None:
        self._waiting: list[Mishap] = []
        self._lock = threading.Lock()

    def add(self, mishap: Mishap) -> None:
        """Let this happen too, after what was added before."""
        with self._lock:
            self._waiting.append(mishap)

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        with self._lock:
            self._waiting.clear()

    async def thinking(self, mishap: Mishap) -> None:
        """Until the time of a delay is over, or it is cleared. One that strikes only so many times lasts its time."""
        ends = time.monotonic() + mishap.amount
        while (left := ends - time.monotonic()) > 0 and (mishap.times is not None or mishap in self._waiting):
            await asyncio.sleep(min(left, _LOOK))

    def strike(self, record: RequestRecord) -> tuple[Mishap, ...]:
        """What happens to this request, each counted as having happened."""
        with self._lock:
            struck = []
            left = []
            for mishap in self._waiting:
                if not mishap.hits(record):
                    left.append(mishap)
                elif mishap.skip:
                    left.append(replace(mishap, skip=mishap.skip - 1))
                else:
                    struck.append(mishap)
                    times = mishap.times
                    if times is None or times > 1:
                        left.append(mishap if times is None else replace(mishap, times=times - 1))
            self._waiting = left
            return tuple(struck)


_GERMAN: Final = "Der WS-Verwaltungsdienst kann die Anforderung nicht verarbeiten. Zugriff verweigert oder ungültig. "


def localised(fault: Fault) -> Fault:
    """The fault with texts in German: only codes are the same on every host."""
    provider = replace(fault.provider, message=_GERMAN) if fault.provider else None
    return replace(fault, reason=_GERMAN, message=_GERMAN if fault.message else "", provider=provider)


_BOMB: Final = "".join(
    f'<!ENTITY l{level} "{f"&l{level - 1};" * 10}">' if level else '<!ENTITY l0 "converge">' for level in range(10)
)


def disfigured(kind: MishapKind, xml: bytes, *, amount: float) -> bytes:
    """The answer's XML after a mishap that concerns XML; as it was for any other."""
    if kind is MishapKind.TRUNCATED_XML:
        return xml[: len(xml) // 2]
    if kind is MishapKind.NOT_XML:
        return b"\x00\xff<<<this is not XML>>>\x00"
    if kind is MishapKind.WRONG_RELATES_TO:
        start = xml.find(b"<a:RelatesTo>") + len(b"<a:RelatesTo>")
        end = xml.find(b"</a:RelatesTo>")
        return xml[:start] + b"uuid:00000000-DEAD-BEEF-0000-000000000000" + xml[end:] if end > 0 else xml
    if kind is MishapKind.DOCUMENT_TYPE:
        return b'<!DOCTYPE s:Envelope SYSTEM "http://127.0.0.1:9/never.dtd">' + xml
    if kind is MishapKind.ENTITY_BOMB:
        return f"<!DOCTYPE s:Envelope [{_BOMB}]>".encode() + xml.replace(b"</s:Body>", b"&l9;</s:Body>")
    if kind is MishapKind.OVERSIZE:
        missing = max(0, int(amount or DEFAULT_OVERSIZE) - len(xml))
        return xml.replace(b"</s:Envelope>", b" " * missing + b"</s:Envelope>")
    return xml
