"""Whatever a host sends, no control character of its reaches the terminal, and the JSON stays JSON."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator

import pytest
from tests.cli.cli_program import Program

from converge.lab.endpoint.host import EndpointPolicy, SimulatedHost
from converge.lab.endpoint.server import LabServer
from converge.lab.image import load_image
from converge.lab.world import LabAccount
from converge.model.names import fold
from converge.windows.registry import parse_path

# XML carries no ESC (U+001B), but its eight-bit twins: CSI, OSC, ST, NEL; and what turns or hides text.
EVIL = "\x9b31mred\x9d0;title\x9c\x85\u202egnp.exe\u2066\u200b\u2028next\u0085\x7fend"
PASSWORD = "Terminal-1"
PLAYBOOK = """\
- name: what hosts say
  hosts: all
  article: Q1
  symptoms:
    events: [{log: System, source: Evil, ids: [7000], within: 30 days}]
  resources:
    - name: a service that does not start
      service: {name: RESvc, running: true}
    - name: a value
      registry_value: {key: 'HKLM\\SOFTWARE\\Evil', name: Text, type: string, data: good}
    - name: a list
      registry_value: {key: 'HKLM\\SOFTWARE\\Evil', name: List, type: multi_string, contains: [good]}
    - name: a command line
      service: {name: W3SVC, image_path: 'C:\\good.exe'}
"""


@pytest.fixture
def evil(program: Program) -> Iterator[Program]:
    world = load_image("sbs2003-dispatch-broken", host_name="LAB1")
    world.accounts[fold("looker")] = LabAccount(name="looker", password=PASSWORD)
    key = world.registry.create(parse_path(r"HKLM\SOFTWARE\Evil"))
    key.set("Text", number=1, data=EVIL)
    key.set("List", number=7, data=(EVIL, "other"))
    for event in world.events:
        event.message = EVIL + event.message
        event.strings = (EVIL, *event.strings)
        event.provider = "Evil"
    for service in world.services.values():
        service.display_name = EVIL
    world.profile = world.profile.model_copy(update={"caption": EVIL, "domain": EVIL})
    host = SimulatedHost("web01", world, policy=EndpointPolicy(basic=True, allow_unencrypted=True))
    with LabServer() as server:
        (endpoint,) = server.start([host])
        settings = {
            "ansible_host": "127.0.0.1", "ansible_port": endpoint.port, "ansible_winrm_scheme": "http",
            "ansible_connection": "winrm", "ansible_user": "looker", "ansible_password": PASSWORD,
        }  # fmt: skip
        program.write("inventory/hosts.yml", json.dumps({"all": {"hosts": {"web01": settings}}}))
        program.write("playbooks/evil.yml", PLAYBOOK)
        yield program


def raw(text: str) -> set[str]:
    """What a terminal would act upon, or what would deceive a reader: control and format characters, other line ends."""
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")} - {"\n"}


@pytest.mark.parametrize(
    "words", [("--check", "-vvv"), ("diagnose", "-vvv"), ("doctor", "web01"), ("--yes", "-vvv")], ids=lambda w: w[0]
)
def test_nothing_of_it_comes_through_raw(evil: Program, words: tuple[str, ...]) -> None:
    ended = evil(*words)
    assert "red" in ended.out  # it was told, in a harmless form
    assert raw(ended.out) == set()
    assert raw(ended.err) == set()


@pytest.mark.parametrize("words", [("--check",), ("diagnose",), ("--yes",)], ids=lambda w: w[0])
def test_the_document_holds_it_escaped(evil: Program, words: tuple[str, ...]) -> None:
    ended = evil(*words, "--format", "json")
    assert raw(ended.out) == set()
    assert "red" in json.dumps(ended.document())
