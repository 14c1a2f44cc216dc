"""The faults of a Windows host, with the codes, subcodes and texts of recorded ones ([MS-WSMV] 3.1.4.1, wsmerror.h)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from converge.lab.endpoint.host import Stack
from converge.wsman import faults
from converge.wsman.cim import Instance, Properties
from converge.wsman.faults import Fault, ProviderFault
from converge.wsman.namespaces import FAULT_DETAIL, wmi_uri

# HRESULTs of WMI (wbemcli.h).
WBEM_E_ACCESS_DENIED: Final = 0x80041003
WBEM_E_INVALID_CLASS: Final = 0x80041010
WBEM_E_INVALID_QUERY: Final = 0x80041017
WBEM_E_QUOTA_VIOLATION: Final = 0x8004106C

_NOT_FOUND: Final = (
    "The WS-Management service cannot process the request. "
    "The service cannot find the resource identified by the resource URI and selectors. "
)
_FILTER: Final = (
    "The data source could not process the filter. The filter might be missing or it might be invalid. "
    "Change the filter and try the request again.  "
)
_SELECTORS: Final = (
    "The WS-Management service cannot process the request because the request contained invalid selectors "
    "for the resource. "
)
_TOO_LARGE: Final = (
    "The response that the WS-Management service computed exceeds the maximum envelope size in the request. "
)
_NO_COMMAND: Final = (
    "The Windows Remote Shell received a request to perform an operation on a command identifier that does not exist. "
    "Either the command has completed execution or the client specified an invalid command identifier. "
)
_WMI: Final = ("WMI Provider", r"%systemroot%\system32\WsmWmiPl.dll")
_SHELL: Final = ("Shell provider", r"%systemroot%\system32\WsmSvc.dll")
_CMD: Final = ("Shell cmd plugin", r"%systemroot%\system32\winrscmd.dll")


class SentFault(Exception):
    """The request is answered with this fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.text)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who speaks: the host under its own name, and under the one the client called it by (`To`)."""

    host: str
    to: str
    stack: Stack

    @property
    def machine(self) -> str:
        """The host part of `To`, as recorded hosts repeat it."""
        try:
            return urlsplit(self.to).hostname or ""
        except ValueError:
            return ""

    def fault(self, value: str, subcode: str, *, code: int, reason: str, detail: str = "", message: str = "") -> Fault:
        """A fault of the service itself."""
        where = f"{FAULT_DETAIL}/{detail}" if detail else ""
        return Fault(
            value, subcode, code=code, reason=reason, message=message or reason, detail=where, machine=self.machine
        )

    def _provided(self, fault: Fault, *, by: tuple[str, str], text: str = "", status: Instance | None = None) -> Fault:
        name, path = by
        provider = ProviderFault(
            name, path, code=fault.code or 0, message=text or fault.reason, machine=self.host, extended_status=status
        )
        return Fault(
            fault.value,
            fault.subcode,
            code=fault.code,
            reason=fault.reason,
            detail=fault.detail,
            machine=fault.machine,
            provider=provider,
        )

    def resource_not_found(self, namespace: str, *, what: str, provider: str = "WinMgmt") -> Fault:
        """A class or an instance that is not there."""
        fault = self.fault(
            "s:Sender",
            "a:DestinationUnreachable",
            code=faults.RESOURCE_NOT_FOUND,
            reason=_NOT_FOUND,
            detail="InvalidResourceURI",
        )
        status = _status(namespace, operation="GetObject", parameter=what, provider=provider)
        return self._provided(fault, by=_WMI, status=status)

    def invalid_uri(self) -> Fault:
        """A resource URI nobody serves."""
        reason = (
            "The WS-Management service cannot process the request. The resource URI is missing or it has an incorrect "
            "format. Check the documentation or use the following command for information on how to construct a resource "
            'URI: "winrm help uris". '
        )
        return self.fault(
            "s:Sender",
            "a:DestinationUnreachable",
            code=faults.INVALID_RESOURCE_URI,
            reason=reason,
            detail="InvalidResourceURI",
        )

    def bad_filter(self, namespace: str, *, query: str, why: int) -> Fault:
        """A query that names an unknown class, is none, or is too much; `why` is the HRESULT of WMI."""
        text = {
            WBEM_E_INVALID_CLASS: "The specified class does not exist in the given namespace. ",
            WBEM_E_INVALID_QUERY: "The WS-Management service cannot process the request. The WQL query is invalid. ",
            WBEM_E_QUOTA_VIOLATION: "Quota violation. ",
        }[why]
        fault = self.fault("s:Sender", "n:CannotProcessFilter", code=faults.INVALID_FILTER, reason=_FILTER)
        status = _status(namespace, operation="ExecQuery", parameter=query[:4096], provider="WinMgmt")
        return self._provided(fault, by=_WMI, text=text, status=status)

    def dialect_unavailable(self) -> Fault:
        """A filter in a language that is not WQL."""
        reason = (
            "The filter dialect (the type associated with the filter) was not supported for this resource. "
            "Change the filter dialect or remove it from the request and try the request again. "
        )
        return self.fault("s:Sender", "n:FilterDialectRequestedUnavailable", code=2150858777, reason=reason)

    def wql_wants_star(self) -> Fault:
        """A WQL filter on a class instead of `*`, or `*` without one."""
        reason = (
            "The WinRM client cannot process the request. The resource URI for an enumeration operation with WQL filter "
            "must not contain keys and the class name must be '*' (star). "
        )
        return self.fault("s:Sender", "w:InvalidSelectors", code=faults.WQL_WANTS_STAR, reason=reason)

    def selectors(self, code: int) -> Fault:
        """Too few, too many or unknown keys."""
        details = {
            faults.TOO_FEW_SELECTORS: "InsufficientSelectors",
            faults.UNEXPECTED_SELECTORS: "UnexpectedSelectors",
        }
        reason = _SELECTORS
        if code == faults.KEYS_REQUIRED:
            reason = (
                "The WinRM client cannot process the request. The resource URI is not valid: it does not contain keys, "
                "but the class selected is not a singleton. "
            )
        fault = self.fault("s:Sender", "w:InvalidSelectors", code=code, reason=reason, detail=details.get(code, ""))
        return self._provided(fault, by=_WMI)

    def method_missing(self, namespace: str, *, what: str) -> Fault:
        """A method that this class, on this Windows, has not."""
        reason = "The WS-Management service cannot process the request. The provider method was not found. "
        fault = self.fault("s:Sender", "a:ActionNotSupported", code=2150858921, reason=reason)
        return self._provided(fault, by=_WMI, status=_status(namespace, operation="ExecMethod", parameter=what))

    def instance_missing(self, namespace: str, *, what: str) -> Fault:
        """A method call on an instance that is not there."""
        if not self.stack.wmi_errors:
            return self.resource_not_found(namespace, what=what)
        return self._wmi_error(
            namespace, value="s:Sender", subcode="a:DestinationUnreachable", status=faults.CIM_NOT_FOUND
        )

    def _wmi_error(self, namespace: str, *, value: str, subcode: str, status: int) -> Fault:
        text = "Not found " if status == faults.CIM_NOT_FOUND else "Access denied "
        code = {faults.CIM_NOT_FOUND: 0x80041002}.get(status, WBEM_E_ACCESS_DENIED)
        return Fault(value, subcode, code=code, reason=text, wmi_error=_error_instance(namespace, status, code, text))

    def invalid_parameter(self, namespace: str, *, what: str) -> Fault:
        """A method's parameter that it does not have, or whose value is no value of its type."""
        reason = "The WS-Management service cannot process the request. The WMI provider returned an 'invalid parameter' error. "
        fault = self.fault("s:Sender", "w:InvalidParameter", code=2150859038, reason=reason, detail="InvalidValue")
        return self._provided(fault, by=_WMI, status=_status(namespace, operation="ExecMethod", parameter=what))

    def access_denied(self) -> Fault:
        """The service's own rights (RootSDDL) forbid it."""
        return self.fault("s:Sender", "w:AccessDenied", code=faults.ACCESS_DENIED, reason="Access is denied. ")

    def wmi_access_denied(self, *, by_provider: bool = False) -> Fault:
        """A WMI namespace, or with `by_provider` the class's provider, forbids it."""
        who = "WMI provider" if by_provider else "WMI service"
        code = faults.WMI_PROVIDER_ACCESS_DENIED if by_provider else faults.WMI_NAMESPACE_ACCESS_DENIED
        reason = f"The WS-Management service cannot process the request. The {who} returned an 'access denied' error. "
        return self._provided(self.fault("s:Sender", "w:AccessDenied", code=code, reason=reason), by=_WMI)

    def context_gone(self) -> Fault:
        """An enumeration that is over, was dropped or never was."""
        reason = (
            "The WS-Enumeration context in the enumeration is not valid. Enumeration may have been completed or canceled. "
            "You cannot use this enumeration context anymore. Start a new enumeration. "
        )
        return self.fault(
            "s:Receiver", "n:InvalidEnumerationContext", code=faults.INVALID_ENUMERATION_CONTEXT, reason=reason
        )

    def pull_changed(self) -> Fault:
        """A Pull whose limits are not those of its Enumerate."""
        reason = (
            "The WS-Management service cannot complete the Pull operation for the enumeration because the "
            "wsman:MaxEnvelopeSize, wsen:MaxCharacters or wsen:MaxElements parameters differ from those specified to the "
            "enumeration. "
        )
        return self.fault("s:Sender", "w:InvalidParameter", code=faults.PULL_CHANGED, reason=reason)

    def too_large(self, code: int = faults.ENVELOPE_TOO_SMALL) -> Fault:
        """An answer, or one item of it, that does not fit the envelope."""
        return self.fault("s:Sender", "w:EncodingLimit", code=code, reason=_TOO_LARGE, detail="ServiceEnvelopeLimit")

    def mode_unsupported(self) -> Fault:
        """An EnumerationMode that is not served."""
        reason = "The WS-Management service does not support the specified enumeration mode. "
        return self.fault("s:Sender", "w:UnsupportedFeature", code=2150858886, reason=reason, detail="EnumerationMode")

    def fragment_unsupported(self) -> Fault:
        """A single property asked for by WS-Management's own means instead of WQL's."""
        reason = "The WS-Management service does not support the specified feature. "
        return self.fault(
            "s:Sender", "w:UnsupportedFeature", code=2150858818, reason=reason, detail="FragmentLevelAccess"
        )

    def over_operations(self) -> Fault:
        """More operations at once than the account is allowed."""
        reason = (
            "The WS-Management service cannot process the request. The maximum number of concurrent operations for this "
            "user has been exceeded. Close existing operations for this user, or raise the quota for this user. "
        )
        message = reason.replace(
            "The maximum number of concurrent operations for this user has been exceeded.",
            f"This user is allowed a maximum number of {self.stack.max_operations} concurrent operations, "
            "which has been exceeded.",
        )
        return self._over(faults.QUOTA_OPERATIONS, reason=reason, message=message)

    def over_shells(self) -> Fault:
        """More shells at once than the account is allowed."""
        reason = (
            "The WS-Management service cannot process the request. The maximum number of concurrent shells for this user "
            "has been exceeded. Close existing shells or raise the quota for this user. "
        )
        message = reason.replace(
            "The maximum number of concurrent shells for this user has been exceeded.",
            f"This user is allowed a maximum number of {self.stack.max_shells} concurrent shells, which has been exceeded.",
        )
        return self._over(faults.QUOTA_SHELLS, reason=reason, message=message)

    def _over(self, code: int, *, reason: str, message: str) -> Fault:
        if not self.stack.wmi_errors:
            return self.fault("s:Receiver", "w:InternalError", code=code, reason=reason, message=message)
        error = _error_instance("", faults.CIM_SERVER_LIMITS_EXCEEDED, code, message)
        return Fault("s:Sender", "w:QuotaLimit", code=code, reason=reason, wmi_error=error)

    def timed_out(self) -> Fault:
        """Nothing to tell within the operation timeout."""
        reason = (
            "The WS-Management service cannot complete the operation within the time specified in OperationTimeout.  "
        )
        return self.fault("s:Receiver", "w:TimedOut", code=faults.TIMED_OUT, reason=reason)

    def no_shell(self) -> Fault:
        """A shell id that names no shell of this account."""
        fault = self.fault(
            "s:Sender",
            "w:InvalidSelectors",
            code=faults.UNEXPECTED_SELECTORS,
            reason=_SELECTORS,
            detail="UnexpectedSelectors",
        )
        return self._provided(fault, by=_SHELL)

    def no_command(self) -> Fault:
        """A command id that names no command of the shell."""
        return self.fault(
            "s:Sender",
            "w:InvalidSelectors",
            code=faults.UNEXPECTED_SELECTORS,
            reason=_SELECTORS,
            message=_NO_COMMAND,
            detail="UnexpectedSelectors",
        )

    def bad_shell_parameter(self) -> Fault:
        """A shell asked for with a parameter that is none."""
        fault = self.fault(
            "s:Sender",
            "w:InvalidParameter",
            code=faults.INVALID_PARAMETER,
            reason="The parameter is incorrect. ",
            detail="InvalidValue",
        )
        return self._provided(fault, by=_CMD)

    def no_program(self) -> Fault:
        """A program that is not there, where the shell was told to leave cmd out."""
        reason = "The system cannot find the file specified. "
        fault = self.fault("s:Receiver", "w:InternalError", code=faults.FILE_NOT_FOUND, reason=reason)
        return self._provided(fault, by=_CMD)

    def action_unsupported(self) -> Fault:
        """An action the resource does not know."""
        reason = "The WS-Management service does not support the action specified in the request. "
        return self.fault("s:Sender", "a:ActionNotSupported", code=2150858771, reason=reason)

    def schema(self) -> Fault:
        """A body that is not what its action promises."""
        reason = "The SOAP XML in the message does not match the corresponding XML schema definition. Change the XML and retry. "
        return self.fault("s:Sender", "w:SchemaValidationError", code=faults.SCHEMA_VALIDATION, reason=reason)

    def provider_failure(self, namespace: str, *, what: str) -> Fault:
        """A provider that could not do it."""
        reason = (
            "The WS-Management service cannot process the request. The WMI service reported that the WMI provider could not "
            "perform the requested operation. "
        )
        fault = self.fault("s:Receiver", "w:InternalError", code=faults.WMI_ERROR, reason=reason)
        return self._provided(fault, by=_WMI, status=_status(namespace, operation="ExecMethod", parameter=what))


def _status(namespace: str, *, operation: str, parameter: str, provider: str = "WinMgmt") -> Instance:
    properties = Properties(
        {
            "Description": None,
            "Operation": operation,
            "ParameterInfo": parameter,
            "ProviderName": provider,
            "StatusCode": None,
        }
    )
    return Instance(properties, class_name="__ExtendedStatus", class_uri=wmi_uri(namespace, "__ExtendedStatus"))


def _error_instance(namespace: str, status: int, code: int, text: str) -> Instance:
    """An MSFT_WmiError: in the namespace that was asked, or the DMTF's own where WinRM itself speaks."""
    own = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/MSFT_WmiError"
    properties = Properties(
        {
            "CIMStatusCode": status,
            "CIMStatusCodeDescription": None,
            "ErrorSource": None,
            "ErrorSourceFormat": 0,
            "ErrorType": 0,
            "Message": text,
            "MessageID": f"HRESULT 0x{code:08x}",
            "OtherErrorSourceFormat": None,
            "OtherErrorType": None,
            "OwningEntity": None,
            "PerceivedSeverity": 0,
            "ProbableCause": 0,
            "ProbableCauseDescription": None,
            "error_Category": 30 if status == faults.CIM_SERVER_LIMITS_EXCEEDED else 0,
            "error_Code": code,
            "error_Type": "HRESULT",
            "error_WindowsErrorMessage": text,
        }
    )
    uri = wmi_uri(namespace, "MSFT_WmiError") if namespace else own
    return Instance(properties, class_name="MSFT_WmiError", class_uri=uri)
