"""Where the messages that real hosts sent lie, which are no part of this repository."""

from __future__ import annotations

from pathlib import Path

import pytest

WIRE = Path(__file__).resolve().parents[2] / "shared" / "wire"
needs_recordings = pytest.mark.skipif(not WIRE.is_dir(), reason=f"the recorded messages are not at {WIRE}")
"""Without them `tests/wsman/test_wsman_vectors.py` holds the parser against messages of our own."""
