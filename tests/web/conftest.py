"""One browser for all pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.store.conftest import postgresql, postgresql_url
from tests.web.chromium import Chromium, installed
from tests.web.tabs import browser

__all__ = ["postgresql", "postgresql_url"]


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Chromium:
    return installed(tmp_path_factory.mktemp("chromium"))


@pytest.fixture(scope="session")
def steered(chromium: Chromium, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a browser that tests steer."""
    with browser(chromium.program, tmp_path_factory.mktemp("steered")) as port:
        yield port
