"""The names of WS-Management: XML namespaces, actions, resource URIs and the other fixed addresses."""

from __future__ import annotations

from typing import Final

SOAP: Final = "http://www.w3.org/2003/05/soap-envelope"
ADDRESSING: Final = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
TRANSFER: Final = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
ENUMERATION: Final = "http://schemas.xmlsoap.org/ws/2004/09/enumeration"
EVENTING: Final = "http://schemas.xmlsoap.org/ws/2004/08/eventing"
WSMAN: Final = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
MS_WSMAN: Final = "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd"
MS_FAULT: Final = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"
SHELL: Final = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
CIM: Final = "http://schemas.dmtf.org/wbem/wscim/1/common"
CIM_BINDING: Final = "http://schemas.dmtf.org/wbem/wsman/1/cimbinding.xsd"
# [MS-WSMV] prints "identify/1" in its table; hosts send and expect "identity/1".
IDENTITY: Final = "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"
XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
XML: Final = "http://www.w3.org/XML/1998/namespace"

PREFIXES: Final = {
    "s": SOAP,
    "a": ADDRESSING,
    "x": TRANSFER,
    "e": EVENTING,
    "n": ENUMERATION,
    "w": WSMAN,
    "rsp": SHELL,
    "p": MS_WSMAN,
    "f": MS_FAULT,
    "b": CIM_BINDING,
    "cim": CIM,
    "xsi": XSI,
    "wsmid": IDENTITY,
}
"""The prefixes hosts write. Reading goes by namespace: hosts bind `p` anew inside bodies."""

ANONYMOUS: Final = f"{ADDRESSING}/role/anonymous"
WQL_DIALECT: Final = "http://schemas.microsoft.com/wbem/wsman/1/WQL"

GET: Final = f"{TRANSFER}/Get"
CREATE: Final = f"{TRANSFER}/Create"
DELETE: Final = f"{TRANSFER}/Delete"
ENUMERATE: Final = f"{ENUMERATION}/Enumerate"
PULL: Final = f"{ENUMERATION}/Pull"
RELEASE: Final = f"{ENUMERATION}/Release"
SHELL_COMMAND: Final = f"{SHELL}/Command"
SHELL_SEND: Final = f"{SHELL}/Send"
SHELL_RECEIVE: Final = f"{SHELL}/Receive"
SHELL_SIGNAL: Final = f"{SHELL}/Signal"

WSMAN_FAULT_ACTION: Final = "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault"
ADDRESSING_FAULT_ACTION: Final = f"{ADDRESSING}/fault"
ENUMERATION_FAULT_ACTION: Final = f"{ENUMERATION}/fault"
FAULT_DETAIL: Final = "http://schemas.dmtf.org/wbem/wsman/1/wsman/faultDetail"

WMI: Final = "http://schemas.microsoft.com/wbem/wsman/1/wmi/"
CMD_SHELL: Final = f"{SHELL}/cmd"


def wmi_uri(namespace: str, class_name: str) -> str:
    r"""The resource URI of a WMI class; `root\cimv2` and `root/cimv2` are the same namespace."""
    return f"{WMI}{namespace.replace(chr(92), '/').strip('/')}/{class_name}"


def wql_uri(namespace: str) -> str:
    """The resource URI that takes WQL over a whole namespace."""
    return wmi_uri(namespace, "*")


def split_wmi_uri(uri: str) -> tuple[str, str] | None:
    """The namespace (with `/`) and class of a WMI resource URI; None for any other URI. The prefix is read in any case."""
    if not uri.lower().startswith(WMI):
        return None
    namespace, _, class_name = uri[len(WMI) :].rpartition("/")
    return (namespace, class_name) if namespace and class_name else None
