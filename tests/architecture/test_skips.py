"""Every reason for which a test may skip itself is listed, so that no machine is the first to find one that is not."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

TESTS = Path(__file__).parents[1]
LISTED = [
    line.strip()
    for line in (TESTS / "allowed_skips.txt").read_text(encoding="utf-8").splitlines()
    if line.strip() and not line.startswith("#")
]


def reasons() -> Iterator[tuple[str, str]]:
    """Where a test skips, and why, with `?` for what is only known then."""
    for path in sorted(TESTS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("pytest.skip", "pytest.mark.skip", "pytest.mark.skipif"):
                why = [word.value for word in node.keywords if word.arg in ("reason", "msg")] or node.args[:1]
                yield f"{path.relative_to(TESTS)}:{node.lineno}", _text(why[0])


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    return "?"


def test_every_reason_is_listed() -> None:
    unlisted = [
        f"{place}: {reason}"
        for place, reason in reasons()
        if reason != "?" and not any(fnmatchcase(reason, pattern) for pattern in LISTED)
    ]
    assert not unlisted, "tests/allowed_skips.txt does not list these"

