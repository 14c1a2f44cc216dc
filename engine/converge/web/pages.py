"""What stands on each page: the name of its template and the values for it, from the store as it is now."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from converge.model.recorded import LOOKING, UNDO_CHECK, RunRecord
from converge.report.folding import natural
from converge.report.vocabulary import ORDER, shown_status, stored_status
from converge.store.stories import story_of
from converge.web.chart import bar, chart, shown_counts
from converge.web.enforcement import enforcement_page, intentions_of, standings
from converge.web.fleet import AGES, NEVER, OLDER, FleetView, HostView, age, age_limits, by_need
from converge.web.look import Context, Look, NotThere, Page, Pages

HOSTS, GROUPS, RUNS, ENTRIES = 100, 50, 50, 20
"""How much of each a page holds."""
QUIET = ("ok", "skipped")
"""Statuses that a chart leaves out unless it is asked for all: they would make what matters flat."""
URGENT = 12  # hosts of the first page
MOST_ALIKE = 1000  # hosts of a run that were in order, as before, and are named on its page
INLINE = 10  # hosts of a run whose journals stand on its page; in one file those of all that it names
SILENCE = timedelta(minutes=10)  # after which a run that has not ended is told as broken off
ALL_AGES = (*(words for words, _ in AGES), OLDER, NEVER)
NEED = tuple(dict.fromkeys(stored_status(status) for status in ORDER))
SORTS = ("need", "-need", "host", "-host", "seen", "-seen")


def overview(look: Look) -> Context:
    """The fleet at a glance."""
    fleet = look.fleet()
    counts = fleet.counts()
    wanting = sorted((host for host in fleet.hosts if host.needs_attention), key=by_need)
    runs = look.store.overview.runs(limit=look.columns)
    return {
        "title": "Fleet",
        "total": len(fleet.hosts),
        "counts": [(status, counts[status]) for status in ORDER if counts[status]],
        "bar": bar(counts),
        "wanting": len(wanting),
        "urgent": wanting[:URGENT],
        "fleet": fleet,
        "ages": [(words, fleet.ages(look.now).get(words, 0)) for words in ALL_AGES],
        "seen": max((host.seen for host in fleet.hosts if host.seen), default=None),
        "chart": chart(runs, least_columns=30, without=QUIET),
        "runs": [_told(look, run) for run in runs[:6]],
        "standings": standings(look.store, look.now),
    }


def drift(look: Look) -> Context:
    """Hosts by status, run by run."""
    mode, playbook = _mode(look), look.query.text("playbook")
    before = look.query.text("before") or None
    modes = LOOKING if mode == "looking" else (mode,) if mode else ()
    runs = look.store.overview.runs(limit=look.columns + 1, before=before, modes=modes, playbook=playbook)
    shown = runs[:look.columns]
    everything = look.query.choice("show", ("all",)) == "all"
    return {
        "title": "Drift over time",
        "chart": chart(shown, least_columns=20, without=() if everything else QUIET),
        "everything": everything,
        "other": look.query.link(show="" if everything else "all"),
        "runs": [_told(look, run) for run in shown],
        "older": look.query.link(before=shown[-1].run) if len(runs) > look.columns else "",
        "newest": look.query.link(before="") if before else "",
        "filters": {"mode": mode, "playbook": playbook},
        "playbooks": look.store.overview.playbooks(newest=500),
    }


def changes(look: Look) -> Context:
    """Hosts to which the same happens."""
    fleet = look.fleet()
    text, status = look.query.text("q"), look.query.choice("status", ORDER)
    found = [
        (fleet.finding(key), key, hosts)
        for key, hosts in fleet.groups()
        if (not status or fleet.texts[key][0] == status)
        and (not text or text.lower() in (fleet.texts[key][1] + _plain(fleet.texts[key][2])).lower())
    ]
    pages = Pages(look.query, len(found), GROUPS)
    return {
        "title": "The same on several hosts",
        "groups": found[pages.first : pages.last],
        "pages": pages,
        "hosts": sum(len(hosts) for _, _, hosts in found),
        "filters": {"q": text, "status": status},
        "statuses": [status for status in ORDER if fleet.counts()[status]],
    }


def hosts(look: Look) -> Context:
    """The list of hosts."""
    fleet, query = look.fleet(), look.query
    given = {
        "q": query.text("q"),
        "status": query.choice("status", (*ORDER, "any-trouble")),
        "playbook": query.text("playbook"),
        "age": query.choice("age", ALL_AGES),
        "finding": query.choice("finding", fleet.texts),
    }
    found = _filtered(fleet, given, look.now)
    sort = query.choice("sort", SORTS) or "need"
    found = _sorted(found, sort)
    pages = Pages(query, len(found), max(HOSTS, len(found)) if look.single else HOSTS)
    names = sorted({name for text in {host.playbooks for host in fleet.hosts} for name in _names(text)})
    return {
        "title": "Hosts",
        "hosts": found[pages.first : pages.last],
        "fleet": fleet,
        "total": len(fleet.hosts),
        "pages": pages,
        "sort": sort,
        "filters": given,
        "statuses": [(status, count) for status in ORDER if (count := fleet.counts()[status])],
        "playbooks": names,
        "ages": ALL_AGES,
    }


def host(look: Look) -> Context:
    """One host's story."""
    name = look.query.text("name")
    known = next((each for each in look.fleet().hosts if each.name == name), None)
    if known is None:
        raise NotThere(f"no host {name[:200]} is remembered", try_="see the list of hosts")
    before = look.query.text("before") or None
    told = look.store.overview.story(name, limit=ENTRIES + 1, before=before)
    entries = [
        {
            "told": entry,
            "status": shown_status(entry.result.status, entry.mode) if entry.result else "unknown",
            "story": story_of(look.store, entry.run, host=name) if entry.journaled else None,
        }
        for entry in told[:ENTRIES]
    ]
    return {
        "title": name,
        "host": known,
        "finding": look.store.overview.result(known.run, name) if known.finding else None,
        "history": look.store.history(name),
        "intentions": intentions_of(look.store, name),
        "entries": entries,
        "older": look.query.link(before=told[ENTRIES - 1].run) if len(told) > ENTRIES else "",
        "newest": look.query.link(before="") if before else "",
    }


def runs(look: Look) -> Context:
    """The list of runs."""
    mode, playbook = _mode(look), look.query.text("playbook")
    before = look.query.text("before") or None
    modes = LOOKING if mode == "looking" else (mode,) if mode else ()
    found = look.store.overview.runs(limit=RUNS + 1, before=before, modes=modes, playbook=playbook)
    return {
        "title": "Runs",
        "runs": [_told(look, run) for run in found[:RUNS]],
        "older": look.query.link(before=found[RUNS - 1].run) if len(found) > RUNS else "",
        "newest": look.query.link(before="") if before else "",
        "filters": {"mode": mode, "playbook": playbook},
        "playbooks": look.store.overview.playbooks(newest=500),
    }


def run(look: Look) -> Context:
    """One run, or one host in it: what became of it, and the journal."""
    query, store = look.query, look.store
    record = store.runs.get(query.text("id"))
    if record is None:
        raise NotThere(f"no run {query.text('id')[:200]} is remembered", try_="see the list of runs")
    told = _told(look, record)
    status, text = query.choice("status", ORDER), query.text("q")
    only = query.text("name")
    wanted = stored_status(status)
    journaled = set(store.runs.journaled_hosts(record.run))
    missing = store.overview.without_result(record.run, limit=HOSTS)
    if only:
        found = store.overview.result(record.run, only)
        results = [found] if found else []
        missing = [only] if only in missing else []
        pages = Pages(query, len(results), HOSTS)
    else:
        count, _ = store.overview.results(record.run, offset=0, limit=1, status=wanted, text=text)
        pages = Pages(query, count, HOSTS)
        _, results = store.overview.results(
            record.run, offset=pages.first, limit=HOSTS, status=wanted, text=text, first=NEED
        )
    alike = [] if only else store.runs.hosts_as_before(record.run, status=wanted, text=text, limit=MOST_ALIKE)
    told_of = pages.count + len(alike)
    inline = 2 * HOSTS if look.single else INLINE
    names = [name for name in (*missing, *(each.host for each in results)) if name in journaled][:inline]
    return {
        "title": f"Run {record.run}",
        "told": told,
        "results": [(each, shown_status(each.status, record.mode)) for each in results],
        "journals": [story_of(store, record.run, host=name) for name in names],
        "journaled": journaled,
        "missing": missing,
        "alike": alike,
        "seen_later": max(told.counts.get(status, 0) - told_of, 0) if status in QUIET and not text else 0,
        "only": only,
        "pages": pages,
        "filters": {"q": text, "status": status},
        "statuses": [name for name in ORDER if name in told.counts],
    }


@dataclass
class ToldRun:
    """A run as it is shown: what it counted, or has so far."""

    record: RunRecord
    counts: Mapping[str, int]
    state: str  # ended, going, silent
    heard: str | None = None

    @cached_property
    def total(self) -> int:
        """The hosts it spoke of."""
        return sum(self.counts.values())

    @cached_property
    def bar(self) -> object:
        """Its hosts by status, as boxes."""
        return bar(self.counts)


def _told(look: Look, run: RunRecord) -> ToldRun:
    if run.ended is not None:
        return ToldRun(run, shown_counts(run), "ended")
    heard = look.store.overview.last_heard(run.run) or run.started
    silent = look.now - datetime.fromisoformat(heard) > SILENCE
    sofar = replace(run, hosts=look.store.overview.progress(run.run))
    return ToldRun(run, shown_counts(sofar), "silent" if silent else "going", heard)


def _filtered(fleet: FleetView, given: Mapping[str, str], now: datetime) -> list[HostView]:
    text, status, limits = given["q"].strip().lower(), given["status"], age_limits(now)
    playbook = given["playbook"]
    spoken = {each: playbook in _names(each) for each in {host.playbooks for host in fleet.hosts}} if playbook else {}
    return [
        host
        for host in fleet.hosts
        if (not text or text in host.name.lower())
        and (not status or host.status == status or (status == "any-trouble" and host.needs_attention))
        and (not playbook or spoken[host.playbooks])
        and (not given["age"] or age(host, limits) == given["age"])
        and (not given["finding"] or host.finding == given["finding"])
    ]


def _sorted(found: list[HostView], sort: str) -> list[HostView]:
    """In a new order; hosts that are equal in it stay in the order of their names."""
    backwards = sort.startswith("-")
    keys: Mapping[str, Callable[[HostView], Any]] = {
        "need": by_need,
        "seen": lambda host: host.seen or "",
        "host": lambda host: natural(host.name),
    }
    return sorted(found, key=keys[sort.lstrip("-")], reverse=backwards)


def _names(playbooks: str) -> list[str]:
    value = json.loads(playbooks)
    return [str(each) for each in value] if isinstance(value, list) else []


def _plain(resources: str) -> str:
    """JSON as a text to look for words in: backslashes as people write them."""
    return resources.replace("\\\\", "\\")


def _mode(look: Look) -> str:
    return look.query.choice("mode", ("looking", "run", "apply", "enforce", "undo", "check", "plan", "monitor", UNDO_CHECK))


PAGES: Mapping[str, tuple[str, Page]] = {
    "/": ("overview.html", overview),
    "/drift": ("drift.html", drift),
    "/changes": ("changes.html", changes),
    "/hosts": ("hosts.html", hosts),
    "/host": ("host.html", host),
    "/runs": ("runs.html", runs),
    "/run": ("run.html", run),
    "/enforcement": ("enforcement.html", enforcement_page),
}
"""By path: the template and what stands in it."""
NAV = (
    ("/", "Fleet"), ("/drift", "Drift"), ("/changes", "Changes"), ("/hosts", "Hosts"), ("/runs", "Runs"),
    ("/enforcement", "Enforcement"),
)  # fmt: skip
