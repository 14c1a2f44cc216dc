"""Where a host keeps what is replaced, and for how long, as its variables say it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from converge.errors import InputErrors
from converge.inventory import load
from converge.model.backup import BackupSettings


def backup(folder: Path, **variables: str) -> BackupSettings:
    lines = "\n".join(f"        {name}: '{value}'" for name, value in variables.items())
    path = folder / "hosts.yml"
    path.write_text(f"all:\n  hosts:\n    web01:\n{lines or '      {}'}\n", encoding="utf-8")
    return load((str(path),)).settings("web01").backup


def test_nothing_said_is_beside_and_for_good(tmp_path: Path) -> None:
    assert backup(tmp_path, ansible_user="u") == BackupSettings("", None)


@pytest.mark.parametrize(
    ("text", "folder"),
    [(r"D:\converge", r"D:\converge"), (r"\converge", r"\converge"), ("d:/a b/c/", r"d:\a b\c")],
)
def test_a_folder(tmp_path: Path, text: str, folder: str) -> None:
    assert backup(tmp_path, converge_backup_directory=text) == BackupSettings(folder, None)


@pytest.mark.parametrize(("text", "hours"), [("12h", 12), ("30d", 720), (" 2 W ", 336)])
def test_a_time(tmp_path: Path, text: str, hours: int) -> None:
    assert backup(tmp_path, converge_backup_retention=text).retention == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("converge_backup_directory", text) for text in (
            "converge", "D:", "D:\\", "D:a", r"\\server\share\x", r"D:\a\..\b", r"D:\%windir%\x", r"D:\a|b", r"D:\a.",
            r"D:\con", r"\nul.d\x", "D:\\a ", " D:\\a",
            "D:\\" + "x" * 150,
        )),
        *(("converge_backup_retention", text) for text in ("30", "0d", "1m", "-1d", "for ever")),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_told_where_it_stands(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(InputErrors) as caught:
        backup(tmp_path, **{name: text})
    (problem,) = caught.value.problems
    assert name in problem.message
    assert problem.line == 4
    assert problem.expected
