"""One browser for all pages."""

from __future__ import annotations

import pytest
from tests.web.chromium import Chromium, installed


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Chromium:
    return installed(tmp_path_factory.mktemp("chromium"))
