"""Under the name `converge` the package index has somebody else's program: nobody is told to install that."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from converge import __version__

ROOT = Path(__file__).parents[2]
OURS = (".ci", ".github", "engine", "inventory", "playbooks", "tests")
TEXTS = frozenset(["", ".css", ".html", ".ini", ".j2", ".js", ".json", ".md", ".py", ".sh", ".toml", ".txt", ".yaml", ".yml"])

NAME = r"['\"]?converge(?:[-_.]+windows)?"
"""As it would stand in a requirement; a path (`./converge`) and a program (`converge lint`) are none."""
END = r"(?=\[|['\"]?\s*(?:$|[=<>~!@;,&|`'\")]))"
FROM_INDEX = re.compile(
    rf"(?:\b(?:install|add|uvx|inject|run --with|pipx run)\b[^\n;&|]*[ `]{NAME}{END})|(?<![\w./-]){NAME}\[[a-z]", re.MULTILINE
)


def texts() -> Iterator[tuple[Path, str]]:
    """Every file of the repository that a person or a machine may take a command from."""
    for path in [*ROOT.iterdir(), *(path for folder in OURS for path in (ROOT / folder).rglob("*"))]:
        generated = any(part == "__pycache__" or part.endswith(".egg-info") for part in path.parts)
        if path.is_file() and path.suffix in TEXTS and not generated and path != Path(__file__):
            yield path, path.read_text(encoding="utf-8", errors="replace")


def test_nothing_tells_to_install_it_from_the_index() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{text[: match.start()].count(chr(10)) + 1}: {match[0]}"
        for path, text in texts()
        for match in FROM_INDEX.finditer(text)
    ]
    assert not found, "it is not on the index; from the checkout: pip install '.[EXTRA]'"


@pytest.mark.parametrize(
    "text",
    [
        "pip install converge",
        "pip install 'converge[cluster]'",
        'try_=f"pip install \'converge[{names}]\' there"'.replace("{names}", "postgres"),
        "python -m pip install -q converge-windows",
        "pip install -U converge==0.1.0",
        "pipx install converge",
        "uv tool install converge-windows[web]",
        "RUN pip install --no-cache-dir converge && converge --check",
        "`pip install converge`, then",
        "install converge[kerberos], or use another transport",
        "- run: pip install converge_windows",
    ],
)
def test_no_way_of_telling_so_is_overlooked(text: str) -> None:
    assert FROM_INDEX.search(text)


@pytest.mark.parametrize(
    "text",
    [
        "pip install '.[cluster]'",
        "pip install -q -e '.[dev]' && .venv/bin/converge --check",
        "pip install . && converge --check",
        "apt-get install git; converge lint",
        "converge [run] [PLAYBOOK...]",
        "install -d -o converge -m 700 /srv/converge/.converge",
    ],
)
def test_the_checkout_and_the_program_are_no_such_thing(text: str) -> None:
    assert not FROM_INDEX.search(text)


def test_the_distribution_has_a_name_of_its_own_and_the_programs_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == "converge-windows"
    assert project["version"] == __version__
    assert list(project["scripts"]) == ["converge"]
