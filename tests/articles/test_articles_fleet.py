"""The whole lab fleet under all playbooks: what is broken ends healthy, what is healthy is left alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from converge.inventory import Inventory
from converge.inventory import load as load_inventory
from converge.lab.image import FOLDER, load_image
from converge.model.change import Status
from converge.model.play import Play

if TYPE_CHECKING:
    from tests.articles.articles_lab import LabHost
else:
    from articles_lab import LabHost


INVENTORY = load_inventory([str(Path(__file__).parents[2] / "inventory" / "lab.yml")])
ONE_OF_EACH = {str(INVENTORY.variables(host)["converge_lab_image"]): host for host in reversed(INVENTORY.hosts)}
HEALTHY = {
    "iis4-smtp-healthy",
    "iis4-mail-news-healthy",
    "exchange2000",
    "exchange2003",
    "exchange2000-cluster-node",
    "exchange55",
}
OTHER = {"iis4-without-smtp", "iis4-default-path", "file-server-2000"}
FOR_TESTS = {
    "exchange2000-dispatch-edited-by-hand",
    "exchange2000-cluster-node-online", "exchange2000-dispatch-key", "exchange2000-node-no-backup",
    "exchange2000-node-smtp-reinstalled-online", "iis4-smtp-no-source", "iis4-wrong-architecture-fix",
    "iis4-wrong-size-fix",
}  # fmt: skip
"""Images whose problem converge must not solve by itself."""


def a_host(image: str, plays: tuple[Play, ...], folder: Path) -> LabHost:
    name = ONE_OF_EACH[image]
    world = load_image(image, host_name=name.upper())
    world.clock.freeze()
    mine = tuple(play for play in plays if name in INVENTORY.select(play.hosts))
    return LabHost(world, mine, INVENTORY.variables(name), folder)


def test_the_fleet_is_large_enough_to_show_groups(fleet: Inventory) -> None:
    assert 25 <= len(fleet.hosts) <= 45
    assert {"iis4", "exchange", "exchange55", "exchange2000"} <= set(fleet.groups)
    assert set(fleet.groups["exchange2000"]) & set(fleet.groups["exchange"])
    assert not set(ONE_OF_EACH) & FOR_TESTS


def test_the_fleet_holds_every_image_that_stands_for_a_host() -> None:
    listed = {path.stem for path in FOLDER.glob("*.yml")}
    bases = {
        "iis4-elsewhere",
        "iis4-mail-news-setup",
        "iis4-smtp-added",
        "windows-2000-iis5",
        "windows-2000-server",
        "windows-nt-4.0-server",
    }
    assert set(ONE_OF_EACH) == listed - bases - FOR_TESTS


@pytest.mark.parametrize("image", sorted(set(ONE_OF_EACH) - HEALTHY - OTHER))
def test_a_broken_host_ends_healthy(image: str, all_plays: tuple[Play, ...], tmp_path: Path) -> None:
    host = a_host(image, all_plays, tmp_path)
    before = host.state()
    assert host.check().status in (Status.CHANGED, Status.WAITING)
    assert host.state() == before  # looking touched nothing
    assert host.converge().status in (Status.CHANGED, Status.OK)
    assert host.check().status is Status.OK
    settled = host.state()
    assert host.apply().status is Status.OK
    assert host.state() == settled


@pytest.mark.parametrize("image", sorted(HEALTHY))
def test_a_healthy_host_is_left_alone(image: str, all_plays: tuple[Play, ...], tmp_path: Path) -> None:
    host = a_host(image, all_plays, tmp_path)
    before = host.state()
    assert host.check().status is Status.OK
    assert host.apply().status is Status.OK
    assert host.state() == before


@pytest.mark.parametrize("image", sorted(OTHER))
def test_a_host_that_no_article_is_about_is_skipped_with_reasons(
    image: str, all_plays: tuple[Play, ...], tmp_path: Path
) -> None:
    host = a_host(image, all_plays, tmp_path)
    before = host.state()
    result = host.apply()
    assert result.status is Status.SKIPPED
    assert all(change.reason for change in result.changes)
    assert host.state() == before
