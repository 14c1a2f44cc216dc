"""certutil as far as hashes and Base64 go.

Up to Windows Server 2012 R2 the hash is printed in bytes with blanks between, and the file's name with `file` before it;
from Windows 10 on without. SHA-2 needs Vista or Server 2008. The wording of errors rests on documentation alone.
"""

from __future__ import annotations

import base64
import binascii
import re
import textwrap

from converge.lab import file_system as codes
from converge.lab.shell.grammar import split_arguments
from converge.lab.shell.session import Call

SHA256_SINCE = (6, 0)
_OLD_ALGORITHMS = ("MD5", "SHA1")
_ALGORITHMS = (*_OLD_ALGORITHMS, "SHA256", "SHA384", "SHA512")
_NOT_FOUND, _EXISTS, _DENIED, _NO_ALGORITHM, _BAD_DATA = 0x80070002, 0x80070050, 0x80070005, 0x80090008, 0x8007000D
_EMPTY = 0x800703EE
_TEXTS = {
    _NOT_FOUND: "WIN32: 2",
    _EXISTS: "WIN32: 80",
    _DENIED: "WIN32: 5",
    _NO_ALGORITHM: "-2146893816",
    _BAD_DATA: "WIN32: 13",
    _EMPTY: "WIN32: 1006",
}
_WORDS = {
    _NOT_FOUND: "The system cannot find the file specified.",
    _EXISTS: "The file exists.",
    _DENIED: "Access is denied.",
    _NO_ALGORITHM: "Invalid algorithm specified.",
    _BAD_DATA: "The data is invalid.",
    _EMPTY: "The volume for a file has been externally altered so that the opened file is no longer valid.",
}


def certutil(call: Call) -> int:
    """`-hashfile FILE [ALGORITHM]`, `-encode IN OUT`, `-decode IN OUT`, with -f to write over."""
    arguments = split_arguments(call.tail)
    force = any(item.lower() in ("-f", "/f") for item in arguments)
    verbs = [item for item in arguments if item[:1] in "-/" and item.lower() not in ("-f", "/f")]
    operands = [item for item in arguments if item[:1] not in "-/"]
    verb = verbs[0][1:].lower() if verbs else ""
    if verb == "hashfile" and 1 <= len(operands) <= 2:
        return _hash(call, operands[0], operands[1].upper() if len(operands) == 2 else "SHA1")
    if verb in ("encode", "decode") and len(operands) == 2:
        return _convert(call, verb, operands[0], operands[1], force=force)
    call.say("CertUtil: Unknown arg: " + (arguments[0] if arguments else ""))
    return 1


def _failed(call: Call, verb: str, code: int) -> int:
    call.say(f"CertUtil: -{verb} command FAILED: {code:#x} ({_TEXTS[code]})\r\nCertUtil: {_WORDS[code]}")
    return code


def _hash(call: Call, path: str, algorithm: str) -> int:
    release = call.session.world.profile.release
    if algorithm not in (_ALGORITHMS if release >= SHA256_SINCE else _OLD_ALGORITHMS):
        return _failed(call, "hashfile", _NO_ALGORITHM)
    code, file = call.session.files.file(call.session.resolve(path))
    if file is None:
        return _failed(call, "hashfile", _DENIED if code == codes.ACCESS_DENIED else _NOT_FOUND)
    if not file.size:
        return _failed(call, "hashfile", _EMPTY)  # an empty file cannot be mapped (ERROR_FILE_INVALID)
    digest = file.digest(algorithm)
    if release >= (10, 0):
        call.say(f"{algorithm} hash of {path}:\r\n{digest}")
    else:
        call.say(f"{algorithm} hash of file {path}:\r\n{' '.join(textwrap.wrap(digest, 2))}")
    call.say("CertUtil: -hashfile command completed successfully.")
    return 0


def _convert(call: Call, verb: str, source: str, target: str, *, force: bool) -> int:
    files = call.session.files
    code, file = files.file(call.session.resolve(source))
    if file is None:
        return _failed(call, verb, _DENIED if code == codes.ACCESS_DENIED else _NOT_FOUND)
    goal = call.session.resolve(target)
    if call.session.world.files.exists(goal) and not force:
        return _failed(call, verb, _EXISTS)
    data = file.read()
    try:
        output = _encoded(data) if verb == "encode" else _decoded(data)
    except (binascii.Error, ValueError):
        return _failed(call, verb, _BAD_DATA)
    if files.write(goal, output):
        return _failed(call, verb, _DENIED)
    call.say(f"Input Length = {len(data)}\r\nOutput Length = {len(output)}")
    call.say(f"CertUtil: -{verb} command completed successfully.")
    return 0


def _encoded(data: bytes) -> bytes:
    lines = textwrap.wrap(base64.b64encode(data).decode("ascii"), 64)
    return "\r\n".join(("-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", "")).encode("ascii")


def _decoded(data: bytes) -> bytes:
    """Base64 with or without lines that begin and end it. Raises ValueError."""
    text = data.decode("ascii")
    plain = re.sub(r"-----(?:BEGIN|END)[^\r\n]*-----|\s", "", text)
    return base64.b64decode(plain, validate=True)
