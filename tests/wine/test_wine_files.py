"""Files and folders on a real file system."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from tests.wine.agent import Agent
from tests.wine.conftest import Converge
from tests.wine.prefix import library


@pytest.fixture
def folder(windows: Agent, tmp_path: Path) -> str:
    """A folder of the test's own, with blanks and more than ASCII in its name."""
    path = rf"C:\Prüf [{tmp_path.name}]"
    windows.make_folder(path)
    return path


def assert_repairs(converge: Converge, play: str, *, changes: int) -> None:
    """Check shows so many changes, apply makes them, and then nothing is left to do."""
    checked = converge.check(play)
    assert (checked.exit_code, len(checked.of("changed"))) == (2, changes), checked.text + checked.complaint
    applied = converge.apply(play)
    assert applied.exit_code == 0, applied.text + applied.complaint
    again = converge.check(play)
    assert (again.exit_code, again.of("changed")) == (0, []), again.text


def test_files_are_copied_and_the_replaced_ones_kept_aside(
    converge: Converge, windows: Agent, folder: str, cache: Path
) -> None:
    old, new = library("5.5.1774.1", cache), library("5.5.1774.114", cache)
    for name, data in {
        "new.dll": new,
        "there.dll": old,
        "same.dll": new,
        "text.txt": b"a" * 10,
        "odd.txt": b"b" * 11,
    }.items():
        windows.write_file(rf"{folder}\{name}", data)
    play = f"""
- name: files
  hosts: all
  resources:
    - file: {{path: '{folder}\\missing.dll', copy_from: '{folder}\\new.dll'}}
    - file: {{path: '{folder}\\there.dll', copy_from: '{folder}\\new.dll'}}
    - file: {{path: '{folder}\\same.dll', copy_from: '{folder}\\new.dll'}}
    - file: {{path: '{folder}\\odd.txt', copy_from: '{folder}\\text.txt'}}
"""
    assert_repairs(converge, play, changes=3)
    assert windows.read_file(rf"{folder}\missing.dll") == new
    assert windows.read_file(rf"{folder}\there.dll") == new
    assert windows.read_file(rf"{folder}\odd.txt") == b"a" * 10
    kept = {
        entry.name.partition(".converge-")[0]: entry.name
        for entry in windows.list_folder(folder)
        if ".converge-" in entry.name
    }
    assert set(kept) == {"there.dll", "odd.txt"}
    assert windows.read_file(rf"{folder}\{kept['there.dll']}") == old


def test_a_newer_file_is_not_replaced_by_an_older_one(
    converge: Converge, windows: Agent, folder: str, cache: Path
) -> None:
    old, new = library("5.5.1774.1", cache), library("5.5.1774.114", cache)
    windows.write_file(rf"{folder}\old.dll", old)
    windows.write_file(rf"{folder}\there.dll", new)
    play = f"""
- name: files
  hosts: all
  resources:
    - file: {{path: '{folder}\\there.dll', copy_from: '{folder}\\old.dll'}}
"""
    converge.apply(play)
    assert windows.read_file(rf"{folder}\there.dll") == new


def test_a_missing_source_is_found_by_check(converge: Converge, windows: Agent, folder: str) -> None:
    play = f"""
- name: files
  hosts: all
  resources:
    - file: {{path: '{folder}\\target.dll', copy_from: '{folder}\\nowhere.dll'}}
"""
    checked = converge.check(play)
    assert checked.exit_code == 3
    assert "nowhere.dll" in checked.text
    assert not windows.exists(rf"{folder}\target.dll")


@pytest.mark.parametrize("content", ["", "one line\n", 'Käse & <日本> "%PATH%" ^|!\r\n', "x" * 20_000])
def test_contents_arrive_byte_for_byte(converge: Converge, windows: Agent, folder: str, content: str) -> None:
    (converge.folder / "content.txt").write_bytes(content.encode())
    play = f"""
- name: files
  hosts: all
  resources:
    - file: {{path: '{folder}\\made & so on.txt', source: content.txt}}
"""
    assert_repairs(converge, play, changes=1)
    assert windows.read_file(rf"{folder}\made & so on.txt") == content.encode()
    assert [entry.name for entry in windows.list_folder(folder)] == ["made & so on.txt"]


def test_contents_of_the_same_size_are_told_apart_by_their_hash(
    converge: Converge, windows: Agent, folder: str
) -> None:
    windows.write_file(rf"{folder}\x.txt", b"abc")
    digest = sha256(b"abd").hexdigest()
    play = f"""
- name: files
  hosts: all
  resources:
    - file: {{path: '{folder}\\x.txt', content: abd, sha256: {digest}}}
"""
    assert_repairs(converge, play, changes=1)
    assert windows.read_file(rf"{folder}\x.txt") == b"abd"


def test_folders_are_made_and_removed(converge: Converge, windows: Agent, folder: str) -> None:
    windows.make_folder(rf"{folder}\empty one")
    windows.make_folder(rf"{folder}\full")
    windows.write_file(rf"{folder}\full\x.txt", b"x")
    play = f"""
- name: folders
  hosts: all
  resources:
    - directory: {{path: '{folder}\\new (1) & ü\\below'}}
    - directory: {{path: '{folder}\\empty one', ensure: absent}}
    - directory: {{path: '{folder}\\full', ensure: absent, recursive: true}}
"""
    assert_repairs(converge, play, changes=3)
    names = sorted(entry.name for entry in windows.list_folder(folder))
    run = names[1].removeprefix("full.converge-")
    assert names == [f"converge-{run}.json", f"full.converge-{run}", "new (1) & ü"]
    assert not windows.exists(rf"{folder}\full")
    assert windows.stat(rf"{folder}\new (1) & ü\below").is_folder


def test_a_folder_that_is_not_empty_is_not_removed(converge: Converge, windows: Agent, folder: str) -> None:
    windows.make_folder(rf"{folder}\full")
    windows.write_file(rf"{folder}\full\x.txt", b"x")
    play = f"""
- name: folders
  hosts: all
  resources:
    - directory: {{path: '{folder}\\full', ensure: absent}}
"""
    assert converge.check(play).exit_code == 3
    assert converge.apply(play).exit_code == 3
    assert windows.read_file(rf"{folder}\full\x.txt") == b"x"


def test_a_file_is_removed_but_kept_aside_or_gone(converge: Converge, windows: Agent, folder: str) -> None:
    windows.write_file(rf"{folder}\x.txt", b"x")
    play = f"""
- name: files
  hosts: all
  resources:
    - file: {{path: '{folder}\\x.txt', ensure: absent}}
"""
    assert_repairs(converge, play, changes=1)
    assert not windows.exists(rf"{folder}\x.txt")
