"""What the pages say is so: commands, files, exit codes, dependencies, links; and the first page is a short one."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from converge.cli.words import COMMANDS
from converge.runs.exit_codes import ExitCode

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
HOUSE = (ROOT / "engine/README.md").read_text(encoding="utf-8")
SHELL = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
TOPS = ("engine", "playbooks", "inventory", "tests")
PAGES = [
    "README.md",
    *sorted(path.relative_to(ROOT).as_posix() for top in TOPS for path in (ROOT / top).rglob("README.md")),
]
LONGEST = 9000  # bytes of the first page


def test_ci_runs_the_readmes_test_command() -> None:
    commands = [
        line
        for line in (ROOT / ".ci/run").read_text().splitlines()
        if line and not line.startswith(("#", "set ", "cd "))
    ]
    assert commands == [command.strip() for command in SHELL if "tests/run.py" in command]


def test_the_first_screen_has_the_main_command() -> None:
    assert "converge --check" in SHELL[0]
    assert len(README[: README.index(SHELL[0])].splitlines()) <= 20


def test_the_first_page_is_short() -> None:
    assert len(README.encode()) < LONGEST


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`([a-z]+/[a-z_/]*(?:\.py)?)`", HOUSE.split("## The story")[1])))
)
def test_every_file_it_names_is_there(path: str) -> None:
    assert (ROOT / "engine/converge" / path).exists() or (ROOT / path).exists()


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text(encoding="utf-8")):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        found = (ROOT / page).parent / file if file else ROOT / page
        assert found.exists(), f"{page} links to {target}"
        if anchor:
            titles = re.findall(r"^#+ (.+)$", found.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_exit_code_in_use_is_explained() -> None:
    explained = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    assert explained == {int(code) for code in ExitCode}


def test_every_command_is_named() -> None:
    for word in COMMANDS:
        assert re.search(rf"`(converge \[?)?{word}\b", README) or f"converge {word}" in README


def test_every_dependency_earns_its_place() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.match(r"[A-Za-z0-9._-]+", item)[0] for item in project["dependencies"]}  # type: ignore[index]  # each begins with a name
    table = HOUSE.split("## Dependencies")[1]
    assert set(re.findall(r"^\| ([A-Za-z0-9._-]+) \|", table, re.MULTILINE)) - {"package"} == declared
