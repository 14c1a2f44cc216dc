"""A simulated host for every test."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.apply.apply_site import Site

MEMORY_DISK = Path("/dev/shm")  # where there is one: durability is tested elsewhere


@pytest.fixture
def site() -> Iterator[Site]:
    """A simulated Windows Server 2008 R2, which takes every type of value, with a few of everything."""
    within = MEMORY_DISK if MEMORY_DISK.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="converge-site-", dir=within) as name:
        yield Site(Path(name))
