"""Kinds of other packages: the guide of engine/README.md followed word by word, and packages that are wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "engine/README.md").read_text(encoding="utf-8").split("## Write a kind\n")[1].split("\n## ")[0]
FILES = re.findall(r"```\w+\n# (\S+)\n(.*?)```", GUIDE, re.DOTALL)
COMMANDS = [line.removeprefix("converge ").split() for line in re.findall(r"^converge .*$", GUIDE, re.MULTILINE)]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a module of Python in the folder, with what is installed in `site`."""
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}

    def started(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return started


def install(site: Path, name: str, *, module: str, points: str) -> None:
    """What pip leaves behind of a package."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[converge.kinds]\n{points}\n")
    (site / f"{name}.py").write_text(module)


def kind(name: str, body: str = "") -> str:
    return f"from converge.model.resource import Resource\nclass Thing(Resource):\n    kind = {name!r}\n{body}"


def test_the_guide_leads_to_a_kind_that_keeps_every_promise(tmp_path: Path, run: Run) -> None:
    for name, text in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    project = tomllib.loads(dict(FILES)["pyproject.toml"])
    points = "\n".join(f"{name} = {value}" for name, value in project["project"]["entry-points"]["converge.kinds"].items())
    (module,) = project["tool"]["setuptools"]["py-modules"]
    install(tmp_path / "site", module, module=(tmp_path / f"{module}.py").read_text(), points=points)
    passed = run("pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "tests")
    assert "passed" in passed.stdout
    applied = ""
    ends = {"lint": 0, "schema": 0, "--check": 2, "site.yml": 0, "undo": 0}
    assert [words[0] for words in COMMANDS] == list(ends)
    for words in COMMANDS:
        named = [applied if word == "RUN" else word for word in words]
        done = run("converge.cli.main", *named, code=ends[words[0]])
        if words[0] == "site.yml":
            (applied,) = set(re.findall(r"converge undo ([\w-]+)", done.stdout + done.stderr))
        if words[0] == "schema":
            assert "environment_variable" in json.loads(done.stdout)["$defs"]["EntryForm"]["properties"]
    assert run("converge.cli.main", "--check", "site.yml", "-i", "inventory.yml", code=2)


@pytest.mark.parametrize(
    ("packages", "words"),
    [
        ({"broken": ("raise RuntimeError('no luck')", "thing = broken:Thing")}, ["broken 1.0", "no luck"]),
        ({"other": ("Thing = 3", "thing = other:Thing")}, ["other 1.0", "other:Thing"]),
        (
            {"one": (kind("thing"), "thing = one:Thing"), "two": (kind("thing"), "thing = two:Thing")},
            ["two kinds are named thing", "one 1.0", "two 1.0"],
        ),
        (
            {"own": (kind("file"), "file = own:Thing")},
            ["own 1.0", "two kinds are named file", "converge.resources.file", "own.Thing"],
        ),
    ],
)
def test_a_package_that_is_wrong_is_one_error_that_names_it(
    packages: dict[str, tuple[str, str]], words: list[str], tmp_path: Path, run: Run
) -> None:
    for name, (module, points) in packages.items():
        install(tmp_path / "site", name, module=module, points=points)
    told = run("converge.cli.main", "schema", "playbook", code=1).stderr
    assert [word for word in words if word not in told] == [], told
    assert "Traceback" not in told


def test_what_a_kind_did_not_ask_is_told_with_the_kind_and_the_question(tmp_path: Path, run: Run) -> None:
    body = """
    def queries(self, known):
        return ()
    def actual_state(self, answers):
        from converge.model.query import Service
        return answers.value(Service("Spooler"))
"""
    install(tmp_path / "site", "hasty", module=kind("thing", body), points="thing = hasty:Thing")
    (tmp_path / "site.yml").write_text("- {name: p, hosts: all, resources: [{thing: {}}]}\n")
    (tmp_path / "inventory.yml").write_text(dict(FILES)["inventory.yml"])
    done = run("converge.cli.main", "--check", "site.yml", "-i", "inventory.yml", "--format", "json", code=3)
    assert "the kind thing looked at service Spooler without having asked for it" in done.stdout
