"""A test that is skipped for a reason nobody listed fails, however it skips itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

TESTS = """
import pytest

@pytest.fixture
def missing():
    pytest.skip("not listed: a fixture")

def test_fixture(missing): ...
def test_call(): pytest.skip("not listed: a call")
@pytest.mark.skip(reason="not listed: a mark")
def test_mark(): ...
@pytest.mark.skipif(True, reason="not listed: a condition")
def test_condition(): ...
def test_import(): pytest.importorskip("no_such_module")
def test_listed(): pytest.skip("no Wine here: of course")
@pytest.mark.xfail
def test_known(): assert False
"""


def test_only_what_is_listed_may_be_skipped(tmp_path: Path) -> None:
    ours = Path(__file__).parents[1]
    for name in ("conftest.py", "allowed_skips.txt"):
        shutil.copy(ours / name, tmp_path)
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "test_whole.py").write_text('import pytest\npytest.skip("not listed: a file", allow_module_level=True)\n')
    words = ["-q", "-rfEs", "-p", "no:cacheprovider", "--continue-on-collection-errors", "."]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words], cwd=tmp_path, text=True, capture_output=True, check=False
    )
    assert done.returncode == 1, done.stdout
    for name in ("fixture", "call", "mark", "condition"):
        assert f"allowed_skips.txt does not list: not listed: a {name}" in done.stdout, done.stdout
    assert "does not list: not listed: a file" in done.stdout
    assert "does not list: could not import 'no_such_module'" in done.stdout
    assert "1 skipped" in done.stdout, done.stdout
    assert "1 xfailed" in done.stdout, done.stdout
