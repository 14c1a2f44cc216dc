"""Fifty hostile hosts at once take a bounded amount of memory, all together."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MOST = 600  # MB


@pytest.mark.parametrize("kind", ["long", "elements"])
def test_fifty_hostile_hosts_stay_under_the_limit(kind: str) -> None:
    """The kinds that take least time; tests/README.md has the figures of all."""
    words = [sys.executable, "-m", "tests.winrm.hostile_many", kind]
    ended = subprocess.run(
        words, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=900, check=True
    )
    assert int(ended.stdout) < MOST, ended.stderr
