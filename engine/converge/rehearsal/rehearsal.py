"""Check mode: a machine that asks the real host and acts in memory.

Every answer is the host's own, with the effects of what was performed here laid over it, in order. What a command says
that it brings is not guessed: it is "not predicted", and whatever rests on it is decided after that command.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import replace

from converge.errors import ActionRefused
from converge.model.action import (
    AnyAction,
    CopyFile,
    InvokeCimMethod,
    MoveDirectory,
    MoveFile,
    NewDirectory,
    Performed,
    RemoveDirectory,
    RemoveFile,
    RemoveRegistryKey,
    RestartComputer,
    RunCommand,
    StartService,
    StopService,
    WriteFile,
)
from converge.model.answer import Absent, Answer, Answers, Found, NotPredicted
from converge.model.facts import DirectoryFacts, FileFacts, ServiceFacts, ServiceState, StartMode
from converge.model.machine import Fronting, Observer
from converge.model.names import same
from converge.model.query import (
    AnyQuery,
    Directory,
    File,
    OperatingSystem,
    RegistryKey,
    RegistrySearch,
    RegistryValue,
    Service,
    ServiceStartTime,
)
from converge.plan.effects import may_change
from converge.rehearsal.predicting import Look, is_part_of_service, predict_registry, predict_service
from converge.windows.paths import folder_of, is_below


class Rehearsal(Fronting):
    """A machine that changes nothing. Performing an action changes what it answers from then on."""

    def __init__(self, observer: Observer) -> None:
        super().__init__(observer)
        self._performed: list[AnyAction] = []
        self._base: dict[AnyQuery, Answer[object]] = {}

    def ask(self, queries: Collection[AnyQuery]) -> Answers:
        """The host's answers as they would be after what was performed here. Raises HostUnreachable."""
        new = tuple(query for query in queries if query not in self._base)
        if new:
            self._base.update(self._observer.ask(new))
        return Answers({query: self._answer(query, len(self._performed)) for query in queries})

    def perform(self, action: AnyAction) -> Performed:
        """Act in memory. Raises ActionRefused where the host would certainly refuse, as far as its answers are known."""
        if refusal := self._refusal(action):
            raise ActionRefused(refusal)
        self._performed.append(action)
        return Performed()

    def suppose(self, after: str, *, decides: Collection[AnyQuery]) -> None:
        """Hold from now on that `after` was done by a person or program, which decides these answers."""
        self._performed.append(RunCommand(argv=(after,), title=after, decides=tuple(decides)))

    def apart(self) -> Rehearsal:
        """Another rehearsal that begins where this one stands. What is performed there is not performed here."""
        return Rehearsal(self)

    def _answer(self, query: AnyQuery, moment: int) -> Answer[object]:
        """The answer after the first `moment` actions."""
        answer = self._base.get(query)
        if answer is None:
            answer = self._base[query] = self._observer.ask((query,))[query]
        for index, action in enumerate(self._performed[:moment]):
            if not may_change(action, query):
                continue

            def look(other: AnyQuery, index: int = index) -> Answer[object]:
                return self._answer(other, index)

            answer = _predict(action, query, answer=answer, look=look)
        return answer

    def _known(self, query: AnyQuery) -> Answer[object] | None:
        """The answer as it would be now, if it needs no further question to the host."""
        return self._answer(query, len(self._performed)) if query in self._base else None

    def _refusal(self, action: AnyAction) -> str:
        match action:
            case CopyFile(source=source, target=target) | MoveFile(source=source, target=target):
                if isinstance(self._known(File(source)), Absent):
                    return f"{source} is not there"
                return f"{target} exists already" if isinstance(self._known(File(target)), Found) else ""
            case WriteFile(path=path):
                return f"{path} exists already" if isinstance(self._known(File(path)), Found) else ""
            case StartService(name=name):
                return self._start_refusal(name)
            case RemoveRegistryKey(key=key):
                contents = self._known(RegistryKey(key))
                full = isinstance(contents, Found) and contents.value.subkeys  # type: ignore[attr-defined]  # KeyContents
                return f"{key} has subkeys" if full else ""
            case _:
                return ""

    def _start_refusal(self, name: str) -> str:
        answer = self._known(Service(name))
        if isinstance(answer, Absent):
            return f"there is no service {name}"
        if isinstance(answer, Found) and isinstance(answer.value, ServiceFacts):
            # One that runs although it was disabled since is as good as started: the host says that it runs already.
            stopped = answer.value.state is ServiceState.STOPPED
            return f"{name} is disabled" if stopped and answer.value.start_mode is StartMode.DISABLED else ""
        return ""


def _predict(action: AnyAction, query: AnyQuery, *, answer: Answer[object], look: Look) -> Answer[object]:
    """The answer to a query after one action, given the answer before it and a look at that moment."""
    if isinstance(action, RunCommand):
        return _after_command(action, query, answer)
    if isinstance(action, InvokeCimMethod):
        return NotPredicted(action.method) if isinstance(answer, Absent) else answer
    if isinstance(query, File):
        return _predict_file(action, query, answer=answer, look=look)
    if isinstance(query, Directory):
        return _predict_directory(action, query, answer=answer, look=look)
    if isinstance(query, Service):
        return predict_service(action, query, answer=answer, look=look)
    if isinstance(query, ServiceStartTime):
        return _predict_start_time(action, query, answer=answer, look=look)
    return predict_registry(action, query, answer)


def _predict_start_time(
    action: AnyAction, query: ServiceStartTime, *, answer: Answer[object], look: Look
) -> Answer[object]:
    match action:
        case StartService(name=name) if same(name, query.name):
            system = look(OperatingSystem())
            return Found(system.value.now) if isinstance(system, Found) else answer  # type: ignore[attr-defined]  # OperatingSystemFacts
        case StopService(name=name) if same(name, query.name):
            return Absent()
        case RestartComputer():
            return NotPredicted("the computer was restarted")
    return answer


def _after_command(action: RunCommand, query: AnyQuery, answer: Answer[object]) -> Answer[object]:
    decided = query in action.decides or _comes_with(query, answer, action.decides)
    if decided or any(_is_decided(query, other) for other in action.decides):
        return NotPredicted(action.title or action.argv[0])
    return answer


def _is_decided(query: AnyQuery, other: AnyQuery) -> bool:
    """Whether a question is about what another one asks of, in other words, or about what lies below."""
    match query, other:
        case ((File(path=path) | Directory(path=path)), Directory(path=folder)):
            return same(path, folder) or is_below(path, folder)
        case File(path=path), File(path=known):
            return same(path, known)
        case ((RegistryKey(key=key) | RegistryValue(key=key)), RegistryKey(key=above)):
            return key.real.is_within(above.real)
        case RegistrySearch(roots=roots), RegistryKey(key=key):
            return any(root.real.is_within(key.real) or key.real.is_within(root.real) for root in roots)
        case RegistryValue(key=key, name=name), RegistryValue(key=known_key, name=known_name):
            return key.real == known_key.real and same(name, known_name)
        case Service(name=name), Service(name=known_name):
            return same(name, known_name)
        case _:
            return False


def _comes_with(query: AnyQuery, answer: Answer[object], decided: Collection[AnyQuery]) -> bool:
    """Whether a question is about a part of something that a command brings or takes: keys of a service, a file's folder."""
    if isinstance(query, Directory) and (query.listing or isinstance(answer, Absent)):
        return any(isinstance(other, File | Directory) and is_below(other.path, query.path) for other in decided)
    return any(isinstance(other, Service) and is_part_of_service(query, other.name) for other in decided)


def _predict_file(action: AnyAction, query: File, *, answer: Answer[object], look: Look) -> Answer[object]:
    path = query.path
    match action:
        case CopyFile(source=source, target=target) if same(path, target):
            return _renamed(look(File(source, query.hashed)), path)
        case MoveFile(source=source, target=target):
            if same(path, source):
                return Absent()
            return _renamed(look(File(source, query.hashed)), path) if same(path, target) else answer
        case WriteFile(path=target, content=content) if same(path, target):
            sha256, sha1 = hashlib.sha256(content), hashlib.sha1(content, usedforsecurity=False)
            return Found(FileFacts(target, len(content), sha256=sha256.hexdigest(), sha1=sha1.hexdigest()))
        case RemoveFile(path=target) if same(path, target):
            return Absent()
        case RemoveDirectory(path=folder) if is_below(path, folder):
            return Absent()
        case MoveDirectory(source=source, target=target):
            if is_below(path, source):
                return Absent()
            if is_below(path, target):
                return _renamed(look(File(source + path[len(target) :], query.hashed)), path)
    return answer


def _predict_directory(action: AnyAction, query: Directory, *, answer: Answer[object], look: Look) -> Answer[object]:
    path = query.path
    match action:
        case NewDirectory(path=new) if same(path, new) or is_below(new, path):
            folder = answer.value if isinstance(answer, Found) else DirectoryFacts(path)
            return Found(_with_folder(folder, new) if query.listing and is_below(new, path) else folder)  # type: ignore[arg-type]
        case RemoveDirectory(path=gone):
            return Absent() if same(path, gone) else _without_folder(answer, gone)
        case MoveDirectory(source=source, target=target):
            if same(path, source) or is_below(path, source):
                return Absent()
            if same(path, target) or is_below(path, target):
                return _moved(look(Directory(source + path[len(target) :], query.listing)), path)
            left = _without_folder(answer, source)
            lands_here = query.listing and same(folder_of(target), path) and isinstance(left, Found)
            return Found(_with_folder(left.value, target)) if lands_here else left  # type: ignore[union-attr, arg-type]  # DirectoryFacts
        case CopyFile(source=source, target=target) | MoveFile(source=source, target=target) if query.listing:
            listed = _without_file(answer, source) if isinstance(action, MoveFile) else answer
            lands_here = same(folder_of(target), path)
            return _with_file(listed, _renamed(look(File(source)), target)) if lands_here else listed
        case WriteFile(path=target, content=content) if query.listing and same(folder_of(target), path):
            return _with_file(answer, Found(FileFacts(target, len(content))))
        case RemoveFile(path=target) if query.listing:
            return _without_file(answer, target)
    return answer


def _renamed(answer: Answer[object], path: str) -> Answer[object]:
    if isinstance(answer, Found) and isinstance(answer.value, FileFacts):
        return Found(replace(answer.value, path=path))
    return answer


def _moved(answer: Answer[object], path: str) -> Answer[object]:
    """A folder with its files under another path."""
    if not isinstance(answer, Found) or not isinstance(answer.value, DirectoryFacts):
        return answer
    names = ((file, file.path.rpartition("\\")[2]) for file in answer.value.files)
    files = tuple(replace(file, path=path.rstrip("\\") + "\\" + name) for file, name in names)
    return Found(replace(answer.value, path=path, files=files))


def _with_file(answer: Answer[object], file: Answer[object]) -> Answer[object]:
    if not isinstance(answer, Found) or not isinstance(answer.value, DirectoryFacts):
        return answer
    if isinstance(file, Found) and isinstance(file.value, FileFacts):
        return Found(replace(answer.value, files=(*answer.value.files, file.value)))
    return answer


def _without_file(answer: Answer[object], path: str) -> Answer[object]:
    if isinstance(answer, Found) and isinstance(answer.value, DirectoryFacts):
        left = tuple(file for file in answer.value.files if not same(file.path, path))
        return Found(replace(answer.value, files=left))
    return answer


def _with_folder(folder: DirectoryFacts, new: str) -> DirectoryFacts:
    child = new[len(folder.path.rstrip("\\")) + 1 :].split("\\")[0]
    if any(same(child, name) for name in folder.directories):
        return folder
    return replace(folder, directories=(*folder.directories, child))


def _without_folder(answer: Answer[object], gone: str) -> Answer[object]:
    """The listing of the folder in which another lay that is gone; any other answer as it was."""
    if (
        isinstance(answer, Found)
        and isinstance(answer.value, DirectoryFacts)
        and same(folder_of(gone), answer.value.path)
    ):
        left = tuple(name for name in answer.value.directories if not same(name, gone.rpartition("\\")[2]))
        return Found(replace(answer.value, directories=left))
    return answer
