"""Q245208: SMTP that Setup put into the default folder is brought to where Inetinfo.exe lies."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from converge.model.change import Status
from converge.model.facts import ServiceState, StartMode
from converge.windows.registry import parse_path

if TYPE_CHECKING:
    from tests.articles.articles_lab import LabHost, LabHostMaker, changed, leaves, skip_reason, the
else:
    from articles_lab import changed, leaves, skip_reason, the


ARTICLE = "Q245208"
SERVICE = r"HKLM\SYSTEM\CurrentControlSet\Services\SMTPSVC"
CLASSES = r"HKLM\SOFTWARE\Classes\CLSID"
REFERENCES = "registry_references:"
NINE_FILES = (
    "Jpudll.dll", "Mboxapi.dll", "Seo.dll", "Seos.dll", "Smtpadm.dll", "Smtpkey.dll", "Smtpread.txt", "Smtpsnap.dll",
    "Smtpsvc.dll",
)  # fmt: skip
REPOINTED = {
    "{C4DF0040-2D33-11D0-A9CF-00AA00685C74}": ("string", r"D:\inetsrv\seo.dll"),
    "{C4DF0041-2D33-11D0-A9CF-00AA00685C74}": ("string", r"D:\inetsrv\Seo.dll"),
    "{C4DF0042-2D33-11D0-A9CF-00AA00685C74}": ("expand_string", r"D:\inetsrv\SEO.DLL"),
    "{83D63730-94FD-11D0-A9E8-00AA00685C74}": ("string", r"D:\inetsrv\Seos.dll"),
    "{35172920-A700-11D0-A9EA-00AA00685C74}": ("string", r"D:\inetsrv\Seo.dll;C:\WINNT\System32\stdole2.tlb"),
    "{1A04EA60-412D-11D0-A2DA-00AA00685C74}": ("string", r"D:\inetsrv\smtpadm.dll"),
    "{03F1F940-A0F2-11D0-BB77-00AA00A1EAB7}": ("string", r'"D:\inetsrv\Smtpsnap.dll"'),
    "{03F1F941-A0F2-11D0-BB77-00AA00A1EAB7}": ("string", r'"D:\inetsrv\Smtpsnap.dll" /about'),
}
"""What the registrations must say after step 4: the type, quotes, arguments and other list entries as they were."""

DECOYS = (
    (rf"{CLASSES}\{{5B7A0C11-6A5E-11D2-9D21-00C04F8EC2A1}}\InprocServer32", ""),  # another vendor's Seo.dll
    (rf"{CLASSES}\{{5B7A0C12-6A5E-11D2-9D21-00C04F8EC2A1}}\InprocServer32", ""),  # MySeo.dll
    (rf"{CLASSES}\{{5B7A0C13-6A5E-11D2-9D21-00C04F8EC2A1}}\InprocServer32", ""),  # smtpctrs.dll, none of the five
    (r"HKLM\SOFTWARE\Contoso\Mail Guard", "Hooks"),  # outside the roots
    (r"HKLM\SYSTEM\CurrentControlSet\Services\ContosoGuard", "Description"),  # prose
)


def test_check_shows_everything_the_article_asks_for_and_touches_nothing(lab_host: LabHostMaker) -> None:
    host = lab_host("iis4-smtp-broken", ARTICLE)
    before = host.state()
    result = host.check()
    assert host.state() == before
    addresses = changed(result)
    assert {address for address in addresses if address.startswith("file:")} == {
        rf"file:D:\inetsrv\{name}"
        for name in NINE_FILES
        if name != "Mboxapi.dll"  # the newer one stays
    }
    assert [address for address in addresses if not address.startswith(("file:", REFERENCES))] == [
        rf"registry_value:{SERVICE}\ImagePath",
        rf"registry_value:{SERVICE}\Parameters\InstallPath",
        rf"registry_value:{SERVICE}\Enum\0",
        rf"registry_value:{SERVICE}\Enum\Count",
        rf"registry_value:{SERVICE}\Enum\NextInstance",
        "service:SMTPSVC",
    ]
    references = the(result, REFERENCES)
    assert len(references.actions) == len(REPOINTED) + 1  # and the event log's message file
    assert any("Mail Guard" in note for note in references.notes)


def test_apply_does_every_step(lab_host: LabHostMaker) -> None:
    host = lab_host("iis4-smtp-broken", ARTICLE)
    decoys = {place: host.value(*place) for place in DECOYS}
    assert host.apply().status is Status.CHANGED
    for name in NINE_FILES:
        shipped = host.size(rf"C:\WINNT\System32\Inetsrv\{name}")
        assert host.size(rf"D:\inetsrv\{name}") == (49424 if name == "Mboxapi.dll" else shipped), name
    for identity, expected in REPOINTED.items():
        assert host.value(rf"{CLASSES}\{identity}\InprocServer32", "") == expected
    log = r"HKLM\SYSTEM\CurrentControlSet\Services\EventLog\System\SMTPSVC"
    assert host.value(log, "EventMessageFile") == ("expand_string", r"D:\inetsrv\Smtpsvc.dll")
    assert host.value(SERVICE, "ImagePath") == ("expand_string", r"D:\inetsrv\inetinfo.exe")
    assert host.value(rf"{SERVICE}\Parameters", "InstallPath") == ("string", r"D:\inetsrv")
    assert host.value(rf"{SERVICE}\Enum", "0") == ("string", r"Root\LEGACY_SMTPSVC\0000")
    assert host.value(rf"{SERVICE}\Enum", "Count") == ("dword", 1)
    assert host.value(rf"{SERVICE}\Enum", "NextInstance") == ("dword", 1)
    assert host.running("SMTPSVC", "W3SVC", "MSFTPSVC", "IISADMIN")
    assert {place: host.value(*place) for place in DECOYS} == decoys
    assert host.check().status is Status.OK


def test_the_registry_is_exported_before_it_is_touched(lab_host: LabHostMaker) -> None:
    host = lab_host("iis4-smtp-broken", ARTICLE)
    host.apply()
    (backup,) = host.folder.rglob("*.reg")
    raw = backup.read_bytes()
    assert raw.startswith(b"REGEDIT4")  # this is Windows NT 4.0
    assert rb"C:\\WINNT\\System32\\Inetsrv\\Seos.dll" in raw


Flip = Callable[["LabHost"], None]


def removed(name: str) -> Flip:
    def flip(host: LabHost) -> None:
        assert host.world.files.remove(rf"D:\inetsrv\{name}")

    return flip


def value(key: str, name: str, *, number: int, data: object) -> Flip:
    return lambda host: host.set_value(key, name, number=number, data=data)


def gone(key: str, name: str) -> Flip:
    def flip(host: LabHost) -> None:
        held = host.world.registry.find(parse_path(key))
        assert held is not None
        assert held.remove(name)

    return flip


def older(host: LabHost) -> None:
    file = host.world.files.file(r"D:\inetsrv\Seos.dll")
    assert file is not None
    file.version, file.size = "5.5.1000.1", 20000


def stopped(host: LabHost) -> None:
    record = host.world.service("SMTPSVC")
    assert record is not None
    record.state = ServiceState.STOPPED


REFERENCE = rf"{CLASSES}\{{83D63730-94FD-11D0-A9E8-00AA00685C74}}\InprocServer32"
MUTATIONS: dict[str, tuple[Flip, str]] = {
    **{f"{name} is missing": (removed(name), rf"file:D:\inetsrv\{name}") for name in NINE_FILES},
    "Seos.dll is older": (older, r"file:D:\inetsrv\Seos.dll"),
    "a reference points back": (value(REFERENCE, "", number=1, data=r"C:\WINNT\System32\Inetsrv\Seos.dll"), REFERENCES),
    "a reference points back by a variable": (
        value(REFERENCE, "", number=2, data=r"%SystemRoot%\system32\INETSRV\Seos.dll"), REFERENCES,
    ),
    "ImagePath is the default one": (
        value(SERVICE, "ImagePath", number=2, data=r"%SystemRoot%\System32\Inetsrv\inetinfo.exe"),
        rf"registry_value:{SERVICE}\ImagePath",
    ),
    "ImagePath is of the wrong type": (
        value(SERVICE, "ImagePath", number=1, data=r"d:\Inetsrv\inetinfo.exe"), rf"registry_value:{SERVICE}\ImagePath",
    ),
    "InstallPath is the default one": (
        value(rf"{SERVICE}\Parameters", "InstallPath", number=1, data=r"C:\WINNT\System32\Inetsrv"),
        rf"registry_value:{SERVICE}\Parameters\InstallPath",
    ),
    "InstallPath is the program, as the article's words have it": (
        value(rf"{SERVICE}\Parameters", "InstallPath", number=1, data=r"d:\Inetsrv\inetinfo.exe"),
        rf"registry_value:{SERVICE}\Parameters\InstallPath",
    ),
    "the device has doubled backslashes": (
        value(rf"{SERVICE}\Enum", "0", number=1, data=r"Root\\LEGACY_SMTPSVC\\0000"), rf"registry_value:{SERVICE}\Enum\0",
    ),
    "Count is a text": (value(rf"{SERVICE}\Enum", "Count", number=1, data="1"), rf"registry_value:{SERVICE}\Enum\Count"),
    "Count is another": (value(rf"{SERVICE}\Enum", "Count", number=4, data=2), rf"registry_value:{SERVICE}\Enum\Count"),
    "NextInstance is gone": (
        gone(rf"{SERVICE}\Enum", "NextInstance"), rf"registry_value:{SERVICE}\Enum\NextInstance",
    ),
    "SMTP is stopped": (stopped, "service:SMTPSVC"),
}  # fmt: skip


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_each_fact_that_is_off_is_shown_alone(mutation: str, lab_host: LabHostMaker) -> None:
    flip, address = MUTATIONS[mutation]
    host = lab_host("iis4-smtp-healthy", ARTICLE)
    assert changed(host.check()) == []
    flip(host)
    before = host.state()
    shown = [item for item in changed(host.check()) if not item.startswith("handler:")]
    assert len(shown) == 1
    assert shown[0].startswith(address)
    assert host.state() == before
    assert host.apply().status is Status.CHANGED
    assert host.check().status is Status.OK
    assert host.running("SMTPSVC")


@pytest.mark.parametrize(
    "flip",
    [
        value(DECOYS[0][0], "", number=1, data=r"C:\Program Files\Contoso\Mail Guard 2\Seo.dll"),
        value(rf"{CLASSES}\{{1}}\InprocServer32", "", number=1, data=r"C:\WINNT\System32\Inetsrv\MySeo.dll"),
        value(r"HKLM\SOFTWARE\Other", "Path", number=1, data=r"C:\WINNT\System32\Inetsrv\Seo.dll"),
        value(rf"{SERVICE}\Parameters", "MajorVersion", number=4, data=7),
    ],
)  # fmt: skip
def test_what_is_not_the_articles_business_is_not_shown(flip: Flip, lab_host: LabHostMaker) -> None:
    host = lab_host("iis4-smtp-healthy", ARTICLE)
    flip(host)
    assert host.check().status is Status.OK


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("iis4-without-smtp", "the SMTP service is not installed"),
        ("iis4-default-path", r"Inetinfo.exe lies where Setup expects it, in C:\WINNT\System32\Inetsrv"),
        ("file-server-2000", "inetinfo_dir was not found"),
    ],
)
def test_it_does_not_apply(image: str, reason: str, lab_host: LabHostMaker) -> None:
    result = lab_host(image, ARTICLE).check()
    assert skip_reason(result, "SMTP runs from where Inetinfo.exe lies").startswith(reason)


def test_a_missing_source_is_found_by_looking(lab_host: LabHostMaker) -> None:
    host = lab_host("iis4-smtp-no-source", ARTICLE)
    result = host.check()
    assert result.status is Status.FAILED
    failed = the(result, r"file:D:\inetsrv\Smtpsvc.dll")
    assert failed.status is Status.FAILED
    assert failed.error is not None
    assert r"Inetsrv\Smtpsvc.dll" in failed.error.what


def test_a_key_that_refuses_leaves_an_open_question_until_it_is_named(lab_host: LabHostMaker) -> None:
    host = lab_host("iis4-smtp-broken-locked", ARTICLE)
    result = host.apply()
    assert result.status is Status.UNDECIDED
    assert host.running("SMTPSVC")
    assert host.value(REFERENCE, "") == ("string", r"D:\inetsrv\Seos.dll")  # what was found was repaired
    known = lab_host("iis4-smtp-broken-locked", ARTICLE, unreadable_keys=[r"HKLM\SOFTWARE\Classes\Contoso.Vault"])
    known.apply()
    assert known.check().status is Status.OK


def test_where_smtp_still_does_not_start_the_other_way_is_named(lab_host: LabHostMaker) -> None:
    host = lab_host("iis4-smtp-broken", ARTICLE)
    record = host.world.service("SMTPSVC")
    assert record is not None
    record.hangs = True
    result = host.apply()
    assert result.status is Status.FAILED
    said = " ".join(change.error.what for change in leaves(result) if change.error)
    assert "restart the computer" in said


def test_a_site_may_widen_the_search(lab_host: LabHostMaker) -> None:
    roots = [r"HKLM\SOFTWARE\Contoso", r"HKLM\SOFTWARE\Classes", r"HKLM\SYSTEM\CurrentControlSet\Services"]
    host = lab_host("iis4-smtp-broken", ARTICLE, reference_roots=roots)
    host.apply()
    assert host.value(r"HKLM\SOFTWARE\Contoso\Mail Guard", "Hooks") == ("string", r"D:\inetsrv\Seo.dll")


@pytest.mark.parametrize("mode", [StartMode.MANUAL, StartMode.DISABLED])
def test_what_is_not_meant_to_run_is_repaired_and_not_started(mode: StartMode, lab_host: LabHostMaker) -> None:
    host = lab_host("iis4-smtp-broken", ARTICLE)
    record = host.world.service("SMTPSVC")
    assert record is not None
    record.start_mode = mode
    result = host.apply()
    assert result.status is Status.CHANGED
    assert "does not start automatically" in (the(result, "service:the SMTP service runs").reason or "")
    assert host.service("SMTPSVC") is ServiceState.STOPPED
    assert not any("restart the computer" in (change.reason or "") for change in result.changes)
    assert host.check().status is Status.OK


def test_a_restart_of_the_computer_is_not_named_while_a_file_is_missing(lab_host: LabHostMaker) -> None:
    host = lab_host("iis4-smtp-no-source", ARTICLE)
    result = host.apply()
    last = the(result, "requirement:SMTP started without a restart of the computer")
    assert last.status is Status.SKIPPED
    assert "SMTP files lie beside Inetinfo.exe" in (last.reason or "")


@pytest.mark.parametrize(
    ("written", "pointed"),
    [
        (r"C:\WINNT\System32\Inetsrv\Seo.dll\2", r"D:\inetsrv\Seo.dll\2"),  # a type library in a resource of it
        ("C:/WINNT/System32/Inetsrv/Seo.dll", r"D:\inetsrv\Seo.dll"),
        (r"C:\WINNT\System32\inf\..\Inetsrv\Seo.dll", r"D:\inetsrv\Seo.dll"),
        (r"C:\WINNT\System32\INETSR~1\SEO.DLL", r"D:\inetsrv\SEO.DLL"),  # an 8.3 name, and no folder of that name
    ],
)
def test_a_reference_is_known_however_it_is_written(written: str, pointed: str, lab_host: LabHostMaker) -> None:
    host = lab_host("iis4-smtp-healthy", ARTICLE)
    key = r"HKLM\SOFTWARE\Classes\TypeLib\{8B0D3E4B-0000-0000-0000-000000000001}\1.0\0\win32"
    host.set_value(key, "", number=1, data=written)
    host.apply()
    assert host.value(key, "") == ("string", pointed)


def test_an_8_3_name_of_another_folder_is_another_folders(lab_host: LabHostMaker) -> None:
    host = lab_host("iis4-smtp-healthy", ARTICLE)
    host.world.files.make_folder(r"C:\WINNT\System32\Inetsrv of last year")
    key = r"HKLM\SOFTWARE\Classes\CLSID\{1}\InprocServer32"
    host.set_value(key, "", number=1, data=r"C:\WINNT\System32\INETSR~1\Seo.dll")
    result = host.check()
    assert result.status is Status.OK
    assert any("inetsrv of last year" in note for note in the(result, REFERENCES).notes)
