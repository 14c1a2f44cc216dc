"""The page in one file: the pages of the fleet from the same templates, with style and program within, and no network."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files

from markupsafe import Markup

from converge import __version__
from converge.model.recorded import LOOKING, RunRecord
from converge.report.vocabulary import shown_status
from converge.store.store import Store
from converge.web import query
from converge.web.enforcement import standings
from converge.web.fleet import Finding, fleet_of
from converge.web.look import Context, Look
from converge.web.pages import NAV, PAGES
from converge.web.words import templates


@dataclass(frozen=True, slots=True)
class _Addresses:
    """Where a link goes within the file. Of the runs only one has a page, empty for the others."""

    run: str

    def __call__(self, path: str, values: Mapping[str, str | int]) -> str:
        if path == "/run" and "name" in values:
            path, values = "/host", {"name": values["name"]}
        elif path == "/run":
            return "#/run" if values.get("id", self.run) == self.run else ""
        return "#" + query.address("/drift" if path == "/runs" else path, values)


def single_page(store: Store, *, columns: int, run: str | None, now: datetime) -> str:
    """The file: the newest runs as columns, the journal of a run. Raises NotThere, JournalUnavailable."""
    runs = store.overview.runs(limit=columns)
    told_run = run or _newest_that_changed(store, runs)
    fleet = cache(lambda: fleet_of(store.overview.hosts()))
    findings, past = _past(store, runs)
    absent = {"/runs", *(() if standings(store, now) else ("/enforcement",))}
    nav = [each for each in NAV if each[0] not in absent] + ([("/run", "Journal")] if told_run else [])
    shared = {
        "address": _Addresses(told_run), "single": True, "now": now, "nav": nav, "section": "/", "past": past,
        "version": __version__, "source": store.name.partition("?")[0],
    }  # fmt: skip
    pages = []
    for path, _ in nav:
        asked = query.PageQuery("#" + path, {"id": told_run})
        look = Look(store, asked, now, fleet, columns=columns, single=True)
        pages.append(Markup(_rendered(path, look, shared)))  # noqa: S704  # a template made it
    style, script = _read("static/app.css"), _read("templates/single.js")
    policy = (
        f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; base-uri 'none'; form-action 'none'"
    )
    many = len(fleet().hosts)
    return templates().get_template("single.html").render(
        shared, title=f"{many} host{'' if many == 1 else 's'}", pages=pages, runs=runs, findings=findings, policy=policy,
        style=style, script=script,
    )  # fmt: skip


def _rendered(path: str, look: Look, shared: Context) -> str:
    template, page = PAGES[path]
    values = {**shared, **page(look), "query": look.query, "path": path, "layout": "part.html"}
    return templates().get_template(template).render(values)


def _newest_that_changed(store: Store, runs: Sequence[RunRecord]) -> str:
    changing = (run.run for run in runs if run.mode not in LOOKING)
    return next((run for run in changing if store.runs.journaled_hosts(run)), "")


def _past(store: Store, runs: Sequence[RunRecord]) -> tuple[list[Finding], dict[str, list[str]]]:
    """What there was to say, once for all that share it; and by host `RUN.FINDING`, their numbers, newest first."""
    numbers: dict[str, int] = {}
    findings: list[Finding] = []
    past: dict[str, list[str]] = {}
    for place, run in enumerate(runs):
        for record in store.runs.hosts(run.run):
            status = shown_status(record.status, run.mode)
            text = json.dumps([status, record.error, record.resources], sort_keys=True, default=dict)
            if text not in numbers:
                numbers[text] = len(findings)
                findings.append(Finding(status, record.error or {}, record.resources))
            past.setdefault(record.host, []).append(f"{place}.{numbers[text]}")
    return findings, past


def _read(name: str) -> Markup:
    return Markup(files("converge.web").joinpath(name).read_text(encoding="utf-8"))  # noqa: S704  # a file of ours


def _digest(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
