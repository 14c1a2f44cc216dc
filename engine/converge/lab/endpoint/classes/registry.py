"""StdRegProv: all of its methods over the simulated registry (RegProv reference; codes as wire clients have met them)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from converge.lab.endpoint.schema import CimClass, CimType, Method, MethodCall, Property, properties
from converge.lab.registry_provider import INVALID, WRONG_TYPE, Getter, RegistryProvider
from converge.lab.registry_tree import StoredData
from converge.model.registry import Hive, RegistryPath
from converge.windows.registry import HIVE_NUMBERS, in_view
from converge.wsman.cim import Value

BAD_HANDLE: Final = 6
KEY_QUERY_OR_SET: Final = 3
"""What CheckAccess asks for where it is not told (KEY_QUERY_VALUE | KEY_SET_VALUE)."""

_HIVES: Final = {number: hive for hive, number in HIVE_NUMBERS.items()}
_SUBKEY: Final = (Property("hDefKey", CimType.UINT32), Property("sSubKeyName"))
_VALUE: Final = (*_SUBKEY, Property("sValueName"))
_VISTA: Final = (6, 0)

_Work = Callable[[RegistryProvider, RegistryPath, MethodCall], int | Mapping[str, Value]]


def _method(
    name: str,
    work: _Work,
    *,
    inputs: tuple[Property, ...] = _VALUE,
    outputs: tuple[Property, ...] = (),
    since: tuple[int, int] = (0, 0),
) -> Method:
    def handler(call: MethodCall) -> int | Mapping[str, Value]:
        number = call.integer("hDefKey")
        hive = Hive.LOCAL_MACHINE if number is None else _HIVES.get(number)
        if hive is None:
            return BAD_HANDLE
        world = call.host.world
        path = RegistryPath(hive, (call.text("sSubKeyName") or "").strip("\\"))
        seen = in_view(path, view=call.host.architecture or None, is_64_bit=world.profile.is_64_bit)
        return work(RegistryProvider(world, call.host.account), seen, call)

    reads = not name.startswith(("Set", "Create", "Delete"))
    return Method(name, handler, inputs, outputs, static=True, reads=reads, since=since)


def _enum_key(provider: RegistryProvider, path: RegistryPath, _call: MethodCall) -> Mapping[str, Value]:
    code, names = provider.enum_key(path)
    return {"sNames": names, "ReturnValue": code}


def _enum_values(provider: RegistryProvider, path: RegistryPath, _call: MethodCall) -> Mapping[str, Value]:
    code, held = provider.enum_values(path)
    return {
        "sNames": tuple(name for name, _ in held),
        "Types": tuple(number for _, number in held),
        "ReturnValue": code,
    }


def _getter(getter: Getter, parameter: str) -> _Work:
    def work(provider: RegistryProvider, path: RegistryPath, call: MethodCall) -> Mapping[str, Value]:
        code, data = provider.get(path, call.text("sValueName") or "", getter=getter)
        return {parameter: tuple(data) if isinstance(data, bytes) else data, "ReturnValue": code}

    return work


def _setter(number: int, parameter: str, *, default: str | int | None = None) -> _Work:
    """Without a value, releases before Vista write the default their class declares; later ones refuse."""

    def work(provider: RegistryProvider, path: RegistryPath, call: MethodCall) -> int:
        given = call.arguments.get(parameter)
        if given is None and number in (3, 7):
            given = ()
        if given is None and provider.world.profile.release < _VISTA:
            given = default
        data = _data(given, octets=number == 3)
        if data is None:
            return INVALID
        return provider.set(path, call.text("sValueName") or "", number=number, data=data)

    return work


def _data(given: Value, *, octets: bool) -> StoredData | None:
    if isinstance(given, tuple):
        if octets:
            return bytes(item for item in given if isinstance(item, int))
        return tuple(item for item in given if isinstance(item, str))
    return given if isinstance(given, (str, int)) else None


def _check_access(provider: RegistryProvider, path: RegistryPath, call: MethodCall) -> Mapping[str, Value]:
    wanted = call.integer("uRequired")
    code, granted = provider.check_access(path, KEY_QUERY_OR_SET if wanted is None else wanted)
    return {"bGranted": granted, "ReturnValue": code}


def _descriptor(provider: RegistryProvider, path: RegistryPath, _call: MethodCall) -> int:
    """Security descriptors are not simulated: the code of a provider that fails."""
    code, _ = provider.enum_key(path)
    return code or WRONG_TYPE


def _methods() -> tuple[Method, ...]:
    text, texts = (Property("sValue"),), (Property("sValue", array=True),)
    dword, qword = (Property("uValue", CimType.UINT32),), (Property("uValue", CimType.UINT64),)
    octets = (Property("uValue", CimType.UINT8, array=True),)
    return (
        _method("CreateKey", lambda provider, path, _: provider.create_key(path), inputs=_SUBKEY),
        _method("DeleteKey", lambda provider, path, _: provider.delete_key(path), inputs=_SUBKEY),
        _method("EnumKey", _enum_key, inputs=_SUBKEY, outputs=properties(CimType.STRING, "sNames", array=True)),
        _method(
            "EnumValues",
            _enum_values,
            inputs=_SUBKEY,
            outputs=(Property("sNames", array=True), Property("Types", CimType.SINT32, array=True)),
        ),
        _method("DeleteValue", lambda provider, path, call: provider.delete_value(path, call.text("sValueName") or "")),
        _method("GetStringValue", _getter(Getter.STRING, "sValue"), outputs=text),
        _method("GetExpandedStringValue", _getter(Getter.EXPANDED_STRING, "sValue"), outputs=text),
        _method("GetMultiStringValue", _getter(Getter.MULTI_STRING, "sValue"), outputs=texts),
        _method("GetDWORDValue", _getter(Getter.DWORD, "uValue"), outputs=dword),
        _method("GetBinaryValue", _getter(Getter.BINARY, "uValue"), outputs=octets),
        _method("GetQWORDValue", _getter(Getter.QWORD, "uValue"), outputs=qword, since=_VISTA),
        _method("SetStringValue", _setter(1, "sValue", default="hello"), inputs=(*_VALUE, *text)),
        _method("SetExpandedStringValue", _setter(2, "sValue", default="hello"), inputs=(*_VALUE, *text)),
        _method("SetMultiStringValue", _setter(7, "sValue"), inputs=(*_VALUE, *texts)),
        _method("SetDWORDValue", _setter(4, "uValue", default=3), inputs=(*_VALUE, *dword)),
        _method("SetBinaryValue", _setter(3, "uValue"), inputs=(*_VALUE, *octets)),
        _method("SetQWORDValue", _setter(11, "uValue"), inputs=(*_VALUE, *qword), since=_VISTA),
        _method(
            "CheckAccess",
            _check_access,
            inputs=(*_SUBKEY, Property("uRequired", CimType.UINT32)),
            outputs=(Property("bGranted", CimType.BOOLEAN),),
        ),
        _method("GetSecurityDescriptor", _descriptor, inputs=_SUBKEY, since=_VISTA),
    )


def classes(release: tuple[int, int]) -> tuple[CimClass, ...]:
    """StdRegProv in root/default, and since Vista in root/cimv2 too. It has methods and no instances."""
    namespaces = ("root/default", "root/cimv2") if release >= _VISTA else ("root/default",)
    return tuple(CimClass(namespace, "StdRegProv", (), methods=_methods()) for namespace in namespaces)
