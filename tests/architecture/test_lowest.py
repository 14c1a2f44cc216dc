"""Every package that is needed has a lowest version, the same wherever it is named, and none that is known not to do."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from tests.lowest import pinned

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NEEDS = [*PROJECT["dependencies"], *(need for extra in PROJECT["optional-dependencies"].values() for need in extra)]

NOT_BELOW = {
    "Jinja2": (3, 1, 6),  # leaves the sandbox: CVE-2025-27516
    "aiohttp": (3, 12, 14),  # request smuggling: CVE-2025-53643
    "certifi": (2024, 7, 4),  # trusts an authority that was withdrawn: CVE-2024-39689
    "cryptography": (44, 0, 1),  # carries an OpenSSL with CVE-2024-12797
    "lxml": (5, 4),  # carries a libxml2 with CVE-2025-32414 and -32415
    "requests": (2, 32, 4),  # sends logins of .netrc elsewhere: CVE-2024-47081
    "urllib3": (2, 5),  # follows redirects that were switched off: CVE-2025-50181
    "prometheus-client": (0, 23),  # lacks a name that the metrics need
    "pydantic": (2, 10),
}


def test_each_package_has_one_lowest_version() -> None:
    versions: dict[str, set[str]] = {}
    for need in NEEDS:
        name, _, version = pinned(need).partition("==")
        versions.setdefault(name.partition("[")[0], set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) != 1} == {}


@pytest.mark.parametrize("name", NOT_BELOW)
def test_no_version_is_allowed_that_is_known_not_to_do(name: str) -> None:
    (version,) = {pinned(need).partition("==")[2] for need in NEEDS if re.match(rf"{name}[\[>]", need)}
    assert tuple(int(part) for part in version.split(".")) >= NOT_BELOW[name]


def test_a_workflow_runs_them() -> None:
    assert "tests/lowest.py" in (ROOT / ".github/workflows/lowest.yml").read_text(encoding="utf-8")
