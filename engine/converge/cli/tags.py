"""Which entries of a play run: `--tags` and `--skip-tags`, with the words that Ansible gives a meaning."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from converge.model.play import Entry, Play


def with_tags(plays: Sequence[Play], *, tags: Collection[str], skip: Collection[str]) -> tuple[Play, ...]:
    """The plays with the entries that the tags leave in; a play none of whose entries is left goes."""
    if not tags and not skip and not any("never" in entry.tags for play in plays for entry in play.entries):
        return tuple(plays)
    kept = (replace(play, entries=tuple(e for e in play.entries if _runs(e, tags, skip))) for play in plays)
    return tuple(play for play in kept if play.entries)


def _runs(entry: Entry, tags: Collection[str], skip: Collection[str]) -> bool:
    named = bool(entry.tags & set(tags))
    if entry.tags & set(skip) or ("tagged" in skip and entry.tags) or ("untagged" in skip and not entry.tags):
        return False
    if "all" in skip and "always" not in entry.tags:
        return False
    if "never" in entry.tags:
        return named
    if not tags or "all" in tags or "always" in entry.tags or named:
        return True
    return ("tagged" in tags and bool(entry.tags)) or ("untagged" in tags and not entry.tags)
