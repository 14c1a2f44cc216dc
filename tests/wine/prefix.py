"""A Windows of one's own: Wine installed where that may be done, the programs compiled, a prefix booted and ended again."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tests.debian import install
from tests.wine.agent import HKCU, REG_SZ, Agent, Value, sz

PACKAGES = ("wine", "wine64", "gcc-mingw-w64-x86-64")
BOOT_SECONDS = 90
HERE = Path(__file__).parent
# Wine would rather run its own certutil.exe, which does nothing.
_OURS = {"WINEDLLOVERRIDES": "certutil.exe=n", "LANG": "C.UTF-8"}
_COMPILER, _RESOURCES = "x86_64-w64-mingw32-gcc", "x86_64-w64-mingw32-windres"
_SOURCES = {"agent": ("-lversion",), "service": ("-mwindows",), "certutil": ("-lcrypt32", "-ladvapi32")}


class Unavailable(Exception):
    """No Windows can be had here: why."""


def provide_tools() -> None:
    """Have Wine and the compiler, by apt-get where this account may. Raises Unavailable."""
    if _tools_are_there():
        return
    if os.environ.get("CONVERGE_TEST_INSTALL", "1") == "0":
        raise Unavailable("Wine and MinGW are not installed, and CONVERGE_TEST_INSTALL=0 forbids to install them")
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Unavailable(f"Wine and MinGW are not installed: as root, apt-get install {' '.join(PACKAGES)}")
    try:
        install(*PACKAGES)
    except (subprocess.SubprocessError, OSError) as error:
        raise Unavailable(f"Wine and MinGW cannot be installed: {error}") from error
    if not _tools_are_there():
        raise Unavailable("apt-get brought no Wine")


def _tools_are_there() -> bool:
    return all(shutil.which(program) for program in ("wine", "wineserver", _COMPILER, _RESOURCES))


def _quietly(command: list[str], *, seconds: float, environment: Mapping[str, str]) -> None:
    subprocess.run(
        command,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=seconds,
        check=True,
    )


def compiled(name: str, cache: Path) -> Path:
    """One of the programs, compiled unless the cache holds it of this very source. Raises Unavailable."""
    source = HERE / f"{name}.c"
    program = cache / f"{name}-{sha256(source.read_bytes()).hexdigest()[:16]}.exe"
    if not program.exists():
        flags = ["-municode", "-O1", "-s", "-Wall", "-Wextra", "-Werror"]
        _built([_COMPILER, *flags, str(source), *_SOURCES[name]], program)
    return program


def _built(command: list[str], program: Path) -> None:
    # Renamed into place, so that a broken-off build leaves nothing.
    part = program.with_suffix(f".{os.getpid()}")
    try:
        _quietly([*command, "-o", str(part)], seconds=60, environment={})
    except (subprocess.SubprocessError, OSError) as error:
        raise Unavailable(f"{program.name} cannot be compiled: {error}") from error
    part.replace(program)


def library(version: str, cache: Path) -> bytes:
    """A DLL that holds nothing but its version, such as 5.5.1774.1. Raises Unavailable."""
    program = cache / f"versioned-{version}.dll"
    if not program.exists():
        numbers = version.replace(".", ",")
        mine = f"{version}.{os.getpid()}"  # another process may be at the same
        script, resources = cache / f"{mine}.rc", cache / f"{mine}.o"
        script.write_text(f"1 VERSIONINFO FILEVERSION {numbers} PRODUCTVERSION {numbers} BEGIN END\n")
        _built([_RESOURCES, str(script)], resources)
        _built([_COMPILER, "-shared", "-nostdlib", "-s", str(resources)], program)
    return program.read_bytes()


@dataclass(frozen=True)
class Prefix:
    """A booted Wine prefix."""

    folder: Path
    agent_program: Path

    @property
    def environment(self) -> dict[str, str]:
        """What its programs are run with."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL") if name in os.environ}
        return {**kept, "WINEPREFIX": str(self.folder), "WINEARCH": "win64", "WINEDEBUG": "-all", **_OURS}

    def new_agent(self) -> Agent:
        """Another agent in it."""
        return Agent(self.agent_program, self.environment)

    def map_drive(self, letter: str, folder: Path) -> None:
        """Let a folder be a drive."""
        folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "dosdevices" / f"{letter.lower()}:").symlink_to(folder)

    def end(self) -> None:
        """End everything that runs in it, and nothing else."""
        subprocess.run(["wineserver", "-k"], env=self.environment, timeout=30, check=False, capture_output=True)


def boot(folder: Path, cache: Path) -> Prefix:
    """A fresh Windows in a folder. Raises Unavailable."""
    prefix = Prefix(folder, compiled("agent", cache))
    try:
        _quietly(["wineboot", "-i"], seconds=BOOT_SECONDS, environment=prefix.environment)
        # To its very end: what starts while a session ends finds a service manager that goes away.
        _quietly(["wineserver", "-w"], seconds=BOOT_SECONDS, environment=prefix.environment)
    except (subprocess.SubprocessError, OSError) as error:
        raise Unavailable(f"Wine does not boot: {error}") from error
    shutil.copy(compiled("certutil", cache), folder / "drive_c/windows/system32/certutil.exe")
    return prefix


def be_windows_10(agent: Agent) -> None:
    """Have later programs see the version whose WinRM answers in the forms of stack 3.0, as the host does."""
    agent.make_key(HKCU, r"Software\Wine")
    agent.set_value(HKCU, r"Software\Wine", Value("Version", REG_SZ, sz("win10")))


def dword(number: int) -> bytes:
    """The data of a dword value."""
    return struct.pack("<I", number)
