"""A headless Chromium of Debian's: opens a page, gives back what became of it, takes its picture."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.debian import install

_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage")
BOUND = 240  # seconds for opening one page


@dataclass(frozen=True, slots=True)
class Page:
    """A page after its program ran."""

    dom: str
    log: str
    seconds: float

    def text(self, identifier: str) -> str:
        """The text of the element of this id, as far as it holds no other element."""
        found = re.search(rf'id="{identifier}"[^>]*>([^<]*)', self.dom)
        assert found is not None
        return html.unescape(found[1])


@dataclass(frozen=True, slots=True)
class Chromium:
    """The browser with a profile of its own."""

    program: str
    profile: Path

    def open(self, address: str, *options: str) -> Page:
        """Open it and wait until it has nothing more to do."""
        began = time.monotonic()
        done = subprocess.run(
            [self.program, *_FLAGS, f"--user-data-dir={self.profile}", "--enable-logging=stderr", *options, address],
            capture_output=True, text=True, encoding="utf-8", timeout=BOUND, check=True,
        )  # fmt: skip
        return Page(done.stdout, done.stderr, time.monotonic() - began)

    def dom(self, address: str, *, width: int = 1280) -> Page:
        return self.open(address, f"--window-size={width},900", "--dump-dom")

    def picture(self, address: str, path: Path, *, width: int) -> bytes:
        self.open(address, f"--window-size={width},1600", f"--screenshot={path}")
        return path.read_bytes()


def installed(profile: Path) -> Chromium:
    """Chromium, by apt-get where this account may. Skips the test where it cannot be had."""
    program = shutil.which("chromium")
    if program is None:
        if shutil.which("apt-get") is None or os.geteuid() != 0:
            pytest.skip("chromium is not installed and only root on Debian could install it")
        try:
            install("chromium")
        except (OSError, subprocess.SubprocessError):
            pytest.skip("chromium cannot be installed here")
        program = shutil.which("chromium")
    assert program is not None
    return Chromium(program, profile)
