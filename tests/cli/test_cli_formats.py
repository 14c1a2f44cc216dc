"""`--format junit`, `jsonl` and `prometheus` of real runs over simulated hosts."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

from tests.cli.cli_program import Program


def test_each_format_tells_the_same_drift(fleet: Program) -> None:
    ended = fleet("--check", "--format", "junit")
    assert ended.code == 2
    suites = {suite.get("name"): suite.get("failures") for suite in ET.fromstring(ended.out)}
    assert suites == {"mail01": "1", "mail02": "1", "mail03": "0"}
    lines = [json.loads(line) for line in fleet("--check", "--format", "jsonl").out.splitlines()]
    assert lines[-1]["summary"]["changed"] == 2
    metrics = fleet("--check", "--format", "prometheus").out
    assert 'converge_run_hosts{mode="check",status="would_change"} 2.0' in metrics


def test_the_textfile_is_put_in_place_as_a_whole(fleet: Program) -> None:
    path = fleet.write("metrics/converge.prom", "earlier\n")
    assert fleet("--check", "--format", "prometheus", "-o", str(path)).code == 2
    assert 'converge_host_status{host="mail01",status="would_change"} 1.0' in path.read_text()
    assert [item.name for item in path.parent.iterdir()] == ["converge.prom"]
    assert fleet("--check", "--format", "prometheus", "-o", str(path), "no-such.yml").code == 1
    assert 'converge_run_input_errors{mode="check"} 1.0' in path.read_text()


def test_playbooks_are_listed_in_the_order_in_which_they_are_gone_through(fleet: Program) -> None:
    first = "- name: first\n  hosts: all\n  order: 1\n  resources: [{requirement: {name: x, that: {expr: 'true'}, else: y}}]\n"
    fleet.write("playbooks/zz-first.yml", first)
    told = json.loads(fleet("--check", "--format", "json").out)["playbooks"]
    assert told == ["playbooks/zz-first.yml", "playbooks/registry.yml"]
