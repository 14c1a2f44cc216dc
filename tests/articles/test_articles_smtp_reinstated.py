"""Q312395: Exchange 2000 gets its SMTP functions back, by a metabase backup or by installing IIS and Exchange again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from converge.model.change import Status
from converge.model.facts import ServiceState, StartMode

if TYPE_CHECKING:
    from tests.articles.articles_lab import LabHostMaker, changed, leaves, skip_reason, the
else:
    from articles_lab import changed, leaves, skip_reason, the


ARTICLE = "Q312395"
CLUSTERED = "SMTP of an Exchange 2000 cluster node is reinstated"
ALONE = "SMTP of an Exchange 2000 server that stands alone is reinstated"
METHOD_2 = "procedure:repair-smtp-and-exchange"
CHOSEN = {"smtp_was_reinstalled": True, "method_1_excluded": True}
RECORDS = r"C:\WINNT\Q312395"
MARKER = rf"{RECORDS}\repair-begun.txt"
BOTH = ("Q277770", ARTICLE)
UNDER_WAY = "not started before Exchange is bound to it again (Q312395)"
SUBCOMPONENTS = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\OC Manager\Subcomponents"


def test_method_1_is_a_persons_and_removes_nothing(lab_host: LabHostMaker) -> None:
    host = lab_host("exchange2000-node-smtp-removed", ARTICLE, smtp_removed_on="2002-02-04")
    step = the(host.check(), "operator_step:restore-metabase")
    assert step.reason == "needs a person"
    assert "2002-02-04" in step.notes[0]
    assert "MetaBack" in step.notes[0]
    assert host.apply().status is Status.WAITING
    assert host.running("ClusSvc", "IISADMIN", "W3SVC")
    host.operator("restore-metabase")
    tried = the(host.apply(), "operator_step:try-the-failover")
    assert tried.status is Status.WAITING
    assert "EXVS1 Group, EXVS2 Group" in tried.notes[0]
    host.operator("try-the-failover")
    assert host.apply().status is Status.CHANGED
    assert host.running("SMTPSVC", "ClusSvc")
    assert skip_reason(host.check(), CLUSTERED).startswith("the SMTP component is installed")


def test_method_1_names_the_backups_from_before_the_removal_and_none_without_a_day(lab_host: LabHostMaker) -> None:
    host = lab_host("exchange2000-node-smtp-removed", ARTICLE, smtp_removed_on="2002-02-04")
    told = the(host.check(), "operator_step:restore-metabase").notes[0]
    assert "before-maintenance.MD0 (2002-01-28)" in told
    assert "after-the-accident" not in told
    undated = lab_host("exchange2000-node-smtp-removed", ARTICLE)
    told = the(undated.check(), "operator_step:restore-metabase").notes[0]
    assert "before-maintenance" not in told
    assert "none is known" in told


def test_without_a_backup_nothing_destructive_is_done_before_a_person_says_so(lab_host: LabHostMaker) -> None:
    host = lab_host("exchange2000-node-no-backup", ARTICLE, smtp_removed_on="2002-02-04")
    result = host.apply()
    assert the(result, "operator_step:restore-metabase").status is Status.WAITING
    assert METHOD_2 not in [change.address for change in result.changes]
    assert host.running("W3SVC", "NNTPSVC", "ClusSvc")
    assert host.size(r"C:\WINNT\System32\Inetsrv\MetaBase.bin") == 544768


def test_method_2_shows_every_step_and_what_is_lost(lab_host: LabHostMaker) -> None:
    host = lab_host("exchange2000-node-smtp-reinstalled", ARTICLE, **CHOSEN)
    before = host.state()
    result = host.check()
    assert host.state() == before
    (procedure,) = [change for change in result.changes if change.address == METHOD_2]
    assert procedure.way_back.kind == "none"
    assert "every Web site" in procedure.way_back.reason
    names = [step.name for step in procedure.steps]
    order = [
        "record the level of Exchange", "keep the metabase", "remove SMTP", "remove NNTP",
        "remove the other components of IIS (iis_www)", "the metabase is gone",
        "install the other components of IIS (iis_www)", "install SMTP", "install NNTP",
        "run Exchange Setup with Reinstall", "service packs and hotfixes are back", "the cluster can fail over",
    ]  # fmt: skip
    assert [name for name in names if name in order] == order
    assert not any("iis_common" in step.address for step in procedure.steps)


def test_method_2_reinstalls_and_keeps_the_cluster(lab_host: LabHostMaker) -> None:
    host = lab_host("exchange2000-node-smtp-reinstalled", ARTICLE, **CHOSEN)
    first = host.apply()
    assert the(first, "operator_step:run-exchange-setup").status is Status.WAITING
    assert host.running("ClusSvc", "IISADMIN", "W3SVC")
    assert host.value(SUBCOMPONENTS, "iis_common") == ("dword", 1)
    assert host.size(r"C:\WINNT\Q312395\Metabase.bin") == 544768  # kept aside
    assert host.size(r"C:\WINNT\System32\Inetsrv\MetaBase.bin") == 260096  # made anew by Setup
    kept = host.world.files.file(r"C:\WINNT\Q312395\store.exe")
    assert kept is not None
    assert kept.version == "6.0.6249.4"  # the level to come back to
    host.operator("run-exchange-setup")
    second = host.apply()
    assert the(second, "operator_step:reapply-service-packs").status is Status.WAITING
    host.operator("reapply-service-packs")
    third = host.apply()
    # By the versions: no file is asked for.
    assert the(third, "operator_step:reapply-service-packs").status is Status.OK
    tried = the(third, "operator_step:try-the-failover")
    assert tried.status is Status.WAITING
    assert "EXVS1 Group, EXVS2 Group" in tried.notes[0]
    host.operator("try-the-failover")
    assert host.apply().status is Status.CHANGED
    assert host.running("SMTPSVC", "NNTPSVC", "W3SVC", "ClusSvc")
    last = host.check()
    assert last.status is Status.OK
    assert [change.address for change in last.changes if change.status is Status.OK] == [METHOD_2]


def test_method_2_waits_until_the_virtual_servers_were_moved(lab_host: LabHostMaker) -> None:
    host = lab_host("exchange2000-node-smtp-reinstalled-online", ARTICLE, **CHOSEN)
    before = host.state()
    for result in (host.check(), host.apply()):
        refused = the(result, METHOD_2)
        assert refused.error is not None
        assert refused.error.code == "precondition-unmet"
        assert "MSExchangeSA" in refused.error.what
        assert "Move Group" in refused.error.what
        assert "Cluster Group, EXVS1 Group, EXVS2 Group" in refused.error.what
    assert host.state() == before


def test_method_2_refuses_a_list_that_would_lose_a_component(lab_host: LabHostMaker) -> None:
    host = lab_host("exchange2000-node-smtp-reinstalled", ARTICLE, **CHOSEN, iis_components=["iis_www"])
    before = host.state()
    refused = the(host.apply(), METHOD_2)
    assert refused.error is not None
    assert "iis_inetmgr" in refused.error.what
    assert host.state() == before


def test_method_2_refuses_a_list_that_would_install_what_was_not_there(lab_host: LabHostMaker) -> None:
    listed = ["iis_www", "iis_inetmgr", "iis_ftp"]
    host = lab_host("exchange2000-node-smtp-reinstalled", ARTICLE, **CHOSEN, iis_components=listed)
    before = host.state()
    refused = the(host.apply(), METHOD_2)
    assert refused.error is not None
    assert "iis_ftp is not installed, and named in iis_components" in refused.error.what
    assert host.state() == before


def test_method_2_is_not_begun_unless_the_loss_is_accepted(lab_host: LabHostMaker) -> None:
    host = lab_host("exchange2000-node-smtp-reinstalled", ARTICLE, **CHOSEN)
    host.accept_no_way_back = False
    before = host.state()
    refused = the(host.apply(), METHOD_2)
    assert refused.error is not None
    assert refused.error.code == "no-way-back"
    assert host.state() == before


def test_common_files_can_not_be_put_on_the_list(lab_host: LabHostMaker) -> None:
    listed = ["iis_www", "iis_inetmgr", "iis_common"]
    host = lab_host("exchange2000-node-smtp-reinstalled", ARTICLE, **CHOSEN, iis_components=listed)
    before = host.state()
    assert host.apply().status is Status.FAILED
    assert host.state() == before


def test_an_earlier_repairs_words_do_not_count_for_a_new_one(lab_host: LabHostMaker) -> None:
    host = lab_host("exchange2000-smtp-removed", ARTICLE)
    host.operator("run-exchange-setup")  # left from an earlier repair: here SMTP is absent all the same
    result = host.apply()
    assert the(result, "operator_step:run-exchange-setup").status is Status.WAITING
    assert host.size(r"C:\WINNT\Q312395\exchange-reinstalled.txt") is None


def test_a_server_that_stands_alone_takes_setup_or_the_tool(lab_host: LabHostMaker) -> None:
    host = lab_host("exchange2000-smtp-removed", ARTICLE)
    step = the(host.check(), "operator_step:run-exchange-setup")
    assert "Reinstall" in step.notes[0]
    assert "SMTPReinstall" in step.notes[0]
    assert host.converge().status is Status.CHANGED
    assert host.running("SMTPSVC", "RESvc", "MSExchangeIS")
    assert skip_reason(host.check(), ALONE).startswith("the SMTP component is installed")


def test_setup_that_can_run_by_itself_needs_no_person(lab_host: LabHostMaker) -> None:
    argv = [r"C:\WINNT\System32\cmd.exe", "/c", "echo reinstalled"]
    host = lab_host("exchange2000-smtp-removed", ARTICLE, exchange_setup_argv=argv)
    assert not any(change.address.startswith("operator_step") for change in leaves(host.check()))


@pytest.mark.parametrize("image", ["exchange2000", "exchange2000-cluster-node"])
def test_a_server_with_smtp_is_left_alone(image: str, lab_host: LabHostMaker) -> None:
    host = lab_host(image, ARTICLE)
    assert host.check().status is Status.SKIPPED


def test_a_component_or_a_service_alone_that_is_gone_is_enough(lab_host: LabHostMaker) -> None:
    host = lab_host("exchange2000", ARTICLE)
    host.set_value(SUBCOMPONENTS, "iis_smtp", number=4, data=0)
    assert changed(host.check()) == ["procedure:reinstate-smtp"]
    host = lab_host("exchange2000", ARTICLE)
    host.world.services.pop("SMTPSVC")
    assert changed(host.check()) == ["procedure:reinstate-smtp"]


def test_it_does_not_apply_without_exchange(lab_host: LabHostMaker) -> None:
    result = lab_host("file-server-2000", ARTICLE).check()
    assert skip_reason(result, ALONE) == "Exchange is not installed"
    assert lab_host("exchange2000-cluster-node", ARTICLE).service("MSExchangeSA") is ServiceState.STOPPED


def test_a_text_file_does_not_speak_against_the_versions(lab_host: LabHostMaker) -> None:
    host = lab_host("exchange2000-node-smtp-reinstalled", ARTICLE, **CHOSEN)
    host.apply()
    host.operator("run-exchange-setup")  # Exchange is as on its CD by now
    host.write(rf"{RECORDS}\levels-restored.txt")
    step = the(host.apply(), "operator_step:reapply-service-packs")
    assert step.status is Status.WAITING
    assert "ntdll.dll and store.exe" in step.notes[0]


def test_a_persons_word_counts_where_no_version_can_be_read(lab_host: LabHostMaker) -> None:
    host = lab_host("exchange2000-node-smtp-reinstalled", ARTICLE, **CHOSEN)
    for path in (r"C:\WINNT\System32\ntdll.dll", r"C:\Program Files\Exchsrvr\bin\store.exe"):
        host.write(path)
    host.apply()
    host.write(rf"{RECORDS}\exchange-reinstalled.txt")
    assert the(host.apply(), "operator_step:reapply-service-packs").status is Status.WAITING
    host.write(rf"{RECORDS}\levels-restored.txt")
    assert the(host.apply(), "operator_step:reapply-service-packs").status is Status.OK


@pytest.mark.parametrize(
    ("image", "chosen", "cut"),
    [
        ("exchange2000-smtp-removed", {}, ""),
        ("exchange2000-smtp-removed", {}, "RemoveFile"),  # Setup has brought SMTP
        ("exchange2000-node-smtp-reinstalled", {"method_1_excluded": True}, ""),
        ("exchange2000-node-smtp-reinstalled", {"method_1_excluded": True}, "installs iis_nntp"),
    ],
)
def test_no_other_play_starts_smtp_before_setup_bound_exchange_to_it(
    image: str, chosen: dict[str, object], cut: str, lab_host: LabHostMaker
) -> None:
    host = lab_host(image, BOTH, **chosen, smtp_was_reinstalled="reinstalled" in image)
    assert host.apply(cut_before=cut).status is (Status.UNKNOWN if cut else Status.WAITING)
    host.variables = chosen  # what was begun is remembered by the host itself, and by nobody's variable
    smtp = host.world.service("SMTPSVC")
    assert smtp is not None
    smtp.state, smtp.start_mode = ServiceState.STOPPED, StartMode.AUTOMATIC
    nntp = host.world.service("NNTPSVC")
    if nntp is not None:
        nntp.state = ServiceState.STOPPED
        host.set_value(r"HKLM\SYSTEM\CurrentControlSet\Services\NNTPSVC", "Start", number=4, data=2)
        nntp.start_mode = StartMode.AUTOMATIC
        assert "a repair of IIS is under way" in skip_reason(host.check(), "NNTP runs")
    assert UNDER_WAY in skip_reason(host.check(), "SMTP runs")
    host.apply()
    assert host.service("SMTPSVC") is ServiceState.STOPPED
    assert host.converge().status is Status.CHANGED
    assert host.size(MARKER) is None
    assert host.running("SMTPSVC")
    assert host.check().status in (Status.OK, Status.SKIPPED)


def test_smtp_that_was_added_waits_for_the_metabase(lab_host: LabHostMaker) -> None:
    host = lab_host("exchange2000-node-smtp-removed", BOTH, smtp_removed_on="2002-02-04")
    host.apply()
    host.operator("restore-metabase")  # in its middle: SMTP is added, the metabase is not restored
    host.world.files.remove(rf"{RECORDS}\metabase-restored.txt")
    smtp = host.world.service("SMTPSVC")
    assert smtp is not None
    smtp.state, smtp.start_mode = ServiceState.STOPPED, StartMode.AUTOMATIC
    host.apply()
    assert host.service("SMTPSVC") is ServiceState.STOPPED
    assert host.converge().status is Status.CHANGED
    assert host.size(MARKER) is None


def test_smtp_whose_component_is_gone_is_not_started_in_the_first_run_either(lab_host: LabHostMaker) -> None:
    host = lab_host("exchange2000", BOTH)
    host.set_value(SUBCOMPONENTS, "iis_smtp", number=4, data=0)
    smtp = host.world.service("SMTPSVC")
    assert smtp is not None
    smtp.state = ServiceState.STOPPED
    result = host.check()
    assert UNDER_WAY in skip_reason(result, "SMTP runs")
    assert "procedure:reinstate-smtp" in [change.address for change in result.changes]
