"""The lowest version of every package that pyproject.toml allows, all in one environment, must do: `python tests/lowest.py [FOLDER]`.

FOLDER is where the environment is made, and stays; without it a temporary one is used.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
COMPILED = ("kerberos",)
"""Extras whose packages exist as sources only, for which a machine needs a compiler and the headers of Kerberos."""
IMPORT_ALL = """
import importlib, pathlib
for path in sorted(pathlib.Path("engine").rglob("*.py")):
    importlib.import_module(".".join(path.relative_to("engine").with_suffix("").parts).removesuffix(".__init__"))
"""
ROOMS = ("endpoint", "schedule/test_schedule_enforcer.py", "store", "web/test_web_serve.py")
"""Beyond the quick subset: where the store, the page, the endpoint and the metrics meet the packages they rest on."""


def lowest(project: dict[str, object]) -> list[str]:
    """Every requirement of the project and of its extras, at its lowest version."""
    extras = project["optional-dependencies"]
    assert isinstance(extras, dict)
    found = [project["dependencies"], *(needs for name, needs in extras.items() if name not in COMPILED)]
    return sorted({pinned(need) for needs in found for need in needs})


def pinned(requirement: str) -> str:
    """`name[extra]==1.2` for `name[extra]>=1.2,<2`."""
    found = re.fullmatch(r"([\w.-]+(?:\[\w+\])?)>=([\w.]+)(?:,<[\w.]+)?", requirement)
    assert found is not None, f"{requirement} names no lowest version"
    return f"{found[1]}=={found[2]}"


def main(folder: Path) -> int:
    """Make the environment and run what is quick there; pytest's exit code, or pip's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    python = folder / "bin" / "python"
    steps: list[list[str | Path]] = [
        [sys.executable, "-m", "venv", folder],
        [python, "-m", "pip", "install", "-q", *lowest(project)],
        [python, "-m", "pip", "install", "-q", "--no-deps", "-e", ROOT],
        [python, "-m", "pip", "check"],
        [python, "-W", "error::DeprecationWarning:converge", "-c", IMPORT_ALL],
        [python, ROOT / "tests" / "run.py", "--quick"],
        [python, "-m", "pytest", "-n", "4", *(f"tests/{room}" for room in ROOMS)],
    ]
    for step in steps:
        print("$", *step, flush=True)  # noqa: T201  # progress of a program
        if code := subprocess.run(step, cwd=ROOT, check=False).returncode:
            return code
    return 0


if __name__ == "__main__":
    if sys.argv[1:]:
        sys.exit(main(Path(sys.argv[1])))
    with tempfile.TemporaryDirectory() as temporary:
        sys.exit(main(Path(temporary)))
