"""Playbooks from texts, with the kinds as they are shipped, for every test of this room."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import pytest

import converge.resources  # noqa: F401  # makes the kinds known
from converge.errors import InputErrors, InputProblem
from converge.model.play import Declared, Play, Scope
from converge.model.resource import KINDS
from converge.playbook import load

FACTS: Mapping[str, object] = {
    "os": {
        "version": "5.2.3790",
        "build": 3790,
        "service_pack": 2,
        "product_type": "server",
        "architecture": "x86",
        "language": 1033,
        "system_root": r"C:\WINDOWS",
    },
    "host": {"name": "MAIL01", "domain": "corp.example", "clustered": False},
}


def _play_text(body: str) -> str:
    lines = body.strip("\n").split("\n")
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "- name: p\n  hosts: all\n" + "\n".join("  " + line[margin:] for line in lines) + "\n"


def _scope_of(play: Play, **host: object) -> Scope:
    return play.scope(host, FACTS, {})


def _declared(play: Play, **host: object) -> list[Declared]:
    scope = _scope_of(play, **host)
    return [item for entry in play.entries if entry.when(scope) for item in entry.declare(scope)]


@pytest.fixture
def play_text() -> Callable[[str], str]:
    """The text of a playbook with one play, of which only what follows `hosts` is given."""
    return _play_text


@pytest.fixture
def scope_of() -> Callable[..., Scope]:
    """The variables of a host: those of the play, facts, and those given by name."""
    return _scope_of


@pytest.fixture
def declared() -> Callable[..., list[Declared]]:
    """What a play declares for a host with these variables."""
    return _declared


@pytest.fixture
def plays_of(tmp_path: Path) -> Callable[..., tuple[Play, ...]]:
    """The plays of a text or of bytes."""

    def plays(text: str | bytes, *, known: Collection[str] = ()) -> tuple[Play, ...]:
        path = tmp_path / "play.yml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load([path], kinds=KINDS, known_variables=known)

    return plays


@pytest.fixture
def problems_in(plays_of: Callable[..., tuple[Play, ...]]) -> Callable[..., tuple[InputProblem, ...]]:
    """What is wrong with a text; nothing if it loads."""

    def problems(text: str | bytes, *, known: Collection[str] = ()) -> tuple[InputProblem, ...]:
        try:
            plays_of(text, known=known)
        except InputErrors as error:
            return error.problems
        return ()

    return problems


@pytest.fixture
def one_play(plays_of: Callable[..., tuple[Play, ...]]) -> Callable[..., Play]:
    """A play of which only what follows `hosts` is given."""

    def play(body: str, *, known: Collection[str] = ()) -> Play:
        (found,) = plays_of(_play_text(body), known=known)
        return found

    return play
