"""The shipped playbooks on a Windows that was broken as their articles describe, by services that really do not start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.wine.agent import HKLM, REG_DWORD, REG_MULTI_SZ, REG_SZ, Agent, Value, Win32Error, multi_sz, sz
from tests.wine.bench import Bench
from tests.wine.conftest import Converge, HostMaker, Result
from tests.wine.host import Logged
from tests.wine.prefix import library
from tests.wine.services import RUNNING, STOPPED

PLAYBOOKS = Path(__file__).parents[2] / "playbooks"
MOST_REQUESTS = 25
SHIPPED_IN, INETSRV = r"C:\windows\System32\Inetsrv", r"D:\Inetsrv"
SERVICES = r"SYSTEM\CurrentControlSet\Services"
SMTP_FILES = [
    "Jpudll.dll",
    "Mboxapi.dll",
    "Seo.dll",
    "Seos.dll",
    "Smtpadm.dll",
    "Smtpkey.dll",
    "Smtpread.txt",
    "Smtpsnap.dll",
    "Smtpsvc.dll",
]
REFERENCES = {
    r"SOFTWARE\Classes\CLSID\{0001}\InprocServer32": "Seo.dll",
    r"SOFTWARE\Classes\CLSID\{0002}\InprocServer32": "seos.dll",
    r"SOFTWARE\Classes\CLSID\{0003}\InprocServer32": "Smtpsnap.dll",
    rf"{SERVICES}\SMTPSVC\Performance": "smtpsvc.dll",
}
DECOYS = {
    r"SOFTWARE\Classes\CLSID\{0004}\InprocServer32": r"C:\Vendor\Seo.dll",
    r"SOFTWARE\Classes\CLSID\{0005}\InprocServer32": rf"{SHIPPED_IN}\MySeo.dll",
}


def put(windows: Agent, key: str, name: str, kind: int, data: bytes) -> None:
    """Write a value, making its key."""
    windows.make_key(HKLM, key)
    windows.set_value(HKLM, key, Value(name, kind, data))


def remove_below(windows: Agent, key: str) -> None:
    """Remove a key with all below it."""
    try:
        names = windows.keys(HKLM, key)
    except Win32Error:
        return
    for name in names:
        remove_below(windows, rf"{key}\{name}")
    windows.remove_key(HKLM, key)


def apart_from_the_search(requests: tuple[Logged, ...]) -> list[Logged]:
    """The requests that neither search the registry nor confirm what a search found."""
    searched = (r"SOFTWARE\Classes", *REFERENCES)
    return [
        request
        for request in requests
        if request.target != "shell" and request.text != "EnumKey" and not request.key.startswith(searched)
    ]


@pytest.fixture
def iis4(windows: Agent, bench: Bench, service_program: Path, cache: Path) -> Iterator[Bench]:
    """Q245208: the Option Pack in D:\\Inetsrv, and an SMTP service that was added later."""
    for folder in (SHIPPED_IN, INETSRV):
        windows.make_folder(folder)
    windows.write_file(rf"{INETSRV}\inetinfo.exe", service_program.read_bytes())
    for name in SMTP_FILES:
        windows.write_file(
            rf"{SHIPPED_IN}\{name}", library("5.5.1877.19", cache) if name.endswith("dll") else b"read me"
        )
    put(windows, rf"{SERVICES}\InetInfo\Parameters", "DispatchEntries", REG_MULTI_SZ, multi_sz(["Smtpsvc"]))
    bench.add("W3SVC", program=rf"{INETSRV}\inetinfo.exe", running=True)
    bench.add("SMTPSVC", program=rf"{SHIPPED_IN}\inetinfo.exe", start=2)
    put(windows, rf"{SERVICES}\SMTPSVC\Parameters", "InstallPath", REG_SZ, sz(SHIPPED_IN))
    for key, name in REFERENCES.items():
        put(windows, key, "", REG_SZ, sz(rf"{SHIPPED_IN}\{name}"))
    for key, text in DECOYS.items():
        put(windows, key, "", REG_SZ, sz(text))
    yield bench
    bench.clear()
    for key in [*REFERENCES, *DECOYS]:
        remove_below(windows, key.removesuffix(r"\InprocServer32"))
    for key in (rf"{SERVICES}\InetInfo", rf"{SERVICES}\SMTPSVC", rf"{SERVICES}\W3SVC"):
        remove_below(windows, key)
    for folder in (SHIPPED_IN, INETSRV):
        for entry in windows.list_folder(folder):
            windows.delete_file(rf"{folder}\{entry.name}")
        windows.remove_folder(folder)


def test_smtp_follows_inetinfo(new_host: HostMaker, tmp_path: Path, windows: Agent, iis4: Bench) -> None:
    """Looked at over Basic with plain messages, repaired and looked at again over NTLM with sealed ones."""
    plain, sealed = (Converge(tmp_path, new_host(basic=basic)) for basic in (True, False))
    playbook = PLAYBOOKS / "smtp-follows-inetinfo.yml"
    with pytest.raises(Win32Error):
        windows.start_service("SMTPSVC")

    checked = plain.check(playbook, groups=("iis4",))
    assert checked.exit_code == 2, checked.text + checked.complaint
    assert not windows.exists(rf"{INETSRV}\Seo.dll")
    assert len(apart_from_the_search(checked.requests)) <= MOST_REQUESTS, apart_from_the_search(checked.requests)

    applied = sealed.apply(playbook, groups=("iis4",))
    assert applied.exit_code == 0, applied.text + applied.complaint
    assert iis4.state("SMTPSVC") == RUNNING
    assert iis4.process("SMTPSVC").image.lower() == "inetinfo.exe"
    for name in SMTP_FILES:
        assert windows.read_file(rf"{INETSRV}\{name}") == windows.read_file(rf"{SHIPPED_IN}\{name}")
    for key, name in REFERENCES.items():
        assert windows.value(HKLM, key, "") == Value("", REG_SZ, sz(rf"{INETSRV}\{name}"))
    for key, text in DECOYS.items():
        assert windows.value(HKLM, key, "").text == text
    enumerated = {value.name: (value.kind, value.data) for value in windows.values(HKLM, rf"{SERVICES}\SMTPSVC\Enum")}
    assert enumerated == {
        "0": (REG_SZ, sz(r"Root\LEGACY_SMTPSVC\0000")),
        "Count": (REG_DWORD, b"\1\0\0\0"),
        "NextInstance": (REG_DWORD, b"\1\0\0\0"),
    }

    again = sealed.check(playbook, groups=("iis4",))
    assert (again.exit_code, again.of("changed")) == (0, []), again.text
    assert len(apart_from_the_search(again.requests)) <= MOST_REQUESTS, apart_from_the_search(again.requests)


@pytest.fixture
def exchange(windows: Agent, bench: Bench, service_program: Path) -> Iterator[Bench]:
    """Q277770: Exchange 2000, its DispatchEntries lost all but a foreign one."""
    windows.make_folder(INETSRV)
    program = rf"{INETSRV}\inetinfo.exe"
    windows.write_file(program, service_program.read_bytes())
    put(windows, rf"{SERVICES}\InetInfo\Parameters", "DispatchEntries", REG_MULTI_SZ, multi_sz(["Foreign"]))
    bench.add("IISADMIN", program=program, running=True)
    bench.add("W3SVC", program=program, running=True, depends_on=("IISADMIN",))
    for name in ("SMTPSVC", "RESvc"):
        bench.add(name, program=program, start=2, depends_on=("IISADMIN",))
    bench.add("POP3SVC", program=program, start=4, depends_on=("IISADMIN",))
    bench.add("NNTPSVC", program=program, start=3, depends_on=("IISADMIN",))
    yield bench
    bench.clear()
    for key in ("InetInfo", "IISADMIN", "W3SVC", "SMTPSVC", "RESvc", "POP3SVC", "NNTPSVC"):
        remove_below(windows, rf"{SERVICES}\{key}")
    windows.delete_file(program)
    windows.remove_folder(INETSRV)


def test_exchange_dispatch_entries(converge: Converge, windows: Agent, exchange: Bench) -> None:
    playbook = PLAYBOOKS / "exchange-dispatch-entries.yml"
    with pytest.raises(Win32Error):
        windows.start_service("SMTPSVC")
    admin, web = exchange.process("IISADMIN"), exchange.process("W3SVC")

    checked = converge.check(playbook, groups=("exchange",))
    assert checked.exit_code == 2, checked.text + checked.complaint
    assert changed(checked) == {"DispatchEntries", "restart IIS Admin", "service:SMTPSVC", "service:RESvc"}
    assert exchange.process("IISADMIN") == admin

    applied = converge.apply(playbook, groups=("exchange",))
    assert applied.exit_code == 0, applied.text + applied.complaint
    entries = windows.value(HKLM, rf"{SERVICES}\InetInfo\Parameters", "DispatchEntries").texts
    assert entries == ["Foreign", "Ldapsvc", "Smtpsvc", "Nntpsvc", "Imap4svc", "Pop3svc", "Resvc"]
    assert [exchange.state(name) for name in ("SMTPSVC", "RESvc", "W3SVC")] == [RUNNING] * 3
    assert [exchange.state(name) for name in ("POP3SVC", "NNTPSVC")] == [STOPPED] * 2
    assert (exchange.process("IISADMIN"), exchange.process("W3SVC")) != (admin, web)

    again = converge.check(playbook, groups=("exchange",))
    assert (again.exit_code, again.of("changed")) == (0, []), again.text


def changed(result: Result) -> set[str]:
    """The last words of what would change."""
    return {address.rpartition("\\")[2].removeprefix("handler:") for address in result.of("changed")}
