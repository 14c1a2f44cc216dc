"""What the WinRM service does with a message: reads it, checks rights and quotas, dispatches it, and words the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Final

from converge.errors import RemoteProtocolError
from converge.lab.endpoint import mishaps
from converge.lab.endpoint.faulting import SentFault, Speaker
from converge.lab.endpoint.host import SimulatedHost
from converge.lab.endpoint.mishaps import Mishap, MishapKind
from converge.lab.endpoint.repository import Repository
from converge.lab.endpoint.request_log import RequestRecord
from converge.lab.endpoint.shell_service import ShellService
from converge.lab.endpoint.wmi_service import WmiService
from converge.lab.world import LabAccount, Right
from converge.model.names import fold
from converge.wsman import envelopes, faults, messages, namespaces, operations, shells
from converge.wsman.envelopes import RequestHeader
from converge.wsman.faults import Fault, RefusedRequest
from converge.wsman.messages import AnyAnswer, Request

FOREVER: Final = 24 * 3600.0
PROFILES: Final = ("http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/http/spnego-kerberos",)

_WMI: Final = (
    operations.Get,
    operations.Enumerate,
    operations.Pull,
    operations.Release,
    operations.Invoke,
)
_SHELL: Final = (
    shells.CreateShell,
    shells.Command,
    shells.Send,
    shells.Receive,
    shells.Signal,
    shells.DeleteShell,
)
_NAMES: Final = {"CreateShell": "Create", "DeleteShell": "Delete"}


class CutLine(Enum):
    """Where the connection breaks."""

    BEFORE = auto()
    INSIDE = auto()


@dataclass(frozen=True, slots=True)
class OperationReply:
    """What goes back over HTTP. `page` is whether it is HTML; `trickle` the seconds between two bytes."""

    body: bytes = b""
    status: int = 200
    page: bool = False
    unsealed: bool = False
    tampered: bool = False
    cut: CutLine | None = None
    trickle: float = 0.0


@dataclass(slots=True)
class _Sense:
    """A message that was read: the request, or the fault for which it is refused at once."""

    header: RequestHeader
    request: Request | None = None
    refusal: Fault | None = None
    record: RequestRecord = field(default_factory=lambda: RequestRecord("Unknown"))


class Operations:
    """The WinRM service of one host. One message at a time per connection; several connections interleave."""

    def __init__(self, host: SimulatedHost) -> None:
        self._host = host
        repository = Repository(host.world)
        self._wmi = WmiService(host, repository)
        self._shells = ShellService(host)
        self._under_way: dict[str, int] = {}

    @property
    def max_request(self) -> int:
        """Bytes of the largest request that is taken; larger ones get HTTP status 413."""
        # Sealing and its framing add less than a kilobyte.
        return self._host.winrm.max_envelope + 1024

    def identify_anonymously(self, message: bytes) -> OperationReply | None:
        """The answer to Identify from somebody who has not logged in; None if it is anything else."""
        with suppress(RemoteProtocolError):
            request = messages.parse_request(message)
            if isinstance(request.operation, operations.Identify):
                self._host.log.add(RequestRecord("Identify"))
                return self._reply(self._identity(anonymous=True), request, ())
        return None

    async def answer(self, message: bytes, *, account: LabAccount, client: str) -> OperationReply:
        """The answer to a message of an account, from the address `client`."""
        sense = self._read(message, account)
        self._host.log.add(sense.record)
        struck = self._host.mishaps.strike(sense.record)
        early = await self._befallen(struck, sense)
        if early is not None:
            return early
        if sense.request is None:
            request = Request(operations.Identify(), sense.header)
            body: AnyAnswer = sense.refusal or self._speaker(sense.header).schema()
        else:
            request = sense.request
            seconds = sum(mishap.amount for mishap in struck if mishap.kind is MishapKind.SLOW_COMMAND)
            body = await self._performed(request, account=account, client=client, seconds=seconds)
        return self._reply(body, request, struck)

    def _read(self, message: bytes, account: LabAccount) -> _Sense:
        try:
            request = messages.parse_request(message, limit=self.max_request)
        except RefusedRequest as refused:
            return _Sense(RequestHeader(to="", message_id=refused.message_id), refusal=refused.fault)
        except RemoteProtocolError:
            return _Sense(RequestHeader(to="", message_id=""))
        record = self._record(request, account)
        return _Sense(request.header, request=request, record=record)

    def _record(self, request: Request, account: LabAccount) -> RequestRecord:
        operation = request.operation
        name = type(operation).__name__
        record = RequestRecord(_NAMES.get(name, name), account=account.name, reads=self._wmi.reads(operation))
        if isinstance(operation, operations.Identify):
            return record
        keys = tuple((key, str(value)) for key, value in operation.target.selectors)
        record = replace(record, resource=operation.target.resource_uri, keys=keys)
        if isinstance(operation, operations.Invoke):
            return replace(record, method=operation.method)
        if isinstance(operation, operations.Enumerate):
            return replace(record, detail=operation.expression)
        if isinstance(operation, shells.Command):
            return replace(record, detail=" ".join((operation.command, *operation.arguments)))
        return record

    async def _befallen(self, struck: tuple[Mishap, ...], sense: _Sense) -> OperationReply | None:
        """What takes the place of performing the request at all."""
        for mishap in struck:
            if mishap.kind is MishapKind.DELAY:
                await self._host.mishaps.thinking(mishap)
            elif mishap.kind is MishapKind.SILENCE:
                await asyncio.sleep(mishap.amount or FOREVER)
                return OperationReply(cut=CutLine.BEFORE)
            elif mishap.kind is MishapKind.DROP_BEFORE:
                return OperationReply(cut=CutLine.BEFORE)
            elif mishap.kind is MishapKind.UNAUTHORIZED:
                return OperationReply(status=401)
            elif mishap.kind is MishapKind.HTTP_ERROR:
                page = b"<!DOCTYPE html><html><head><title>Error</title></head><body><h1>Error</h1></body></html>"
                return OperationReply(page, status=int(mishap.amount or 500), page=True)
            elif mishap.kind is MishapKind.FAULT:
                request = sense.request or Request(operations.Identify(), sense.header)
                return self._reply(self._wanted_fault(sense.header, int(mishap.amount)), request, struck)
        return None

    def _wanted_fault(self, header: RequestHeader, code: int) -> Fault:
        speaker = self._speaker(header)
        known: dict[int, Callable[[], Fault]] = {
            0: speaker.over_operations,
            faults.QUOTA_OPERATIONS: speaker.over_operations,
            faults.QUOTA_SHELLS: speaker.over_shells,
            faults.TIMED_OUT: speaker.timed_out,
            faults.ACCESS_DENIED: speaker.access_denied,
        }
        if code in known:
            return known[code]()
        return speaker.fault("s:Receiver", "w:InternalError", code=code, reason="The operation failed. ")

    def _speaker(self, header: RequestHeader) -> Speaker:
        return Speaker(self._host.world.profile.host_name, header.to, self._host.winrm)

    async def _performed(self, request: Request, *, account: LabAccount, client: str, seconds: float) -> AnyAnswer:
        speaker = self._speaker(request.header)
        name = fold(account.name)
        if not self._host.world.permits(account, Right.WINRM):
            return speaker.access_denied()
        open_now = self._under_way.get(name, 0) + self._wmi.open_enumerations(account)
        # What ends an operation must not be refused for want of room.
        ending = (operations.Pull, operations.Release, shells.Signal, shells.DeleteShell)
        if open_now >= self._host.winrm.max_operations and not isinstance(request.operation, ending):
            return speaker.over_operations()
        self._under_way[name] = self._under_way.get(name, 0) + 1
        try:
            return await self._dispatched(request, speaker, account, client=client, seconds=seconds)
        except SentFault as faulted:
            return faulted.fault
        finally:
            self._under_way[name] -= 1

    async def _dispatched(
        self, request: Request, speaker: Speaker, account: LabAccount, *, client: str, seconds: float
    ) -> AnyAnswer:
        operation = request.operation
        if isinstance(operation, operations.Identify):
            return self._identity(anonymous=False)
        uri = operation.target.resource_uri
        if uri.lower().startswith(namespaces.SHELL) or isinstance(operation, _SHELL):
            if uri.lower() != namespaces.CMD_SHELL or not isinstance(operation, _SHELL):
                raise SentFault(speaker.invalid_uri() if isinstance(operation, _SHELL) else speaker.action_unsupported())
            return await self._shells.perform(
                operation, request.header, speaker=speaker, account=account, client=client, seconds=seconds
            )
        return self._wmi.perform(operation, request.header, speaker=speaker, account=account)

    def _identity(self, *, anonymous: bool) -> operations.Identity:
        profile = self._host.world.profile
        version = "0.0.0 SP: 0.0" if anonymous else f"{profile.version} SP: {profile.service_pack}.0"
        profiles = PROFILES if self._host.winrm.version == "3.0" and not anonymous else ()
        return operations.Identity(f"OS: {version} Stack: {self._host.winrm.version}", security_profiles=profiles)

    def _reply(self, body: AnyAnswer, request: Request, struck: tuple[Mishap, ...]) -> OperationReply:
        kinds = {mishap.kind for mishap in struck}
        if isinstance(body, Fault) and MishapKind.LOCALISED in kinds:
            body = mishaps.localised(body)
        xml = messages.build_answer(body, request=request, message_id=envelopes.new_message_id())
        if len(xml) > self._room(request.header) and not isinstance(body, Fault):
            body = self._speaker(request.header).too_large()
            xml = messages.build_answer(body, request=request, message_id=envelopes.new_message_id())
        for mishap in struck:
            xml = mishaps.disfigured(mishap.kind, xml, amount=mishap.amount)
        trickle = next((mishap.amount or 1.0 for mishap in struck if mishap.kind is MishapKind.TRICKLE), 0.0)
        cut = CutLine.INSIDE if MishapKind.CUT_SHORT in kinds else None
        return OperationReply(
            xml,
            status=500 if isinstance(body, Fault) else 200,
            unsealed=MishapKind.UNSEALED in kinds,
            tampered=MishapKind.BAD_SEAL in kinds,
            cut=CutLine.BEFORE if MishapKind.DROP_AFTER in kinds else cut,
            trickle=trickle,
        )

    def _room(self, header: RequestHeader) -> int:
        own = self._host.winrm.max_envelope
        return min(header.max_envelope_size or own, own)
