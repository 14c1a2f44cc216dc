"""A conversation with one host: `Reader` can only read, `Session` can act too.

A read is repeated once when the line breaks or its answer is none. A write is never sent twice: when the line breaks after
it may have been received, Interrupted says that nobody knows; a host over its quota refuses it, and the next run tries again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Final, TypeVar

from converge.errors import HostUnreachable, Interrupted, RemoteProtocolError
from converge.windows.commands import ReadingCommand, ReadingLine
from converge.winrm import refusals
from converge.winrm.carrier import Cut
from converge.winrm.connection import Connection, Login
from converge.winrm.exchange import LONGEST_OPERATION, Exchange, ExchangeRecorder, Faulted, gave_up
from converge.winrm.refusals import RequestTooLarge
from converge.winrm.shell import MAX_CUTS, MAX_OUTPUT, Finished, Shell
from converge.wsman import faults
from converge.wsman.cim import Instance, Properties, Value
from converge.wsman.envelopes import ResourceTarget
from converge.wsman.faults import Fault
from converge.wsman.messages import AnyRequest
from converge.wsman.namespaces import wmi_uri, wql_uri
from converge.wsman.operations import Enumerate, Get, Got, Identity, Invoke, Page, Pull, Release, Released, ShellOutput
from converge.wsman.shells import CommandStarted

A = TypeVar("A")
T = TypeVar("T")

MAX_ROWS: Final = 100_000
MAX_PAGES: Final = 20_000
READING_SECONDS: Final = 600.0
_LATE_PAGES: Final = 5
"""How often a host may say that a page is not ready yet."""


class ReadingMethod(StrEnum):
    """The methods of StdRegProv that only read. Nothing else may be called by a Reader."""

    ENUM_KEY = "EnumKey"
    ENUM_VALUES = "EnumValues"
    GET_STRING = "GetStringValue"
    GET_EXPANDED_STRING = "GetExpandedStringValue"
    GET_MULTI_STRING = "GetMultiStringValue"
    GET_DWORD = "GetDWORDValue"
    GET_QWORD = "GetQWORDValue"
    GET_BINARY = "GetBinaryValue"


REGISTRY: Final = wmi_uri("root/default", "StdRegProv")
CIMV2: Final = "root/cimv2"


class Reader:
    """Reads from one host over one authenticated connection. Not for several threads at once."""

    def __init__(self, connection: Connection, *, recorder: ExchangeRecorder | None = None) -> None:
        self._exchange = Exchange(connection, recorder=recorder)
        self._shell: Shell | None = None
        self._no_shell: Faulted | None = None

    @property
    def connection(self) -> Connection:
        """How the host is reached."""
        return self._exchange.connection

    @property
    def round_trips(self) -> int:
        """How many requests were sent, the login's own apart."""
        return self._exchange.round_trips

    @property
    def login(self) -> Login | None:
        """How the account has proved itself on the present connection; None before it has."""
        return self._exchange.carrier.login

    @property
    def has_shell(self) -> bool:
        """Whether a shell for reading commands is open."""
        return self._shell is not None

    def identify(self) -> Identity:
        """What the host says of its own versions. Raises Faulted, HostUnreachable."""
        return self._again(self._exchange.identify)

    def get(self, namespace: str, class_name: str, *, keys: Mapping[str, str] | None = None) -> Properties:
        """One instance. Raises Faulted, HostUnreachable."""
        target = ResourceTarget(wmi_uri(namespace, class_name), selectors=tuple((keys or {}).items()))
        return self._again(lambda: self._patiently(Get(target), Got)).instance.properties

    def query(self, namespace: str, wql: str, *, at_most: int = MAX_ROWS, seconds: float = 0.0) -> list[Instance]:
        """The rows of a WQL query, all of them, or the first `at_most`.

        `seconds` is what the host is given for each page, by default as connected. Raises Faulted, HostUnreachable.
        """
        return self._again(lambda: self._fresh_rows(ResourceTarget(wql_uri(namespace)), wql, at_most, seconds))

    def registry(self, method: ReadingMethod, parameters: Mapping[str, Value]) -> Properties:
        """What a reading method of StdRegProv returns. Raises Faulted, HostUnreachable."""
        call = Invoke(ResourceTarget(REGISTRY), method, parameters)
        return self._again(lambda: self._patiently(call, ShellOutput)).properties

    def run_reading(
        self,
        command: ReadingCommand | ReadingLine,
        *,
        seconds: float = READING_SECONDS,
        limit: int = MAX_OUTPUT,
        sink: Callable[[], Callable[[bytes], None]] | None = None,
        patient: bool = True,
    ) -> Finished:
        """Run a command that only reads. `sink` makes what takes its output, anew for every try.

        Impatiently, a shell that would exceed a quota is not waited for. Raises Faulted where no shell may be opened or the
        command overruns its bounds, HostUnreachable.
        """

        def run() -> Finished:
            shell, command_id = self._started(command.line, patient=patient)
            return shell.finish(command_id, seconds=seconds, limit=limit, sink=sink() if sink else None)

        return self._again(run)

    def _started(self, line: str, *, patient: bool) -> tuple[Shell, str]:
        reused = self._shell is not None
        shell = self._opened_shell(patient=patient)
        try:
            return shell, self._exchange.patiently(shell.command(line), CommandStarted).command_id
        except Faulted:
            if not reused:
                raise
        # WinRM 1.1 takes one command per shell.
        self.close_shell()
        shell = self._opened_shell(patient=patient)
        return shell, self._exchange.patiently(shell.command(line), CommandStarted).command_id

    def _opened_shell(self, *, patient: bool) -> Shell:
        if self._no_shell:
            raise self._no_shell
        if self._shell is None:
            shell = Shell(self._exchange)
            try:
                shell.open(patient=patient)
            except Faulted as faulted:
                if patient or not faulted.fault.over_quota:
                    self._no_shell = faulted
                raise
            self._shell = shell
        return self._shell

    def close_shell(self) -> None:
        """Delete the shell that reading commands shared; asked again, one may be opened again."""
        shell, self._shell, self._no_shell = self._shell, None, None
        if shell:
            shell.close()

    def close(self) -> None:
        """End the conversation."""
        self.close_shell()
        self._exchange.carrier.drop()

    def _again(self, reading: Callable[[], T]) -> T:
        """Read, and once more if the line breaks or no valid answer comes. After that, it is a host one cannot talk to."""
        try:
            try:
                return reading()
            except (Cut, RemoteProtocolError) as broken:
                if isinstance(broken, Cut) and broken.expired:
                    raise refusals.silent(self.connection, broken.why) from broken
                if isinstance(broken, RequestTooLarge):
                    raise
                # What is no answer is asked for once more on a new connection, as what was cut off.
                self._exchange.carrier.drop()
                # The shell outlives the line, and counts against the account's quota.
                self.close_shell()
                return reading()
        except Cut as cut:
            if cut.expired:
                raise refusals.silent(self.connection, cut.why) from cut
            raise HostUnreachable(f"{self.connection.endpoint} broke off twice", why=cut.why) from cut
        except RequestTooLarge as error:
            raise Faulted(Fault("s:Sender", "", reason=error.what)) from error
        except RemoteProtocolError as error:
            what = f"{self.connection.endpoint} does not speak the protocol: {error.what}"
            raise HostUnreachable(what, why=error.why, code=error.code) from error
        finally:
            self._exchange.held.release()

    def _patiently(self, operation: AnyRequest, expected: type[A], *, seconds: float = 0.0) -> A:
        """A reading request: asked again where the host is over a quota, and once with more time where it was too slow."""
        try:
            return self._exchange.patiently(operation, expected, seconds=seconds)
        except Faulted as faulted:
            if faulted.fault.code != faults.TIMED_OUT or isinstance(operation, Pull):
                raise
        return self._exchange.patiently(operation, expected, seconds=LONGEST_OPERATION)

    def _pulled(self, operation: Pull, seconds: float) -> Page:
        for _ in range(_LATE_PAGES):
            try:
                return self._patiently(operation, Page, seconds=seconds)
            except Faulted as faulted:
                if faulted.fault.code != faults.TIMED_OUT:
                    raise
        return self._patiently(operation, Page, seconds=seconds)

    def _fresh_rows(self, target: ResourceTarget, wql: str, at_most: int, seconds: float) -> list[Instance]:
        """The rows; from the start again, once, where the host has dropped the enumeration meanwhile."""
        try:
            return self._rows(target, wql, at_most, seconds)
        except Faulted as faulted:
            if faulted.fault.code != faults.INVALID_ENUMERATION_CONTEXT:
                raise
        return self._rows(target, wql, at_most, seconds)

    def _rows(self, target: ResourceTarget, wql: str, at_most: int, seconds: float) -> list[Instance]:
        rows: list[Instance] = []
        for page in self._pages(target, wql, seconds):
            rows += page.items
            if len(rows) >= at_most and page.context:
                self._release(target, page.context)
                if at_most == MAX_ROWS:
                    raise gave_up(f"the query yields more than {MAX_ROWS} rows")
                break
        return rows[:at_most]

    def _pages(self, target: ResourceTarget, wql: str, seconds: float) -> Iterator[Page]:
        page = self._patiently(Enumerate(target, wql), Page, seconds=seconds)
        yield page
        for _ in range(MAX_PAGES):
            if not page.context:
                return
            page = self._pulled(Pull(target, page.context), seconds)
            yield page
        self._release(target, page.context)
        raise gave_up(f"the query yields more than {MAX_PAGES} pages")

    def _release(self, target: ResourceTarget, context: str) -> None:
        with contextlib.suppress(Faulted, RemoteProtocolError):
            self._exchange.once(Release(target, context), Released)


class Session(Reader):
    """Reads, and acts. Every request of the methods here is sent at most once."""

    def call(
        self,
        target: ResourceTarget,
        method: str,
        parameters: Mapping[str, Value] | None = None,
        *,
        seconds: float = LONGEST_OPERATION,
    ) -> Properties:
        """Call a method that changes something. Raises Faulted where the host refused it, Interrupted, HostUnreachable."""
        return self._act(Invoke(target, method, parameters or {}), ShellOutput, seconds=seconds).properties

    def run(self, *lines: str, seconds: float) -> Finished:
        """Run command lines one after the other in one shell, up to the first that ends with another exit code than 0.

        Each is given `seconds`. Returns the end of the last one that ran. Raises Faulted where one was not started,
        Interrupted, HostUnreachable.
        """
        shell = Shell(self._exchange)
        try:
            for line in lines:
                finished = self._finished(shell, self._command_started(shell, line), seconds=seconds)
                if finished.exit_code:
                    break
            return finished
        finally:
            shell.close()

    def _command_started(self, shell: Shell, line: str) -> str:
        # Never tried in a shell that may refuse it: it would have to be sent again.
        if shell.is_open and shell.takes_one:
            shell.close()
        self._again(shell.open)
        return self._act(shell.command(line), CommandStarted).command_id

    def _finished(self, shell: Shell, command_id: str, *, seconds: float) -> Finished:
        """The end of a command that was started: any way not to see it leaves its effect unknown."""
        try:
            return shell.finish(command_id, seconds=seconds, limit=None, cuts=MAX_CUTS)
        except Faulted as faulted:
            raise Interrupted("a command was started, and its end is not known", why=faulted.fault.text) from faulted
        except (Cut, RemoteProtocolError, HostUnreachable) as error:
            raise Interrupted("the connection was lost while a command ran", why=str(error)) from error

    def _act(self, operation: AnyRequest, expected: type[A], *, seconds: float = 0.0) -> A:
        try:
            return self._sent_once(operation, expected, seconds=seconds)
        except Cut as cut:
            if cut.expired:
                raise refusals.silent(self.connection, cut.why) from cut
        # Nothing of it left this end, so this is still the first time.
        try:
            return self._sent_once(operation, expected, seconds=seconds)
        except Cut as cut:
            raise HostUnreachable(f"{self.connection.endpoint} broke off twice", why=cut.why) from cut

    def _sent_once(self, operation: AnyRequest, expected: type[A], *, seconds: float) -> A:
        """Raises Cut only where the request was not sent."""
        name = operation.method if isinstance(operation, Invoke) else "a command"
        try:
            return self._exchange.once(operation, expected, seconds=seconds)
        except Cut as cut:
            if not cut.sent:
                raise
            by = self.connection.read_timeout_from if cut.expired else ""
            why = f"{cut.why}; that is how long the inventory waits: {by}" if by else cut.why
            raise Interrupted(f"the connection was lost while the host was asked for {name}", why=why) from cut
        except RequestTooLarge as error:
            raise Faulted(Fault("s:Sender", "", reason=error.what)) from error
        except RemoteProtocolError as error:
            raise Interrupted(f"no valid answer came when the host was asked for {name}", why=str(error)) from error
        except HostUnreachable as error:
            if not self._exchange.carrier.answered:
                raise
            # Whoever answers so may have passed the request on.
            raise Interrupted(f"no answer of WinRM came when the host was asked for {name}", why=str(error)) from error
        except Faulted as faulted:
            if faulted.fault.code == faults.TIMED_OUT:
                by = self.connection.operation_timeout_from
                given = f"; the inventory gives it no longer: {by}" if by else ""
                raise Interrupted(f"the host did not end {name} in time", why=faulted.fault.text + given) from faulted
            raise
