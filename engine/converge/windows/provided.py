"""What a command or a person brings, as far as a playbook says it: by this a rehearsal knows what it cannot tell."""

from __future__ import annotations

from collections.abc import Collection

from pydantic import BaseModel, ConfigDict, Field

from converge.model.answer import Answers
from converge.model.query import AnyQuery, Directory, File, RegistryKey, Service
from converge.windows import environment, registry
from converge.windows.fields import HostPath, KeyName, ServiceName


class Provides(BaseModel):
    """Services, files, folders and registry keys, the last two with all that lies below them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    services: tuple[ServiceName, ...] = Field((), max_length=100, description="Names of services.")
    files: tuple[HostPath, ...] = Field((), max_length=100, description="Full paths of files.")
    directories: tuple[HostPath, ...] = Field(
        (), max_length=100, description="Full paths of folders; all that lies below them is meant too."
    )
    registry_keys: tuple[KeyName, ...] = Field(
        (), max_length=100, description="Registry keys; all that lies below them is meant too."
    )

    def questions(self, known: Answers) -> Collection[AnyQuery]:
        """The questions whose answers come with it, as far as its paths can be told already."""
        files = (environment.resolve_known(path, known) for path in self.files)
        folders = (environment.resolve_known(path, known) for path in self.directories)
        return (
            *(Service(name) for name in self.services),
            *(File(path) for path in files if path),
            *(Directory(path) for path in folders if path),
            *(RegistryKey(registry.parse_path(key)) for key in self.registry_keys),
        )

    def needed(self) -> Collection[AnyQuery]:
        """What must be known of the host to tell its paths."""
        return environment.questions(*self.files, *self.directories)
