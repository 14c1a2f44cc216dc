"""Small worlds for the tests of the lab, made of images written here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from converge.lab.image import load_image
from converge.lab.world import World

MakeWorld = Callable[..., World]


@pytest.fixture
def make_world(tmp_path: Path) -> MakeWorld:
    """A world from the text of an image; the clock stands still."""

    def make(text: str = "", *, version: str = "5.2.3790", root: str = r"C:\WINDOWS") -> World:
        profile = f"profile: {{caption: Test Windows, version: {version}, system_root: '{root}', host_name: SRV1}}\n"
        (tmp_path / "test.yml").write_text(profile + text, encoding="utf-8")
        world = load_image("test", folder=tmp_path)
        world.clock.freeze()
        return world

    return make
