"""JUnit, JSON lines and Prometheus's text, read back by parsers that are not ours, with hostile names in them."""

from __future__ import annotations

import io
import json
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from prometheus_client.parser import text_string_to_metric_families

from converge.errors import InputProblem
from converge.model.change import Change, HostResult, Problem, Status
from converge.report.junit import JunitDocument
from converge.report.lines import JsonLines
from converge.report.textfile import MetricsDocument

HOSTILE = 'w"eb\\01</testsuite>]]>\x1b[2J\n\u202e\ud800&amp;\ufffe'


def change(name: str, status: Status, **more: object) -> Change:
    return Change(f"service:{name}", {"kind": "service", "name": name}, name, "play", status, **more)  # type: ignore[arg-type]


RESULTS = (
    HostResult(
        HOSTILE, Status.CHANGED,
        (
            change(HOSTILE, Status.CHANGED, before={"running": HOSTILE}, after={"running": True}),
            change("B", Status.OK),
            change("C", Status.SKIPPED, reason="its `when` does not hold"),
            change("D", Status.UNDECIDED, error=Problem("undecided", "the host refused", "why", "try")),
        ), seconds=1.5,
    ),
    HostResult("web02", Status.UNREACHABLE, error=Problem("unreachable", "no answer", "why\nmore", "look")),
    HostResult("web03", Status.OK, (change("A", Status.OK), change("SMTP", Status.SKIPPED, reason="not installed"))),
)  # fmt: skip
PROBLEM = InputProblem("a.yml", 3, 5, "unknown key <x>", "a kind", "service")


def junit(mode: str, *results: HostResult, errors: tuple[InputProblem, ...] = ()) -> ET.Element:
    out = io.StringIO()
    document = JunitDocument(out, mode=mode, run="RUN")
    for result in results:
        document.host(result)
    document.end(errors)
    document.end()
    return ET.fromstring(out.getvalue())


def outcomes(suite: ET.Element) -> list[list[str]]:
    return [[child.tag for child in case] for case in suite]


def test_a_host_is_a_suite_and_drift_fails_in_check_only() -> None:
    suites = junit("check", *RESULTS)
    assert [suite.get("name") for suite in suites][1:] == ["web02", "web03"]
    assert outcomes(suites[0]) == [["failure"], [], ["skipped"], ["error"]]
    assert outcomes(suites[1]) == [["error"]]
    assert outcomes(suites[2]) == [[], ["skipped"]]
    assert {name: suites[0].get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4", "failures": "1", "errors": "1", "skipped": "1",
    }  # fmt: skip
    assert outcomes(junit("run", *RESULTS)[0])[0] == []


SHAPE = """\
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
  <xs:complexType name="told" mixed="true">
    <xs:attribute name="message" type="xs:string"/><xs:attribute name="type" type="xs:string"/>
  </xs:complexType>
  <xs:element name="testsuites"><xs:complexType><xs:sequence>
    <xs:element name="testsuite" minOccurs="0" maxOccurs="unbounded"><xs:complexType><xs:sequence>
      <xs:element name="testcase" minOccurs="0" maxOccurs="unbounded"><xs:complexType>
        <xs:choice minOccurs="0">
          <xs:element name="failure" type="told"/><xs:element name="error" type="told"/>
          <xs:element name="skipped" type="told"/>
        </xs:choice>
        <xs:attribute name="name" type="xs:string" use="required"/>
        <xs:attribute name="classname" type="xs:string" use="required"/>
        <xs:attribute name="time" type="xs:decimal"/>
      </xs:complexType></xs:element></xs:sequence>
      <xs:attribute name="name" type="xs:string" use="required"/>
      <xs:attribute name="tests" type="xs:nonNegativeInteger" use="required"/>
      <xs:attribute name="failures" type="xs:nonNegativeInteger" use="required"/>
      <xs:attribute name="errors" type="xs:nonNegativeInteger" use="required"/>
      <xs:attribute name="skipped" type="xs:nonNegativeInteger"/>
      <xs:attribute name="time" type="xs:decimal" use="required"/>
    </xs:complexType></xs:element></xs:sequence>
    <xs:attribute name="name" type="xs:string"/>
  </xs:complexType></xs:element>
</xs:schema>
"""


def test_the_document_has_the_shape_that_build_servers_read() -> None:
    """What JUnit's readers have in common, told as a schema."""
    shape = etree.XMLSchema(etree.fromstring(SHAPE))
    for mode, errors in (("check", ()), ("run", ()), ("check", (PROBLEM,))):
        shape.assertValid(etree.fromstring(ET.tostring(junit(mode, *RESULTS, errors=errors))))
    with pytest.raises(etree.DocumentInvalid):
        shape.assertValid(etree.fromstring("<testsuites><testsuite name='a'/></testsuites>"))


def test_a_hostile_name_is_spelled_out_and_breaks_no_xml() -> None:
    name = junit("check", *RESULTS)[0].get("name")
    assert name is not None
    assert "</testsuite>]]>" in name
    assert "\\x1b" in name
    assert "\\u202e" in name


def test_what_is_wrong_in_the_files_is_a_suite_too() -> None:
    suites = junit("check", errors=(PROBLEM,))
    error = suites[0][0][0]
    assert error.get("message") == "unknown key <x>"
    assert "a.yml:3:5" in (error.text or "")


@given(st.text(max_size=40))
def test_whatever_text_comes_the_xml_can_be_read(text: str) -> None:
    result = HostResult(text, Status.FAILED, (change(text, Status.FAILED, error=Problem(text, text, text, text)),))
    assert len(junit("run", result)[0]) == 1


def test_lines_tell_the_run_each_host_and_the_end() -> None:
    out = io.StringIO()
    lines = JsonLines(out, version="0.1.0", mode="check", run="RUN", playbooks=["a.yml"])
    for result in RESULTS:
        before = len(out.getvalue().splitlines())
        lines.host(result)
        assert len(out.getvalue().splitlines()) > before
    lines.end([PROBLEM])
    read = [json.loads(line) for line in out.getvalue().split("\n")[:-1]]
    assert [line["type"] for line in read] == ["run", "host", "host", "host", "end"]
    assert read[1]["host"] == HOSTILE
    assert read[-1]["summary"]["changed"] == 1
    assert read[-1]["errors"][0]["line"] == 3


def test_metrics_are_read_by_prometheus_own_parser() -> None:
    out = io.StringIO()
    metrics = MetricsDocument(out, mode="check", clock=lambda: 1_700_000_000.0)
    for result in RESULTS:
        metrics.host(result)
    assert out.getvalue() == ""
    metrics.end([PROBLEM])
    samples = [sample for family in text_string_to_metric_families(out.getvalue()) for sample in family.samples]
    found = {(sample.name, *sorted(sample.labels.items())): sample.value for sample in samples}
    assert found["converge_run_hosts", ("mode", "check"), ("status", "would_change")] == 1
    assert found["converge_run_hosts", ("mode", "check"), ("status", "changed")] == 0
    assert found["converge_host_status", ("host", "web02"), ("status", "unreachable")] == 1
    assert found["converge_run_timestamp_seconds", ("mode", "check")] == 1_700_000_000
    assert found["converge_run_input_errors", ("mode", "check")] == 1
    assert sum(sample.name == "converge_host_resources" for sample in samples) == 6


@pytest.mark.parametrize("document", ["junit", "lines", "metrics"])
def test_a_run_without_hosts_is_a_document_too(document: str) -> None:
    out = io.StringIO()
    if document == "junit":
        JunitDocument(out, mode="run", run="RUN").end()
        assert ET.fromstring(out.getvalue()).tag == "testsuites"
    elif document == "lines":
        JsonLines(out, version="1", mode="run", run="RUN", playbooks=()).end()
        assert len(out.getvalue().splitlines()) == 2
    else:
        MetricsDocument(out, mode="run").end()
        assert "converge_run_hosts" in out.getvalue()
