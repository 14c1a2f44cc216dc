"""Kerberos needs a KDC and libraries that must be built: they are had here, and its tests and those of CredSSP run with them."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.debian import install

PROGRAMS = {
    "krb5kdc": "krb5-kdc",
    "kadmin.local": "krb5-admin-server",
    "kinit": "krb5-user",
    "krb5-config": "libkrb5-dev",
}
PROGRAMS |= {"faketime": "faketime"}
LIBRARIES = {"gssapi": "gssapi", "krb5": "krb5"}
INSTALLING, RUNNING = 3600, 900  # seconds: bounds for a busy machine
TESTS = [str(Path(__file__).with_name(f"test_logins_{name}.py")) for name in ("kerberos", "credssp")]


def provide_programs() -> None:
    """Debian's KDC, its tools, and what the libraries are built with; by apt-get where this account may."""
    place = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program, path=place) is None]
    if not missing:
        return
    if os.environ.get("CONVERGE_TEST_INSTALL") == "0" or os.geteuid() != 0 or shutil.which("apt-get") is None:
        pytest.skip(f"{missing[0]} is not installed and only root on Debian could install it")
    try:
        install(*missing)
    except (OSError, subprocess.SubprocessError):
        pytest.skip(f"{missing[0]} cannot be installed here")


def provide_libraries(place: Path, *, kept: Path) -> None:
    """What the extra `kerberos` brings, in a folder of its own: built once, from then on out of the folder `kept`.

    They are built without optimizing, in a third of the time; pip's own cache, from which others install, is not to get these.
    """
    if all(importlib.util.find_spec(name) for name in LIBRARIES):
        return
    try:
        quietly(
            [
                sys.executable,
                "-m",
                "pip",
                "install",
                "-q",
                "--no-deps",
                "--cache-dir",
                str(kept),
                "--target",
                str(place),
                *LIBRARIES.values(),
                "decorator",
            ],
            CFLAGS="-O0 -g0",
        )
    except (OSError, subprocess.SubprocessError):
        pytest.skip("gssapi cannot be installed here")


def quietly(words: list[str], **more: str) -> None:
    """Run it, or raise."""
    settings = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", **more}
    subprocess.run(words, env=settings, stdin=subprocess.DEVNULL, capture_output=True, timeout=INSTALLING, check=True)


@pytest.mark.timeout(INSTALLING + RUNNING)
def test_kerberos_with_a_real_kdc_and_credssp(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    provide_programs()
    cache = getattr(request.config, "cache", None)
    kept = cache.mkdir("logins") if cache is not None else tmp_path / "cache"
    provide_libraries(tmp_path / "libraries", kept=kept)
    known = [str(tmp_path / "libraries"), *filter(None, [os.environ.get("PYTHONPATH")])]
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("KRB5", "PYTEST_"))}
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--basetemp",
        str(tmp_path / "inner"),
        *TESTS,
    ]
    done = subprocess.run(
        words, env={**settings, "PYTHONPATH": os.pathsep.join(known)}, cwd=Path(__file__).parents[2], text=True,
        stdin=subprocess.DEVNULL, capture_output=True, timeout=RUNNING, check=False,
    )  # fmt: skip
    told = done.stdout[-6000:] + done.stderr[-2000:]
    assert done.returncode == 0, told
    assert " passed" in told or "[100%]" in told, told
    assert "skipped" not in told, told
