r"""Images: hand-written YAML files from which worlds are made.

A file `images/NAME.yml` is a mapping. Everything may carry `source:` (where the fact is known from); paths and keys are
written in plain or single quotes. `extends` takes another image and states only what differs.

    describe: Exchange 2000 whose SMTP has no entry in DispatchEntries
    article: Q277770
    source: KB 277770, "SYMPTOMS"
    extends: windows-2000-server            # profile fields, files, keys, services ... are merged over it
    profile:                                # specs.Profile; `host_name` is set by whoever makes the world
      caption: Microsoft Windows 2000 Server
      version: 5.0.2195
      service_pack: 4
      architecture: x86                     # x86 x64 ia64 alpha arm64
      system_root: 'C:\WINNT'
      winrm_stack: '2.0'                    # 1.1, 2.0 or 3.0; NT 4.0 and 2000 never had one: simulated all the same
      programs: [reg, certutil]             # beyond what this Windows ships
    quirks: {get_string_of_expandable: raw} # specs.Quirks: raw, expanded or error
    files:                                  # by folder; %SystemRoot% and friends are expanded
      '%SystemRoot%\System32\Inetsrv':
        inetinfo.exe: {size: 14608, version: 5.0.2195.2966, modified: 1999-12-07}
        smtpsvc.dll: 345360                 # a number is a size; content is made of name, version and size
        notes.txt: "a text is the text"     # also {text: ..., encoding: utf-16}, {hex: '00 ff'}
        locked.dll: {size: 1, in_use: true, deny: [read, write]}
        '\': {deny: [write]}                # the folder itself, and what lies below
      'D:\empty': {}
    registry:                               # by key; an entry is a value unless it begins or ends with a backslash
      'HKLM\SYSTEM\CurrentControlSet\Services\InetInfo\Parameters':
        DispatchEntries: [Ldapsvc, Smtpsvc] # list: multi_string, text: string, number: dword
        Path: {expand_string: '%SystemRoot%\x', source: KB 1}
        Big: {qword: 0xffffffffffffffff}    # also binary: '00 ff', dword_big_endian, none: '', link, resource_list ...
        Odd: {type: 77, hex: '01 02'}       # a type nobody knows
        '': the default value               # or (default)
        '\': {deny: [read], values: {'\a\b': a value whose name begins with a backslash}}
        '\Virtual Roots': {'/': 'C:\root'}  # a subkey
    services:                               # specs.ServiceSpec; also writes Services\NAME to the registry
      SMTPSVC:
        display_name: Simple Mail Transport Protocol (SMTP)
        image_path: '%SystemRoot%\System32\inetsrv\inetinfo.exe'     # or {string: ...}
        start: automatic                    # automatic manual disabled boot system
        state: stopped                      # stopped running paused: how it is now, whatever would happen on a start
        depends_on: [IISADMIN]
        shares_process: true                # one inetinfo.exe for all such services of that program
        needs_dispatch_entry: true          # else error 1083; the list is read when the process begins
        needs: [{file: '{image_directory}\smtpsvc.dll', exit_code: 2}]  # missing: event 7023 and that exit code
        dies: {after_seconds: 2, exit_code: 1066, specific_exit_code: 5}
        start_seconds: 0.2                  # how long it is pending; also stop_seconds, can_pause, can_stop, hangs
    components:                             # what sysocmgr knows; state lies under OC Manager\Subcomponents
      smtp:
        installed: true
        infs: [sysoc.inf]                   # the master INF files that know it
        needs: [iis_common]                 # goes when that goes, brings it when it comes
        remove: {remove_services: [SMTPSVC], remove_files: ['%SystemRoot%\System32\Inetsrv\smtpsvc.dll']}
        install:                            # the first variant whose `when` is met; any of the sections of Effects
          - when: [{file: '{source}\Ims.inf', sizes: [33535]}]
            services: {SMTPSVC: {...}}
          - services: {SMTPSVC: {...}}
    events:
      - {log: System, provider: Service Control Manager, id: 7000, type: error, minutes_ago: 30,
         strings: [SMTP, '%%1083'], message: 'The %1 service failed to start ...'}
    accounts:
      'LAB\deploy': {password: lab, denies: ['service_start:SMTPSVC', 'registry_read:HKLM\SECURITY', shells]}
    cim:                                    # namespaces this Windows has; root/MSCluster only from 6.0 on
      root/MSCluster:
        MSCluster_ResourceGroup: {key: Name, instances: [{Name: EVS1, State: 0}], methods: {Go: {return_value: 0}}}
    steps:                                  # what a person does in an operator step
      obtain-the-fix: {describe: ..., effects: {files: {...}, registry: {...}, services: {...}, start: [SMTPSVC]}}
    remove_services, remove_files, remove_keys, remove_values, remove_instances, stop, start: see specs.Effects

What is wrong with a file is told with file, line and column, all of it at once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from converge.errors import InputErrors, InputProblem
from converge.lab.effects import enact
from converge.lab.specs import AccountSpec, Effects, Profile, Quirks, StepSpec
from converge.lab.world import World, account_of
from converge.model.names import fold
from converge.model.registry import Hive, RegistryPath
from converge.reading.files import read_text
from converge.reading.problems import Problems, failure, problem
from converge.reading.tree import Listing, Node, Scalar, Table, place_at
from converge.reading.yaml import read_yaml

FOLDER = Path(__file__).parent / "images"
MAX_SIZE = 4 * 1024 * 1024  # bytes of one image file
_MAX_EXTENDS = 8
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CURRENT_VERSION = RegistryPath(Hive.LOCAL_MACHINE, r"SOFTWARE\Microsoft\Windows NT\CurrentVersion")
_SHELL = RegistryPath(Hive.LOCAL_MACHINE, r"SOFTWARE\Microsoft\Windows\CurrentVersion")
_ENVIRONMENT = RegistryPath(Hive.LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Control\Session Manager\Environment")


class ImageFile(Effects):
    """The contents of one image file."""

    describe: str = ""
    article: str = ""
    extends: str = ""
    base: bool = False  # only there to be extended: not listed
    profile: dict[str, Any] = Field(default_factory=dict)
    quirks: Quirks = Quirks()
    accounts: dict[str, AccountSpec] = Field(default_factory=dict)
    steps: dict[str, StepSpec] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImageSummary:
    """An image as lists show it."""

    name: str
    describe: str
    article: str


def list_images(folder: Path = FOLDER) -> list[ImageSummary]:
    """All images that stand for a host, by name. Raises InputErrors."""
    found = []
    for path in sorted(folder.glob("*.yml")):
        image = _parse(path).image
        if not image.base:
            found.append(ImageSummary(path.stem, image.describe, image.article))
    return found


def image_names(folder: Path = FOLDER) -> frozenset[str]:
    """The names of the images."""
    return frozenset(path.stem for path in folder.glob("*.yml"))


def load_image(name: str, *, host_name: str = "", folder: Path = FOLDER) -> World:
    """A new world from an image, under a host name if one is given. Raises InputErrors with file, line and column."""
    chain = _lineage(name, folder)
    world = World(profile=_profile(chain, host_name), image=name)
    _furnish(world)
    for document in chain:
        _enact(world, document)
    return world


@dataclass(frozen=True, slots=True)
class _Document:
    path: Path
    root: Table
    image: ImageFile

    def problem(self, location: Sequence[str | int], message: str) -> InputProblem:
        where = ".".join(str(part) for part in location)
        return problem(place_at(self.root, location), f"{where}: {message}" if where else message)


def _lineage(name: str, folder: Path) -> list[_Document]:
    chain: list[_Document] = []
    wanted = name
    while wanted:
        path = folder / f"{wanted}.yml"
        if not _NAME.fullmatch(wanted) or not path.is_file():
            known = ", ".join(sorted(item.stem for item in folder.glob("*.yml")))
            problem = InputProblem(str(path), 0, 0, f"there is no image {wanted!r}", expected=f"one of {known}")
            raise InputErrors([chain[-1].problem(("extends",), problem.message) if chain else problem])
        if len(chain) == _MAX_EXTENDS or any(item.path == path for item in chain):
            raise InputErrors([chain[-1].problem(("extends",), "images extend each other without end")])
        chain.append(_parse(path))
        wanted = chain[-1].image.extends
    return chain[::-1]


def _parse(path: Path) -> _Document:
    return _parse_at(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _parse_at(path: Path, _modified: int) -> _Document:
    problems = Problems()
    text = read_text(str(path), limit=MAX_SIZE, problems=problems)
    root = read_yaml(text, file=str(path), problems=problems) if text is not None else None
    problems.raise_if_any()
    assert root is not None  # else a problem was noted
    if not isinstance(root, Table):
        raise failure(root.position, "is not a mapping", expected="profile:, files:, registry:, ...")
    try:
        image = ImageFile.model_validate(_plain(root))
    except ValidationError as error:
        document = _Document(path, root, ImageFile.model_construct())
        raise InputErrors(
            [document.problem(item["loc"], _words(item["msg"], item.get("input"))) for item in error.errors()]
        ) from error
    return _Document(path, root, image)


def _words(message: str, found: object) -> str:
    text = message.removeprefix("Value error, ")
    return f"{text}, not {found!r}" if isinstance(found, int | float | bool) else text


def _plain(node: Node) -> Any:
    """The tree as plain values; names that look like numbers or truths stay the texts that they are."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Listing):
        return [_plain(item) for item in node.items]
    return {key: _plain(item) for key, item in node.items.items()}


def _profile(chain: Sequence[_Document], host_name: str) -> Profile:
    merged: dict[str, Any] = {}
    for document in chain:
        merged |= document.image.profile
    if host_name:
        merged["host_name"] = host_name
    try:
        return Profile.model_validate(merged)
    except ValidationError as error:
        problems = []
        for item in error.errors():
            field = item["loc"][0]
            stating = next((held for held in reversed(chain) if field in held.image.profile), chain[-1])
            problems.append(stating.problem(("profile", *item["loc"]), _words(item["msg"], item.get("input"))))
        raise InputErrors(problems) from error


def _furnish(world: World) -> None:
    """What every Windows has, whatever its image says."""
    profile = world.profile
    for folder in ("", r"\System32", r"\inf", r"\TEMP"):
        world.files.make_folder(profile.system_root + folder)
    shell = world.registry.create(_SHELL)
    for bits in ("", " (x86)") if profile.is_64_bit else ("",):
        programs = rf"{profile.system_root[:2]}\Program Files{bits}"
        for value, folder in (("ProgramFilesDir", programs), ("CommonFilesDir", rf"{programs}\Common Files")):
            world.files.make_folder(folder)
            shell.set(f"{value}{bits}", number=1, data=folder)
    key = world.registry.create(_CURRENT_VERSION)
    key.set("ProductName", number=1, data=profile.caption)
    key.set("CurrentVersion", number=1, data=".".join(str(part) for part in profile.release))
    key.set("CurrentBuildNumber", number=1, data=str(profile.build))
    key.set("SystemRoot", number=1, data=profile.system_root)
    variables = world.registry.create(_ENVIRONMENT)
    variables.set("ComSpec", number=2, data=r"%SystemRoot%\system32\cmd.exe")
    variables.set("windir", number=2, data="%SystemRoot%")
    if profile.service_pack:
        key.set("CSDVersion", number=1, data=f"Service Pack {profile.service_pack}")


def _enact(world: World, document: _Document) -> None:
    image = document.image
    try:
        enact(world, image)
    except ValueError as error:
        raise InputErrors([document.problem((), str(error))]) from error
    if "quirks" in image.model_fields_set:
        stated = {field: getattr(image.quirks, field) for field in image.quirks.model_fields_set}
        world.quirks = world.quirks.model_copy(update=stated)
    for name, account in image.accounts.items():
        try:
            world.accounts[fold(name)] = account_of(name, account)
        except ValueError as error:
            raise InputErrors([document.problem(("accounts", name), str(error))]) from error
    world.steps.update(image.steps)
