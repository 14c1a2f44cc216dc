"""A machine that is a world: every query and action of the model, done in memory without a wire."""

from __future__ import annotations

from collections.abc import Collection

from converge.errors import ActionRefused
from converge.lab import registry_provider, service_manager
from converge.lab.file_system import EXISTS, NOT_THERE, FileSystem
from converge.lab.registry_provider import RegistryProvider
from converge.lab.shell import run_command_line
from converge.lab.shell.programs import has_program
from converge.lab.world import LabAccount, Right, World
from converge.model.action import (
    AnyAction,
    CopyFile,
    InvokeCimMethod,
    MoveDirectory,
    MoveFile,
    NewDirectory,
    NewRegistryKey,
    Performed,
    RemoveDirectory,
    RemoveFile,
    RemoveRegistryKey,
    RemoveRegistryValue,
    RestartComputer,
    ResumeService,
    RunCommand,
    SetRegistryValue,
    SetServiceImagePath,
    SetServiceStartMode,
    StartService,
    StopService,
    WriteFile,
)
from converge.model.answer import Answers
from converge.model.query import AnyQuery
from converge.testing import direct_cim
from converge.testing.world_answers import WorldAnswers
from converge.windows import files, services
from converge.windows.commands import command_line, shell_line
from converge.windows.return_codes import describe

MAX_CONTENT = 1024 * 1024
_SHOWN_OUTPUT = 4000
_AS_GOOD_AS_DONE = {(1056, StartService), (1062, StopService)}  # it runs already, or is stopped already


class WorldMachine:
    """A world as one account meets it; None is the machine itself, to which nothing is denied.

    Every asking and every action counts as one round trip.
    """

    def __init__(self, world: World, account: LabAccount | None = None, *, host: str = "") -> None:
        self.world = world
        self._account = account
        self._host = host or world.profile.host_name
        self._answers = WorldAnswers(world, account)
        self._registry = RegistryProvider(world, account)
        self._files = FileSystem(world, account)
        self._round_trips = 0

    @property
    def host(self) -> str:
        """The host's name."""
        return self._host

    @property
    def round_trips(self) -> int:
        """How often it was asked or acted upon."""
        return self._round_trips

    def ask(self, queries: Collection[AnyQuery]) -> Answers:
        """Answer every query."""
        self._round_trips += 1
        with self.world.lock:
            return Answers({query: self._answers.answer(query) for query in queries})

    def perform(self, action: AnyAction) -> Performed:
        """Do one thing. Raises ActionRefused."""
        self._round_trips += 1
        with self.world.lock:
            service_manager.settle(self.world)
            return self._perform(action)

    def _perform(self, action: AnyAction) -> Performed:
        match action:
            case SetRegistryValue() | RemoveRegistryValue() | NewRegistryKey() | RemoveRegistryKey():
                return self._on_registry(action)
            case CopyFile() | MoveFile() | WriteFile() | RemoveFile():
                return self._on_file(action)
            case NewDirectory() | MoveDirectory() | RemoveDirectory():
                return self._on_folder(action)
            case StartService() | StopService() | ResumeService() | SetServiceStartMode() | SetServiceImagePath():
                return self._on_service(action)
            case RunCommand():
                return self._run(action)
            case RestartComputer():
                if not self.world.permits(self._account, Right.RESTART):
                    raise ActionRefused("the computer may not be restarted: access denied")
                service_manager.boot(self.world)
                return Performed()
            case InvokeCimMethod():
                return self._invoke(action)

    def _on_registry(
        self, action: SetRegistryValue | RemoveRegistryValue | NewRegistryKey | RemoveRegistryKey
    ) -> Performed:
        match action:
            case SetRegistryValue(key=key, name=name, data=data):
                if not data.type.writable or data.data is None:
                    raise ActionRefused(f"a value of the type {data.type.label} cannot be written")
                code = self._registry.set(key, name, number=data.type.number, data=data.data)
            case RemoveRegistryValue(key=key, name=name):
                code = self._registry.delete_value(key, name)
            case NewRegistryKey(key=key):
                code = self._registry.create_key(key)
            case RemoveRegistryKey(key=key):
                code = self._registry.delete_key(key)
        if code:
            words = {registry_provider.ACCESS_DENIED: "access denied", registry_provider.KEY_MISSING: "not there"}
            raise ActionRefused(
                f"{type(action).__name__} of {action.key} returned {code}, {words.get(code, 'refused')}"
            )
        return Performed()

    def _on_file(self, action: CopyFile | MoveFile | WriteFile | RemoveFile) -> Performed:
        match action:
            case CopyFile(source=source, target=target):
                code = self._files.copy(source, target) if self.world.files.folder(source) is None else NOT_THERE
            case MoveFile(source=source, target=target):
                code = self._files.rename(source, target) if self.world.files.folder(source) is None else NOT_THERE
            case RemoveFile(path=path):
                code = self._files.delete(path) if self.world.files.folder(path) is None else NOT_THERE
            case WriteFile(path=path, content=content):
                self._need_shell(f"writing {path}")
                if len(content) > MAX_CONTENT:
                    raise ActionRefused(f"writing {path}: {len(content)} bytes are more than {MAX_CONTENT}")
                if content and not has_program(self.world, "certutil"):
                    raise ActionRefused(f"writing {path} needs certutil, which this Windows does not have")
                code = EXISTS if self.world.files.exists(path) else self._files.write(path, content)
        return _done(action, code)

    def _on_folder(self, action: NewDirectory | MoveDirectory | RemoveDirectory) -> Performed:
        match action:
            case NewDirectory(path=path):
                self._need_shell(f"making {path}")
                code = self._files.make_folder(path)
            case MoveDirectory(source=source, target=target):
                code = self._files.rename(source, target) if self.world.files.folder(source) else NOT_THERE
            case RemoveDirectory(path=path):
                code = self._files.delete(path) if self.world.files.folder(path) else NOT_THERE
        return _done(action, code)

    def _on_service(
        self, action: StartService | StopService | ResumeService | SetServiceStartMode | SetServiceImagePath
    ) -> Performed:
        world, account = self.world, self._account
        match action:
            case StartService(name=name):
                error = service_manager.start(world, name, account=account)
            case StopService(name=name):
                error = service_manager.stop(world, name, account=account)
            case ResumeService(name=name):
                error = service_manager.resume(world, name, account=account)
            case SetServiceStartMode(name=name, start_mode=mode):
                error = service_manager.set_start_mode(world, name, mode, account=account)
            case SetServiceImagePath(name=name, image_path=path):
                error = service_manager.set_image_path(world, name, path, account=account)
        if not error or (error, type(action)) in _AS_GOOD_AS_DONE:
            return Performed()
        code = service_manager.return_code(error, stopping=isinstance(action, StopService))
        record = world.service(action.name)
        why = f"exit code {services.describe_exit_code(record.exit_code)}" if record and record.exit_code else ""
        what = f"{type(action).__name__} of {action.name} returned {describe(code, services.RETURN_CODES)}"
        raise ActionRefused(what, why=why)

    def _need_shell(self, what: str) -> None:
        if not self.world.permits(self._account, Right.SHELLS):
            raise ActionRefused(f"{what} needs a shell, which is denied: access denied")

    def _run(self, action: RunCommand) -> Performed:
        title = action.title or action.argv[0]
        self._need_shell(title)
        try:
            line = shell_line(action.argv) if action.shell else command_line(action.argv)
        except ValueError as error:
            raise ActionRefused(f"{title} cannot be run", why=str(error)) from error
        result = run_command_line(self.world, line, account=self._account, code_page=65001)
        output = (result.stdout or result.stderr).decode("utf-8", "replace")[-_SHOWN_OUTPUT:]
        code = result.exit_code
        reboot = code in action.reboot_codes
        if action.exit_codes and code not in action.exit_codes and not reboot:
            raise ActionRefused(f"{title} ended with exit code {code}", why=output)
        return Performed(code=code, output=output, reboot_needed=reboot)

    def _invoke(self, action: InvokeCimMethod) -> Performed:
        direct_cim.invoke(
            self.world,
            self._account,
            namespace=action.namespace,
            class_name=action.class_name,
            method=action.method,
            keys=dict(action.keys),
            arguments=dict(action.arguments),
        )
        return Performed()


def _done(action: AnyAction, code: int) -> Performed:
    if code:
        path = getattr(action, "target", None) or getattr(action, "path", "")
        raise ActionRefused(f"{type(action).__name__} of {path} returned {describe(code, files.RETURN_CODES)}")
    return Performed()
