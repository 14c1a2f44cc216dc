"""Hosts that differ from an image of the lab in one fact, over all five articles: what converge says of each, and changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field

from converge.lab.image import FOLDER, load_image
from converge.model.change import Change, Status
from converge.model.play import Play

if TYPE_CHECKING:
    from tests.articles.articles_lab import LabHost, leaves
else:
    from articles_lab import LabHost, leaves


class Says(BaseModel):
    """What must be said of one entry: its status, and words of its reason, error or notes."""

    model_config = ConfigDict(extra="forbid")

    status: Status
    words: str = ""


class Single(BaseModel):
    """One host: its image (as of the lab, without a base), and what converge must say and do."""

    model_config = ConfigDict(extra="forbid")

    differs: str  # the one fact, in words
    image: dict[str, Any]
    swap: dict[str, str] = {}  # texts that stand otherwise in every image it is made of: paths
    articles: list[str]
    variables: dict[str, Any] = {}
    status: Status
    says: dict[str, Says] = {}  # by the beginning of an entry's address, `play:` included
    changes: list[str] | None = None  # what check finds due, by address; none: not looked at
    never: list[str] = []  # beginnings of addresses that must not be due
    after: Status | None = None  # how apply ends, each person played
    then: Status | None = None  # and what a check says afterwards
    shows: dict[str, str] = Field({})  # article: certainty, of diagnose


def table() -> dict[str, Single]:
    """The hosts, by name."""
    with (Path(__file__).parent / "single_facts.yml").open(encoding="utf-8") as file:
        return {name: Single.model_validate(raw) for name, raw in yaml.safe_load(file).items()}


HOSTS = table()


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the lab's images and one for each host; a folder of its own for a host that swaps texts."""
    folder = tmp_path_factory.mktemp("images")
    for path in FOLDER.glob("*.yml"):
        (folder / path.name).symlink_to(path)
    for name, host in HOSTS.items():
        own = folder / name if host.swap else folder
        own.mkdir(exist_ok=True)
        (own / f"{name}.yml").write_text(_swapped(yaml.safe_dump(host.image), host.swap), encoding="utf-8")
        for path in FOLDER.glob("*.yml") if host.swap else ():
            (own / path.name).write_text(_swapped(path.read_text(encoding="utf-8"), host.swap), encoding="utf-8")
    return folder


def _swapped(text: str, swap: Mapping[str, str]) -> str:
    for old, new in swap.items():
        text = text.replace(old, new)
    return text


def make(name: str, *, images: Path, plays: Collection[Play], folder: Path) -> LabHost:
    """The host under the plays of its articles."""
    single = HOSTS[name]
    world = load_image(name, host_name="HOST", folder=images / name if single.swap else images)
    world.clock.freeze()
    return LabHost(world, tuple(play for play in plays if play.article in single.articles), single.variables, folder)


def told(change: Change) -> str:
    """Everything that is said of one entry."""
    error = change.error
    return " ".join([change.reason or "", *change.notes, *([error.what, error.why, error.try_] if error else [])])


def meant(changes: Collection[Change], address: str) -> list[Change]:
    """The entries at an address, in any case."""
    return [change for change in changes if change.address.lower().startswith(address.lower())]


def due(changes: Collection[Change]) -> list[str]:
    """The addresses of what would be changed."""
    return [change.address for change in changes if change.status is Status.CHANGED]


@pytest.mark.parametrize("name", HOSTS)
def test_a_host_that_differs_in_one_fact(
    name: str, images: Path, all_plays: tuple[Play, ...], tmp_path: Path
) -> None:
    single = HOSTS[name]
    host = make(name, images=images, plays=all_plays, folder=tmp_path)
    before = host.state()
    result = host.check()
    everything = [*result.changes, *(step for change in result.changes for step in change.steps)]
    shown = "\n".join(f"{change.status.value:9} {change.address}: {told(change)}" for change in everything)
    assert host.state() == before, "a check writes nothing"
    assert result.status is single.status, shown
    for address, said in single.says.items():
        found = meant(everything, address)
        assert found, f"{address} is not among\n{shown}"
        assert any(change.status is said.status and said.words in told(change) for change in found), shown
    if single.changes is not None:
        assert sorted(due(result.changes)) == sorted(single.changes), shown
    for address in single.never:
        assert not due(meant(everything, address)), shown
    shows = {article: item.certainty.value for article, item in host.diagnose().items()}
    assert single.shows.items() <= shows.items(), shows
    if single.after is not None:
        applied = host.converge()
        assert applied.status is single.after, "\n".join(f"{item.address}: {told(item)}" for item in leaves(applied))
    if single.then is not None:
        assert host.check().status is single.then
