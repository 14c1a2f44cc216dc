"""Runs command lines on a world, as cmd.exe would for an account, and single programs, as WinRS does without cmd.

WinRS hands a line to cmd as `cmd /c "LINE"`, so that cmd takes off those outer quotes and no others. That a program which
is not found ends with exit code 1 was recorded over WinRS; in batch files it is 9009.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from converge.lab import file_system as codes
from converge.lab.shell.grammar import (
    CommandChain,
    CommandGroup,
    Counting,
    If,
    LineRefused,
    Node,
    Redirect,
    Simple,
    expand_variables,
    parse,
    split_arguments,
)
from converge.lab.shell.inner_commands import BUILTINS, NO_FILE, Exit, refusal
from converge.lab.shell.programs import find_program
from converge.lab.shell.session import Call, OutputSink, ShellSession
from converge.lab.world import LabAccount, World

_MAX_NESTING = 16  # of cmd within cmd
_MAX_COUNTED = 100_000
_PREFIXED = ("echo", "cd", "chdir", "md", "mkdir", "rd", "rmdir", "dir", "del", "type", "set")


@dataclass(frozen=True, slots=True)
class ShellResult:
    """What a command line has brought: its output in the console's code page, and its exit code."""

    stdout: bytes
    stderr: bytes
    exit_code: int


def run_command_line(
    world: World,
    line: str,
    *,
    account: LabAccount | None = None,
    code_page: int | None = None,
    folder: str = "",
    stdin: bytes = b"",
) -> ShellResult:
    """Run a line of cmd to its end. Without a code page, in the machine's OEM code page."""
    session = ShellSession.begin(world, account=account, code_page=code_page, folder=folder)
    out, err = OutputSink(), OutputSink()
    code = _run_line(session, line, _Streams(stdin, out, err), nesting=0)
    return ShellResult(bytes(out.data), bytes(err.data), code & 0xFFFFFFFF)


def run_arguments(
    world: World,
    command: str,
    arguments: Sequence[str],
    *,
    account: LabAccount | None = None,
    code_page: int | None = None,
    folder: str = "",
    stdin: bytes = b"",
    through_cmd: bool = True,
) -> ShellResult:
    """Run a command with arguments as WinRS gets them: joined by blanks and handed to cmd, or without cmd.

    `through_cmd` is false under WINRS_SKIP_CMD_SHELL: no grammar, no inner commands; a program that is not there is exit
    code 2, the error of CreateProcess ([MS-WSMV] 2.2.4.7 and 3.1.4.11 leave the code open).
    """
    line = " ".join((command, *arguments))
    if through_cmd:
        return run_command_line(world, line, account=account, code_page=code_page, folder=folder, stdin=stdin)
    session = ShellSession.begin(world, account=account, code_page=code_page, folder=folder)
    out, err = OutputSink(), OutputSink()
    name, tail = _split_name(line)
    program = find_program(session, name)
    call = Call(session, name, tail, stdin, out, err)
    if program is None:
        call.complain(NO_FILE)
    code = 2 if program is None else program(call)
    return ShellResult(bytes(out.data), bytes(err.data), code & 0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class _Streams:
    stdin: bytes
    out: OutputSink
    err: OutputSink


def _run_line(session: ShellSession, line: str, streams: _Streams, *, nesting: int) -> int:
    try:
        node = parse(expand_variables(line, session.variable))
        return _run(session, node, streams, nesting=nesting) if node else 0
    except LineRefused as error:
        streams.err.write(session.encode(f"{error}\r\n"))
        return 1
    except Exit as end:
        return end.code


def _run(session: ShellSession, node: Node, streams: _Streams, *, nesting: int) -> int:
    match node:
        case CommandChain():
            code = _run_chain(session, node, streams, nesting=nesting)
        case If():
            chosen = node.then if _holds(session, node) != node.negated else node.otherwise
            code = _run(session, chosen, streams, nesting=nesting) if chosen else 0
        case Counting():
            code = _counted(session, node, streams, nesting=nesting)
        case CommandGroup():
            code = _redirected(session, node, streams, node.redirects, nesting=nesting)
        case Simple():
            code = _redirected(session, node, streams, node.redirects, nesting=nesting)
    session.error_level = code
    return code


def _run_chain(session: ShellSession, chain: CommandChain, streams: _Streams, *, nesting: int) -> int:
    if chain.operator == "|":
        between = OutputSink()
        _run_apart(session, chain.left, _Streams(streams.stdin, between, streams.err), nesting=nesting)
        return _run_apart(
            session, chain.right, _Streams(bytes(between.data), streams.out, streams.err), nesting=nesting
        )
    code = _run(session, chain.left, streams, nesting=nesting)
    if (chain.operator == "&&" and code) or (chain.operator == "||" and not code):
        return code
    return _run(session, chain.right, streams, nesting=nesting)


def _counted(session: ShellSession, counting: Counting, streams: _Streams, *, nesting: int) -> int:
    """Each number in its turn. No simulated host counts for ever: a line runs so many commands, and no more."""
    for number in counting.numbers:
        session.counted += 1
        if session.counted > _MAX_COUNTED:
            break
        node = parse(counting.text.replace(f"%{counting.name}", str(number)))
        if node is not None:
            session.error_level = _run(session, node, streams, nesting=nesting)
    return session.error_level


def _run_apart(session: ShellSession, node: Node, streams: _Streams, *, nesting: int) -> int:
    """One side of a pipe runs in a cmd of its own: what it sets does not last."""
    apart = replace(session, variables=dict(session.variables))
    try:
        return _run(apart, node, streams, nesting=nesting)
    except Exit as end:
        return end.code


def _holds(session: ShellSession, test: If) -> bool:
    kind, *operands = test.words
    if kind == "exist":
        path = session.resolve(operands[0].strip('"').removesuffix("\\*").removesuffix("\\."))
        return session.files.file(path)[1] is not None or session.files.folder(path)[1] is not None
    if kind == "defined":
        return session.variable(operands[0]) is not None
    if kind == "errorlevel":
        return operands[0].isdigit() and session.error_level >= int(operands[0])
    left, right = operands
    return left.lower() == right.lower() if test.any_case else left == right


def _redirected(
    session: ShellSession, node: Simple | CommandGroup, streams: _Streams, redirects: tuple[Redirect, ...], *, nesting: int
) -> int:
    handles: dict[int, OutputSink] = {1: streams.out, 2: streams.err}
    stdin = streams.stdin
    written: list[tuple[OutputSink, str, bool]] = []
    for redirect in redirects:
        if redirect.duplicates is not None:
            handles[redirect.handle] = handles.get(redirect.duplicates, OutputSink())
        elif redirect.mode == "<":
            code, file = session.files.file(session.resolve(redirect.target))
            if file is None:
                streams.err.write(session.encode((NO_FILE if code == codes.NOT_THERE else refusal(code)) + "\r\n"))
                return 1
            stdin = file.read()
        else:
            sink = handles[redirect.handle] = OutputSink()
            if redirect.target.lower() != "nul":
                path, append = session.resolve(redirect.target), redirect.mode == ">>"
                code = session.files.write(path, b"", append=append)
                if code:
                    streams.err.write(session.encode(refusal(code) + "\r\n"))
                    return 1
                written.append((sink, path, append))
    inner = _Streams(stdin, handles[1], handles[2])
    try:
        if isinstance(node, CommandGroup):
            return _run(session, node.body, inner, nesting=nesting)
        return _run_simple(session, node.text, inner, nesting=nesting)
    finally:
        for sink, path, append in written:
            session.files.write(path, bytes(sink.data), append=append)


def _run_simple(session: ShellSession, text: str, streams: _Streams, *, nesting: int) -> int:
    name, tail = _split_name(text)
    if not name:
        return 0
    if name[1:] == ":" and session.world.files.folder(name + "\\") is not None:
        session.folder = name.upper() + "\\"
        return 0
    key, glued = name.lower(), ""
    if key not in BUILTINS:
        key, glued = _prefix(name)
    call = Call(session, name, glued + tail, streams.stdin, streams.out, streams.err)
    if key in BUILTINS:
        return BUILTINS[key](call)
    if name.lower().rpartition("\\")[2].removesuffix(".exe") == "cmd":
        return _cmd(session, tail, streams, nesting=nesting)
    program = find_program(session, name)
    if program is not None:
        return program(call)
    if "\\" in name and session.world.files.holder(session.resolve(name)) is None:
        call.complain("The system cannot find the path specified.")
    else:
        call.complain(
            f"'{name}' is not recognized as an internal or external command,\r\noperable program or batch file."
        )
    return 1


def _split_name(text: str) -> tuple[str, str]:
    """The command's name, and all that follows it."""
    text = text.lstrip(" \t,;=@")
    if text.startswith('"'):
        name, _, tail = text[1:].partition('"')
        return name, tail
    end = next((index for index, character in enumerate(text) if character in " \t,;=/<>" and index), len(text))
    return text[:end], text[end:]


def _prefix(name: str) -> tuple[str, str]:
    """An inner command whose argument is glued to it: `cd\\`, `echo.`, `cd..`."""
    for builtin in _PREFIXED:
        rest = name[len(builtin) :]
        if name.lower().startswith(builtin) and rest[:1] in tuple('.\\:[]+"('):
            return builtin, rest
    return "", ""


def _cmd(session: ShellSession, tail: str, streams: _Streams, *, nesting: int) -> int:
    """`cmd [/s] /c LINE`. Outer quotes go unless the whole is one quoted name of a program (cmd /?)."""
    if nesting >= _MAX_NESTING:
        streams.err.write(session.encode("Not enough storage is available to process this command.\r\n"))
        return 1
    rest, keep = tail.strip(), True
    while rest[:2].lower() in ("/q", "/d", "/s", "/v", "/e", "/a", "/u"):
        keep = keep and rest[:2].lower() != "/s"
        rest = rest.partition(" ")[2].strip()
    if rest[:2].lower() not in ("/c", "/r", "/k"):
        return 0
    line = rest[2:].strip()
    plain = line.count('"') == 2 and not set("&<>()@^|") & set(line) and line.endswith('"')
    if line.startswith('"') and not (keep and plain and find_program(session, split_arguments(line)[0])):
        head, _, after = line[1:].rpartition('"')
        line = head + after if '"' in line[1:] else line[1:]
    inner = replace(session, variables=dict(session.variables))
    return _run_line(inner, line, streams, nesting=nesting + 1)
