"""Which programs a simulated Windows has, and the small ones. What has a file of its own here stands in that file.

Since when Windows ships a program: reg, sc and shutdown from XP and Server 2003 on, whoami and certutil from Server 2003 on,
sysocmgr from 2000 until Server 2003 (Vista has OCSetup instead). Resource Kits had some before: an image's `programs`
names those.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from converge.lab import components, service_manager
from converge.lab.effects import enact
from converge.lab.shell import certutil, reg, service_programs
from converge.lab.shell.grammar import split_arguments
from converge.lab.shell.session import Call, Program, ShellSession
from converge.lab.specs import Effects
from converge.lab.world import Right, World
from converge.model.names import same
from converge.windows import paths

_Release = tuple[int, int]
_ALWAYS: Final[tuple[_Release, _Release]] = ((0, 0), (99, 0))


def find_program(session: ShellSession, name: str) -> Program | None:
    """The program a name or path means to this session, or None where there is none."""
    if "\\" in name or "/" in name:
        path = session.resolve(name)
        stepped = _step_program(session, path)
        if stepped is not None:
            return stepped
        folder = paths.join(session.world.profile.system_root, "System32")
        return _shipped(session.world, paths.name(path)) if same(paths.parent(path), folder) else None
    return _shipped(session.world, name)


def has_program(world: World, name: str) -> bool:
    """Whether this Windows has one of the programs that are simulated here."""
    return _shipped(world, name) is not None


def _shipped(world: World, name: str) -> Program | None:
    key = name.lower().removesuffix(".exe").removesuffix(".com")
    entry = _PROGRAMS.get(key)
    profile = world.profile
    if entry is None or any(same(key, item) for item in profile.without_programs):
        return None
    program, (first, last) = entry
    added = any(same(key, item) for item in profile.programs)
    own_file = rf"{profile.system_root}\System32\{key}.exe"
    there = first <= profile.release <= last or added or world.files.file(own_file) is not None
    return program if there else None


def _step_program(session: ShellSession, path: str) -> Program | None:
    """A program on the disk whose effects an image's step describes, such as a product's Setup."""
    world = session.world
    if session.files.file(path)[1] is None:
        return None
    for step in world.steps.values():
        if step.program and same(world.expand(step.program), path):
            return partial(_run_step, effects=step.effects)
    return None


def _run_step(call: Call, *, effects: Effects) -> int:
    enact(call.session.world, effects)
    return 0


def hostname(call: Call) -> int:
    """Prints the computer's name."""
    call.say(call.session.world.profile.host_name)
    return 0


def whoami(call: Call) -> int:
    """Prints who runs the command, in lower case."""
    account = call.session.account
    name = account.name if account else r"NT AUTHORITY\SYSTEM"
    domain, _, user = name.rpartition("\\")
    call.say(f"{domain or call.session.world.profile.host_name}\\{user}".lower())
    return 0


def chcp(call: Call) -> int:
    """Prints or sets the console's code page."""
    asked = call.tail.strip()
    if asked:
        if not asked.isdigit() or len(asked) > 5:
            call.complain("Parameter format not correct - " + asked)
            return 1
        call.session.code_page = int(asked)
    call.say(f"Active code page: {call.session.code_page}")
    return 0


def shutdown(call: Call) -> int:
    """`shutdown /r` restarts Windows, at once whatever /t says; other uses are not simulated."""
    session = call.session
    switches = {item[1:].lower() for item in split_arguments(call.tail) if item[:1] in "/-"}
    if "r" not in switches:
        call.say("Usage: shutdown /r [/f] [/t SECONDS]")
        return 1
    if not session.world.permits(session.account, Right.RESTART):
        call.complain(f"{session.world.profile.host_name}: Access is denied.(5)")
        return 5
    service_manager.boot(session.world)
    return 0


def sysocmgr(call: Call) -> int:
    """Changes optional components by an answer file; says nothing, whatever comes of it."""
    session = call.session
    switches = {item[1:2].lower(): item[3:] for item in split_arguments(call.tail) if item[:1] in "/-"}
    _, inf = session.files.file(session.resolve(switches.get("i", "") or "."))
    _, answers = session.files.file(session.resolve(switches.get("u", "") or "."))
    allowed = session.account is None or session.account.administrator
    if inf is None or answers is None or not allowed:
        return 0
    data = answers.read()
    text = data[2:].decode("utf-16-le", "replace") if data.startswith(b"\xff\xfe") else data.decode("cp1252", "replace")
    components.change(session.world, components.read_answers(text), inf=session.resolve(switches["i"]))
    return 0


_PROGRAMS: dict[str, tuple[Program, tuple[_Release, _Release]]] = {
    "certutil": (certutil.certutil, ((5, 2), (99, 0))),
    "chcp": (chcp, _ALWAYS),
    "hostname": (hostname, _ALWAYS),
    "net": (service_programs.net, _ALWAYS),
    "reg": (reg.reg, ((5, 1), (99, 0))),
    "sc": (service_programs.sc, ((5, 1), (99, 0))),
    "shutdown": (shutdown, ((5, 1), (99, 0))),
    "sysocmgr": (sysocmgr, ((5, 0), (5, 2))),
    "whoami": (whoami, ((5, 2), (99, 0))),
}
