"""Every promise of converge, tried on a kind's own cases: in memory and over WinRM, with refusals, broken lines and crashes.

Needs pytest, which nothing else of converge does (the extra `testing`). A test module of the package that brings the kind:

    from pathlib import Path
    from converge.testing.conformance import Conformance

    class TestWebsite(Conformance):
        cases = Path(__file__).parent / "cases"     # KIND.yml, a list of cases: their form stands in `case.py`
"""

from __future__ import annotations

import pytest

for _part in ("settling", "breaking_off", "refusing", "reverting"):
    pytest.register_assert_rewrite(f"{__name__}.{_part}")

from converge.testing.conformance.suite import Conformance  # noqa: E402  # after its asserts are known to pytest

__all__ = ["Conformance"]
