"""A host that can be asked, and acted on, over WinRM."""

from __future__ import annotations

import contextlib
import time
from datetime import datetime, timedelta
from typing import Final

from converge.errors import ActionRefused, HostUnreachable, Interrupted, LoginRefused
from converge.model.action import (
    AnyAction,
    CopyFile,
    InvokeCimMethod,
    MoveDirectory,
    MoveFile,
    NewDirectory,
    NewRegistryKey,
    Performed,
    RemoveDirectory,
    RemoveFile,
    RemoveRegistryKey,
    RemoveRegistryValue,
    RestartComputer,
    ResumeService,
    RunCommand,
    SetRegistryValue,
    SetServiceImagePath,
    SetServiceStartMode,
    StartService,
    StopService,
    WriteFile,
)
from converge.windows.commands import command_line, shell_line
from converge.windows.return_codes import SYSTEM_ERRORS, failed
from converge.winrm.answering import action_refused
from converge.winrm.connection import Connection
from converge.winrm.exchange import Faulted, OutOfTime
from converge.winrm.files import perform_on_file
from converge.winrm.observer import WinRMObserver
from converge.winrm.registry_actions import perform_on_registry
from converge.winrm.services import perform_on_service
from converge.winrm.session import CIMV2, Session
from converge.winrm.system import call_cim_method
from converge.wsman.envelopes import ResourceTarget
from converge.wsman.namespaces import wmi_uri

_SHOWN_OUTPUT: Final = 4000
_FORCED_REBOOT: Final = {"Flags": 6, "Reserved": 0}  # Win32_OperatingSystem.Win32Shutdown
_REMEDIES: Final = {
    1314: "grant the account the user rights to shut down the system, and to do so from a remote system",
    1191: "have them log off, or restart the computer by hand",
}
"""By what Win32Shutdown returns."""
_RESTART_PAUSE: Final = 5.0
_CLOCK_DRIFT: Final = timedelta(seconds=5)  # the start time is told by the clock that is set meanwhile


class WinRMMachine(WinRMObserver):
    """One host, over one authenticated connection. Not for several threads at once."""

    def __init__(self, connection: Connection) -> None:
        self._session = Session(connection)
        super().__init__(connection, reader=self._session)

    def perform(self, action: AnyAction) -> Performed:
        """Do one thing. Raises ActionRefused when the host said no, Interrupted when nobody knows."""
        self._forget()
        match action:
            case StartService() | StopService() | ResumeService():
                return perform_on_service(self._session, action)
            case SetServiceStartMode() | SetServiceImagePath():
                return perform_on_service(self._session, action)
            case CopyFile() | MoveFile() | WriteFile() | RemoveFile():
                return perform_on_file(self._session, action)
            case NewDirectory() | MoveDirectory() | RemoveDirectory():
                return perform_on_file(self._session, action)
        # What follows can install services, or change what they depend on.
        self._dependents.forget()
        match action:
            case SetRegistryValue() | RemoveRegistryValue() | NewRegistryKey() | RemoveRegistryKey():
                return perform_on_registry(self._session, action)
            case RunCommand():
                return self._run(action)
            case RestartComputer():
                return self._restart(action)
            case InvokeCimMethod():
                return call_cim_method(self._session, action)

    def _run(self, action: RunCommand) -> Performed:
        title = action.title or action.argv[0]
        try:
            line = shell_line(action.argv) if action.shell else command_line(action.argv)
        except ValueError as error:
            raise ActionRefused(f"{title} cannot be run", why=str(error)) from error
        if line.startswith('"'):
            # `cmd /c` takes the first and the last quote off a line that begins with one. After an @ it does not.
            line = f"@{line}"
        try:
            finished = self._session.run(line, seconds=action.timeout)
        except Interrupted as interrupted:
            if isinstance(interrupted.__cause__, OutOfTime):
                raise _ended_by_us(title, action.timeout) from interrupted
            raise
        except Faulted as faulted:
            raise action_refused(title, faulted) from faulted
        code = finished.exit_code
        reboot = code in action.reboot_codes
        if action.exit_codes and code not in action.exit_codes and not reboot:
            raise ActionRefused(f"{title} ended with exit code {code}", why=finished.complaint)
        output = finished.text or finished.stderr.decode("utf-8", "replace")
        if len(output) > _SHOWN_OUTPUT:
            output = f"[the last {_SHOWN_OUTPUT} characters]\n{output[-_SHOWN_OUTPUT:]}"
        return Performed(code=code, output=output, reboot_needed=reboot)

    def _restart(self, action: RestartComputer) -> Performed:
        ends = time.monotonic() + action.timeout
        before = self._started()
        # The line may break before the answer came: coming back with a later start time is what counts.
        with contextlib.suppress(Interrupted):
            self._reboot()
        while time.monotonic() < ends:
            time.sleep(min(_RESTART_PAUSE, max(ends - time.monotonic(), 0.0)))
            if self._is_back(before):
                return Performed()
        raise Interrupted(f"the computer was restarted and does not answer after {action.timeout:g} s")

    def _reboot(self) -> None:
        system = ResourceTarget(wmi_uri(CIMV2, "Win32_OperatingSystem"))
        try:
            returned = self._session.call(system, "Win32Shutdown", _FORCED_REBOOT).integer("ReturnValue") or 0
        except Faulted as faulted:
            raise action_refused("restarting the computer", faulted) from faulted
        if returned:
            what, why = failed("restarting the computer (Win32Shutdown)", returned, SYSTEM_ERRORS)
            raise ActionRefused(what, why=why, try_=_REMEDIES.get(returned, ""))

    def _is_back(self, before: datetime | None) -> bool:
        try:
            started = self._started()
        except LoginRefused:
            raise
        except (HostUnreachable, Faulted):
            # Each try is a new connection: the host may be down, or up without WMI yet.
            self._session.close()
            return False
        return started is not None and (before is None or started > before + _CLOCK_DRIFT)

    def _started(self) -> datetime | None:
        return self._session.get(CIMV2, "Win32_OperatingSystem").datetime("LastBootUpTime")


def _ended_by_us(title: str, seconds: float) -> Interrupted:
    """What is told of a command that took too long: what was waited for, and what became of it. Looking again tells the rest."""
    span = f"{seconds / 60:g} minutes" if seconds >= 120 else f"{seconds:g} s"
    return Interrupted(
        f"{title} did not end within {span}, perhaps waiting for a file or an answer, and was ended (signal terminate)"
    )
