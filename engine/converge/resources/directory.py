"""The kind `directory`: a folder that is there, or is not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from converge.errors import ResourceError
from converge.model.action import AnyAction, MoveDirectory, NewDirectory, RemoveDirectory
from converge.model.answer import Absent, Answers
from converge.model.backup import is_ours
from converge.model.query import AnyQuery, Directory, File, OperatingSystem
from converge.model.resource import Resource, State
from converge.windows import backups, environment, paths
from converge.windows.fields import HostPath


class DirectoryState(State):
    """A folder that is there. `entries`, how much lies directly in it, only where it is to go."""

    exists: Literal[True] = True
    entries: int | None = None


class DirectoryResource(Resource[DirectoryState]):
    """A folder that is there, or is not. Its parents are made with it."""

    kind: ClassVar[str] = "directory"
    key_fields: ClassVar[tuple[str, ...]] = ("path",)
    way_back_summary: ClassVar[str] = (
        "a folder that was made goes where it is empty; one that was removed comes back from where it "
        "was kept."
    )
    example: ClassVar[str] = r"""
- name: There is a folder for logs
  directory: {path: 'D:\Logs\Vendor'}
"""

    path: HostPath = Field(description="The full path; %VARIABLES% are the host's.")
    ensure: Literal["present", "absent"] = Field(
        "present", description="Whether the folder is to be there. One that is not empty goes only with `recursive`."
    )
    recursive: bool = Field(
        False, description="With `ensure: absent`: one that is not empty goes too, and is kept as NAME.converge-RUN."
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> DirectoryResource:
        if self.recursive and self.ensure != "absent":
            raise ValueError("`recursive` goes with `ensure: absent` only")
        if self.ensure == "absent" and paths.is_expanded(self.path) and paths.parent(self.path) == self.path:
            raise ValueError(f"{self.path} is a whole drive: it is never removed")
        return self

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """The folder; where it is missing, whether a file bears its name."""
        asked = environment.questions(self.path)
        path = environment.resolve_known(self.path, known)
        if path is None:
            return asked
        listing = self.ensure == "absent"
        asked += [Directory(path, listing), *([OperatingSystem()] if listing else [])]
        if not listing and isinstance(known.get(Directory(path)), Absent):
            asked.append(File(path))
        facts = known.known(Directory(path, listing))
        if listing and self.recursive and facts is not None and (facts.files or facts.directories):
            asked += backups.questions(path, known, is_folder=True)
        return asked

    def actual_state(self, answers: Answers) -> DirectoryState | None:
        """Whether it is there. Raises Undecided, Unpredictable and ResourceError."""
        listing = self.ensure == "absent"
        facts = answers.value(Directory(environment.resolve(self.path, answers), listing))
        if facts is None:
            return None
        return DirectoryState(entries=len(facts.files) + len(facts.directories) if listing else None)

    def desired_state(self, actual: DirectoryState | None, answers: Answers) -> DirectoryState | None:
        """There or absent. Raises ResourceError for what must not go, and where a file is in the way."""
        path = environment.resolve(self.path, answers)
        if self.ensure == "present":
            if actual is None and answers.value(File(path)) is not None:
                raise ResourceError(f"{path} is a file")
            return actual or DirectoryState()
        if actual is None:
            return None
        system = answers.value(OperatingSystem())
        if system is not None and paths.is_within(system.system_root, path):
            raise ResourceError(f"Windows itself lies in {path}: it is never removed")
        if actual.entries and not self.recursive:
            raise ResourceError(
                f"{actual.entries} things lie in {path}", try_="`recursive: true`, if they are to go too"
            )
        return None

    def actions(self, before: DirectoryState | None, after: DirectoryState | None, answers: Answers) -> Sequence[AnyAction]:
        """Make it, keep it elsewhere, remove it when empty, or bring back what was kept in this run."""
        path = environment.resolve(self.path, answers)
        if answers.reverting:
            return self._reverting(path, after, answers)
        if after is not None:
            return [NewDirectory(path)]
        full = before is not None and before.entries
        return [backups.aside(path, answers, is_folder=True) if full else RemoveDirectory(path)]

    def _reverting(self, path: str, after: DirectoryState | None, answers: Answers) -> list[AnyAction]:
        """Bring back what was kept, make it again, or take away what holds nothing, or nothing but kept files."""
        if after is not None:
            place = Directory(backups.backup_path(path, answers))
            if answers.value(place) is not None:
                return [MoveDirectory(place.path, path)]
            if after.entries:
                raise backups.is_gone("folder", place.path)
            return [NewDirectory(path)]
        facts = answers.value(Directory(path, True))
        if facts is None or not (facts.files or facts.directories):
            return [RemoveDirectory(path)]
        names = [*(paths.name(file.path) for file in facts.files), *facts.directories]
        others = [name for name in names if not is_ours(name)]
        if others and self.ensure == "present":
            raise ResourceError(
                f"{len(others)} other things lie in {path} by now", try_="look at them; remove them first"
            )
        return [backups.aside(path, answers, is_folder=True)]

    def queries_to_undo(self, known: Answers) -> Collection[AnyQuery]:
        """What lies in it, what was kept, and where it can be kept itself."""
        path = environment.resolve_known(self.path, known)
        if path is None:
            return []
        facts = known.known(Directory(path, True))
        full = facts is not None and (facts.files or facts.directories)
        again = backups.questions(path, known, is_folder=True) if full else []
        return [Directory(path, True), Directory(backups.backup_path(path, known)), *again]

    def notes(self, answers: Answers) -> Sequence[str]:
        """Where what is there will be kept."""
        path = environment.resolve(self.path, answers)
        facts = answers.known(Directory(path, True)) if self.recursive else None
        return backups.describe(path, answers) if facts is not None and (facts.files or facts.directories) else ()
