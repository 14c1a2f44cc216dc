"""The shipped playbooks and the lab's fleet, read once, and hosts made from images."""

from __future__ import annotations

from collections.abc import Collection
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import converge.resources  # noqa: F401  # the kinds enter KINDS by being defined
from converge.inventory import Inventory
from converge.inventory import load as load_inventory
from converge.lab.image import load_image
from converge.model.play import Play
from converge.model.resource import KINDS
from converge.playbook import load as load_playbooks

if TYPE_CHECKING:
    from tests.articles.articles_lab import LabHost, LabHostMaker
else:
    from articles_lab import LabHost

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def fleet() -> Inventory:
    """The lab's inventory."""
    return load_inventory([str(ROOT / "inventory" / "lab.yml")])


@pytest.fixture(scope="session")
def all_plays(fleet: Inventory) -> tuple[Play, ...]:
    """The plays of all shipped playbooks, in their order."""
    files = sorted((ROOT / "playbooks").glob("*.yml"))
    return load_playbooks(files, kinds=KINDS, known_variables=fleet.variable_names)


@pytest.fixture
def lab_host(all_plays: tuple[Play, ...], tmp_path: Path) -> LabHostMaker:
    """Makes a host from an image, under the plays of some articles, with variables as an inventory gives them."""

    numbers = count()

    def make(image: str, articles: str | Collection[str], **variables: object) -> LabHost:
        world = load_image(image, host_name="HOST")
        world.clock.freeze()
        wanted = (articles,) if isinstance(articles, str) else articles
        plays = tuple(play for play in all_plays if play.article in wanted)
        return LabHost(world, plays, variables, tmp_path / str(next(numbers)))

    return make
