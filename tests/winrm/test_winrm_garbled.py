"""A garbled answer is asked for once more where a read was asked, and is no setting's fault in the middle of a conversation.

And a deadline that the inventory sets is named with its variable, and holds for every question and write.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from tests.winrm.test_winrm_hostile_hosts import Host, honest, http, machine, serving

from converge.errors import DeadlineExceeded, HostUnreachable, Interrupted
from converge.inventory.connection import settings_of
from converge.inventory.passwords import PasswordStore
from converge.model.action import StartService
from converge.model.answer import Found
from converge.model.position import Position
from converge.model.query import CimInstances, Service
from converge.runs.connections import connection_of
from converge.winrm.machine import WinRMMachine
from converge.wsman.messages import Request
from converge.wsman.operations import Enumerate, Invoke

ROWS = CimInstances("root/cimv2", "SELECT * FROM X")
GARBLED = [
    http(b"<s:Envelope xmlns:s="),
    http(b"\xff\xfe\x00\xd8" * 10),
    http(b"<html>It works</html>", headers="Content-Type: text/html\r\n"),
    http(b"", status="500 ", headers=""),
    http(b"", status="502 ", headers=""),
]


def garbling(answer: bytes, *, at: set[int]) -> Callable[[Request, socket.socket], bytes]:
    """Honest, but for the requests of these numbers."""
    count = 0

    def answered(request: Request, _: socket.socket) -> bytes:
        nonlocal count
        count += 1
        return answer if count in at else honest(request)

    return answered


@pytest.mark.parametrize("answer", GARBLED)
def test_a_read_whose_answer_is_garbled_is_asked_once_more_on_a_new_connection(answer: bytes) -> None:
    with serving(garbling(answer, at={2})) as host:
        asked = machine(host)
        assert isinstance(asked.ask([ROWS])[ROWS], Found)
        assert isinstance(asked.ask([ROWS])[ROWS], Found)
        assert len(host.seen) == 3
        assert host.connections == 2


@pytest.mark.parametrize("answer", GARBLED)
def test_a_read_that_is_garbled_twice_is_a_host_one_cannot_talk_to(answer: bytes) -> None:
    with serving(garbling(answer, at={2, 3})) as host:
        asked = machine(host)
        asked.ask([ROWS])
        with pytest.raises(HostUnreachable) as raised:
            asked.ask([ROWS])
        assert len(host.seen) == 3
        assert "encrypt" not in str(raised.value)


@pytest.mark.parametrize("answer", GARBLED)
def test_a_write_is_never_sent_again(answer: bytes) -> None:
    with serving(garbling(answer, at={2})) as host:
        asked = machine(host)
        asked.ask([ROWS])
        with pytest.raises(Interrupted):
            asked.perform(StartService("W3SVC"))
        assert [isinstance(request.operation, Invoke) for request in host.seen] == [False, True]


@contextmanager
def silent_at(asks: Callable[[Request], bool]) -> Iterator[Host]:
    """A host that never answers what is asked so; it only waits for the other end to give up."""

    def answered(request: Request, line: socket.socket) -> bytes | None:
        if not asks(request):
            return honest(request)
        line.recv(1)
        return None

    with serving(answered) as host:
        yield host


@pytest.mark.parametrize("what", ["question", "write"])
def test_a_deadline_names_the_variable_that_set_it_and_holds_for_all(what: str) -> None:
    given = {"ansible_user": "u", "ansible_password": "p", "ansible_winrm_operation_timeout_sec": 1}
    given["ansible_winrm_read_timeout_sec"] = 2
    settings = settings_of("h", given, place_of=lambda _: Position("i.yml", 1), passwords=PasswordStore())
    wanted = connection_of(settings)

    def asks(request: Request) -> bool:
        return isinstance(request.operation, Enumerate if what == "question" else Invoke)

    with silent_at(asks) as host:
        asked = machine(
            host,
            operation_timeout=wanted.operation_timeout,
            read_timeout=wanted.read_timeout,
            longest_operation=wanted.longest_operation,
            read_timeout_from=wanted.read_timeout_from,
        )
        told = late(asked, what)
        left = [request for request in host.seen if asks(request)]
        assert len(left) == 1
        assert left[0].header.operation_timeout == timedelta(seconds=1)
    assert "within 2 s" in told
    assert "ansible_winrm_read_timeout_sec: 2" in told


def late(asked: WinRMMachine, what: str) -> str:
    """The words of a deadline."""
    if what == "question":
        with pytest.raises(DeadlineExceeded) as raised:
            asked.ask([Service("W3SVC")])
        return str(raised.value)
    with pytest.raises(Interrupted) as broken:
        asked.perform(StartService("W3SVC"))
    return str(broken.value)


@pytest.mark.parametrize(
    ("given", "read", "operation"),
    [
        ({}, "", ""),
        ({"connection_timeout": 4}, "ansible_winrm_connection_timeout: 4", "ansible_winrm_connection_timeout: 4"),
        (
            {"operation_timeout_sec": 4},
            "ansible_winrm_operation_timeout_sec: 4",
            "ansible_winrm_operation_timeout_sec: 4",
        ),
        (
            {"read_timeout_sec": 40, "operation_timeout_sec": 4},
            "ansible_winrm_read_timeout_sec: 40",
            "ansible_winrm_operation_timeout_sec: 4",
        ),
    ],
)
def test_what_sets_a_deadline_is_known(given: dict[str, int], read: str, operation: str) -> None:
    variables = {"ansible_user": "u", "ansible_password": "p"} | {f"ansible_winrm_{k}": v for k, v in given.items()}
    settings = settings_of("h", variables, place_of=lambda _: Position("i.yml", 1), passwords=PasswordStore())
    assert (settings.read_timeout_from, settings.operation_timeout_from) == (read, operation)
