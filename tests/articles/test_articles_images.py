"""The lab's images against the words of the articles: every fact that a playbook turns on is really there."""

from __future__ import annotations

import pytest
import yaml

from converge.lab import service_manager
from converge.lab.image import FOLDER, list_images, load_image
from converge.lab.world import World
from converge.model.facts import ServiceState, StartMode
from converge.windows.registry import parse_path

IMAGES = sorted(path.stem for path in FOLDER.glob("*.yml"))
NINE_FILES = (
    "Jpudll.dll", "Mboxapi.dll", "Seo.dll", "Seos.dll", "Smtpadm.dll", "Smtpkey.dll", "Smtpread.txt", "Smtpsnap.dll",
    "Smtpsvc.dll",
)  # fmt: skip
"""Q245208, step 2."""

FIX_SIZES = {
    "x86": {"Ims.inf": 33535, "Imsinsc.dll": 515856, "Ins.inf": 36868},
    "alpha": {"Ims.inf": 33628, "Imsinsc.dll": 615696, "Ins.inf": 37049},
}
"""Q197303, the table."""

INETINFO = r"HKLM\SYSTEM\CurrentControlSet\Services\InetInfo\Parameters"


def data(world: World, key: str, name: str) -> object:
    held = world.registry.value(parse_path(key), name)
    return held.data if held else None


def state(world: World, name: str) -> ServiceState | None:
    service = world.service(name)
    return service.state if service else None


@pytest.mark.parametrize("name", IMAGES)
def test_every_image_loads_and_says_where_it_is_known_from(name: str) -> None:
    world = load_image(name, host_name="TEST")
    assert world.profile.host_name == "TEST"
    assert world.accounts
    assert yaml.safe_load((FOLDER / f"{name}.yml").read_text(encoding="utf-8"))["source"]


@pytest.mark.parametrize("name", IMAGES)
def test_no_image_serves_a_namespace_that_its_windows_lacks(name: str) -> None:
    world = load_image(name)
    assert world.profile.release < (6, 0)
    assert "root/MSCluster" not in world.namespaces()


def test_every_article_has_a_broken_and_a_healthy_image() -> None:
    broken = {"iis4-smtp-broken", "iis4-news-broken", "exchange2000-dispatch-broken", "exchange55-registry-stopped",
              "exchange2000-node-smtp-removed"}  # fmt: skip
    healthy = {"iis4-smtp-healthy", "iis4-mail-news-healthy", "exchange2000", "exchange55", "exchange2000-cluster-node"}
    listed = {image.name: image.article for image in list_images()}
    assert broken | healthy <= set(listed)
    assert {listed[name] for name in broken} == {"Q245208", "Q197303", "Q277770", "Q324332", "Q312395"}


def test_smtp_added_later_lies_where_inetinfo_is_not() -> None:
    world = load_image("iis4-smtp-broken")
    assert world.files.file(r"D:\inetsrv\inetinfo.exe")
    assert not world.files.file(r"C:\WINNT\System32\Inetsrv\inetinfo.exe")
    for name in NINE_FILES:
        assert world.files.file(rf"C:\WINNT\System32\Inetsrv\{name}"), name
    assert state(world, "SMTPSVC") is ServiceState.STOPPED
    assert state(world, "W3SVC") is ServiceState.RUNNING
    assert any(event.id == 7000 and "SMTP" in event.message for event in world.events)


def test_repaired_smtp_has_everything_the_steps_name() -> None:
    world = load_image("iis4-smtp-healthy")
    for name in NINE_FILES:
        assert world.files.file(rf"D:\inetsrv\{name}"), name
    service = r"HKLM\SYSTEM\CurrentControlSet\Services\SMTPSVC"
    assert data(world, service, "ImagePath") == r"d:\Inetsrv\inetinfo.exe"
    assert data(world, rf"{service}\Parameters", "InstallPath") == r"d:\Inetsrv"
    assert data(world, rf"{service}\Enum", "0") == r"Root\LEGACY_SMTPSVC\0000"
    assert (data(world, rf"{service}\Enum", "Count"), data(world, rf"{service}\Enum", "NextInstance")) == (1, 1)
    assert state(world, "SMTPSVC") is ServiceState.RUNNING


@pytest.mark.parametrize(
    ("name", "architecture"),
    [("iis4-mail-news-broken", "x86"), ("iis4-mail-news-healthy", "x86"), ("iis4-news-broken-alpha", "alpha")],
)
def test_the_fix_has_the_sizes_of_the_table(name: str, architecture: str) -> None:
    world = load_image(name)
    assert world.profile.architecture == architecture
    for file, size in FIX_SIZES[architecture].items():
        held = world.files.file(rf"D:\iis4fix\{file}")
        assert held is not None
        assert held.size == size


def test_news_failed_as_the_article_says() -> None:
    world = load_image("iis4-news-broken")
    service = world.service("NNTPSVC")
    assert service is not None
    assert (service.state, service.exit_code) == (ServiceState.STOPPED, 2)
    (event,) = [event for event in world.events if event.id == 7023]
    assert event.strings[0] == ""
    assert event.message.startswith('The "" service terminated')
    assert not world.files.file(r"D:\iis4fix\Ims.inf")


@pytest.mark.parametrize(
    ("name", "lacking"),
    [
        ("exchange2000-dispatch-broken", {"SMTPSVC", "NNTPSVC", "IMAP4SVC", "POP3SVC", "RESVC"}),
        ("exchange2000-cluster-node-dispatch-broken", {"IMAP4SVC", "POP3SVC", "RESVC"}),
        ("sbs2003-dispatch-broken", {"NNTPSVC", "RESVC"}),
        ("exchange2000", set()),
        ("exchange2003", set()),
    ],
)
def test_dispatch_entries_lack_what_the_image_says(name: str, lacking: set[str]) -> None:
    entries = data(load_image(name), INETINFO, "DispatchEntries")
    assert isinstance(entries, tuple)
    wanted = {"LDAPSVC", "SMTPSVC", "NNTPSVC", "IMAP4SVC", "POP3SVC", "RESVC"}  # Q277770, step 4
    assert wanted - {entry.upper() for entry in entries} == lacking


@pytest.mark.parametrize(
    ("name", "service"),
    [
        ("exchange2000-dispatch-broken", "SMTPSVC"),
        ("exchange2000-dispatch-partly-broken", "IMAP4SVC"),
        ("exchange2000-cluster-node-dispatch-broken", "RESvc"),
        ("exchange2003-dispatch-broken", "SMTPSVC"),
        ("sbs2003-dispatch-broken", "RESvc"),
    ],
)
def test_a_service_without_an_entry_really_fails_to_start(name: str, service: str) -> None:
    world = load_image(name)
    assert service_manager.start(world, service) == 1083
    assert state(world, service) is ServiceState.STOPPED


@pytest.mark.parametrize("service", ["SMTPSVC", "POP3SVC", "RESvc"])
def test_a_service_with_an_entry_starts_again(service: str) -> None:
    world = load_image("exchange2000")
    assert service_manager.stop(world, service) == 0
    assert service_manager.start(world, service) == 0
    assert state(world, service) is ServiceState.RUNNING


def test_smtp_in_the_wrong_folder_really_fails_to_start() -> None:
    assert service_manager.start(load_image("iis4-smtp-broken"), "SMTPSVC") == 2


def test_a_node_without_a_virtual_server_has_its_exchange_services_stopped() -> None:
    world = load_image("exchange2000-cluster-node")
    assert state(world, "ClusSvc") is ServiceState.RUNNING
    for name in ("MSExchangeSA", "MSExchangeIS", "MSExchangeMTA"):
        service = world.service(name)
        assert service is not None
        assert (service.start_mode, service.state) == (StartMode.MANUAL, ServiceState.STOPPED)


def test_metabase_backups_lie_before_and_after_the_removal() -> None:
    world = load_image("exchange2000-node-smtp-removed")
    folder = world.files.folder(r"C:\WINNT\System32\Inetsrv\MetaBack")
    assert folder is not None
    days = sorted(file.modified.date().isoformat() for file in folder.files.values())
    assert days[0] < "2002-02-04" < days[-1]
    assert world.service("SMTPSVC") is None


def test_remote_registry_is_stopped_while_exchange_55_runs() -> None:
    world = load_image("exchange55-registry-stopped")
    assert state(world, "RemoteRegistry") is ServiceState.STOPPED
    assert state(world, "MSExchangeDS") is ServiceState.RUNNING
