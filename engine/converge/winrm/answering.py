"""What the host's faults and return values mean as answers and as refused actions."""

from __future__ import annotations

from typing import Final

from converge.errors import ActionRefused, RemoteProtocolError
from converge.model.answer import Answer, Refused
from converge.model.query import AnyQuery
from converge.winrm.exchange import Faulted
from converge.wsman import faults
from converge.wsman.faults import Fault

Answered = dict[AnyQuery, Answer[object]]

_MISSING_RIGHTS: Final = {
    faults.ACCESS_DENIED: "the right to use WinRM (the group Remote Management Users, or the plug-in's SDDL)",
    faults.WMI_NAMESPACE_ACCESS_DENIED: "Enable Account, Remote Enable and Execute Methods on the WMI namespace",
    faults.WMI_CONNECT_ACCESS_DENIED: "Enable Account and Remote Enable on the WMI namespace",
}
_ABSENT: Final = frozenset({faults.RESOURCE_NOT_FOUND, faults.INVALID_RESOURCE_URI})
_ABSENT_CIM: Final = frozenset({faults.CIM_INVALID_NAMESPACE, faults.CIM_INVALID_CLASS, faults.CIM_NOT_FOUND})


def refused(problem: Faulted | RemoteProtocolError) -> Refused:
    """Why a question was not answered."""
    if isinstance(problem, RemoteProtocolError):
        return Refused(problem.code, problem.what)
    fault = problem.fault
    right = _MISSING_RIGHTS.get(fault.code or 0, "rights to read it") if fault.access_denied else ""
    return Refused(_code(fault), fault.text, right)


def _code(fault: Fault) -> str:
    if fault.access_denied:
        return "access-denied"
    return str(fault.code) if fault.code is not None else fault.subcode or "gave-up"


def denies_everything(fault: Fault) -> bool:
    """Whether the account may not use WinRM or the namespace at all, rather than not see this one thing."""
    return fault.code in _MISSING_RIGHTS


def is_absent(fault: Fault) -> bool:
    """Whether the host says that the resource, class, namespace or instance is not there."""
    return fault.code in _ABSENT or fault.cim_status in _ABSENT_CIM


def action_refused(what: str, problem: Faulted) -> ActionRefused:
    """The host answered an action with a fault: it did nothing."""
    fault = problem.fault
    remedy = ""
    if fault.access_denied:
        remedy = f"grant the account {_MISSING_RIGHTS.get(fault.code or 0, 'rights to change it')}"
    return ActionRefused(f"the host refused {what}: {fault.text}", why=f"fault {_code(fault)}", try_=remedy)
