"""Results as JUnit's XML: a suite per host, a case per resource. In check, drift is a failure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from typing import Literal

from converge.errors import InputProblem
from converge.model.change import Change, HostResult, Problem, Status
from converge.report.sink import Stream
from converge.report.values import difference
from converge.report.visible import visible

Verdict = Literal["", "failure", "error", "skipped"]
_VERDICTS: dict[Status, Verdict] = {
    Status.OK: "",
    Status.CHANGED: "",
    Status.FAILED: "failure",
    Status.SKIPPED: "skipped",
    Status.LATER: "skipped",
    Status.WAITING: "failure",
}


@dataclass(frozen=True, slots=True)
class _Case:
    name: str
    classname: str
    verdict: Verdict = ""
    kind: str = ""
    message: str = ""
    body: str = ""


class JunitDocument:
    """One document, a suite written as its host ends. Text from outside is spelled out where XML cannot hold it."""

    def __init__(self, out: Stream, *, mode: str, run: str) -> None:
        self._out = out
        self._drift_fails = mode in ("check", "plan", "undo-check")
        self._head = f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name={_quoted(f"converge {mode} {run}")}>\n'
        self._begun = False
        self._ended = False

    def host(self, result: HostResult) -> None:
        """Write one host's suite at once."""
        cases = [self._case(change) for change in _leaves(result.changes)]
        if result.error is not None:
            verdict: Verdict = "skipped" if result.status is Status.SKIPPED else "error"
            cases.append(_told(_Case(result.host, "host"), verdict, result.status, result.error))
        self._suite(result.host, cases, seconds=result.seconds)

    def end(self, errors: Iterable[InputProblem] = ()) -> None:
        """Close the document; what is wrong in the user's files is a suite of its own. Only the first call counts."""
        if self._ended:
            return
        self._begin()
        self._ended = True
        cases = [
            _Case(error.file or "converge", "input", "error", "input", error.message, str(error)) for error in errors
        ]
        if cases:
            self._suite("input", cases, seconds=0.0)
        self._out.write("</testsuites>\n")
        self._out.flush()

    def _case(self, change: Change) -> _Case:
        case = _Case(change.address, change.play)
        if change.status is Status.CHANGED and self._drift_fails:
            lines = "\n".join(f"{mark} {text}" for mark, text in difference(change.before, change.after))
            return _Case(case.name, case.classname, "failure", "drift", change.reason or "would change", lines)
        verdict = "skipped" if change.is_pending_restart else _VERDICTS.get(change.status, "error")
        if change.error is not None and verdict:
            return _told(case, verdict, change.status, change.error)
        message = (change.reason or "") if verdict else ""
        return _Case(case.name, case.classname, verdict, change.status.value, message)

    def _suite(self, name: str, cases: list[_Case], *, seconds: float) -> None:
        self._begin()
        counts = {
            verdict: sum(case.verdict == verdict for case in cases) for verdict in ("failure", "error", "skipped")
        }
        self._out.write(
            f' <testsuite name={_quoted(name)} tests="{len(cases)}" failures="{counts["failure"]}"'
            f' errors="{counts["error"]}" skipped="{counts["skipped"]}" time="{seconds:.3f}">\n'
        )
        for case in cases:
            self._out.write(f"  {_element(case)}\n")
        self._out.write(" </testsuite>\n")
        self._out.flush()

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._out.write(self._head)


def _leaves(changes: Iterable[Change]) -> Iterator[Change]:
    """Steps stand for their procedure where there are some."""
    for change in changes:
        if change.steps:
            yield from _leaves(change.steps)
        else:
            yield change


def _told(case: _Case, verdict: Verdict, status: Status, problem: Problem) -> _Case:
    body = "\n".join(part for part in (problem.why, f"Try: {problem.try_}" if problem.try_ else "") if part)
    return _Case(case.name, case.classname, verdict, problem.code or status.value, problem.what, body)


def _element(case: _Case) -> str:
    head = f"<testcase name={_quoted(case.name)} classname={_quoted(case.classname)}"
    if not case.verdict:
        return f"{head}/>"
    kind = "" if case.verdict == "skipped" else f" type={_quoted(case.kind)}"
    body = "\n".join(visible(line) for line in case.body.splitlines())
    inner = f"<{case.verdict}{kind} message={_quoted(case.message)}>{escape(body)}</{case.verdict}>"
    return f"{head}>{inner}</testcase>"


def _quoted(text: str) -> str:
    return f'"{escape(visible(text))}"'
