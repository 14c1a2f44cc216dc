"""The kind `file`: a file with the right contents in the right place. What is replaced is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import (
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_serializer,
    model_serializer,
    model_validator,
)

from converge.errors import ResourceError, Undecided, Unpredictable
from converge.model.action import AnyAction, CopyFile, MoveFile, WriteFile
from converge.model.answer import Absent, Answers, Found
from converge.model.facts import FileFacts
from converge.model.opening import doubt, read_bounded
from converge.model.query import AnyQuery, Directory, File
from converge.model.resource import Resource, State
from converge.windows import backups, environment, paths, versions
from converge.windows.fields import HostPath, Version

MAX_CONTENT = 1024 * 1024  # bytes from the control node


class FileState(State):
    """A file that is there. The hash only where it counts: the SHA-256, or the SHA-1 that a host tells which knows no other."""

    size: int
    version: str | None = None
    sha256: str | None = None
    sha1: str | None = None

    @model_serializer(mode="wrap")
    def _told(self, as_usual: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """SHA-1 only where there is one."""
        told: dict[str, Any] = as_usual(self)
        return told if self.sha1 is not None else {name: value for name, value in told.items() if name != "sha1"}


class FileResource(Resource[FileState]):
    """A file on the host: copied from another place there, or brought from the control node, or only required to be so."""

    kind: ClassVar[str] = "file"
    key_fields: ClassVar[tuple[str, ...]] = ("path",)
    way_back_summary: ClassVar[str] = (
        "what was replaced or removed comes back from where it was kept; a file that was not there goes "
        "again."
    )
    example: ClassVar[str] = r"""
- name: The settings of the agent
  file: {path: 'C:\Program Files\Vendor\agent.ini', content: 'interval=60'}
"""

    path: HostPath = Field(description="The full path; %VARIABLES% are the host's.")
    ensure: Literal["present", "absent"] = Field(
        "present", description="Whether the file is to be there. One that goes is kept, beside as NAME.converge-RUN."
    )
    copy_from: HostPath | None = Field(None, description="A file on the host to copy from.")
    content: str | None = Field(None, description="The text it is to hold, as UTF-8.")
    source: str | None = Field(
        None, description="A file of the control node, at most 1 MiB, from the folder converge runs in."
    )
    size: int | None = Field(None, ge=0, description="The size in bytes it must have.")
    version: Version | None = Field(None, description="The file version it must have.")
    sha256: str | None = Field(None, pattern="^[0-9a-fA-F]{64}$", description="The SHA-256 of its contents, in hex.")
    replace: Literal["when_different", "never"] = Field(
        "when_different", description="`never`: a file that is there is left as it is."
    )
    allow_downgrade: bool = Field(
        False, description="Whether a file of a later version than the source's is replaced too."
    )

    _bytes: bytes | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _makes_sense(self, info: ValidationInfo) -> FileResource:
        origins = [name for name in ("copy_from", "content", "source") if getattr(self, name) is not None]
        if len(origins) > 1:
            raise ValueError(f"{' and '.join(origins)} exclude each other")
        demands = [name for name in ("size", "version", "sha256") if getattr(self, name) is not None]
        if self.ensure == "absent" and origins + demands:
            raise ValueError(f"a file that is to be absent has no {(origins + demands)[0]}")
        if self.source is not None:
            self._bytes = _read(Path((info.context or {}).get("folder", "."), self.source))
        elif self.content is not None:
            self._bytes = self.content.encode("utf-8")
        if self._bytes is not None and len(self._bytes) > MAX_CONTENT:
            raise ValueError(f"{len(self._bytes)} bytes are more than the 1 MiB that converge carries to a host")
        if self._bytes is not None and self.size not in (None, len(self._bytes)):
            raise ValueError(f"`size` is {self.size}, and the contents have {len(self._bytes)} bytes")
        if self._bytes is not None and self.sha256 and self.sha256.lower() != _digest(self._bytes):
            raise ValueError("`sha256` is not that of the contents")
        return self

    @field_serializer("content", "source", when_used="json")
    def _not_written_down(self, _value: str | None) -> None:
        """Contents stay out of journals; taking the change back does not need them."""

    @field_serializer("sha256", when_used="json")
    def _hash_of_contents(self, value: str | None) -> str | None:
        """In place of contents their hash is written down."""
        return _digest(self._bytes) if value is None and self._bytes is not None else value

    @property
    def _hashed(self) -> bool:
        return self._bytes is not None or self.sha256 is not None

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """The file and its source; its folder where it is missing."""
        asked = environment.questions(self.path, self.copy_from)
        target = environment.resolve_known(self.path, known)
        if target is None:
            return asked
        asked.append(File(target, self._hashed))
        if self.copy_from and (source := environment.resolve_known(self.copy_from, known)):
            asked.append(File(source, self._hashed))
        if isinstance(known.get(File(target, self._hashed)), Absent) and self.ensure == "present":
            asked.append(Directory(paths.parent(target)))
        if self._goes(known):
            asked += backups.questions(target, known, is_folder=False)
        return asked

    def _goes(self, known: Answers) -> bool:
        """Whether what is there is to be replaced or removed, as far as it can be told yet."""
        try:
            found = self.actual_state(known)
            return found is not None and self.desired_state(found, known) != found
        except (Undecided, Unpredictable, ResourceError):
            return False

    def _facts(self, path: str, answers: Answers) -> FileFacts | None:
        facts = answers.value(File(path, self._hashed))
        if facts is not None and self._hashed and facts.sha256 is None and facts.sha1 is None:
            raise Undecided(f"the host does not report the hash of {path}", refusal="no-hash")
        return facts

    def actual_state(self, answers: Answers) -> FileState | None:
        """Size, version and, where it counts, the hash. Raises Undecided, Unpredictable and ResourceError."""
        facts = self._facts(environment.resolve(self.path, answers), answers)
        return self._state(facts) if facts is not None else None

    def _state(self, facts: FileFacts) -> FileState:
        sha256, sha1 = (facts.sha256, facts.sha1) if self._hashed else (None, None)
        return FileState(
            size=facts.size,
            version=facts.version,
            sha256=sha256.lower() if sha256 else None,
            sha1=sha1.lower() if sha1 else None,
        )

    def desired_state(self, actual: FileState | None, answers: Answers) -> FileState | None:
        """What it should be. Raises ResourceError where nothing could make it so."""
        if self.ensure == "absent":
            return None
        if actual is not None and self.replace == "never":
            return actual
        wanted = self._wanted(actual, answers)
        if actual is None:
            folder = paths.parent(environment.resolve(self.path, answers))
            if answers.value(Directory(folder)) is None:
                raise ResourceError(f"the folder {folder} is not there", try_="declare it before as a `directory`")
        return wanted

    def _wanted(self, found: FileState | None, answers: Answers) -> FileState:
        if self._bytes is not None:
            return found if found and _holds(found, self._bytes) else _state_of(self._bytes, found)
        if found is not None and self.sha256 is not None and not self._misses(found):
            return found
        offered = self._offered(answers)
        if offered is None:
            return self._without_source(found)
        if found is not None and (not self._differs(found, offered) or self._is_newer(found, offered)):
            return found if not self._misses(found) or self._is_newer(found, offered) else self._without_source(found)
        if missed := self._misses(offered):
            raise ResourceError(f"the source {self.copy_from} {missed}", try_="put the right file there")
        return offered

    def _offered(self, answers: Answers) -> FileState | None:
        if self.copy_from is None:
            return None
        facts = self._facts(environment.resolve(self.copy_from, answers), answers)
        return self._state(facts) if facts is not None else None

    def _without_source(self, found: FileState | None) -> FileState:
        missing = f"its source {self.copy_from} is not there either" if self.copy_from else "nothing says where from"
        if found is None:
            raise ResourceError(f"the file is missing and {missing}")
        if missed := self._misses(found):
            raise ResourceError(f"the file {missed}, and {missing if self.copy_from else 'no source is declared'}")
        return found

    def _misses(self, state: FileState) -> str:
        """Which of size, version and hash a file does not have, in words; empty when it has all. Raises Undecided."""
        if self.size is not None and state.size != self.size:
            return f"has {state.size} bytes, not {self.size}"
        if self.version is not None and not versions.same_version(state.version, self.version):
            return f"has version {state.version or 'none'}, not {self.version}"
        if self.sha256 is not None and state.sha256 is None:
            raise Undecided(
                f"whether a file of {state.size} bytes has the SHA-256 that is declared cannot be determined: "
                "this Windows has no SHA-256",
                try_="declare `size` or `version` in its place, or bring the file by `source`",
                refusal="no-sha256",
            )
        if self.sha256 is not None and state.sha256 != self.sha256.lower():
            return f"has the SHA-256 {state.sha256}, not {self.sha256.lower()}"
        return ""

    def _differs(self, found: FileState, offered: FileState) -> bool:
        if found.size != offered.size or not versions.same_version(found.version, offered.version):
            return True
        return self.sha256 is not None and found.sha256 != offered.sha256

    def _is_newer(self, found: FileState, offered: FileState) -> bool:
        """Whether the file is of a later version than its source and so is left alone."""
        if self.allow_downgrade or found.version is None or offered.version is None:
            return False
        try:
            return versions.is_newer(found.version, offered.version)
        except ValueError:
            return False

    def actions(self, before: FileState | None, after: FileState | None, answers: Answers) -> Sequence[AnyAction]:
        """Keep what is there, then copy or write; or bring back what the run that is taken back kept."""
        path = environment.resolve(self.path, answers)
        clearing = [backups.aside(path, answers, is_folder=False)] if before is not None else []
        if after is None:
            return clearing
        if answers.reverting:
            kept = File(backups.backup_path(path, answers), self._hashed)
            if (facts := answers.value(kept)) is not None:
                if not self.agree(self._state(facts), after, answers):
                    raise ResourceError(f"{kept.path} is not the file that was kept: it has {facts.size} bytes")
                return [*clearing, MoveFile(kept.path, path)]
        return [*clearing, self._making(path, after, answers)]

    def _making(self, path: str, after: FileState, answers: Answers) -> AnyAction:
        if self._bytes is not None and _holds(after, self._bytes):
            return WriteFile(path, self._bytes)
        if self.copy_from is not None and self._is_offered(after, answers):
            return CopyFile(environment.resolve(self.copy_from, answers), path)
        raise backups.is_gone("file", backups.backup_path(path, answers))

    def queries_to_undo(self, known: Answers) -> Collection[AnyQuery]:
        """What was kept, and where what is there now can be."""
        path = environment.resolve_known(self.path, known)
        if path is None:
            return []
        there = isinstance(known.get(File(path, self._hashed)), Found)
        again = backups.questions(path, known, is_folder=False) if there else []
        return [File(backups.backup_path(path, known), self._hashed), *again]

    def agree(self, left: FileState | None, right: FileState | None, answers: Answers) -> bool:
        """By the hashes of one kind where both are known, else by size and version."""
        if left is None or right is None:
            return left == right
        if left.sha256 and right.sha256:
            return left.sha256 == right.sha256
        if left.sha1 and right.sha1:
            return left.sha1 == right.sha1
        return left.size == right.size and versions.same_version(left.version, right.version)

    def _is_offered(self, after: FileState, answers: Answers) -> bool:
        source = environment.resolve(self.copy_from or "", answers)
        facts = answers.known(File(source, self._hashed))
        return facts is not None and self._state(facts) == after

    def notes(self, answers: Answers) -> Sequence[str]:
        """Where what is there will be kept; a newer file, and a missing source, that were left at that."""
        found = self.actual_state(answers)
        told = backups.describe(environment.resolve(self.path, answers), answers) if self._goes(answers) else ()
        return told or (self._left(found, answers) if found is not None else ())

    def _left(self, found: FileState, answers: Answers) -> Sequence[str]:
        if self.copy_from is None or self.ensure == "absent":
            return ()
        source = File(environment.resolve(self.copy_from, answers), self._hashed)
        if isinstance(answers.get(source), Absent):
            return (f"the source {self.copy_from} is not there; the file is, and is left as it is",)
        facts = answers.known(source)
        offered = self._state(facts) if facts is not None and self.replace != "never" else None
        if offered is not None and self._differs(found, offered) and self._is_newer(found, offered):
            return (f"version {found.version} is later than the source's {offered.version}: left alone",)
        return ()


def _read(path: Path) -> bytes:
    try:
        content = read_bounded(path, most=MAX_CONTENT)
    except OSError as error:
        raise ValueError(f"the source {path} cannot be read: {error.strerror or error}") from error
    if words := doubt(path):
        raise ValueError(f"the source {path} is not read: another account may change it. {words}")
    return content


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sha1(content: bytes) -> str:
    """Tells whether bytes of ours arrived and stayed whole, by accident; nobody's claim about them is proven by it."""
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


def _holds(state: FileState, content: bytes) -> bool:
    """Whether a file holds these bytes, by the SHA-256 where the host tells it, else by the SHA-1."""
    return state.sha256 == _digest(content) if state.sha256 else state.sha1 == _sha1(content)


def _state_of(content: bytes, found: FileState | None) -> FileState:
    """A file of these bytes, with the hash that the host tells of the file it has; where there is none yet, with either."""
    return FileState(
        size=len(content),
        sha256=_digest(content) if found is None or found.sha256 else None,
        sha1=_sha1(content) if found is None or found.sha1 else None,
    )
