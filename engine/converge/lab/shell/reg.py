"""reg.exe: query, add, delete, export, import, as version 3.0 (Windows Server 2003 and before) and as Vista and later print.

Old: the header `! REG.EXE VERSION 3.0`, tabs, `<NO NAME>`, `\\0` after each entry of a list. New: four blanks, `(Default)`, `\\0`
between entries, and /f. Taken from the outputs people publish; rests on documentation alone: that a subkey which may not be read
is complained of and passed over, and that versions before 3.0 differ by their header only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from converge.lab import file_system as codes
from converge.lab.registry_tree import Key, StoredValue, stored
from converge.lab.shell import reg_files
from converge.lab.shell.grammar import split_arguments
from converge.lab.shell.session import Call
from converge.model.names import fold
from converge.model.registry import RegistryPath
from converge.windows.registry import long_name, parse_path

NAMES = {
    0: "REG_NONE",
    1: "REG_SZ",
    2: "REG_EXPAND_SZ",
    3: "REG_BINARY",
    4: "REG_DWORD",
    5: "REG_DWORD_BIG_ENDIAN",
    6: "REG_LINK",
    7: "REG_MULTI_SZ",
    8: "REG_RESOURCE_LIST",
    9: "REG_FULL_RESOURCE_DESCRIPTOR",
    10: "REG_RESOURCE_REQUIREMENTS_LIST",
    11: "REG_QWORD",
}
_NUMBERS = {name: number for number, name in NAMES.items()} | {"REG_DWORD_LITTLE_ENDIAN": 4}
_MISSING = "The system was unable to find the specified registry key or value"


class _Refused(Exception):
    """Why reg gives up."""


@dataclass
class _Request:
    """A command line taken apart: operands, switches with a value and switches without."""

    operands: list[str] = field(default_factory=list)
    given: dict[str, str] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)


def reg(call: Call) -> int:
    """Does one operation; 0 if it was done, 1 if not."""
    arguments = split_arguments(call.tail)
    verbs = {"query": _query, "add": _add, "delete": _delete, "export": _export, "import": _import}
    verb = arguments[0].lower() if arguments else ""
    try:
        if verb not in verbs:
            raise _Refused(_syntax(call, ""))
        return verbs[verb](call, _take_apart(call, verb, arguments[1:]))
    except _Refused as error:
        call.complain(f"\r\nError:  {error}" if _old(call) else f"ERROR: {error}")
        return 1


def _old(call: Call) -> bool:
    return call.session.world.profile.release < (6, 0)


def _syntax(call: Call, verb: str) -> str:
    kind = f"REG {verb.upper()}".strip()
    return f'Invalid syntax.{"" if _old(call) else chr(13) + chr(10)}Type "{kind} /?" for usage.'


def _take_apart(call: Call, verb: str, arguments: Sequence[str]) -> _Request:
    request = _Request()
    taking = {"query": {"v", "f", "t", "se"}, "add": {"v", "t", "d", "s"}, "delete": {"v"}}.get(verb, set())
    waiting = iter(arguments)
    for argument in waiting:
        switch = argument[1:].lower() if argument[:1] in ("/", "-") else ""
        if not switch:
            request.operands.append(argument)
        elif switch in taking:
            value = next(waiting, None)
            if value is None and verb != "add":
                raise _Refused(_syntax(call, verb))
            request.given[switch] = value or ""
        else:
            request.flags.add(switch)
    allowed = {
        "query": {"ve", "s", "k", "d", "c", "e", "z", "reg:32", "reg:64"},
        "add": {"ve", "f", "reg:32", "reg:64"},
        "delete": {"ve", "va", "f", "reg:32", "reg:64"},
        "export": {"y", "reg:32", "reg:64"},
    }.get(verb, set())
    too_new = _old(call) and (
        set(request.given) & {"f"} or request.flags & {"k", "d", "c", "e", "y", "reg:32", "reg:64"}
    )
    if request.flags - allowed or (verb == "query" and too_new):
        raise _Refused(_syntax(call, verb))
    if len(request.operands) != (2 if verb == "export" else 1):
        raise _Refused(_syntax(call, verb))
    return request


def _path(call: Call, text: str) -> RegistryPath:
    head = text.partition("\\")[0]
    try:
        if ":" in head:
            raise ValueError
        return parse_path(text)
    except ValueError as error:
        raise _Refused("Invalid key name." if not _old(call) else "Invalid key name") from error


def _key(call: Call, path: RegistryPath) -> Key:
    if not call.session.registry.readable(path):
        raise _Refused("Access is denied.")
    key = call.session.world.registry.find(path)
    if key is None:
        raise _Refused(_MISSING if _old(call) else f"{_MISSING}.")
    return key


def _query(call: Call, request: _Request) -> int:
    path = _path(call, request.operands[0])
    key = _key(call, path)
    if _old(call):
        version = "3.0" if call.session.world.profile.release >= (5, 1) else "2.0"
        call.say(f"\r\n! REG.EXE VERSION {version}")
    if "s" in request.flags:
        return _query_tree(call, request, path)
    asked = request.given.get("v") if "v" in request.given else "" if "ve" in request.flags else None
    if asked is not None:
        value = key.value(asked)
        if value is None and asked:
            raise _Refused(_MISSING if _old(call) else f"{_MISSING}.")
        call.say(f"\r\n{long_name(path)}")
        call.say(_line(call, value) if value else _unset(call))
        call.say("")
        return 0
    wanted = [value for value in key.values.values() if _wanted(request, value)]
    if wanted or _old(call):
        call.say(f"\r\n{long_name(path)}")
        for value in wanted:
            call.say(_line(call, value))
    call.say("")
    for child in key.subkeys.values():
        call.say(long_name(path / child.name))
    return 0


def _query_tree(call: Call, request: _Request, path: RegistryPath) -> int:
    found = 0
    for place, key in call.session.world.registry.walk(path):
        if "read" in key.deny or not call.session.registry.readable(place):
            if place == path or call.session.registry.readable(place.parent or place):
                call.complain(
                    f"Error:  Access is denied in the key {long_name(place)}"
                    if _old(call)
                    else "ERROR: Access is denied."
                )
            continue
        wanted = [value for value in key.values.values() if _wanted(request, value)]
        found += len(wanted)
        if wanted or (_old(call) and "v" not in request.given):
            call.say(f"\r\n{long_name(place)}")
            for value in wanted:
                call.say(_line(call, value))
    call.say("")
    if not _old(call) and {"v", "f"} & set(request.given):
        call.say(f"End of search: {found} match(es) found.")
        return 0 if found else 1
    return 0


def _wanted(request: _Request, value: StoredValue) -> bool:
    if "v" in request.given and fold(value.name) != fold(request.given["v"]):
        return False
    if "ve" in request.flags and value.name:
        return False
    pattern = request.given.get("f")
    if pattern is None:
        return True
    texts = [_data(value, between="\\0", after="")] if "d" in request.flags else [value.name]
    if "d" not in request.flags and "k" not in request.flags:
        texts.append(_data(value, between="\\0", after=""))
    exact, cased = "e" in request.flags, "c" in request.flags
    for text in texts:
        left, right = (text, pattern) if cased else (fold(text), fold(pattern))
        if left == right if exact else right in left:
            return True
    return False


def _line(call: Call, value: StoredValue) -> str:
    kind = NAMES.get(value.number, f"REG_UNKNOWN({value.number})" if not _old(call) else "REG_UNKNOWN")
    if _old(call):
        return f"    {value.name or '<NO NAME>'}\t{kind}\t{_data(value, between=chr(92) + '0', after=chr(92) + '0')}"
    return f"    {value.name or '(Default)'}    {kind}    {_data(value, between=chr(92) + '0', after='')}"


def _unset(call: Call) -> str:
    return "    <NO NAME>\tREG_SZ\t(value not set)" if _old(call) else "    (Default)    REG_SZ    (value not set)"


def _data(value: StoredValue, *, between: str, after: str) -> str:
    """`between` entries of a list, and twice `after` its last one."""
    if isinstance(value.data, tuple):
        return between.join(value.data) + after * 2
    if isinstance(value.data, int):
        return f"{value.data:#x}"
    return value.data.hex().upper() if isinstance(value.data, bytes) else value.data


def _done(call: Call) -> int:
    call.say(
        "\r\nThe operation completed successfully\r\n" if _old(call) else "The operation completed successfully.\r\n"
    )
    return 0


def _raise_for(call: Call, code: int) -> None:
    if code == 5:
        raise _Refused("Access is denied.")
    if code:
        raise _Refused(_MISSING if _old(call) else f"{_MISSING}.")


def _add(call: Call, request: _Request) -> int:
    path = _path(call, request.operands[0])
    registry = call.session.registry
    if not {"v", "d", "t"} & set(request.given) and "ve" not in request.flags:
        _raise_for(call, registry.create_key(path))
        return _done(call)
    name = "" if "ve" in request.flags else request.given.get("v", "")
    number = _NUMBERS.get(request.given.get("t", "REG_SZ").upper())
    if number is None:
        raise _Refused(_syntax(call, "add"))
    try:
        value = stored(name, number=number, data=_read_data(number, request))
    except ValueError as error:
        raise _Refused(_syntax(call, "add")) from error
    if call.session.world.registry.value(path, name) and "f" not in request.flags and not _agreed(call):
        call.say(f"Value {name or '(Default)'} exists, overwrite(Yes/No)? ")
        raise _Refused("The operation was canceled by the user.")
    _raise_for(call, registry.create_key(path))
    _raise_for(call, registry.set(path, name, number=number, data=value.data))
    return _done(call)


def _agreed(call: Call) -> bool:
    return call.stdin.lstrip()[:1].lower() == b"y"


def _read_data(number: int, request: _Request) -> object:
    text = request.given.get("d", "")
    if number in (4, 5, 11):
        return int(text or "0", 0) if not text.isdigit() else int(text)
    if number == 7:
        separator = request.given.get("s", "\\0")
        items = text.split(separator) if separator else [text]
        return tuple(item for item in items if item)
    return text if number in (1, 2) else bytes.fromhex(text)


def _delete(call: Call, request: _Request) -> int:
    path = _path(call, request.operands[0])
    registry = call.session.registry
    key = _key(call, path)
    if "f" not in request.flags and not _agreed(call):
        raise _Refused("The operation was canceled by the user.")
    if "va" in request.flags:
        for value in list(key.values.values()):
            _raise_for(call, registry.delete_value(path, value.name))
    elif "v" in request.given or "ve" in request.flags:
        _raise_for(call, registry.delete_value(path, request.given.get("v", "")))
    else:
        places = [place for place, _ in call.session.world.registry.walk(path)]
        if not path.subkey or not all(registry.writable(place) for place in places):
            raise _Refused("Access is denied.")
        call.session.world.registry.remove(path)
    return _done(call)


def _export(call: Call, request: _Request) -> int:
    path = _path(call, request.operands[0])
    _key(call, path)
    target = call.session.resolve(request.operands[1])
    if call.session.world.files.file(target) is not None and not _old(call) and "y" not in request.flags:
        raise _Refused("The operation was canceled by the user.")
    if call.session.files.write(target, reg_files.export(call.session.registry, path)):
        raise _Refused("Unable to write to the file. There may be a disk or file system error.")
    return _done(call)


def _import(call: Call, request: _Request) -> int:
    code, file = call.session.files.file(call.session.resolve(request.operands[0]))
    if file is None:
        missing = "Error opening the file. There may be a disk or file system error."
        raise _Refused(missing if code == codes.NOT_THERE else "Access is denied.")
    try:
        complete = reg_files.apply(call.session.registry, file.read())
    except ValueError as error:
        raise _Refused(f"{error}") from error
    if not complete:
        raise _Refused("Error accessing the registry.")
    return _done(call)
