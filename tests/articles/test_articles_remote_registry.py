"""Q324332: Exchange 5.5 on Windows 2000 finds the Remote Registry service running."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from converge.model.change import Status
from converge.model.diagnosis import Certainty
from converge.model.facts import ServiceState, StartMode
from converge.model.play import Play

if TYPE_CHECKING:
    from tests.articles.articles_lab import LabHostMaker, changed, skip_reason
else:
    from articles_lab import changed, skip_reason


ARTICLE = "Q324332"
PLAY = "Remote Registry runs for Exchange 5.5"


@pytest.mark.parametrize(
    ("image", "said"),
    [("exchange55-registry-stopped", {}), ("exchange55-registry-disabled", {"keep_running": True})],
)
def test_it_runs_and_starts_with_windows(image: str, said: dict[str, object], lab_host: LabHostMaker) -> None:
    host = lab_host(image, ARTICLE, **said)
    before = host.state()
    assert changed(host.check()) == ["service:RemoteRegistry"]
    assert host.state() == before
    assert host.apply().status is Status.CHANGED
    record = host.world.service("RemoteRegistry")
    assert record is not None
    assert (record.state, record.start_mode) == (ServiceState.RUNNING, StartMode.AUTOMATIC)
    assert host.running("MSExchangeSA", "MSExchangeDS", "MSExchangeIS", "MSExchangeMTA", "MSExchangeIMC")
    assert host.check().status is Status.OK


def test_the_start_mode_is_our_wish_and_can_be_left_out(lab_host: LabHostMaker) -> None:
    host = lab_host("exchange55-registry-stopped", ARTICLE, keep_running=False)
    host.apply()
    record = host.world.service("RemoteRegistry")
    assert record is not None
    assert (record.state, record.start_mode) == (ServiceState.RUNNING, StartMode.MANUAL)


@pytest.mark.parametrize("said", [{}, {"keep_running": False}])
def test_a_service_that_somebody_disabled_is_left_so(said: dict[str, object], lab_host: LabHostMaker) -> None:
    host = lab_host("exchange55-registry-disabled", ARTICLE, **said)
    before = host.state()
    for result in (host.check(), host.apply()):
        (change,) = result.changes
        assert change.status is Status.SKIPPED
        assert "disabled" in (change.reason or "")
        assert "keep_running" in (change.reason or "")
    assert host.state() == before


def test_the_start_mode_is_said_to_be_ours_and_is_no_evidence(lab_host: LabHostMaker) -> None:
    host = lab_host("exchange55", ARTICLE)
    record = host.world.service("RemoteRegistry")
    assert record is not None
    record.start_mode = StartMode.MANUAL
    (change,) = host.check().changes
    assert any("not by Q324332" in note for note in change.notes)
    assert host.diagnose()[ARTICLE].certainty is Certainty.NONE


@pytest.mark.parametrize(("mode", "said"), [(StartMode.MANUAL, {}), (StartMode.DISABLED, {"keep_running": True})])
def test_a_start_mode_that_is_off_is_shown(mode: StartMode, said: dict[str, object], lab_host: LabHostMaker) -> None:
    host = lab_host("exchange55", ARTICLE, **said)
    record = host.world.service("RemoteRegistry")
    assert record is not None
    record.start_mode = mode
    assert changed(host.check()) == ["service:RemoteRegistry"]


def test_it_does_not_apply_without_exchange_55(lab_host: LabHostMaker) -> None:
    result = lab_host("file-server-2000", ARTICLE).check()
    assert skip_reason(result, PLAY) == "Exchange 5.5 is not installed"
    result = lab_host("iis4-default-path", ARTICLE).check()
    assert result.status is Status.SKIPPED


def test_the_dialogs_of_the_article_are_its_symptoms(all_plays: tuple[Play, ...]) -> None:
    (play,) = [play for play in all_plays if play.article == ARTICLE]
    said = " ".join(play.symptoms.dialogs)
    for words in ("c10312c6", "0xc0020035", "Shared.ins at or near line 7"):
        assert words in said
