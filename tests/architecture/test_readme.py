"""What the README says is so: its commands, its files, its exit codes, its dependencies."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from converge.cli.words import COMMANDS
from converge.runs.exit_codes import ExitCode

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)


def test_ci_runs_the_readmes_test_command() -> None:
    commands = [
        line
        for line in (ROOT / ".ci/run").read_text().splitlines()
        if line and not line.startswith(("#", "set ", "cd "))
    ]
    assert commands == [SHELL[1].strip()]


def test_the_first_screen_has_both_commands() -> None:
    assert "converge --check" in SHELL[0]
    assert len(README[: README.index(SHELL[1])].splitlines()) <= 20


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`([a-z]+/[a-z_/]*(?:\.py)?)`", README.split("## The story")[1])))
)
def test_every_file_it_names_is_there(path: str) -> None:
    if path.startswith(("runs/", "leases/")):  # of the state folder
        return
    assert (ROOT / "engine/converge" / path).exists() or (ROOT / path).exists()


def test_every_exit_code_in_use_is_explained() -> None:
    explained = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    assert explained == {int(code) for code in ExitCode}


def test_every_command_is_named() -> None:
    for word in COMMANDS:
        assert re.search(rf"`(converge \[?)?{word}\b", README) or f"converge {word}" in README


def test_every_dependency_earns_its_place() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.match(r"[A-Za-z0-9._-]+", item)[0] for item in project["dependencies"]}  # type: ignore[index]  # each begins with a name
    table = README.split("## Dependencies")[1]
    assert set(re.findall(r"^\| ([A-Za-z0-9._-]+) \|", table, re.MULTILINE)) - {"package"} == declared
