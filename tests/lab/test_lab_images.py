"""Images make worlds; what is wrong with one is told with its place; worlds are kept between runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from converge.errors import InputErrors
from converge.lab.effects import enact
from converge.lab.file_system import FileSystem
from converge.lab.image import list_images, load_image
from converge.lab.registry_provider import RegistryProvider
from converge.lab.world import World, WorldUnreadable
from converge.model.facts import ServiceState, StartMode
from converge.windows.registry import parse_path

MakeWorld = Callable[..., World]

BASE = r"""
describe: the base
base: true
profile: {caption: Test, version: 5.0.2195, system_root: 'C:\WINNT'}
files: {'%SystemRoot%\System32': {a.exe: {size: 5, version: 1.0.0.0}}}
services: {Svc: {image_path: '%SystemRoot%\System32\a.exe', start: automatic, state: running}}
components: {smtp: {installed: true, remove: {remove_services: [Svc]}}}
registry: {'HKLM\SOFTWARE\Lab': {a: 1, b: two}}
"""
CHILD = r"""
describe: the child
extends: base
profile: {service_pack: 4}
services: {Svc: {state: stopped, exit_code: 1083}}
components: {smtp: {installed: false}}
remove_values: {'HKLM\SOFTWARE\Lab': [B]}
remove_files: ['%SystemRoot%\System32\a.exe']
accounts: {'LAB\me': {password: pw, denies: [shells]}}
steps: {place-it: {describe: places it, effects: {files: {'C:\new': {x.txt: hi}}, start: [Svc]}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "base.yml").write_text(BASE, encoding="utf-8")
    (tmp_path / "child.yml").write_text(CHILD, encoding="utf-8")
    return tmp_path


def test_an_image_states_only_what_differs_from_the_one_it_extends(folder: Path) -> None:
    world = load_image("child", host_name="MAIL01", folder=folder)
    service = world.service("svc")
    assert service is not None
    assert (service.state, service.start_mode, service.exit_code) == (ServiceState.STOPPED, StartMode.AUTOMATIC, 1083)
    assert world.profile.service_pack == 4
    assert world.profile.host_name == "MAIL01"
    key = world.registry.find(parse_path(r"HKLM\SOFTWARE\Lab"))
    assert key is not None
    assert [value.name for value in key.values.values()] == ["a"]
    assert not world.files.exists(r"C:\WINNT\System32\a.exe")
    assert world.components["SMTP"].remove.remove_services == ("Svc",)
    assert not world.permits(world.account("me"), "shells")  # type: ignore[arg-type]  # a Right is its text


def test_only_images_that_stand_for_a_host_are_listed(folder: Path) -> None:
    assert [(image.name, image.describe) for image in list_images(folder)] == [("child", "the child")]


@pytest.mark.parametrize("image", [image.name for image in list_images()])
def test_every_shipped_image_loads_survives_being_kept(image: str, tmp_path: Path) -> None:
    world = load_image(image)
    world.save(tmp_path / "kept.json")
    kept = World.load(tmp_path / "kept.json")
    assert kept.to_json() == world.to_json()


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("profile: {version: 5.0.2195}\n", 1, 1, "caption: Field required"),
        ("profile:\n  caption: x\n  version: 4.0\n", 3, 3, "not 4.0"),
        ("nope: 1\n", 1, 1, "nope"),
        ("files:\n  foo: {x: 1}\n", 2, 3, "not a full path"),
        ("files:\n  'C:\\a':\n    x: {sise: 3}\n", 3, 9, "sise"),
        ("files:\n  'C:\\a':\n    x: -4\n", 3, 5, "greater than or equal to 0"),
        ("registry:\n  'HKXX\\a': {}\n", 2, 3, "does not begin with a hive"),
        ("registry:\n  'HKLM\\a':\n    x: {words: 3}\n", 2, 3, "x: takes one of"),
        ("registry:\n  'HKLM\\a':\n    x: {dword: 4294967296}\n", 2, 3, "does not fit"),
        ("services: {A: {start: sometimes}}\n", 1, 16, "start"),
        ("accounts: {a: {password: x, denies: [everything]}}\n", 1, 12, "begins with no right"),
        ("cim: {root/MSCluster: {X: {key: Name}}}\n", 1, 1, "exists from Windows 6.0 on"),
        ("extends: nobody\n", 1, 1, "no image 'nobody'"),
        ("extends: test\n", 1, 1, "without end"),
        ("a: [\n", 2, 1, "is missing here"),
        ("a: 1\na: 2\n", 2, 1, "stands here twice"),
        ("- x\n", 1, 1, "not a mapping"),
    ],
)
def test_a_wrong_image_is_told_with_file_line_and_column(
    tmp_path: Path, text: str, line: int, column: int, words: str
) -> None:
    if "profile" not in text:
        text += "profile: {caption: x, version: 5.0.2195}\n" if text[:1] not in "-" and "[\n" not in text else ""
    (tmp_path / "test.yml").write_text(text, encoding="utf-8")
    with pytest.raises(InputErrors) as raised:
        load_image("test", folder=tmp_path)
    told = [problem for problem in raised.value.problems if words in problem.message]
    assert told, raised.value
    assert (told[0].line, told[0].column) == (line, column)
    assert told[0].file.endswith("test.yml")


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "test.yml").write_text("files: {x: {}}\nregistry: {y: {}}\nnope: 1\n", encoding="utf-8")
    with pytest.raises(InputErrors) as raised:
        load_image("test", folder=tmp_path)
    assert len(raised.value.problems) == 3


def test_an_unknown_image_names_those_there_are(folder: Path) -> None:
    with pytest.raises(InputErrors, match="base, child"):
        load_image("../child", folder=folder)


def test_a_step_does_what_its_person_does(folder: Path) -> None:
    world = load_image("child", folder=folder)
    assert {name: step.describe for name, step in world.steps.items()} == {"place-it": "places it"}
    enact(world, world.steps["place-it"].effects)
    assert world.files.file(r"C:\new\x.txt") is not None


def test_a_kept_world_holds_what_happened_and_its_clock(folder: Path, tmp_path: Path) -> None:
    world = load_image("child", folder=folder)
    world.clock.advance(3600)
    world.registry.create(parse_path(r"HKLM\SOFTWARE\Lab")).set("ü", number=77, data=b"\x01")
    enact(world, world.steps["place-it"].effects)
    path = tmp_path / "deep" / "world.json"
    world.save(path)
    assert path.stat().st_mode & 0o077 == 0
    kept = World.load(path)
    value = kept.registry.value(parse_path(r"HKLM\SOFTWARE\lab"), "Ü")
    assert value is not None
    assert (value.number, value.data) == (77, b"\x01")
    assert abs((kept.now() - world.now()).total_seconds()) < 5
    assert kept.to_json() == world.to_json()
    assert [item.name for item in path.parent.iterdir()] == ["world.json"]


def test_however_deep_keys_and_folders_are_they_are_kept(folder: Path, tmp_path: Path) -> None:
    world = load_image("child", folder=folder)
    registry, files = RegistryProvider(world), FileSystem(world)
    deep = "\\".join(["x"] * 500)
    assert registry.create_key(parse_path(rf"HKLM\SOFTWARE\{deep}")) == 0
    assert registry.create_key(parse_path(rf"HKLM\SOFTWARE\{deep}\{deep}")) != 0
    assert files.make_folder("C:\\" + "\\".join(["x"] * 120)) == 0
    assert files.make_folder("C:\\" + "\\".join(["x"] * 4000)) == 21
    for _ in range(10):  # a folder that is moved takes what lies in it along, so that paths get longer than any limit
        assert files.make_folder("C:\\" + "\\".join(["y"] * 120)) == 0
        assert files.rename(r"C:\x", "C:\\" + "\\".join(["y"] * 120) + "\\x") == 0
        assert files.rename(r"C:\y", r"C:\x") == 0
    world.save(tmp_path / "world.json")
    assert World.load(tmp_path / "world.json").to_json() == world.to_json()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 99}', '{"format": 1}', "null"])
def test_what_is_no_kept_world_is_told_as_such(tmp_path: Path, text: str) -> None:
    path = tmp_path / "world.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(WorldUnreadable):
        World.load(path)


def test_no_password_is_shown(folder: Path) -> None:
    world = load_image("child", folder=folder)
    assert "pw" not in repr(world.account("me"))
