"""Everything that must hold: ruff, mypy --strict, and all tests, the slow ones too. Ends with pytest's closing line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
CHECKS = (
    ("ruff", "check", "engine", "tests"),
    ("mypy",),
    ("pytest", "-n", "2", "--dist", "worksteal", "--durations", "25"),
)


def main() -> int:
    """Run all, even where an earlier one failed; 1 if any did."""
    failed = False
    for check in CHECKS:
        sys.stdout.flush()
        done = subprocess.run([sys.executable, "-m", *check], cwd=ROOT, check=False)
        failed = failed or done.returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
