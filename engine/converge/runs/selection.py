"""From files to targets: which hosts, which plays for each, and how each is reached. Contacts nobody."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from converge.errors import InputErrors, InputProblem, UsageError
from converge.inventory import HostSettings, Inventory, load
from converge.model.play import Play
from converge.playbook import select_entries
from converge.runs.extra_vars import read_extra_vars
from converge.runs.options import STATE_FOLDER, Sources
from converge.runs.playbooks import chosen_playbooks, load_plays
from converge.runs.window_keeper import windows_of

if TYPE_CHECKING:
    from converge.schedule.windows import ChangeWindows

DEFAULT_INVENTORY = "inventory"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Target:
    """One host of this run: the plays that are for it, in order, and how to reach it."""

    host: str
    plays: tuple[Play, ...]
    settings: HostSettings


@dataclass(frozen=True, slots=True)
class Selection:
    """What the user's files add up to. `documents` are the playbooks as they were read, by name."""

    playbooks: tuple[str, ...]
    plays: tuple[Play, ...]
    inventory: Inventory
    targets: Mapping[str, Target]
    warnings: tuple[str, ...]
    windows: Mapping[str, ChangeWindows] = field(default_factory=dict)
    documents: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)
    tags: frozenset[str] = frozenset()
    skip_tags: frozenset[str] = frozenset()

    @property
    def play_warnings(self) -> Mapping[str, str]:
        """What plays say of themselves, by their names."""
        return {play.name: play.warning for play in self.plays if play.warning}

    def variables(self, host: str) -> Mapping[str, object]:
        """A host's variables, rendered as they are asked for."""
        return self.inventory.variables(host)


class AnyName(frozenset[str]):
    """Holds every name: what an inventory that cannot be read would have given is not reported as unknown."""

    def __contains__(self, name: object) -> bool:
        return True


def select(sources: Sources) -> Selection:
    """Read everything, and raise InputErrors with everything wrong in all of it, or UsageError where nothing is chosen."""
    playbooks = chosen_playbooks(sources.playbooks)
    inventories = sources.inventories or (default_inventory(),)
    extra = read_extra_vars(sources.extra_vars)
    problems: list[InputProblem] = []
    folders = tuple(dict.fromkeys(playbook.parent for playbook in playbooks))
    inventory = _collected(lambda: load(inventories, playbook_directories=folders, extra_variables=extra), problems)
    known = inventory.variable_names if inventory is not None else AnyName()
    loaded = _collected(lambda: load_plays(playbooks, known_variables=known), problems)
    if loaded is None or inventory is None:
        raise InputErrors(problems)
    plays, documents = loaded
    plays = chosen_plays(plays, tags=sources.tags, skip_tags=sources.skip_tags)
    if not plays:
        raise UsageError("nothing to do: no entry of these playbooks is left", try_="see `converge --list-resources`")
    by_host, warnings = _plays_by_host(plays, inventory, limit=sources.limit)
    targets = _targets(by_host, inventory)
    windows = windows_of(inventory, targets)
    # In the order in which they are gone through: by the first play of each.
    turns = {play.file: turn for turn, play in reversed([*enumerate(plays)])}
    names = tuple(sorted((str(playbook) for playbook in playbooks), key=lambda name: turns.get(name, len(turns))))
    warnings = [*(str(warning) for warning in inventory.warnings), *warnings]
    return Selection(
        names, plays, inventory, targets, tuple(warnings), windows, documents, sources.tags, sources.skip_tags
    )


def chosen_plays(plays: Sequence[Play], *, tags: Collection[str], skip_tags: Collection[str]) -> tuple[Play, ...]:
    """The plays that tags leave something of, in their order."""
    chosen = (select_entries(play, tags=tags, skip_tags=skip_tags) for play in plays)
    return tuple(play for play in chosen if play.entries)


def select_hosts(inventory: Inventory, hosts: Sequence[str], playbooks: Sequence[str]) -> Selection:
    """Some hosts of an inventory without any plays: `playbooks` is only told. Raises InputErrors."""
    targets = _targets(dict.fromkeys(hosts, ()), inventory)
    warnings = tuple(str(warning) for warning in inventory.warnings)
    return Selection(tuple(playbooks), (), inventory, targets, warnings, windows_of(inventory, targets))


def _collected(step: Callable[[], T], problems: list[InputProblem]) -> T | None:
    try:
        return step()
    except InputErrors as error:
        problems.extend(error.problems)
        return None


def default_inventory() -> str:
    """The inventory of the current folder. Raises UsageError where there is none."""
    if Path(DEFAULT_INVENTORY).exists():
        return DEFAULT_INVENTORY
    raise UsageError(
        f"there is not an inventory: no {DEFAULT_INVENTORY}/ in this folder",
        try_="name one with -i, or write inventory/hosts.yml",
    )


def _plays_by_host(
    plays: Sequence[Play], inventory: Inventory, *, limit: str | None
) -> tuple[dict[str, tuple[Play, ...]], list[str]]:
    """The hosts in the order of the inventory, each with its plays. Hosts with the same plays share one tuple."""
    allowed = set(inventory.limit(limit)) if limit is not None else set(inventory.hosts)
    chosen: dict[str, list[int]] = {}
    warnings = []
    for number, play in enumerate(plays):
        hosts = inventory.select(play.hosts)
        if not hosts:
            warnings.append(f"{play.position}: no host matches {play.hosts} of the play {play.name}")
        for host in hosts:
            if host in allowed:
                chosen.setdefault(host, []).append(number)
    if not chosen:
        raise _no_host(plays, inventory, limit)
    shared: dict[tuple[int, ...], tuple[Play, ...]] = {}
    found: dict[str, tuple[Play, ...]] = {}
    for host in inventory.hosts:
        if host in chosen:
            numbers = tuple(chosen[host])
            found[host] = shared.setdefault(numbers, tuple(plays[number] for number in numbers))
    return found, warnings


def _no_host(plays: Sequence[Play], inventory: Inventory, limit: str | None) -> UsageError:
    if not inventory.hosts:
        return UsageError("the inventory holds no host", try_="write hosts into it, or name another one with -i")
    patterns = ", ".join(dict.fromkeys(play.hosts for play in plays))
    among = (
        f" among those of --limit {limit}"
        if limit is not None
        else f" among the {len(inventory.hosts)} of the inventory"
    )
    return UsageError(
        f"no host to work on: the plays are for {patterns}, and no host matches{among}",
        try_="name the groups of the playbooks in the inventory; `converge --list-hosts` shows what matches",
    )


def _targets(by_host: Mapping[str, tuple[Play, ...]], inventory: Inventory) -> dict[str, Target]:
    problems: list[InputProblem] = []
    targets: dict[str, Target] = {}
    for host, plays in by_host.items():
        settings = _collected(lambda host=host: inventory.settings(host), problems)  # type: ignore[misc]  # mypy does not infer a lambda with a default
        if settings is not None:
            targets[host] = Target(host, plays, settings)
    problems += _unknown_images(targets, inventory)
    if problems:
        raise InputErrors(tuple(dict.fromkeys(problems)))
    return targets


def _unknown_images(targets: Mapping[str, Target], inventory: Inventory) -> list[InputProblem]:
    """Simulated hosts of images that there are not, or of none."""
    simulated = {
        host: target.settings.lab_image for host, target in targets.items() if target.settings.connection == "lab"
    }
    if not simulated:
        return []
    from converge.lab.image import image_names
    from converge.reading.spelling import did_you_mean
    from converge.runs.lab_hosts import world_path

    def has_world(host: str) -> bool:
        return world_path(STATE_FOLDER / "lab", host).exists()

    known = image_names()
    return [
        InputProblem(
            *inventory.place(host, "converge_lab_image"),
            f"there is no image {image[:100]}" if image else f"{host} is a simulated host without an image",
            "one of those that `converge lab list` shows",
            did_you_mean(image or "", known) or f"set converge_lab_image of {host}",
        )
        for host, image in simulated.items()
        if image not in known and (image or not has_world(host))
    ]
