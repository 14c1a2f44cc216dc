"""The machines that must answer alike: the lab in memory, the lab behind its endpoint, Wine, and a real host if one is named.

A real host is named by CONVERGE_TEST_HOST (a name, or the URL of its endpoint), CONVERGE_TEST_USER, CONVERGE_TEST_PASSWORD
and, unless it is negotiate, CONVERGE_TEST_TRANSPORT. The tests make `HKLM\\SOFTWARE\\ConvergeContract` and
`C:\\ConvergeContract` there, remove both again, and stop and start the print spooler.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
from tests.wine.conftest import PASSWORD, USER, accounts, cache, prefix, windows
from tests.wine.host import WineHost
from tests.wine.prefix import Prefix

from converge.errors import ActionRefused
from converge.lab import effects
from converge.lab.endpoint.host import EndpointPolicy, SimulatedHost
from converge.lab.endpoint.server import LabServer
from converge.lab.specs import Effects, Profile
from converge.lab.world import LabAccount, World
from converge.model.action import (
    AnyAction,
    NewDirectory,
    NewRegistryKey,
    RemoveDirectory,
    RemoveFile,
    RemoveRegistryKey,
)
from converge.model.answer import Absent, Answer, Found
from converge.model.facts import ServiceState
from converge.model.machine import Machine
from converge.model.names import fold
from converge.model.query import Directory, Query, RegistryKey, Service
from converge.model.registry import RegistryPath
from converge.model.secret import Secret
from converge.testing.world_machine import WorldMachine
from converge.windows.registry import parse_path
from converge.winrm.connection import Connection, Login, MessageSealing
from converge.winrm.machine import WinRMMachine

__all__ = ["accounts", "cache", "prefix", "windows"]

T = TypeVar("T")
SECONDS = 30.0
KEY = parse_path(r"HKLM\SOFTWARE\ConvergeContract")
REAL_HOST = ("CONVERGE_TEST_HOST", "CONVERGE_TEST_USER", "CONVERGE_TEST_PASSWORD")
FOLDER = r"C:\ConvergeContract"
WORLD = {
    "files": {r"C:\WINDOWS\system32": {"spoolsv.exe": {"size": 100, "version": "5.2.3790.1830"}}},
    "services": {
        "Spooler": {
            "display_name": "Print Spooler",
            "image_path": r"%SystemRoot%\system32\spoolsv.exe",
            "start": "automatic",
        }
    },
}


@dataclass
class Contract:
    """One machine, and a key and a folder on it that are the test's own."""

    name: str
    machine: Machine

    def found(self, query: Query[T]) -> T:
        """What is found. Asserts that it is."""
        answer = self.answer(query)
        assert isinstance(answer, Found), f"{self.name} answered {query} with {answer}"
        return answer.value  # type: ignore[return-value]  # a query's answer carries the query's type

    def answer(self, query: Query[T]) -> Answer[object]:
        """The answer to one question."""
        return self.machine.ask([query])[query]

    def does(self, action: AnyAction) -> None:
        """Do one thing."""
        self.machine.perform(action)

    def refuses(self, action: AnyAction) -> None:
        """Assert that the host says no."""
        with pytest.raises(ActionRefused):
            self.machine.perform(action)

    def wait(self, service: str, state: ServiceState) -> None:
        """Until a service is in a state."""
        ends = time.monotonic() + SECONDS
        while (now := self.found(Service(service)).state) is not state:
            assert time.monotonic() < ends, f"{service} is {now}, not {state}"
            time.sleep(0.1)


def _world() -> World:
    profile = Profile.model_validate(
        {"caption": "Windows", "version": "6.1.7601", "architecture": "x64", "host_name": "LAB1", "winrm_stack": "2.0"}
    )
    world = World(profile)
    effects.enact(world, Effects.model_validate(WORLD))
    world.accounts[fold(USER)] = LabAccount(name=USER, password=PASSWORD)
    return world


@contextlib.contextmanager
def _memory(request: pytest.FixtureRequest) -> Iterator[Machine]:
    yield WorldMachine(_world())


@contextlib.contextmanager
def _endpoint(request: pytest.FixtureRequest) -> Iterator[Machine]:
    with LabServer() as server:
        (endpoint,) = server.start([SimulatedHost("contract", _world(), policy=EndpointPolicy(basic=True, allow_unencrypted=True))])
        with _over_winrm(_open_connection(endpoint.port)) as machine:
            yield machine


@contextlib.contextmanager
def _wine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    booted: Prefix = request.getfixturevalue("prefix")
    request.getfixturevalue("windows")
    host = WineHost(booted.new_agent, username=USER, password=PASSWORD, basic=True)
    host.start()
    try:
        with _over_winrm(_open_connection(host.port)) as machine:
            yield machine
    finally:
        host.close()


@contextlib.contextmanager
def _real(request: pytest.FixtureRequest) -> Iterator[Machine]:
    named = [os.environ.get(name, "") for name in REAL_HOST]
    if not all(named):
        pytest.skip(
            "no real host to ask: CONVERGE_TEST_HOST, CONVERGE_TEST_USER and CONVERGE_TEST_PASSWORD are not set"
        )
    host, user, password = named
    endpoint = host if "://" in host else f"https://{host}:5986/wsman"
    login = Login.named(os.environ.get("CONVERGE_TEST_TRANSPORT", "negotiate"))
    with _over_winrm(Connection(host, endpoint, username=user, password=Secret(password), login=login)) as machine:
        yield machine


def _open_connection(port: int) -> Connection:
    return Connection(
        "contract",
        f"http://127.0.0.1:{port}/wsman",
        username=USER,
        password=Secret(PASSWORD),
        login=Login.BASIC,
        sealing=MessageSealing.NEVER,
    )


@contextlib.contextmanager
def _over_winrm(connection: Connection) -> Iterator[Machine]:
    machine = WinRMMachine(connection)
    try:
        yield machine
    finally:
        machine.close()


MACHINES: dict[str, Callable[[pytest.FixtureRequest], contextlib.AbstractContextManager[Machine]]] = {
    "memory": _memory,
    "endpoint": _endpoint,
    "wine": _wine,
    "real": _real,
}


@pytest.fixture(params=list(MACHINES))
def contract(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Contract]:
    """Each machine in turn."""
    with MACHINES[request.param](request) as machine:
        made = Contract(request.param, machine)
        _clear(made)
        made.does(NewRegistryKey(KEY))
        made.does(NewDirectory(FOLDER))
        yield made
        _clear(made)


def _clear(contract: Contract) -> None:
    """Remove the key and the folder of a test, and what lies in them."""
    _remove_key(contract, KEY)
    _remove_folder(contract, FOLDER)


def _remove_key(contract: Contract, key: RegistryPath) -> None:
    if isinstance(contract.answer(RegistryKey(key)), Absent):
        return
    for name in contract.found(RegistryKey(key)).subkeys:
        _remove_key(contract, key / name)
    contract.does(RemoveRegistryKey(key))


def _remove_folder(contract: Contract, folder: str) -> None:
    if isinstance(contract.answer(Directory(folder)), Absent):
        return
    listed = contract.found(Directory(folder, listing=True))
    for file in listed.files:
        contract.does(RemoveFile(file.path))
    for name in listed.directories:
        _remove_folder(contract, rf"{folder}\{name}")
    contract.does(RemoveDirectory(folder))
