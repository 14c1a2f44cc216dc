"""Choosing entries by --tags and --skip-tags, with Ansible's meaning of always, never, all, tagged and untagged."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from converge.model.play import Entry, Play


def select_entries(play: Play, *, tags: Collection[str] = (), skip_tags: Collection[str] = ()) -> Play:
    """The play with the entries that are chosen. Handlers stay: whether they run, notifications tell.

    What a chosen entry requires of one that is not chosen is not asked for: leaving it out was the user's choice.
    """
    wanted = frozenset(tags) or frozenset({"all"})
    unwanted = frozenset(skip_tags)
    chosen = [entry for entry in play.entries if _wanted(entry, wanted) and not _unwanted(entry, unwanted)]
    if len(chosen) == len(play.entries):
        return play
    names = {entry.name for entry in chosen}
    entries = (replace(entry, requires=tuple(name for name in entry.requires if name in names)) for entry in chosen)
    return replace(play, entries=tuple(entries))


def _wanted(entry: Entry, wanted: frozenset[str]) -> bool:
    if "always" in entry.tags:
        return True
    if entry.tags & wanted or (not entry.tags and "untagged" in wanted):
        return True
    return "never" not in entry.tags and ("all" in wanted or (bool(entry.tags) and "tagged" in wanted))


def _unwanted(entry: Entry, unwanted: frozenset[str]) -> bool:
    if "all" in unwanted:
        return "always" not in entry.tags or "always" in unwanted
    if entry.tags & unwanted:
        return True
    return "tagged" in unwanted if entry.tags else "untagged" in unwanted
