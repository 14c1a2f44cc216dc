"""The page: fleet at a glance, drift over time, identical changes, hosts with their past, one run's journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.resources import files

from converge.model.change import Json
from converge.model.recorded import RecordedChange, RunRecord
from converge.report.folding import folded
from converge.report.page.html import Markup, data_block, policy, tag
from converge.report.page.story import ORDER, Finding, Fleet, HostNow, Journal
from converge.report.sink import Stream
from converge.report.values import difference
from converge.report.vocabulary import word

MOST_RESOURCES = 20  # of one finding that are named
MOST_GROUPS = 25  # of identical findings that are told; with each host stands what differs there


def write_page(fleet: Fleet, out: Stream, *, made: str, source: str, version: str, journal: Journal | None) -> None:
    """Write the page. `made` is the moment, `source` the store it was made from."""
    here = files("converge.report.page")
    style, script = (here.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    out.write("<!DOCTYPE html>\n<html lang=en>\n<meta charset=utf-8>\n")
    out.write(f'<meta http-equiv="Content-Security-Policy" content="{policy(style=style, script=script)}">\n')
    out.write('<meta name=viewport content="width=device-width, initial-scale=1">\n')
    out.write(f"<meta name=referrer content=no-referrer>\n<title>converge: {len(fleet.hosts)} hosts</title>\n")
    out.write(f"<style>{style}</style>\n")
    head = f"{len(fleet.hosts)} hosts as of {_moment(made)}, from {source}, by converge {version}"
    out.write(tag("header", tag("h1", "Fleet"), tag("p", head, class_="soft")) + "\n<main>\n")
    for part in (_glance(fleet), _over_time(fleet.runs), _groups(fleet), _hosts(fleet.hosts, fleet)):
        out.write(part + "\n")
    if journal is not None:
        for part in _journal(journal):
            out.write(part + "\n")
    out.write(f"</main>\n{data_block('data', _data(fleet))}\n<script>{script}</script>\n</html>\n")


def _glance(fleet: Fleet) -> Markup:
    counts = Counter(host.status for host in fleet.hosts)
    tiles = [tag("li", tag("b", counts[status]), word(status), class_=status) for status in ORDER if counts[status]]
    empty = "" if tiles else tag("p", "No host is remembered yet: run converge --check.")
    return tag("section", tag("h2", "At a glance"), tag("ul", *tiles, class_="tiles"), empty)


def _over_time(runs: Sequence[RunRecord]) -> Markup:
    told = [run for run in reversed(runs) if run.hosts]
    most = max((sum(run.hosts.values()) for run in told), default=0)
    if not most:
        return Markup()
    bars = []
    width = 100 / len(told)
    for number, run in enumerate(told):
        height = 100.0
        parts: list[object] = [tag("title", _run_words(run))]
        for status in reversed(ORDER):
            size = run.hosts.get(status, 0) * 100 / most
            height -= size
            if size:
                box = {"x": f"{number * width:.3f}", "y": f"{height:.3f}", "height": f"{size:.3f}"}
                parts.append(tag("rect", width=f"{width * 0.9:.3f}", class_=status, **box))
        bars.append(tag("g", *parts))
    chart = tag("svg", *bars, viewBox="0 0 100 100", preserveAspectRatio="none", role="img",
                aria_label="Hosts by status, run by run; the table below tells the same")  # fmt: skip
    rows = [
        tag("tr", tag("td", _moment(run.started)), tag("td", run.mode), tag("td", _counts(run)), tag("td", run.run))
        for run in reversed(told)
    ]
    head = tag(
        "thead", tag("tr", *(tag("th", head, scope="col") for head in ("Started (UTC)", "Mode", "Hosts", "Run")))
    )
    table = tag("div", tag("table", head, tag("tbody", *rows)), class_="table")
    ends = [told[0], told[-1]] if len(told) > 1 else told
    axis = tag("p", *(tag("span", _moment(run.started)) for run in ends), class_="axis soft")
    return tag(
        "section", tag("h2", "Over time"), chart, axis, tag("details", tag("summary", "The runs as a table"), table)
    )


def _groups(fleet: Fleet) -> Markup:
    found = list(fleet.groups())
    groups = [_group(finding, hosts) for finding, hosts in found[:MOST_GROUPS]]
    more = found[MOST_GROUPS:]
    hosts = sum(len(each) for _, each in more)
    left = f"and {len(more)} more, on {hosts} hosts: each is told below, with its host"
    notes = [tag("p", left, class_="soft")] if more else [] if groups else [tag("p", "Nothing differs anywhere.")]
    return tag("section", tag("h2", "The same on many hosts"), *groups, *notes)


def _group(finding: Finding, hosts: Sequence[str]) -> Markup:
    many = "1 host" if len(hosts) == 1 else f"{len(hosts)} hosts"
    what = ", ".join(_lines(finding)[:2]) or word(finding.status)
    summary = tag("summary", _mark(finding.status), " ", tag("b", many), " ", tag("bdi", what))
    lines = [tag("li", tag("bdi", line)) for line in _lines(finding)]
    return tag("details", summary, tag("p", tag("bdi", folded(hosts))), tag("ul", *lines))


def _hosts(hosts: Sequence[HostNow], fleet: Fleet) -> Markup:
    statuses = [status for status in ORDER if any(host.status == status for host in hosts)]
    options = [tag("option", "any", value=""), *(tag("option", word(status), value=status) for status in statuses)]
    name = tag("label", "Name contains", Markup('<input name="name" autocomplete="off" spellcheck="false">'))
    form = tag(
        "form", name, tag("label", "Status", tag("select", *options, name="status")),
        tag("p", id="count", class_="soft", aria_live="polite"), id="filter", hidden="",
    )  # fmt: skip
    columns = ("Host", "Status", "Seen (UTC)", "What differs")
    head = tag("thead", tag("tr", *(tag("th", head, scope="col") for head in columns)))
    body = tag("tbody", *(_host(host, fleet) for host in hosts))
    story = tag("div", id="story", tabindex="-1", hidden="")
    return tag("section", tag("h2", "Hosts"), form, story, tag("table", head, body, id="hosts"))


def _host(host: HostNow, fleet: Fleet) -> Markup:
    lines = _lines(fleet.findings[host.finding]) if host.finding is not None else []
    more = f" and {len(lines) - 2} more" if len(lines) > 2 else ""
    link = tag("a", tag("bdi", host.host), href="#hosts")
    return tag(
        "tr", tag("td", link), tag("td", _mark(host.status)), tag("td", _moment(host.seen)),
        tag("td", tag("bdi", ", ".join(lines[:2]) + more)), data_name=host.host, data_status=host.status,
    )  # fmt: skip


def _journal(journal: Journal) -> Iterator[Markup]:
    run = journal.run
    yield Markup(f"<section>{tag('h2', 'Journal of a run')}{tag('p', _run_words(run), class_='soft')}")
    for story in journal.hosts:
        status = story.result.status if story.result else "unknown"
        many = "1 change" if len(story.changes) == 1 else f"{len(story.changes)} changes"
        summary = tag("summary", _mark(status), " ", tag("bdi", story.host), f": {many}")
        said = tag("p", f"outside its change window: {story.overridden}") if story.overridden else ""
        yield tag("details", summary, said, *(_change(change) for change in story.changes))
    if journal.left_out:
        yield tag("p", f"and {journal.left_out} more hosts: converge runs {run.run}")
    if not journal.hosts:
        yield tag("p", "This run changed nothing.")
    yield Markup("</section>")


def _change(change: RecordedChange) -> Markup:
    lines = [
        tag("span", f"{sign} {line}\n", class_={"-": "minus", "+": "plus"}.get(sign))
        for sign, line in difference(change.before, change.after)
    ]
    actions = [tag("li", f"{action.action.get('action')}: {action.outcome} {action.text}") for action in change.actions]
    heading = tag("h3", _mark(change.status or "unknown"), " ", tag("bdi", change.address))
    way_back = tag("p", f"way back: {change.way_back}", class_="soft")
    said = tag("p", change.text) if change.text else ""
    return tag("div", heading, said, tag("pre", *lines), tag("ul", *actions), way_back)


def _data(fleet: Fleet) -> Json:
    return {
        "runs": [[run.run, _moment(run.started), run.mode] for run in fleet.runs],
        "findings": [[finding.status, _error(finding), _resources(finding)] for finding in fleet.findings],
        "past": fleet.past,
    }


def _lines(finding: Finding) -> list[str]:
    return [line for line in (_error(finding), *_resources(finding)) if line]


def _error(finding: Finding) -> str:
    what, code = finding.error.get("what", ""), finding.error.get("code", "")
    return f"{what} [{code}]" if what or code else ""


def _resources(finding: Finding) -> list[str]:
    told = [_resource(resource) for resource in finding.resources[:MOST_RESOURCES]]
    left = len(finding.resources) - len(told)
    return [*told, *([f"and {left} more resources"] if left else [])]


def _resource(resource: object) -> str:
    if not isinstance(resource, dict):
        return str(resource)
    reason = f": {resource['reason']}" if resource.get("reason") else ""
    status = str(resource.get("status", ""))
    return f"{resource.get('address', '')}{f' ({status})' if status != 'changed' else ''}{reason}"


def _mark(status: str) -> Markup:
    return tag("span", word(status), class_=f"mark {status}")


def _counts(run: RunRecord) -> str:
    return ", ".join(f"{run.hosts[status]} {word(status)}" for status in ORDER if run.hosts.get(status))


def _run_words(run: RunRecord) -> str:
    return f"{_moment(run.started)} UTC, {run.mode} by {run.user}: {_counts(run) or 'no host'} ({run.run})"


def _moment(stamp: str) -> str:
    """An ISO 8601 time in UTC to the minute."""
    return stamp[:16].replace("T", " ")
