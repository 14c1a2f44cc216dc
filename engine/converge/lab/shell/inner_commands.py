"""The commands inside cmd.exe.

What `copy` and `move` answer to an existing target without /Y (a question that nobody answers, nothing done, exit code 1), and
the exit codes of `rd`, rest on documentation alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from functools import wraps

from converge.lab import file_system as codes
from converge.lab.shell.grammar import words
from converge.lab.shell.session import Call, Program
from converge.model.names import fold
from converge.windows import paths

NO_FILE = "The system cannot find the file specified."
NO_PATH = "The system cannot find the path specified."
DENIED = "Access is denied."
SYNTAX = "The syntax of the command is incorrect."
_IN_USE = "The process cannot access the file because it is being used by another process."
_MAX_MATCHES = 10_000

_WORDS = {
    codes.ACCESS_DENIED: DENIED,
    codes.NOT_THERE: NO_PATH,
    codes.NOT_EMPTY: "The directory is not empty.",
    codes.SHARING: _IN_USE,
    codes.INVALID: "The filename, directory name, or volume label syntax is incorrect.",
    codes.OTHER_DRIVE: "The system cannot move the file to a different disk drive.",
    codes.FAILED: "There is not enough space on the disk.",
}


class Exit(Exception):
    """`exit`: the line ends with this code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def refusal(code: int) -> str:
    """What cmd prints for a refusal of the file system."""
    return _WORDS.get(code, DENIED)


def _split(call: Call) -> tuple[list[str], set[str]]:
    """Operands and switches, the latter in lower case."""
    found = words(call.tail)
    switches = {item.lower() for item in found if item.startswith("/")}
    return [item for item in found if not item.startswith("/")], switches


def _for_each(work: Callable[[Call, str, set[str]], int]) -> Program:
    """A command that does the same with each of its operands; its exit code is that of the last one that failed."""

    @wraps(work)
    def command(call: Call) -> int:
        operands, switches = _split(call)
        if not operands:
            call.complain(SYNTAX)
            return 1
        result = 0
        for operand in operands:
            result = work(call, operand, switches) or result
        return result

    return command


def _matches(call: Call, pattern: str) -> Iterator[str]:
    """The full paths of the files that a path with `*` and `?` in its last part names."""
    full = call.session.resolve(pattern)
    if "*" not in full and "?" not in full:
        yield full
        return
    _, folder = call.session.files.folder(paths.parent(full))
    wanted = "*" if paths.name(full) == "*.*" else fold(paths.name(full))
    for file in list(folder.files.values())[:_MAX_MATCHES] if folder else ():
        if fnmatchcase(fold(file.name), wanted.replace("[", "[[]")):
            yield paths.join(paths.parent(full), file.name)


def echo(call: Call) -> int:
    """Prints its arguments as they were written."""
    text = call.tail[1:]
    if call.tail.strip().lower() in ("", "on", "off") and not call.tail.startswith((".", ":", "/", "(")):
        if not call.tail.strip():
            call.say("ECHO is on.")
        return 0
    call.say(text)
    return 0


@_for_each
def type_file(call: Call, operand: str, _switches: set[str]) -> int:
    """Prints files as they are; UTF-16 with a mark is shown in the console's code page."""
    found = operand.lower() == "nul"
    for path in () if found else _matches(call, operand):
        code, file = call.session.files.file(path)
        if file is None:
            continue
        found = True
        data = file.read()
        if data.startswith(b"\xff\xfe"):
            data = call.session.encode(data[2:].decode("utf-16-le", "replace"))
        call.out.write(data)
    if found:
        return 0
    full = call.session.resolve(operand)
    code, _ = call.session.files.file(full)
    missing = NO_FILE if call.session.world.files.holder(full) is not None else NO_PATH
    call.complain(DENIED if code == codes.ACCESS_DENIED else missing)
    return 1


@_for_each
def mkdir(call: Call, operand: str, _switches: set[str]) -> int:
    """Makes folders with their parents."""
    code = call.session.files.make_folder(call.session.resolve(operand))
    if code:
        exists = f"A subdirectory or file {operand} already exists."
        call.complain(exists if code == codes.EXISTS else refusal(code))
    return 1 if code else 0


@_for_each
def rmdir(call: Call, operand: str, switches: set[str]) -> int:
    """Removes empty folders; with /s, and /q as nobody answers, all that is in them."""
    session = call.session
    path = session.resolve(operand)
    if session.world.files.folder(path) is None:
        call.complain("The directory name is invalid." if session.world.files.file(path) else NO_FILE)
        return 2
    if "/s" in switches and "/q" not in switches:
        call.say(f"{operand}, Are you sure (Y/N)? ")
        return 1
    code = _remove_tree(call, path) if "/s" in switches else session.files.delete(path)
    if not code:
        return 0
    call.complain(refusal(code))
    return 145 if code == codes.NOT_EMPTY else 5


def _remove_tree(call: Call, path: str) -> int:
    files = call.session.files
    for place, folder in reversed(list(call.session.world.files.walk(path))):
        for file in list(folder.files.values()):
            if code := files.delete(paths.join(place, file.name)):
                return code
        if code := files.delete(place):
            return code
    return 0


@_for_each
def delete(call: Call, operand: str, _switches: set[str]) -> int:
    """Deletes files; what is not there is only mentioned."""
    result = 0
    found = list(_matches(call, operand))
    for path in found:
        code = call.session.files.delete(path) if call.session.world.files.folder(path) is None else 0
        if code == codes.NOT_THERE:
            call.complain(f"Could Not Find {path}")
        elif code:
            call.complain(f"{path}\r\n{refusal(code)}")
            result = 1
    return result


def copy(call: Call) -> int:
    """Copies files; an existing target only with /Y."""
    operands, switches = _split(call)
    if not 1 <= len(operands) <= 2:
        call.complain(SYNTAX)
        return 1
    session = call.session
    target = session.resolve(operands[1] if len(operands) == 2 else session.folder)
    copied = result = 0
    for source in _matches(call, operands[0]):
        goal = paths.join(target, paths.name(source)) if session.world.files.folder(target) else target
        code, file = session.files.file(source)
        if file is None:
            call.complain(NO_FILE if code == codes.NOT_THERE else refusal(code))
            result = 1
            continue
        if session.world.files.file(goal) is not None and "/y" not in switches:
            call.say(f"Overwrite {operands[-1]}? (Yes/No/All): ")
            result = 1
            continue
        code = _replace(call, goal) or session.files.copy(source, goal)
        if code:
            call.complain(refusal(code))
            result = 1
        else:
            copied += 1
    call.say(f"{copied:>9} file(s) copied.")
    return result


def _replace(call: Call, goal: str) -> int:
    """Makes way for a file that is to be written over."""
    return call.session.files.delete(goal) if call.session.world.files.file(goal) is not None else 0


def move(call: Call) -> int:
    """Moves files or renames folders; an existing target only with /Y."""
    operands, switches = _split(call)
    if len(operands) != 2:
        call.complain(SYNTAX)
        return 1
    session = call.session
    target = session.resolve(operands[1])
    moved, noun = 0, "file(s)"
    for source in _matches(call, operands[0]):
        is_folder = session.world.files.folder(source) is not None
        if not session.world.files.exists(source):
            call.complain(NO_FILE)
            return 1
        goal = paths.join(target, paths.name(source)) if session.world.files.folder(target) else target
        if session.world.files.file(goal) is not None and not is_folder and "/y" not in switches:
            call.say(f"Overwrite {goal}? (Yes/No/All): ")
            return 1
        code = (0 if is_folder else _replace(call, goal)) or session.files.rename(source, goal)
        if code:
            call.complain(DENIED if code == codes.EXISTS else refusal(code))
            return 1
        moved, noun = moved + 1, "dir(s)" if is_folder else "file(s)"
    call.say(f"{moved:>9} {noun} moved.")
    return 0


def rename(call: Call) -> int:
    """Renames a file or folder in its own folder."""
    operands, _ = _split(call)
    if len(operands) != 2 or "\\" in operands[1] or ":" in operands[1]:
        call.complain(SYNTAX)
        return 1
    source = call.session.resolve(operands[0])
    code = call.session.files.rename(source, paths.join(paths.parent(source), operands[1]))
    if code in (codes.EXISTS, codes.NOT_THERE):
        missing = code == codes.NOT_THERE
        text = NO_FILE if missing else "A duplicate file name exists, or the file\r\ncannot be found."
        call.complain(text)
    elif code:
        call.complain(refusal(code))
    return 1 if code else 0


def directory(call: Call) -> int:
    """Lists a folder: with /b names only, else with sizes, times and totals."""
    operands, switches = _split(call)
    session = call.session
    asked = session.resolve(operands[0] if operands else session.folder)
    whole = session.world.files.folder(asked) is not None
    place = asked if whole else paths.parent(asked)
    code, folder = session.files.folder(place)
    if folder is None:
        call.complain("File Not Found" if code == codes.NOT_THERE else DENIED)
        return 1
    wanted = "*" if whole or paths.name(asked) == "*.*" else fold(paths.name(asked)).replace("[", "[[]")
    folders = [item for item in folder.folders.values() if fnmatchcase(fold(item.name), wanted)]
    files = [item for item in folder.files.values() if fnmatchcase(fold(item.name), wanted)]
    if not folders and not files and not whole:
        call.complain("File Not Found")
        return 1
    if "/b" in switches:
        for name in sorted([item.name for item in folders] + [item.name for item in files], key=fold):
            call.say(name)
        return 0
    call.say(f" Directory of {place}\r\n")
    for item in sorted(folders, key=lambda item: fold(item.name)):
        call.say(f"{item.modified:%m/%d/%Y  %I:%M %p}    <DIR>          {item.name}")
    for file in sorted(files, key=lambda item: fold(item.name)):
        call.say(f"{file.modified:%m/%d/%Y  %I:%M %p} {file.size:>17,} {file.name}")
    call.say(f"{len(files):>16} File(s) {sum(file.size for file in files):>14,} bytes")
    call.say(f"{len(folders):>16} Dir(s)")
    return 0


def change_folder(call: Call) -> int:
    """Goes to another folder, or prints the current one."""
    text = call.tail.strip()
    if text.lower().startswith("/d"):
        text = text[2:].strip()
    if not text:
        call.say(call.session.folder)
        return 0
    path = call.session.resolve(text.strip('"'))
    code, folder = call.session.files.folder(path)
    if folder is None:
        call.complain(NO_PATH if code == codes.NOT_THERE else DENIED)
        return 1
    call.session.folder = call.session.world.files.real_path(path)
    return 0


def version(call: Call) -> int:
    """Prints which Windows it is."""
    profile = call.session.world.profile
    name = "Windows NT" if profile.release < (5, 0) else "Windows 2000" if profile.release == (5, 0) else "Windows"
    call.say(f"\r\nMicrosoft {name} [Version {profile.version}]")
    return 0


def set_variable(call: Call) -> int:
    """Sets a variable, or prints those that begin with a text."""
    text = call.tail.strip()
    if text.startswith('"') and text.endswith('"') and len(text) > 1:
        text = text[1:-1]
    name, equals, value = text.partition("=")
    variables = call.session.variables
    if equals:
        variables.pop(fold(name), None)
        if value:
            variables[fold(name)] = (name, value)
        return 0
    found = sorted(item for key, item in variables.items() if key.startswith(fold(name)))
    for held, content in found:
        call.say(f"{held}={content}")
    if not found:
        call.complain(f"Environment variable {name} not defined")
    return 0 if found else 1


def leave(call: Call) -> int:
    """Ends the line, with a code if one is given."""
    numbers = [item for item in words(call.tail) if item.lower() != "/b"]
    code = numbers[0] if numbers else str(call.session.error_level)
    raise Exit(int(code) if code.lstrip("-").isdigit() and len(code) < 11 else 0)


def nothing(call: Call) -> int:
    """A remark, or a command whose effect cannot be seen here."""
    del call
    return 0


BUILTINS: dict[str, Program] = {
    "cd": change_folder,
    "chdir": change_folder,
    "cls": nothing,
    "copy": copy,
    "del": delete,
    "dir": directory,
    "echo": echo,
    "erase": delete,
    "exit": leave,
    "md": mkdir,
    "mkdir": mkdir,
    "move": move,
    "rd": rmdir,
    "rem": nothing,
    "ren": rename,
    "rename": rename,
    "rmdir": rmdir,
    "set": set_variable,
    "setlocal": nothing,
    "title": nothing,
    "type": type_file,
    "ver": version,
}
