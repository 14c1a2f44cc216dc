"""One browser for all pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.store.conftest import postgresql, postgresql_url
from tests.web.chromium import Chromium, installed
from tests.web.tabs import browser

__all__ = ["postgresql", "postgresql_url"]


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Chromium:
    return installed(tmp_path_factory.mktemp("chromium"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fleets of thousands of hosts and browsers serve all tests of a file, so one worker runs these."""
    here = Path(__file__).parent
    for item in items:
        if item.path.parent == here:
            item.add_marker(pytest.mark.xdist_group(f"web {item.path.stem}"))


@pytest.fixture(scope="session")
def steered(chromium: Chromium, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a browser that tests steer."""
    with browser(chromium.program, tmp_path_factory.mktemp("steered")) as port:
        yield port
