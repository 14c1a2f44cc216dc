"""A folder of its own for every test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.cli.cli_program import INVENTORY, PLAYBOOK, REPOSITORY, Program


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The program in an empty folder."""
    return Program(tmp_path)


@pytest.fixture
def fleet(program: Program) -> Program:
    """The program in a folder with one play and three simulated hosts: two that have drifted, one in order."""
    program.write("playbooks/registry.yml", PLAYBOOK)
    program.write("inventory/hosts.yml", INVENTORY)
    return program


@pytest.fixture
def shipped(program: Program) -> Program:
    """The program in a folder with the playbooks and the inventory of this repository."""
    for name in ("playbooks", "inventory"):
        shutil.copytree(REPOSITORY / name, program.folder / name)
    return program
