"""A search that walks a registry without end holds a bounded part of it, and tells what it did not read."""

from __future__ import annotations

import socket

import pytest
from tests.winrm.test_winrm_hostile_hosts import honest, machine, serving, soap

from converge.model.query import RegistrySearch
from converge.model.registry import Hive, RegistryPath, RegistryType
from converge.winrm import registry_search
from converge.wsman.cim import Properties
from converge.wsman.messages import Request
from converge.wsman.operations import Invoke, ShellOutput

ROOT = RegistryPath(Hive.LOCAL_MACHINE, "SOFTWARE")
SEARCH = RegistrySearch((ROOT,), ("seo.dll",))


def endless(request: Request, _: socket.socket) -> bytes:
    """Every key holds keys of long names and values that mention the file; no shell is to be had."""
    asked = request.operation
    if not isinstance(asked, Invoke):
        return honest(request)
    told: dict[str, object] = {"ReturnValue": 0}
    if asked.method == "EnumKey":
        told["sNames"] = tuple(f"{number:03}" + "k" * 200 for number in range(20))
    elif asked.method == "EnumValues":
        told |= {"sNames": ("a", "b"), "Types": (str(RegistryType.STRING.number),) * 2}
    else:
        told["sValue"] = "seo.dll" + "x" * 2000
    return soap(request, ShellOutput(Properties(told), asked.method, asked.target.resource_uri))  # type: ignore[arg-type]  # values


@pytest.mark.parametrize(("held", "walked"), [(20_000, 50), (1_000_000, 30)])
def test_keys_that_wait_and_values_that_were_found_are_bounded(
    monkeypatch: pytest.MonkeyPatch, held: int, walked: int
) -> None:
    monkeypatch.setattr(registry_search, "MAX_HELD", held)
    monkeypatch.setattr(registry_search, "MAX_WALKED", walked)
    with serving(endless) as host:
        asked = machine(host)
        found = asked.ask([SEARCH]).value(SEARCH)
        asked.close()
        assert found is not None
        assert found.unreadable
        assert sum(len(key.subkey) for key in found.unreadable) <= held
        assert sum(len(str(value.data.data)) for value in found.values) <= held
        assert len(host.seen) <= 6 * walked + 10


def test_where_too_many_keys_are_unreadable_the_root_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(request: Request, _: socket.socket) -> bytes:
        asked = request.operation
        if not isinstance(asked, Invoke):
            return honest(request)
        told = {"ReturnValue": 0, "sNames": ("a", "b", "c")} if asked.method == "EnumKey" else {"ReturnValue": 5}
        return soap(request, ShellOutput(Properties(told), asked.method, asked.target.resource_uri))  # type: ignore[arg-type]  # values

    monkeypatch.setattr(registry_search, "MAX_HELD", 10_000)
    with serving(closed) as host:
        asked = machine(host)
        found = asked.ask([SEARCH]).value(SEARCH)
        asked.close()
        assert found is not None
        assert found.unreadable == (ROOT,)
        assert found.values == ()
