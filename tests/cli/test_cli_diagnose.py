"""`converge diagnose`: what it says, its document, its exit codes."""

from __future__ import annotations

import json

import jsonschema
import pytest
from tests.cli.cli_program import Program


@pytest.fixture
def few(shipped: Program) -> Program:
    """The shipped playbooks with hosts of every sort, and one that is not there."""
    shipped.write(
        "inventory/lab.yml",
        """\
all:
  vars: {ansible_connection: lab}
  children:
    iis4:
      hosts:
        www01: {converge_lab_image: iis4-smtp-broken}
        www02: {converge_lab_image: iis4-smtp-healthy}
    exchange55:
      hosts:
        old01: {converge_lab_image: exchange55-registry-stopped}
        gone01: {ansible_connection: winrm, ansible_host: 127.0.0.1, ansible_port: 9, ansible_winrm_scheme: http,
                 ansible_user: deploy, ansible_password: nothing}
    exchange: {hosts: {}}
    exchange2000: {hosts: {}}
""",
    )
    return shipped


def test_a_broken_host_is_told_with_evidence_and_the_command_to_run(few: Program) -> None:
    ended = few("diagnose", "www01")
    assert ended.code == 2
    assert "certain: Q245208 SMTP runs from where Inetinfo.exe lies" in ended.out
    assert "7000: The Microsoft SMTP Service service failed to start" in ended.out
    assert "would change: the SMTP service runs  (service:SMTPSVC)" in ended.out
    (line,) = [line.strip() for line in ended.out.splitlines() if line.strip().startswith("run:")]
    assert line == "run: converge -l www01 playbooks/smtp-follows-inetinfo.yml"
    words = line.removeprefix("run: converge ").split()
    assert few("--yes", *words).code == 0
    assert few("diagnose", "www01").code == 0


def test_a_healthy_host_has_no_article(few: Program) -> None:
    ended = few("diagnose", "www02")
    assert (ended.code, ended.out) == (0, "no article's problem: www02\n")
    assert "none: Q245208" in few("diagnose", "www02", "-v").out


def test_the_document_is_of_its_schema(few: Program) -> None:
    ended = few("diagnose", "--format", "json")
    assert ended.code == 4
    document = ended.document()
    schema = json.loads(few("schema", "diagnosis").out)
    jsonschema.validate(document, schema)
    assert (document["schema"], document["mode"]) == (2, "diagnose")
    found = {
        host: {item["article"]: item["certainty"] for item in entry["diagnoses"] if item["certainty"] != "none"}
        for host, entry in document["hosts"].items()
    }
    assert found == {"www01": {"Q245208": "certain"}, "www02": {}, "old01": {"Q324332": "likely"}, "gone01": {}}
    assert document["hosts"]["gone01"]["status"] == "unreachable"
    assert document["hosts"]["gone01"]["error"]["try"]
    (remote,) = document["hosts"]["old01"]["diagnoses"]
    assert remote["command"] == "converge -l old01 playbooks/remote-registry-running.yml"
    assert any("c10312c6" in question for question in remote["questions"])
    assert remote["events"] == []


def test_an_unreachable_host_is_told_as_such(few: Program) -> None:
    ended = few("diagnose", "gone01")
    assert ended.code == 4
    assert "not diagnosed: gone01" in ended.out
    assert "no article" not in ended.out


def test_the_command_names_the_inventory_that_was_named(few: Program) -> None:
    ended = few("diagnose", "-i", "inventory/lab.yml", "-p", "playbooks/remote-registry-running.yml", "old01")
    assert "run: converge -i inventory/lab.yml -l old01 playbooks/remote-registry-running.yml" in ended.out


def test_hosts_may_be_patterns(few: Program) -> None:
    document = few("diagnose", "--format", "json", "www*", "!www02").document()
    assert list(document["hosts"]) == ["www01"]


@pytest.mark.parametrize("words", [["nobody"], ["-p", "playbooks/none.yml"]])
def test_what_cannot_be_meant_is_exit_1_before_any_host(few: Program, words: list[str]) -> None:
    ended = few("diagnose", *words)
    assert (ended.code, ended.out) == (1, "")
    assert few("diagnose", "--format", "json", *words).document()["errors"]
    assert not (few.folder / ".converge").exists()
