"""`--list-hosts` and `--list-resources`: what would be worked on, without contacting anybody."""

from __future__ import annotations

import json
from collections.abc import Iterable

from converge import __version__
from converge.cli.options import View
from converge.cli.output import Output, opened_for, written
from converge.model.change import Json
from converge.model.play import Entry, Play
from converge.report.document import SCHEMA
from converge.report.sink import sink_for
from converge.runs.exit_codes import ExitCode
from converge.runs.selection import Selection


def listed(selection: Selection, view: View, *, hosts: bool) -> ExitCode:
    """The hosts, or what is declared."""
    with opened_for(view) as out:
        (list_hosts if hosts else list_resources)(selection, out, json_wanted=view.json)
        return written(out, ExitCode.IN_ORDER)


def list_hosts(selection: Selection, out: Output, *, json_wanted: bool) -> None:
    """Each host with the plays that are for it."""
    if json_wanted:
        hosts = {
            host: {"plays": [play.name for play in target.plays], "skip": target.settings.skip or None}
            for host, target in selection.targets.items()
        }
        _document(out, selection, {"mode": "list-hosts", "hosts": hosts})
        return
    sink = sink_for(out)
    for host, target in selection.targets.items():
        skip = f"  ({target.settings.skip})" if target.settings.skip else ""
        sink.line(f"{host}: {', '.join(play.name for play in target.plays)}{skip}")


def list_resources(selection: Selection, out: Output, *, json_wanted: bool) -> None:
    """Each play with its entries and handlers, as declared: what they are on a host is known only there."""
    if json_wanted:
        plays = [_play(play, selection) for play in selection.plays]
        _document(out, selection, {"mode": "list-resources", "plays": plays})
        return
    sink = sink_for(out)
    for play in selection.plays:
        sink.line(f"{play.name}  ({play.position}, hosts: {play.hosts})", style="bold")
        for entry in play.entries:
            tags = f"  [{', '.join(sorted(entry.tags))}]" if entry.tags else ""
            sink.line(f"  {entry.kind}: {entry.name}{tags}")
        for entry in play.handlers:
            sink.line(f"  handler {entry.kind}: {entry.name}", style="dim")


def _play(play: Play, selection: Selection) -> dict[str, Json]:
    hosts = [host for host, target in selection.targets.items() if play in target.plays]
    return {
        "play": play.name,
        "file": play.file,
        "hosts": hosts,
        "resources": _entries(play.entries),
        "handlers": _entries(play.handlers),
    }


def _entries(entries: Iterable[Entry]) -> list[Json]:
    return [{"kind": entry.kind, "name": entry.name, "tags": sorted(entry.tags)} for entry in entries]


def _document(out: Output, selection: Selection, content: dict[str, Json]) -> None:
    head = {"converge": __version__, "schema": SCHEMA, "playbooks": list(selection.playbooks)}
    out.write(json.dumps(head | content, indent=1) + "\n")
