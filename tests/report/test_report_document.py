"""The JSON document: valid whenever it was ended, as the schema says, and streamed."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converge.errors import InputProblem
from converge.model.change import Change, HostResult, Problem, Status, WayBack
from converge.report.document import JsonDocument
from converge.report.result_schema import ResultDocument, result_schema

CHANGE = Change(
    address="service:SMTPSVC",
    key={"kind": "service", "name": "SMTPSVC"},
    name="SMTP runs",
    play="SMTP",
    status=Status.CHANGED,
    way_back=WayBack("partial", "it ran before"),
    before={"running": False},
    after={"running": True},
    actions=({"action": "StartService", "name": "SMTPSVC"},),
    notes=("a note",),
)


def document(out: io.StringIO) -> JsonDocument:
    return JsonDocument(out, version="0.1.0", mode="check", run="2026-11-20T220107Z-1f3a", playbooks=["a.yml"])


def results() -> Iterator[HostResult]:
    yield HostResult("mail01", Status.CHANGED, (CHANGE,), round_trips=14, seconds=0.2123)
    yield HostResult("mail02", Status.UNREACHABLE, error=Problem("unreachable", "no answer", "why", "try this"))
    procedure = Change("procedure:x", {"kind": "procedure"}, "x", "SMTP", Status.CHANGED, steps=(CHANGE,))
    yield HostResult("mail03", Status.CHANGED, (procedure,))
    yield HostResult("mail04", Status.SKIPPED, error=Problem("not-reached", "its connection is ssh"))


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_it_is_valid_whenever_it_is_ended(count: int) -> None:
    out = io.StringIO()
    writer = document(out)
    for result in list(results())[:count]:
        writer.host(result)
    writer.end([InputProblem("a.yml", 3, 5, "unknown key", "a kind", "service")])
    writer.end()
    read = json.loads(out.getvalue())
    ResultDocument.model_validate(read)
    assert list(read) == ["converge", "schema", "mode", "run", "playbooks", "hosts", "errors", "summary"]
    assert len(read["hosts"]) == count
    assert read["errors"][0] == {
        "file": "a.yml", "line": 3, "column": 5, "message": "unknown key", "expected": "a kind", "hint": "service",
    }  # fmt: skip


def test_what_the_contract_names_is_there() -> None:
    out = io.StringIO()
    writer = document(out)
    for result in results():
        writer.host(result)
    writer.end()
    read = json.loads(out.getvalue())
    host = read["hosts"]["mail01"]
    assert (host["status"], host["round_trips"], host["seconds"], host["error"]) == ("changed", 14, 0.212, None)
    resource = host["resources"][0]
    assert resource["way_back"] == "partial (it ran before)"
    assert resource["key"] == {"kind": "service", "name": "SMTPSVC"}
    assert resource["actions"] == [{"action": "StartService", "name": "SMTPSVC"}]
    assert read["hosts"]["mail02"]["error"] == {
        "code": "unreachable",
        "what": "no answer",
        "why": "why",
        "try": "try this",
    }
    counts = {"ok": 0, "changed": 2, "failed": 0, "unreachable": 1, "undecided": 0, "skipped": 1}
    assert read["summary"] == {**counts, "resources": {"changed": 2}, "restart_pending": 0}


def test_rarer_statuses_are_counted_where_there_are_some() -> None:
    out = io.StringIO()
    writer = document(out)
    writer.host(HostResult("mail01", Status.HELD))
    writer.end()
    assert json.loads(out.getvalue())["summary"]["held"] == 1


def test_a_host_is_on_its_way_when_it_ended() -> None:
    out = io.StringIO()
    writer = document(out)
    writer.host(HostResult("mail01", Status.OK))
    assert '"mail01"' in out.getvalue()


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=50))
def test_any_text_survives_in_plain_ascii(text: str) -> None:
    out = io.StringIO()
    writer = document(out)
    writer.host(HostResult(text, Status.FAILED, error=Problem("x", text)))
    writer.end()
    assert out.getvalue().isascii()
    assert json.loads(out.getvalue())["hosts"][text]["error"]["what"] == text


def test_the_schema_is_a_schema_with_a_version() -> None:
    schema = result_schema()
    assert schema["$id"] == "urn:converge:schema:result:2"
    assert set(schema["required"]) == {"converge", "schema", "mode", "run", "playbooks", "hosts", "errors", "summary"}
    assert "try" in json.dumps(schema)
