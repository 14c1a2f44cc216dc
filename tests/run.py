"""Everything that must hold: ruff, mypy --strict, and all tests, the slow ones too. Ends with pytest's closing line.

`--quick` leaves out mypy and whatever starts programs, browsers or Wine: for the time between two thoughts.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
RUFF = ("ruff", "check", "engine", "tests")
# Twice the two cores, for tests of programs mostly wait. Groups share what is expensive to make, and begin first.
PYTEST = ("pytest", "-n", "4", "--dist", "loadgroup")
QUICK_ROOMS = (
    "architecture", "inventory", "lab", "model", "plan", "playbook", "report", "resources", "rights", "windows", "wsman",
)  # fmt: skip
ALL = (RUFF, ("mypy",), (*PYTEST, "--durations", "25"))
QUICK = (RUFF, (*PYTEST, *(f"tests/{room}" for room in QUICK_ROOMS)))


def main() -> int:
    """Run all, even where an earlier one failed; 1 if any did."""
    failed = False
    for check in QUICK if sys.argv[1:] == ["--quick"] else ALL:
        sys.stdout.flush()
        done = subprocess.run([sys.executable, "-m", *check], cwd=ROOT, check=False)
        failed = failed or done.returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
