"""Packages of Debian that tests need beside Python: installed by one process at a time, for apt-get waits for nobody."""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
from pathlib import Path

SECONDS = 900


def install(*packages: str) -> None:
    """As root, by apt-get. Raises OSError, or SubprocessError where they cannot be had."""
    with Path(tempfile.gettempdir(), f"converge-tests-apt-{os.geteuid()}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            _apt_get("install", "-y", "--no-install-recommends", *packages)
        except subprocess.CalledProcessError:  # lists that are old name files that are gone
            _apt_get("update")
            _apt_get("install", "-y", "--no-install-recommends", *packages)


def _apt_get(*words: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "-q", *words]
    subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=True)
