"""Deadlines of the inventory hold for every question and every write of a run; a long output ends no command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.cli.cli_program import Program

from converge.lab.endpoint.host import EndpointPolicy, SimulatedHost
from converge.lab.endpoint.mishaps import Mishap, MishapKind
from converge.lab.endpoint.server import LabServer
from converge.lab.image import load_image
from converge.lab.world import LabAccount
from converge.model.names import fold
from converge.winrm.exchange import PATIENCE
from converge.wsman import faults

USER, PASSWORD = "checker", "Correct horse 1!"
STOPPED = """\
- name: nobody serves pages here
  hosts: all
  resources:
    - service: {name: W3SVC, running: false}
"""
LONG = r"""
- name: much output
  hosts: all
  resources:
    - command:
        name: big
        shell: true
        timeout: 100
        creates: 'C:\windows\temp\written.txt'
        argv: ['(for /L %i in (1,1,60000) do @echo LINE)&echo x>C:\windows\temp\written.txt']
"""
SAID = "ansible_winrm_read_timeout_sec: 3"


@pytest.fixture
def served() -> Iterator[tuple[SimulatedHost, int]]:
    """A simulated Exchange 2003, and its port."""
    world = load_image("exchange2003", host_name="LAB1")
    world.accounts[fold(USER)] = LabAccount(name=USER, password=PASSWORD)
    host = SimulatedHost("lab1", world, policy=EndpointPolicy())
    with LabServer() as server:
        (endpoint,) = server.start([host])
        yield host, endpoint.port


def run(program: Program, port: int, *words: str) -> tuple[int, dict[str, Any], str]:
    program.write("p.yml", STOPPED)
    program.write(
        "hosts.yml",
        f"all:\n  vars: {{ansible_connection: winrm, ansible_host: 127.0.0.1, ansible_port: {port}, ansible_winrm_scheme: http,\n"
        f"    ansible_winrm_transport: ntlm, ansible_user: {USER}, ansible_password: '{PASSWORD}',\n"
        "    ansible_winrm_operation_timeout_sec: 1, ansible_winrm_read_timeout_sec: 3}\n"
        "  hosts: {mail01: {}}\n",
    )
    ended = program("p.yml", *words, "-i", "hosts.yml", "--format", "json")
    return ended.code, ended.document()["hosts"]["mail01"], ended.out


def asked(host: SimulatedHost) -> list[tuple[str, str, str]]:
    return [(record.operation, record.method, record.detail) for record in host.log.records]


def test_a_host_that_is_silent_at_any_question_is_waited_for_as_long_as_the_inventory_says_and_asked_no_more(
    program: Program, served: tuple[SimulatedHost, int]
) -> None:
    host, port = served
    assert run(program, port, "--check")[0] == 2
    questions = len(asked(host))
    assert questions > 2
    for before in range(questions):
        host.log.clear()
        host.mishaps.clear()
        host.mishaps.add(Mishap(MishapKind.SILENCE, skip=before))
        code, told, out = run(program, port, "--check")
        assert (code, told["status"]) == (4, "unreachable"), (before, out)
        assert "within 3 s" in out, before
        assert SAID in out, before
        assert len(asked(host)) == before + 1


def test_a_write_is_waited_for_as_long_as_the_inventory_says_and_not_sent_again(
    program: Program, served: tuple[SimulatedHost, int]
) -> None:
    host, port = served
    host.mishaps.add(Mishap(MishapKind.SILENCE, method="StopService"))
    code, told, out = run(program, port, "--yes")
    assert (code, told["status"], told["resources"][0]["error"]["code"]) == (3, "failed", "interrupted"), out
    assert "within 3 s" in out
    assert SAID in out
    assert [method for _, method, _ in asked(host)].count("StopService") == 1


def test_a_host_that_stays_over_its_quota_is_asked_as_often_as_is_said_in_all(
    program: Program, served: tuple[SimulatedHost, int]
) -> None:
    host, port = served
    host.mishaps.add(Mishap(MishapKind.FAULT, amount=faults.QUOTA_OPERATIONS))
    code, told, out = run(program, port, "--check")
    assert (code, told["status"]) == (3, "undecided"), out
    every = asked(host)
    assert len(every) == len(set(every)) + len(PATIENCE)
    assert sum(PATIENCE) < 8


def test_a_command_that_writes_without_end_in_sight_runs_to_its_end(program: Program) -> None:
    program.write("long.yml", LONG.replace("LINE", "0123456789" * 7))
    program.write("hosts.yml", "all: {hosts: {box1: {ansible_connection: lab, converge_lab_image: exchange2003}}}\n")
    ended = program("long.yml", "--yes", "--accept-no-way-back", "-i", "hosts.yml", "--format", "json")
    host = ended.document()["hosts"]["box1"]
    assert (ended.code, host["status"]) == (0, "changed"), ended.out
    assert len(ended.out) < 1_000_000
    again = program("long.yml", "--check", "-i", "hosts.yml", "--format", "json")
    assert (again.code, again.document()["hosts"]["box1"]["status"]) == (0, "ok"), again.out
