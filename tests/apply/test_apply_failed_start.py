"""A service whose start was accepted and that ends with an error: it is given up early, unless Windows starts it again."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest
from tests.apply.apply_site import Site, told

from converge.lab import service_manager
from converge.lab.effects import enact
from converge.lab.specs import Effects
from converge.lab.world import World
from converge.model.action import AnyAction, Performed
from converge.model.answer import Answers
from converge.model.change import HostResult
from converge.model.machine import Machine
from converge.model.query import AnyQuery

LIBRARY = r"D:\Vendor\needed.dll"
BRIEF = 10.0  # seconds: `settle` is 5, and looks are some seconds apart


def ailing(site: Site, **further: Any) -> None:
    """A service that starts for a second and then ends with an error, for want of a library."""
    needs = [{"file": LIBRARY, "exit_code": 1066, "specific_exit_code": 42}]
    spec = {
        "display_name": "Ailing", "image_path": r"%SystemRoot%\System32\svc.exe", "start": "manual",
        "start_seconds": 1, "needs": needs, **further,
    }  # fmt: skip
    enact(site.world, Effects.model_validate({"services": {"Ailing": spec}}))


def started(site: Site, *, wrap: Any = None, **fields: object) -> tuple[HostResult, float]:
    """What became of the start, and how many seconds passed on the host."""
    plays = site.plays([{"service": {"name": "Ailing", "running": True, **fields}}])
    before = site.world.now()
    result = site.apply(plays, **({"wrap": wrap} if wrap else {}))
    return result, (site.world.now() - before).total_seconds()


def test_a_start_that_ended_with_an_error_is_not_waited_for_any_longer(site: Site) -> None:
    ailing(site)
    result, seconds = started(site)
    (change,) = result.changes
    assert change.status.value == "failed"
    assert 5 <= seconds <= BRIEF
    assert "exit code 1066" in told(result)
    assert "service-specific exit code 42" in told(result)
    assert "event 7024" in told(result)


def test_settle_says_how_long_an_ended_service_is_waited_for(site: Site) -> None:
    ailing(site)
    result, seconds = started(site, settle=20)
    assert result.changes[0].status.value == "failed"
    assert 20 <= seconds <= 32


def test_a_service_that_ended_without_an_error_is_waited_for_as_long_as_ever(site: Site) -> None:
    ailing(site, needs=[{"file": LIBRARY, "exit_code": 0}])
    result, seconds = started(site)
    assert result.changes[0].status.value == "failed"
    assert seconds >= 60


class Recovering:
    """A host whose service manager starts a service again that failed, some seconds later, as it can be told to do."""

    def __init__(self, machine: Machine, world: World, *, after: float, again: int) -> None:
        self._machine, self._world, self._after, self._left = machine, world, after, again
        self._failed_at: float | None = None
        self.host = machine.host

    @property
    def round_trips(self) -> int:
        return self._machine.round_trips

    def ask(self, queries: Collection[AnyQuery]) -> Answers:
        self._recover()
        return self._machine.ask(queries)

    def perform(self, action: AnyAction) -> Performed:
        return self._machine.perform(action)

    def _recover(self) -> None:
        service_manager.settle(self._world)
        record = self._world.service("Ailing")
        if record is None or not record.specific_exit_code or record.state.value != "stopped":
            self._failed_at = None
            return
        now = self._world.now().timestamp()
        self._failed_at = self._failed_at if self._failed_at is not None else now
        if now - self._failed_at >= self._after and self._left:
            self._left -= 1
            if not self._left:
                enact(self._world, Effects.model_validate({"files": {r"D:\Vendor": {"needed.dll": 1}}}))
            service_manager.start(self._world, "Ailing", account=None)


@pytest.mark.parametrize("again", [1, 3])
def test_a_service_that_windows_starts_again_meanwhile_is_waited_for(again: int, site: Site) -> None:
    ailing(site)
    result, seconds = started(site, wrap=lambda machine: Recovering(machine, site.world, after=3, again=again))
    assert result.changes[0].status.value == "changed", told(result)
    assert seconds <= 60


def test_what_windows_would_start_again_only_later_is_given_up(site: Site) -> None:
    ailing(site)
    result, seconds = started(site, wrap=lambda machine: Recovering(machine, site.world, after=30, again=1))
    assert result.changes[0].status.value == "failed"
    assert seconds <= BRIEF
