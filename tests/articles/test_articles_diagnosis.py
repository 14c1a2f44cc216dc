"""Diagnosis over the lab's images: each broken one shows its article's problem, a healthy one shows none."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from converge.inventory import load as load_inventory
from converge.lab.image import load_image
from converge.lab.specs import Profile
from converge.model.diagnosis import Certainty
from converge.model.play import Play
from converge.model.query import AnyQuery, Events, OperatingSystem
from converge.testing.faulty_machine import FaultyMachine

if TYPE_CHECKING:
    from tests.articles.articles_lab import LabHost
else:
    from articles_lab import LabHost


INVENTORY = load_inventory([str(Path(__file__).parents[2] / "inventory" / "lab.yml")])
ONE_OF_EACH = {str(INVENTORY.variables(host)["converge_lab_image"]): host for host in reversed(INVENTORY.hosts)}
SHOWN = {
    "iis4-smtp-broken": {"Q245208": "certain"},
    "iis4-smtp-broken-locked": {"Q245208": "certain"},
    "iis4-news-broken": {"Q197303": "certain"},
    "iis4-news-broken-alpha": {"Q197303": "certain"},
    # Setup put both into the wrong folder: the gentler article repairs mail, the other one mail and news.
    "iis4-mail-news-broken": {"Q245208": "likely", "Q197303": "certain"},
    "exchange2000-dispatch-broken": {"Q277770": "certain"},
    "exchange2000-dispatch-partly-broken": {"Q277770": "certain"},
    "exchange2003-dispatch-broken": {"Q277770": "certain"},
    "sbs2003-dispatch-broken": {"Q277770": "certain"},
    "exchange2000-cluster-node-dispatch-broken": {"Q277770": "likely"},
    "exchange55-registry-stopped": {"Q324332": "likely"},
    "exchange55-registry-disabled": {"Q324332": "likely"},
    "exchange2000-node-smtp-removed": {"Q312395": "likely"},
    "exchange2000-node-smtp-reinstalled": {"Q312395": "likely"},
    "exchange2000-smtp-removed": {"Q312395": "likely"},
}
"""What each image of the fleet shows; an image that is not named shows nothing."""


@pytest.fixture
def host(all_plays: tuple[Play, ...], tmp_path: Path) -> HostMaker:
    """Makes the host of the fleet that stands for an image."""
    return HostMaker(all_plays, tmp_path)


class HostMaker:
    """Makes hosts as the fleet has them."""

    def __init__(self, plays: tuple[Play, ...], folder: Path) -> None:
        self.plays = plays
        self.folder = folder

    def __call__(self, image: str) -> LabHost:
        name = ONE_OF_EACH[image]
        world = load_image(image, host_name=name.upper())
        world.clock.freeze()
        mine = tuple(play for play in self.plays if name in INVENTORY.select(play.hosts))
        return LabHost(world, mine, INVENTORY.variables(name), self.folder)


def deny(there: LabHost, *rights: str) -> None:
    """Take rights away from the account that converge uses."""
    account = there.world.account(r"LAB\deploy")
    assert account is not None
    account.denies += rights


@pytest.mark.parametrize("image", sorted(ONE_OF_EACH))
def test_an_image_shows_its_articles_problem_and_no_other(image: str, host: HostMaker) -> None:
    there = host(image)
    before = there.state()
    found = there.diagnose()
    shown = {article: item.certainty.value for article, item in found.items() if item.certainty is not Certainty.NONE}
    assert shown == SHOWN.get(image, {})
    assert there.state() == before


def test_what_is_shown_is_what_the_check_of_the_playbook_shows(host: HostMaker) -> None:
    there = host("iis4-smtp-broken")
    checked = {change.address: change.status for change in there.check().changes if change.address != "play:"}
    diagnosed = {change.address: change.status for item in there.diagnose().values() for change in item.changes}
    assert diagnosed == checked


def test_the_events_of_a_certain_diagnosis_are_its_evidence(host: HostMaker) -> None:
    there = host("iis4-smtp-broken")
    (evidence,) = there.diagnose()["Q245208"].events
    (record,) = evidence.seen
    assert (evidence.count, evidence.more, evidence.refused) == (1, False, None)
    assert record.id == 7000
    assert abs(there.world.now() - timedelta(minutes=45) - record.time) < timedelta(seconds=5)
    assert "SMTP" in (record.message or "")


def test_dialog_texts_are_questions_never_evidence(host: HostMaker) -> None:
    found = host("exchange55-registry-stopped").diagnose()["Q324332"]
    assert any("c10312c6" in text for text in found.dialogs)
    assert found.events == ()
    assert "no event tells of it" in found.reason


class TestAnEventLogThatIsClosed:
    def test_what_is_broken_is_only_likely_and_the_missing_right_is_named(self, host: HostMaker) -> None:
        there = host("iis4-smtp-broken")
        closed = FaultyMachine(there.machine, refuses=lambda query: isinstance(query, Events))
        found = there.diagnose(observer=closed)["Q245208"]
        assert found.certainty is Certainty.LIKELY
        assert found.events[0].refused is not None
        assert "could not be read: Access is denied.; grant the account a right this mishap takes away" in found.reason

    def test_what_is_in_order_is_unknown_and_never_without_symptom(self, host: HostMaker) -> None:
        there = host("iis4-smtp-healthy")
        closed = FaultyMachine(there.machine, refuses=lambda query: isinstance(query, Events))
        found = there.diagnose(observer=closed)["Q245208"]
        assert found.certainty is Certainty.UNKNOWN
        assert "could not be read" in found.reason

    def test_the_lab_closes_it_by_a_right(self, host: HostMaker) -> None:
        there = host("exchange2000")
        deny(there, "events:System")
        assert there.diagnose()["Q277770"].certainty is Certainty.UNKNOWN


def test_a_service_that_may_not_be_looked_at_leaves_events_as_a_possibility(host: HostMaker) -> None:
    there = host("exchange2000-dispatch-broken")
    deny(
        there,
        r"registry_read:HKLM\SYSTEM\CurrentControlSet\Services\InetInfo",
        "service_query:SMTPSVC", "service_query:NNTPSVC", "service_query:POP3SVC", "service_query:IMAP4SVC",
        "service_query:MSExchangeSA",
    )  # fmt: skip
    there.plays = there.plays[:1]
    assert there.diagnose()["Q277770"].certainty is Certainty.POSSIBLE


class TestWhatIsAskedOfEventLogs:
    def asked(self, there: LabHost) -> list[Events]:
        questions: list[AnyQuery] = []

        def note(query: AnyQuery) -> bool:
            questions.append(query)
            return False

        there.diagnose(observer=FaultyMachine(there.machine, refuses=note))
        return [query for query in questions if isinstance(query, Events)]

    def test_every_question_is_bounded_by_log_source_time_and_number(self, host: HostMaker) -> None:
        there = host("iis4-mail-news-broken")
        asked = self.asked(there)
        assert asked
        for query in asked:
            assert (query.log, query.source) == ("System", "Service Control Manager")
            assert there.world.now() - query.since <= timedelta(days=30, seconds=1)
            assert query.ids
            assert query.limit <= 200

    def test_texts_are_asked_for_only_where_events_of_the_number_came_up(self, host: HostMaker) -> None:
        there = host("exchange2000")
        assert not [query for query in self.asked(there) if query.messages]
        broken = host("exchange2000-dispatch-broken")
        (texts,) = [query for query in self.asked(broken) if query.messages]
        assert broken.world.now() - texts.since < timedelta(hours=1)

    def test_nothing_is_asked_for_articles_that_do_not_apply(self, host: HostMaker) -> None:
        assert self.asked(host("file-server-2000")) == []

    def test_without_the_hosts_clock_nothing_can_be_asked_and_that_is_said(self, host: HostMaker) -> None:
        there = host("iis4-smtp-broken")
        closed = FaultyMachine(there.machine, refuses=lambda query: isinstance(query, OperatingSystem))
        assert there.diagnose(observer=closed)["Q245208"].certainty is Certainty.UNKNOWN
        assert not [query for query in closed.asked if isinstance(query, Events)]


class TestEventsThatOnlyLookAlike:
    def test_another_services_event_of_the_number_is_no_evidence(self, host: HostMaker) -> None:
        there = host("iis4-smtp-broken")
        for event in there.world.events:
            event.message = event.message.replace("SMTP", "Spooler")
        found = there.diagnose()["Q245208"]
        assert (found.certainty, found.events[0].count, found.events[0].unread) == (Certainty.LIKELY, 0, 0)

    def test_the_source_counts_in_any_case(self, host: HostMaker) -> None:
        there = host("iis4-smtp-broken")
        for event in there.world.events:
            event.provider = event.provider.upper()
        assert there.diagnose()["Q245208"].certainty is Certainty.CERTAIN

    def test_an_old_event_does_not_count(self, host: HostMaker) -> None:
        there = host("iis4-smtp-broken")
        for event in there.world.events:
            event.time -= timedelta(days=31)
        assert there.diagnose()["Q245208"].certainty is Certainty.LIKELY

    def german(self, there: LabHost) -> LabHost:
        assert isinstance(there.world.profile, Profile)
        there.world.profile = there.world.profile.model_copy(update={"language": 0x407})
        for event in there.world.events:
            event.message = "Der Dienst wurde aufgrund folgenden Fehlers nicht gestartet"
        return there

    def test_an_error_number_is_the_same_in_every_language(self, host: HostMaker) -> None:
        found = self.german(host("exchange2000-dispatch-broken")).diagnose()["Q277770"]
        assert (found.certainty, found.events[0].count) == (Certainty.CERTAIN, 2)

    def test_a_text_in_another_language_is_said_to_be_unread(self, host: HostMaker) -> None:
        found = self.german(host("iis4-smtp-broken")).diagnose()["Q245208"]
        assert found.certainty is Certainty.LIKELY
        assert found.events[0].unread
        assert "whose text could not be compared" in found.reason

    def test_a_repaired_host_is_in_order_though_its_events_are_still_there(self, host: HostMaker) -> None:
        there = host("iis4-smtp-broken")
        there.converge()
        found = there.diagnose()["Q245208"]
        assert found.certainty is Certainty.NONE
        assert found.events[0].count
        assert "older than that" in found.reason
