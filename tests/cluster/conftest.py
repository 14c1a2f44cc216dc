"""A scheduler with two workers, for as long as a test takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.cluster_site import Dask, Site, site


@pytest.fixture
def dask(tmp_path: Path, hosts: Site) -> Iterator[Dask]:
    """A scheduler without workers, whose certificates the program is told."""
    folder = tmp_path / "dask"
    folder.mkdir()
    cluster = Dask(folder)
    try:
        cluster.begin()
        hosts.program.environment |= cluster.login
        yield cluster
    finally:
        cluster.end()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dask]:
    """A scheduler that many tests go to, one after the other."""
    cluster = Dask(tmp_path_factory.mktemp("shared"))
    try:
        cluster.begin()
        yield cluster
    finally:
        cluster.end()


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Site]:
    """Six hosts whose service is stopped."""
    folder = tmp_path / "work"
    folder.mkdir()
    with site(folder, [f"mail{number:02}" for number in range(1, 7)]) as found:
        yield found
