"""A saved plan as text for who approves it, and as the JSON document."""

from __future__ import annotations

from collections.abc import Mapping

from converge.model.change import HostResult, Window
from converge.model.saved_plan import SavedPlan
from converge.report.document import JsonDocument
from converge.report.sink import Stream, sink_for
from converge.report.text import TextOptions, TextReport


def tell_plan(
    out: Stream,
    plan: SavedPlan,
    *,
    options: TextOptions,
    as_json: bool,
    applied: Mapping[str, str],
    windows: Mapping[str, Window],
) -> None:
    """Tell what would be done to each host; `applied` are the hosts to which it was, each with its run.

    `windows` say of the hosts that have change windows whether they may be changed now.
    """
    results = [
        HostResult(host.host, host.status, host.changes, error=host.error, window=windows.get(host.host))
        for host in plan.hosts
    ]
    if as_json:
        document = JsonDocument(
            out, version=plan.converge, mode="plan", run=plan.run, playbooks=tuple(plan.made_from.playbooks)
        )
        for result in results:
            document.host(result)
        document.end()
        return
    sink = sink_for(out)
    made_from = plan.made_from
    sink.line(f"Plan {plan.id}, made {plan.created} by converge {plan.converge}", style="bold")
    for name, digest in made_from.playbooks.items():
        sink.line(f"  playbook {name}  sha256 {digest}")
    sink.line(f"  inventory {', '.join(made_from.inventories)}")
    for what, words in (
        ("limit", [made_from.limit] if made_from.limit else []),
        ("tags", made_from.tags),
        ("without tags", made_from.skip_tags),
        ("variables given with -e", made_from.extra_vars),
        ("agreed to", _agreed(plan)),
    ):
        if words:
            sink.line(f"  {what} {', '.join(words)}")
    for host, run in sorted(applied.items()):
        sink.line(f"  applied to {host} in run {run}", style="green")
    sink.line()
    report = TextReport(sink, options, warnings=plan.warnings)
    for result in results:
        report.host(result)
    report.end()


def _agreed(plan: SavedPlan) -> list[str]:
    given = {
        "--accept-no-way-back": plan.made_from.accept_no_way_back,
        "--allow-reboot": plan.made_from.allow_reboot,
    }
    return [word for word, said in given.items() if said]
