"""Undo on a real registry, service manager and file system: every value, type and file is as it was, byte for byte.

The world is read through Wine itself: the files of the prefix on the disk of this machine, and `wine reg export`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.wine.agent import (
    HKLM,
    REG_BINARY,
    REG_DWORD,
    REG_EXPAND_SZ,
    REG_MULTI_SZ,
    REG_QWORD,
    REG_SZ,
    Agent,
    Value,
    multi_sz,
    sz,
)
from tests.wine.bench import PROGRAM, Bench
from tests.wine.conftest import Converge, Result
from tests.wine.prefix import Prefix
from tests.wine.services import RUNNING, STOPPED

from converge.model.facts import KeyContents, NamedValue
from converge.model.journal import RegistrySnapshot
from converge.model.registry import Hive, RegistryData, RegistryPath, RegistryType
from converge.windows import reg_file

QUIET_SECONDS = 3.0  # what was sent just before the sender was killed begins only then
OURS = (".converge-", "converge-20")
BYTES = bytes(range(256)) * 5

# name, as it was (None: not there), as a playbook wants it
VALUES: list[tuple[str, tuple[int, bytes] | None, str]] = [
    ("Text", (REG_SZ, sz("""it's "q" & <t> %d ^ Käse 日本 🧀""")), "type: string, data: other"),
    ("Empty text", (REG_SZ, sz("")), "type: string, data: filled"),
    ("Raw", (REG_EXPAND_SZ, sz(r"%SystemRoot%\x;%NoSuchThing%")), r"type: expand_string, data: 'C:\windows\x'"),
    ("Expanding text", (REG_EXPAND_SZ, sz(r"%windir%\y")), "type: string, data: plain"),
    ("Number", (REG_DWORD, b"\xff\xff\xff\xff"), "type: dword, data: 0"),
    ("Zero", (REG_DWORD, bytes(4)), "type: qword, data: 1"),
    ("Large", (REG_QWORD, b"\x01" + b"\xff" * 7), "type: qword, data: 0"),
    ("List", (REG_MULTI_SZ, multi_sz(["one", "zwei ü", "drei 日本"])), "type: multi_string, data: [one]"),
    ("No entries", (REG_MULTI_SZ, multi_sz([])), "type: multi_string, data: [x]"),
    ("Octets", (REG_BINARY, b"\x00\xff\x7f\x80"), "type: binary, data: '00'"),
    ("Many octets", (REG_BINARY, BYTES), "ensure: absent"),
    ("No octets", (REG_BINARY, b""), "type: binary, data: 'ff'"),
    (r"back\slash [*] / ä", (REG_SZ, sz("x")), "ensure: absent"),
    ("", (REG_SZ, sz("the default")), "type: string, data: another"),
    ("New", None, "type: dword, data: 7"),
    ("New list", None, "type: multi_string, data: []"),
]


@dataclass(frozen=True)
class World:
    """What Wine itself tells of the prefix."""

    prefix: Prefix

    def registry(self, key: str) -> str:
        """All that lies in a key, as Wine's own reg.exe exports it."""
        made = self.prefix.folder / "drive_c" / "exported.reg"
        made.unlink(missing_ok=True)
        words = ["wine", "reg", "export", rf"HKLM\{key}", r"C:\exported.reg", "/y", "/reg:64"]
        subprocess.run(words, env=self.prefix.environment, capture_output=True, timeout=300, check=True)
        return made.read_bytes().decode("utf-16")

    def import_file(self, path: Path) -> None:
        """Have Wine's regedit take a .reg file in."""
        (self.prefix.folder / "drive_c" / "import.reg").write_bytes(path.read_bytes())
        words = ["wine", "regedit", "/S", r"C:\import.reg"]
        subprocess.run(words, env=self.prefix.environment, capture_output=True, timeout=300, check=True)

    def folder(self, path: str) -> Path:
        """A folder of the drive C: on this machine's disk."""
        return self.prefix.folder / "drive_c" / path.removeprefix("C:\\").replace("\\", "/")

    def files(self, path: str, *, ours: bool = False) -> dict[str, bytes | None]:
        """Every file below a folder with its bytes, and every folder; of what converge keeps only with `ours`."""
        root = self.folder(path)
        found = {str(item.relative_to(root)): item for item in sorted(root.rglob("*"))}
        return {
            name: None if item.is_dir() else item.read_bytes()
            for name, item in found.items()
            if ours or not any(mark in name for mark in OURS)
        }


@pytest.fixture
def world(prefix: Prefix, windows: Agent) -> World:
    """The prefix, kept running by `windows`."""
    del windows
    return World(prefix)


@pytest.fixture
def key(windows: Agent, tmp_path: Path) -> str:
    """A key that holds a value of every type, and keys below it."""
    path = rf"SOFTWARE\Witness\Undo-{tmp_path.name}"
    windows.make_key(HKLM, path)
    for name, was, _ in VALUES:
        if was is not None:
            windows.set_value(HKLM, path, Value(name, *was))
    for below in (r"old\deep [x]\日本", r"old\other", "empty"):
        windows.make_key(HKLM, rf"{path}\{below}")
        windows.set_value(HKLM, rf"{path}\old", Value("v", REG_EXPAND_SZ, sz("%a%")))
    windows.set_value(HKLM, rf"{path}\old\deep [x]\日本", Value("", REG_SZ, sz("alone")))
    return path


def registry_entries(key: str) -> str:
    entries = [f"    - registry_value: {{key: 'HKLM\\{key}', name: '{name}', {wish}}}" for name, _, wish in VALUES]
    entries += [
        f"    - registry_key: {{key: 'HKLM\\{key}\\old', ensure: absent, recursive: true}}",
        f"    - registry_key: {{key: 'HKLM\\{key}\\empty', ensure: absent}}",
        f"    - registry_key: {{key: 'HKLM\\{key}\\new [1]*\\ü'}}",
        f"    - registry_value: {{key: 'HKLM\\{key}\\made\\on the way', name: v, type: qword, data: 1}}",
    ]
    return "\n".join(entries) + "\n"


def play(entries: str) -> str:
    return f"- name: undo\n  hosts: all\n  resources:\n{entries}"


def done(result: Result) -> Result:
    assert result.exit_code == 0, result.text + result.complaint
    assert result.of("failed") == result.of("undecided") == [], result.text
    return result


def test_every_value_and_key_is_as_it_was(converge: Converge, world: World, key: str) -> None:
    before = world.registry(key)
    wanted = play(registry_entries(key))
    done(converge.apply(wanted))
    after = world.registry(key)
    assert after != before
    (applied,) = converge.runs

    done(converge.undo(applied))
    assert world.registry(key) == before

    # The undo taken back, and that taken back in turn.
    done(converge.undo(converge.runs[-1]))
    assert world.registry(key) == after
    assert converge.check(wanted).of("changed") == []
    done(converge.undo(converge.runs[-1]))
    assert world.registry(key) == before


def test_the_backup_is_taken_in_by_regedit_and_restores_every_value(
    converge: Converge, world: World, key: str, windows: Agent
) -> None:
    held = {value.name: value for value in windows.values(HKLM, key)}
    done(converge.apply(play(registry_entries(key))))
    # The first holds every key that was foreseen; the others tell that keys made on the way were not there.
    backup = min((converge.folder / ".converge" / "runs").rglob("*.reg"), key=lambda path: path.stat().st_mtime_ns)
    assert backup.read_bytes().startswith(b"\xff\xfe" + "Windows Registry Editor Version 5.00\r\n".encode("utf-16-le"))
    world.import_file(backup)
    assert {value.name: value for value in windows.values(HKLM, key) if value.name in held} == held
    assert windows.values(HKLM, rf"{key}\old\deep [x]\日本") == [Value("", REG_SZ, sz("alone"))]
    assert windows.values(HKLM, rf"{key}\old") == [Value("v", REG_EXPAND_SZ, sz("%a%"))]


@pytest.mark.parametrize("version", ["4.0.1381", "5.2.3790"])
def test_regedit_reads_both_forms_of_the_file(world: World, windows: Agent, tmp_path: Path, version: str) -> None:
    """For NT 4.0 REGEDIT4 in the ANSI code page: what it cannot spell is beyond it, and not in this file."""
    path = rf"SOFTWARE\Witness\Form-{version}"
    windows.make_key(HKLM, path)
    root = RegistryPath(Hive.LOCAL_MACHINE, path)
    values: list[tuple[str, RegistryType, Any, int, bytes]] = [
        ("text", RegistryType.STRING, 'a "q" \\ ü', REG_SZ, sz('a "q" \\ ü')),
        ("", RegistryType.STRING, "default", REG_SZ, sz("default")),
        ("lines", RegistryType.STRING, "a\r\nb", REG_SZ, sz("a\r\nb")),
        ("path", RegistryType.EXPAND_STRING, "%a%\\ü", REG_EXPAND_SZ, sz("%a%\\ü")),
        ("list", RegistryType.MULTI_STRING, ("one", "zwei ü"), REG_MULTI_SZ, multi_sz(["one", "zwei ü"])),
        ("none", RegistryType.MULTI_STRING, (), REG_MULTI_SZ, multi_sz([])),
        ("number", RegistryType.DWORD, 0xFFFFFFFF, REG_DWORD, b"\xff" * 4),
        ("large", RegistryType.QWORD, 2**63, REG_QWORD, (2**63).to_bytes(8, "little")),
        ("octets", RegistryType.BINARY, BYTES, REG_BINARY, BYTES),
        ("no octets", RegistryType.BINARY, b"", REG_BINARY, b""),
        ("no text", RegistryType.STRING, "", REG_SZ, sz("")),
        (r'odd "name" \ [x] = ;', RegistryType.DWORD, 1, REG_DWORD, b"\1\0\0\0"),
    ]
    snapshot = RegistrySnapshot(
        ((root, KeyContents((), tuple((name, kind) for name, kind, *_ in values))),),
        tuple(NamedValue(root, name, RegistryData(kind, data)) for name, kind, data, *_ in values),
        version,
    )
    file = tmp_path / "form.reg"
    file.write_bytes(reg_file.render(snapshot))
    world.import_file(file)
    held = {value.name: (value.kind, value.data) for value in windows.values(HKLM, path)}
    assert held == {name: (kind, data) for name, _, _, kind, data in values}


@pytest.fixture
def folder(windows: Agent, tmp_path: Path) -> str:
    """A folder with files of every kind."""
    path = rf"C:\Zurück {tmp_path.name}"
    windows.make_folder(path)
    for below in ("full", r"full\deep ü", "empty", "new"):
        windows.make_folder(rf"{path}\{below}")
    for name, data in {
        "all bytes.bin": BYTES * 40,
        "nothing.txt": b"",
        "it's [1] & ü 日本.txt": b"\r\n\x1a\0",
        "gone.dll": BYTES,
        r"full\a.txt": b"a",
        r"full\deep ü\b.bin": BYTES,
        r"new\offered.bin": b"offered" * 1000,
    }.items():
        windows.write_file(rf"{path}\{name}", data)
    return path


def file_entries(folder: str) -> str:
    return rf"""
    - file: {{path: '{folder}\all bytes.bin', copy_from: '{folder}\new\offered.bin'}}
    - file: {{path: '{folder}\nothing.txt', content: something}}
    - file: {{path: '{folder}\it''s [1] & ü 日本.txt', source: brought.bin}}
    - file: {{path: '{folder}\gone.dll', ensure: absent}}
    - file: {{path: '{folder}\made.bin', copy_from: '{folder}\new\offered.bin'}}
    - directory: {{path: '{folder}\full', ensure: absent, recursive: true}}
    - directory: {{path: '{folder}\empty', ensure: absent}}
    - directory: {{path: '{folder}\made\deep & down'}}
    - file: {{path: '{folder}\made\deep & down\x.txt', content: 'ä'}}
"""


OTHER_FOLDERS = (
    r"C:\kept by converge",
    r"\kept too",
)  # only named otherwise: the way back and forth is gone with the others


@pytest.mark.parametrize("kept_in", ["", *OTHER_FOLDERS, r"D:\another drive"])
def test_every_file_and_folder_is_as_it_was(
    converge: Converge, world: World, folder: str, windows: Agent, kept_in: str
) -> None:
    if kept_in:
        converge.variables["converge_backup_directory"] = kept_in
    (converge.folder / "brought.bin").write_bytes(BYTES)
    before = world.files(folder)
    written = windows.stat(rf"{folder}\all bytes.bin").written
    wanted = play(file_entries(folder))
    done(converge.apply(wanted))
    after = world.files(folder)
    (applied,) = converge.runs
    assert after != before
    assert after["made/deep & down/x.txt"] == "ä".encode()
    assert_manifests_are_true(world, "C:\\", applied, kept=5)

    done(converge.undo(applied))
    assert world.files(folder) == before
    assert windows.stat(rf"{folder}\all bytes.bin").written == written
    assert manifests(world, "C:\\", applied) == []
    if kept_in in OTHER_FOLDERS:
        return

    done(converge.undo(converge.runs[-1]))
    assert world.files(folder) == after
    assert converge.check(wanted).of("changed") == []
    done(converge.undo(converge.runs[-1]))
    assert world.files(folder) == before


def manifests(world: World, path: str, run: str) -> list[Path]:
    root = world.folder(path)
    return [item for item in root.rglob(f"converge-{run}*.json") if "windows" not in item.relative_to(root).parts[:1]]


def assert_manifests_are_true(world: World, path: str, run: str, *, kept: int) -> None:
    """Each thing that a manifest names lies where it says, and as many were kept."""
    named: list[dict[str, Any]] = []
    for item in manifests(world, path, run):
        told = json.loads(item.read_text(encoding="utf-8"))
        assert (told["run"], told["manifest"], told["host"]) == (run, 1, "wine")
        named += told["kept"]
    assert len(named) == kept
    for thing in named:
        at = world.folder(thing["kept"])
        assert at.is_dir() if thing["kind"] == "folder" else at.stat().st_size == thing.get("size", at.stat().st_size)


def test_services_are_as_they_were(converge: Converge, world: World, bench: Bench) -> None:
    bench.add("UndoStopped")
    bench.add("UndoRunning", running=True, start=2)
    bench.add("UndoBarred", start=4)
    bench.add("UndoMoved", program=rf'"{PROGRAM}" /old')
    names = ("UndoStopped", "UndoRunning", "UndoBarred", "UndoMoved")

    def seen() -> Any:
        keys = [world.registry(rf"SYSTEM\CurrentControlSet\Services\{name}") for name in names]
        rows = [bench.windows.service(name) for name in names]
        return keys, [(row.state, row.start, row.path, row.display, row.dependencies) for row in rows]

    before = seen()
    wanted = play(
        rf"""
    - service: {{name: UndoStopped, running: true, start_mode: automatic, settle: 0}}
    - service: {{name: UndoRunning, running: false, start_mode: disabled}}
    - service: {{name: UndoBarred, running: true, start_mode: manual, settle: 0}}
    - service: {{name: UndoMoved, image_path: '"{PROGRAM}" /new'}}
"""
    )
    done(converge.apply(wanted))
    after = seen()
    assert [row[0] for row in after[1]] == [RUNNING, STOPPED, RUNNING, STOPPED]
    assert after[1][3][2].endswith("/new")

    done(converge.undo(converge.runs[0]))
    assert seen() == before
    done(converge.undo(converge.runs[-1]))
    assert seen() == after
    done(converge.undo(converge.runs[-1]))
    assert seen() == before


@pytest.mark.parametrize(
    ("kept_in", "kills"), [("", ((2, False), (7, True), (16, False))), (r"C:\kept when killed", ((7, True),))]
)
def test_an_apply_that_is_killed_can_be_taken_back(
    converge: Converge,
    world: World,
    windows: Agent,
    folder: str,
    key: str,
    kept_in: str,
    kills: tuple[tuple[int, bool], ...],
) -> None:
    """The program is killed at several of its writes; undo, or another run and undo of both, gives the same world."""
    if kept_in:
        converge.variables["converge_backup_directory"] = kept_in
    (converge.folder / "brought.bin").write_bytes(BYTES)
    before = world.files(folder), world.registry(key)
    wanted = play(file_entries(folder) + registry_entries(key))
    known: list[str] = []
    for number, again in kills:
        killed_after(converge, wanted, writes=number)
        until_quiet(windows)
        (broken,) = [run for run in converge.runs if run not in known]
        if again:
            done(converge.apply(wanted))
            done(converge.undo(converge.runs[-1]))
        undone = converge.undo(broken)
        assert undone.exit_code == 0, undone.text + undone.complaint
        assert (world.files(folder), world.registry(key)) == before, number
        assert manifests(world, "C:\\", broken) == [], (number, undone.text)
        known = converge.runs


def until_quiet(windows: Agent) -> None:
    """Until the host has ended the commands that it was still carrying out."""
    ends, quiet_since = time.monotonic() + 300, time.monotonic()
    while time.monotonic() - quiet_since < QUIET_SECONDS:
        assert time.monotonic() < ends, "a command of the killed run does not end"
        time.sleep(0.1)
        if any(process.image.lower() in ("cmd.exe", "certutil.exe") for process in windows.processes()):
            quiet_since = time.monotonic()


def killed_after(converge: Converge, wanted: str, *, writes: int) -> None:
    """SIGKILL once the host has been sent so many requests that change it."""
    begun = len(converge.host.log)
    ends = time.monotonic() + 300
    with converge.started(wanted, "--yes", "--format", "json") as process:
        while sum(not request.reads for request in converge.host.log[begun:]) < writes:
            assert process.poll() is None, "it ended before it was killed"
            assert time.monotonic() < ends, "it wrote too little"
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=300)
