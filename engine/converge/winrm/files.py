"""Files and folders: CIM_DataFile and Win32_Directory, and a shell for what WMI has no method for."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import secrets
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from converge.errors import ActionRefused, LocalProtocolError, RemoteProtocolError
from converge.model.action import (
    CopyFile,
    MoveDirectory,
    MoveFile,
    NewDirectory,
    Performed,
    RemoveDirectory,
    RemoveFile,
    WriteFile,
)
from converge.model.answer import Absent, Answer, Found, Refused
from converge.model.backup import MARK
from converge.model.facts import DirectoryFacts, FileFacts
from converge.model.names import fold
from converge.model.query import Directory, File
from converge.windows import paths, wql
from converge.windows.commands import ReadingCommand, command_line, in_quotes
from converge.windows.files import RETURN_CODES
from converge.windows.return_codes import failed
from converge.winrm.answering import Answered, action_refused, refused
from converge.winrm.batches import listed
from converge.winrm.exchange import Faulted, gave_up
from converge.winrm.session import CIMV2, Reader, Session
from converge.winrm.shell import Finished
from converge.wsman.cim import Properties
from converge.wsman.envelopes import ResourceTarget
from converge.wsman.namespaces import wmi_uri

MAX_CONTENT: Final = 1024 * 1024
COMMAND_SECONDS: Final = 120.0
_PIECE: Final = 5100
"""Bytes of content in one command line; as base64 they stay below the 8191 characters cmd takes."""
_FILE: Final = ("FileSize", "LastModified", "Name", "Version")
_FOLDER: Final = ("Name",)
_SHA256_OF_NOTHING: Final = hashlib.sha256(b"").hexdigest()
_SHA1_OF_NOTHING: Final = hashlib.sha1(b"", usedforsecurity=False).hexdigest()
_SHA256: Final = re.compile(r"(?:[0-9a-f]{2} ?){32}", re.IGNORECASE)
_SHA1: Final = re.compile(r"(?:[0-9a-f]{2} ?){20}", re.IGNORECASE)
_NO_SUCH_ALGORITHM: Final = (0x80090008, 0x80070057)
"""What certutil ends with where it knows no SHA-256: NTE_BAD_ALGID (Windows before Vista), or E_INVALIDARG where it takes no name."""

Row = Properties | Refused | None


@dataclass(slots=True)
class Hashing:
    """What is known of a host's certutil: before Windows Vista and Server 2008 it knows no SHA-256, and is asked for SHA-1."""

    sha256: bool = True


def answer_files(reader: Reader, queries: Sequence[File], *, hashing: Hashing) -> Answered:
    """Every file asked for, in one query of CIM_DataFile; their hashes by certutil in a shell."""
    rows = _rows(reader, "CIM_DataFile", {query.path for query in queries}, columns=_FILE)
    return {query: _file_answer(reader, query, row=rows[_key(query.path)], hashing=hashing) for query in queries}


def _file_answer(reader: Reader, query: File, *, row: Row, hashing: Hashing) -> Answer[FileFacts]:
    if row is None:
        return Absent()
    if isinstance(row, Refused):
        return row
    try:
        facts = _facts(query.path, row)
        if not query.hashed:
            return Found(facts)
        if not facts.size:  # certutil refuses to hash what is empty (0x800703ee)
            return Found(replace(facts, sha256=_SHA256_OF_NOTHING, sha1=_SHA1_OF_NOTHING))
        return Found(_hashed(reader, facts, path=query.path, hashing=hashing))
    except (Faulted, RemoteProtocolError) as error:
        return refused(error)


def _facts(path: str, row: Properties) -> FileFacts:
    return FileFacts(
        path=path,
        size=row.integer("FileSize") or 0,
        version=row.text("Version") or None,
        modified=row.datetime("LastModified"),
    )


def _hashed(reader: Reader, facts: FileFacts, *, path: str, hashing: Hashing) -> FileFacts:
    """The facts with the SHA-256, or with the SHA-1 where the host knows no other. Raises Faulted."""
    if hashing.sha256:
        finished = _asked_for_hash(reader, path, algorithm="SHA256")
        if digest := _printed(finished, _SHA256):
            return replace(facts, sha256=digest)
        if finished.exit_code & 0xFFFFFFFF not in _NO_SUCH_ALGORITHM:
            raise _told_no_hash(path, finished)
    # Without the name of an algorithm, which the oldest may not take. What is printed is known by its length.
    finished = _asked_for_hash(reader, path, algorithm="")
    if digest := _printed(finished, _SHA1):
        hashing.sha256 = False
        return replace(facts, sha1=digest)
    raise _told_no_hash(path, finished)


def _asked_for_hash(reader: Reader, path: str, *, algorithm: str) -> Finished:
    try:
        command = ReadingCommand.hash_file(path, algorithm=algorithm)
    except LocalProtocolError as error:
        raise gave_up("the hash cannot be asked for: no command line can carry this path") from error
    return reader.run_reading(command)


def _printed(finished: Finished, digest: re.Pattern[str]) -> str:
    """The digest certutil printed, whatever words stand around it; empty if it printed none."""
    lines = (line.strip() for line in finished.text.splitlines())
    return next((line.replace(" ", "").lower() for line in lines if digest.fullmatch(line)), "")


def _told_no_hash(path: str, finished: Finished) -> Faulted:
    return gave_up(f"certutil returned no hash of {path}: {finished.complaint or finished.exit_code}")


def answer_directories(reader: Reader, queries: Sequence[Directory]) -> Answered:
    """Every folder asked for, in one query of Win32_Directory; what lies in those to be listed, by drive and path."""
    rows = _rows(reader, "Win32_Directory", {query.path for query in queries}, columns=_FOLDER)
    return {query: _directory_answer(reader, query, rows[_key(query.path)]) for query in queries}


def _directory_answer(reader: Reader, query: Directory, row: Row) -> Answer[DirectoryFacts]:
    if row is None:
        return Absent()
    if isinstance(row, Refused):
        return row
    if not query.listing:
        return Found(DirectoryFacts(query.path))
    try:
        return Found(_listed(reader, query.path))
    except (Faulted, RemoteProtocolError) as error:
        return refused(error)


def _listed(reader: Reader, folder: str) -> DirectoryFacts:
    drive = paths.drive(folder)
    inside = paths.normalise(folder)[len(drive) :].rstrip("\\") + "\\"
    where = wql.all_of([wql.equals("Drive", drive), wql.equals("Path", inside)])
    files = reader.query(CIMV2, wql.select(_FILE, "CIM_DataFile", where=where))
    folders = reader.query(CIMV2, wql.select(_FOLDER, "Win32_Directory", where=where))
    facts = [
        _facts(paths.join(folder, paths.name(path)), row.properties) for row in files if (path := _name(row.properties))
    ]
    names = [paths.name(path) for row in folders if (path := _name(row.properties))]
    return DirectoryFacts(folder, files=tuple(facts), directories=tuple(name for name in names if name))


def _name(row: Properties) -> str:
    return row.text("Name") or ""


def _key(path: str) -> str:
    return fold(paths.normalise(path))


def _rows(reader: Reader, class_name: str, wanted: Collection[str], *, columns: Collection[str]) -> dict[str, Row]:
    """The row of each path; None where there is none. A fault of one path does not spoil the others."""
    found: dict[str, Row] = {}
    local: list[str] = []
    for path in wanted:
        found[_key(path)] = None
        if paths.drive(path):
            local.append(paths.normalise(path))
        else:
            found[_key(path)] = Refused("unsupported", "files on shares cannot be asked for over WinRM")

    for batch, rows in listed(reader, class_name, set(local), by="Name", columns=columns):
        if isinstance(rows, Refused):
            found.update((_key(path), rows) for path in batch)
        else:
            found.update((_key(name), row) for row in rows if (name := _name(row)))
    return found


FileAction = CopyFile | MoveFile | WriteFile | RemoveFile | NewDirectory | MoveDirectory | RemoveDirectory


def perform_on_file(session: Session, action: FileAction) -> Performed:
    """Do one thing to a file or folder. Raises ActionRefused, Interrupted, HostUnreachable."""
    match action:
        case CopyFile():
            return _method(session, "CIM_DataFile", "Copy", path=action.source, target=action.target)
        case MoveFile():
            return _method(session, "CIM_DataFile", "Rename", path=action.source, target=action.target)
        case MoveDirectory():
            return _method(session, "Win32_Directory", "Rename", path=action.source, target=action.target)
        case RemoveFile():
            return _method(session, "CIM_DataFile", "Delete", path=action.path)
        case NewDirectory():
            return _commanded(session, f"mkdir {_quoted(action.path)}", what=f"making the folder {action.path}")
        case RemoveDirectory():
            # Not Win32_Directory.Delete, which takes what lies in the folder with it.
            return _commanded(session, f"rmdir {_quoted(action.path)}", what=f"removing the folder {action.path}")
        case WriteFile():
            return _written(session, action)


def _method(session: Session, class_name: str, method: str, *, path: str, target: str = "") -> Performed:
    instance = ResourceTarget(wmi_uri(CIMV2, class_name), selectors=(("Name", paths.normalise(path)),))
    what = f"{method} of {path}" + (f" to {target}" if target else "")
    try:
        output = session.call(instance, method, {"FileName": target} if target else {})
    except Faulted as faulted:
        raise action_refused(what, faulted) from faulted
    returned = output.integer("ReturnValue") or 0
    if returned:
        told, why = failed(what, returned, RETURN_CODES)
        raise ActionRefused(told, why=why)
    return Performed()


def _commanded(session: Session, *lines: str, what: str) -> Performed:
    try:
        finished = session.run(*lines, seconds=COMMAND_SECONDS)
    except Faulted as faulted:
        raise action_refused(what, faulted) from faulted
    # rmdir complains and ends with 0 all the same.
    if finished.exit_code or finished.stderr.strip():
        raise ActionRefused(f"{what} failed: {finished.complaint or f'exit code {finished.exit_code}'}")
    return Performed()


def _quoted(path: str) -> str:
    try:
        return in_quotes(path)
    except ValueError as error:
        raise ActionRefused(f"{path} cannot be named to the host's commands", why=str(error)) from error


def _written(session: Session, action: WriteFile) -> Performed:
    """The content is made under a name of our own in the same folder, of whose permissions it takes, and then renamed.

    It goes as base64, line by line, into a file, and certutil makes another of it. So cmd meets the folder alone, in
    quotes, and no command ever writes to a file that could be somebody's.
    """
    what = f"writing {action.path}"
    if len(action.content) > MAX_CONTENT:
        raise ActionRefused(f"{what}: {len(action.content)} bytes are more than the {MAX_CONTENT} that can be sent")
    if not isinstance(answer_files(session, [File(action.path)], hashing=Hashing())[File(action.path)], Absent):
        raise ActionRefused(f"{what}: a file of that name is there already, or cannot be looked for")
    made = paths.join(paths.parent(action.path), f"new{MARK}{secrets.token_hex(8)}")
    encoded = f"{made}.base64"
    lines: Iterable[str] = (f"type nul >{_quoted(made)}",)
    if action.content:
        decode = command_line(("certutil.exe", "-decode", encoded, made))
        lines = (*_encoded_lines(action.content, _quoted(encoded)), decode)
    try:
        _commanded(session, *lines, what=what)
        performed = _method(session, "CIM_DataFile", "Rename", path=made, target=action.path)
    except ActionRefused:
        _removed(session, made, encoded)
        raise
    if action.content:
        _removed(session, encoded)
    return performed


def _removed(session: Session, *own: str) -> None:
    """Take away what is ours: what stays of it does no harm."""
    for path in own:
        with contextlib.suppress(ActionRefused):
            _method(session, "CIM_DataFile", "Delete", path=path)


def _encoded_lines(content: bytes, quoted: str) -> Iterator[str]:
    for start in range(0, len(content), _PIECE):
        piece = base64.b64encode(content[start : start + _PIECE]).decode()
        # The blank keeps a last digit from being taken for the number of a handle; base64 readers skip it.
        yield f"echo {piece} {'>>' if start else '>'}{quoted}"
