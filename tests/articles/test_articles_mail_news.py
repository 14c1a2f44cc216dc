"""Q197303: mail and news of IIS 4.0 are removed and installed again with the corrected Setup."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from converge.lab import service_events
from converge.model.change import Status
from converge.model.facts import ServiceState, StartMode
from converge.model.play import Play
from converge.windows.registry import parse_path

if TYPE_CHECKING:
    from tests.articles.articles_lab import LabHostMaker, changed, leaves, skip_reason, the
else:
    from articles_lab import changed, leaves, skip_reason, the


BOTH = ("Q245208", "Q197303")
PLAY = "mail and news of IIS 4.0 are installed with the corrected Setup"
PROCEDURE = "procedure:reinstall-mail-and-news"
POINT = {"installation_point": r"D:\iis4fix"}


def test_the_fix_is_asked_for_before_anything_is_removed(lab_host: LabHostMaker) -> None:
    host = lab_host("iis4-news-broken", BOTH, **POINT)
    before = host.state()
    checked = host.check()
    assert checked.status is Status.WAITING
    step = the(checked, "operator_step:obtain-the-fix")
    assert step.reason == "needs a person"
    assert any("Microsoft Product Support Services" in note and "33535" in note for note in step.notes)
    applied = host.apply()
    assert applied.status is Status.WAITING
    assert the(applied, "operator_step:obtain-the-fix").error is not None
    assert host.state() == before


def test_with_the_fix_both_are_reinstalled_where_iis_lies(lab_host: LabHostMaker) -> None:
    host = lab_host("iis4-news-broken", BOTH, **POINT)
    host.operator("obtain-the-fix")
    result = host.apply()
    assert result.status is Status.CHANGED
    (procedure,) = [change for change in result.changes if change.address == PROCEDURE]
    steps = ["remove SMTP", "remove NNTP", "install SMTP", "install NNTP", "SMTP runs", "NNTP runs"]
    assert [step.name for step in procedure.steps if step.name in steps] == steps
    assert host.running("SMTPSVC", "NNTPSVC", "W3SVC")
    assert host.size(r"D:\inetsrv\Nntpsvc.dll") == 584464
    assert host.size(r"C:\WINNT\System32\Inetsrv\Nntpsvc.dll") is None
    parameters = r"HKLM\SYSTEM\CurrentControlSet\Services\NNTPSVC\Parameters"
    assert host.value(parameters, "InstallPath") == ("string", r"D:\inetsrv")
    assert host.check().status is Status.OK


def test_an_alpha_takes_the_alphas_fix(lab_host: LabHostMaker) -> None:
    host = lab_host("iis4-news-broken-alpha", BOTH, **POINT)
    assert host.apply().status is Status.CHANGED
    assert host.running("SMTPSVC", "NNTPSVC")
    assert host.check().status is Status.OK


def test_where_both_are_broken_the_gentler_article_comes_first(lab_host: LabHostMaker) -> None:
    host = lab_host("iis4-mail-news-broken", BOTH, **POINT)
    plays = [change.play for change in host.check().changes if change.status is Status.CHANGED]
    assert plays.index("SMTP runs from where Inetinfo.exe lies") < plays.index(PLAY)
    assert host.apply().status is Status.CHANGED
    assert host.running("SMTPSVC", "NNTPSVC")
    assert host.check().status is Status.OK


def test_a_host_that_the_gentler_article_repairs_is_not_reinstalled(lab_host: LabHostMaker) -> None:
    host = lab_host("iis4-smtp-broken", BOTH, **POINT)
    assert skip_reason(host.check(), PLAY).startswith("neither SMTP nor NNTP failed to start for want of a file")
    assert not any(change.address == PROCEDURE for change in host.apply().changes)


@pytest.mark.parametrize("image", ["iis4-wrong-architecture-fix", "iis4-wrong-size-fix"])
def test_a_wrong_file_stops_before_anything_is_removed(image: str, lab_host: LabHostMaker) -> None:
    host = lab_host(image, BOTH, **POINT)
    before = host.state()
    for result in (host.check(), host.apply()):
        assert result.status is Status.FAILED
        refused = the(result, "requirement:fix_files")
        assert refused.error is not None
        assert refused.error.code == "requirement-unmet"
        assert "fix for x86" in refused.error.what
        assert PROCEDURE not in changed(result)
    assert host.state() == before


def test_each_file_of_the_fix_counts(lab_host: LabHostMaker) -> None:
    for name in ("Ims.inf", "Imsinsc.dll", "Ins.inf"):
        host = lab_host("iis4-mail-news-broken", "Q197303", **POINT)
        file = host.world.files.file(rf"D:\iis4fix\{name}")
        assert file is not None
        file.size += 1
        assert the(host.check(), "requirement:fix_files").status is Status.FAILED, name


def test_a_site_with_a_later_fix_lists_its_sizes(lab_host: LabHostMaker) -> None:
    later = {"x86": {"Ims.inf": [33535, 33600], "Imsinsc.dll": [515856], "Ins.inf": [36868]}}
    host = lab_host("iis4-news-broken", BOTH, **POINT, fix_files=later)
    host.operator("obtain-the-fix")
    file = host.world.files.file(r"D:\iis4fix\Ims.inf")
    assert file is not None
    file.size = 33600
    assert the(host.check(), "requirement:fix_files").status is Status.OK


@pytest.mark.parametrize(
    ("variables", "requirement", "words"),
    [
        ({}, "requirement:installation_point", "installation_point"),
        ({**POINT, "fix_language": 1031}, "requirement:fix_language", "English fix"),
        ({**POINT, "installation_files": ["Iis4_04.cab"]}, "requirement:Iis4_04.cab", "Iis4_04.cab is missing"),
    ],
)
def test_what_the_site_owes_is_said(
    variables: dict[str, object], requirement: str, words: str, lab_host: LabHostMaker
) -> None:
    host = lab_host("iis4-mail-news-broken", "Q197303", **variables)
    before = host.state()
    refused = the(host.apply(), requirement)
    assert refused.error is not None
    assert words in refused.error.what
    assert host.state() == before


def test_nothing_is_removed_unless_the_loss_is_accepted(lab_host: LabHostMaker) -> None:
    host = lab_host("iis4-news-broken-alpha", BOTH, **POINT)
    host.accept_no_way_back = False
    before = host.state()
    refused = the(host.apply(), PROCEDURE)
    assert refused.error is not None
    assert refused.error.code == "no-way-back"
    assert host.state() == before


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("iis4-default-path", "IIS lies where Setup expects it"),
        ("iis4-smtp-healthy", "neither SMTP nor NNTP failed"),
        ("iis4-mail-news-healthy", "neither SMTP nor NNTP failed"),
    ],
)
def test_it_does_not_apply(image: str, reason: str, lab_host: LabHostMaker) -> None:
    assert skip_reason(lab_host(image, BOTH, **POINT).check(), PLAY).startswith(reason)


def test_an_exit_code_alone_is_enough(lab_host: LabHostMaker) -> None:
    host = lab_host("iis4-news-broken", BOTH, **POINT)
    host.world.events.clear()
    assert the(host.check(), "operator_step:obtain-the-fix").status is Status.WAITING


def test_an_event_of_the_service_since_windows_started_tells_it_where_the_exit_code_is_another(
    lab_host: LabHostMaker,
) -> None:
    host = lab_host("iis4-news-broken", BOTH, **POINT)
    record = host.world.service("NNTPSVC")
    assert record is not None
    record.exit_code = 1066
    host.world.events.clear()
    assert skip_reason(host.check(), PLAY).startswith("neither SMTP nor NNTP failed")
    host.world.clock.advance(60)
    service_events.log(host.world, 7023, ("", "%%2"))  # any service's
    assert skip_reason(host.check(), PLAY).startswith("neither SMTP nor NNTP failed")
    service_events.log(host.world, 7023, ("Microsoft NNTP Service", "%%2"))
    assert the(host.check(), "operator_step:obtain-the-fix").status is Status.WAITING
    record.state = ServiceState.RUNNING
    assert skip_reason(host.check(), PLAY).startswith("neither SMTP nor NNTP failed")


@pytest.mark.parametrize(("exit_code", "mode"), [(0, "automatic"), (1077, "automatic"), (2, "manual"), (2, "disabled")])
def test_what_a_person_stopped_or_does_not_start_is_no_proof(exit_code: int, mode: str, lab_host: LabHostMaker) -> None:
    host = lab_host("iis4-news-broken", BOTH, **POINT)
    record = host.world.service("NNTPSVC")
    assert record is not None
    record.exit_code, record.start_mode = exit_code, StartMode(mode)
    host.world.clock.advance(60)
    service_events.log(host.world, 7023, ("", "%%2"))
    assert skip_reason(host.check(), PLAY).startswith("neither SMTP nor NNTP failed")


def test_news_that_never_was_is_not_installed(lab_host: LabHostMaker) -> None:
    host = lab_host("iis4-mail-news-broken", "Q197303", **POINT)
    host.world.services.pop("NNTPSVC")
    host.world.registry.remove(parse_path(r"HKLM\SYSTEM\CurrentControlSet\Services\NNTPSVC"))
    host.apply()
    assert host.running("SMTPSVC")
    assert host.world.service("NNTPSVC") is None


def test_a_repair_that_is_broken_off_brings_back_what_it_removed(lab_host: LabHostMaker) -> None:
    host = lab_host("iis4-mail-news-broken", BOTH, **POINT)
    (name,) = [name for name in host.world.components if name.lower() == "iis_nntp"]
    setup = host.world.components[name]
    host.world.components[name] = setup.model_copy(update={"install": ()})  # Setup brings nothing
    assert host.apply().status is Status.FAILED
    assert host.world.service("NNTPSVC") is None
    resumed = [change.name for change in leaves(host.check())]
    assert "install NNTP" in resumed
    assert "NNTP runs" in resumed


def test_setup_is_not_begun_without_the_list_it_reads(lab_host: LabHostMaker) -> None:
    host = lab_host("iis4-news-broken-alpha", BOTH, **POINT)
    host.world.files.remove(r"D:\iis4fix\Iis4.inf")
    before = host.state()
    refused = the(host.apply(), "requirement:setup_inf")
    assert refused.error is not None
    assert "Iis4.inf is missing" in refused.error.what
    assert host.state() == before


def test_a_file_of_the_fix_that_is_older_than_the_articles_is_refused(lab_host: LabHostMaker) -> None:
    host = lab_host("iis4-mail-news-broken", "Q197303", **POINT)
    file = host.world.files.file(r"D:\iis4fix\Imsinsc.dll")
    assert file is not None
    file.modified = file.modified.replace(year=1997)
    refused = the(host.check(), "requirement:fix_files")
    assert refused.error is not None
    assert "fix_files" in refused.error.what


def test_what_the_log_told_before_the_last_repair_is_no_proof(lab_host: LabHostMaker) -> None:
    host = lab_host("iis4-mail-news-broken", BOTH, **POINT)
    service_events.log(host.world, 7023, ("Microsoft NNTP Service", "%%2"))
    host.world.clock.advance(60)
    assert host.apply().status is Status.CHANGED
    record = host.world.service("NNTPSVC")
    assert record is not None
    record.state, record.exit_code = ServiceState.STOPPED, 1066
    assert skip_reason(host.check(), PLAY).startswith("neither SMTP nor NNTP failed")
    host.world.clock.advance(60)
    service_events.log(host.world, 7023, ("Microsoft NNTP Service", "%%2"))
    assert PROCEDURE in changed(host.check())


def test_the_articles_warning_is_shown(all_plays: tuple[Play, ...]) -> None:
    (play,) = [play for play in all_plays if play.article == "Q197303"]
    assert "not been fully regression tested" in play.warning
    assert "only to systems experiencing this specific problem" in play.warning
