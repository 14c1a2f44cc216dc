"""After its own actions, done in memory, a resource finds nothing more to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from converge.model.answer import Answer, Found
from converge.model.facts import (
    DirectoryFacts,
    FileFacts,
    KeyContents,
    NamedValue,
    SearchFinds,
    ServiceFacts,
    ServiceState,
    StartMode,
)
from converge.model.query import AnyQuery, Directory, File, RegistryKey, RegistrySearch, RegistryValue, Service
from converge.model.registry import RegistryData, RegistryType
from converge.windows.registry import parse_path

KEY = parse_path(r"HKLM\SOFTWARE\Vendor\Product")
SMTP = parse_path(r"HKLM\SYSTEM\CurrentControlSet\Services\SMTPSVC")
WRONG = RegistryData(RegistryType.STRING, r'"C:\WINNT\System32\Inetsrv\Seo.dll" /x')
MULTI = RegistryData(RegistryType.MULTI_STRING, ("a", "b"))
FOLDER = DirectoryFacts(r"D:\a", (FileFacts(r"D:\a\x", 1),))
HOST: dict[AnyQuery, Answer[Any]] = {
    RegistryKey(KEY): Found(KeyContents(("Sub",), (("list", RegistryType.MULTI_STRING),))),
    RegistryKey(KEY / "Sub"): Found(KeyContents((), ())),
    RegistryValue(KEY, "list"): Found(MULTI),
    RegistryKey(SMTP): Found(KeyContents((), ())),
    RegistrySearch((KEY,), ("Seo.dll",)): Found(SearchFinds((NamedValue(KEY, "path", WRONG),))),
    RegistryValue(KEY, "path"): Found(WRONG),
    Directory(r"D:\a"): Found(DirectoryFacts(r"D:\a")),
    Directory(r"D:\a", True): Found(FOLDER),
    File(r"D:\a\x"): Found(FileFacts(r"D:\a\x", 1, "1.0")),
    File(r"C:\WINNT\x"): Found(FileFacts(r"C:\WINNT\x", 2, "2.0")),
    Service("SMTPSVC"): Found(ServiceFacts("SMTPSVC", "SMTP", ServiceState.PAUSED, StartMode.MANUAL, "x")),
}
CASES: list[tuple[str, Mapping[str, object]]] = [
    ("a key", {"registry_key": {"key": str(KEY / "New")}}),
    ("a key that goes", {"registry_key": {"key": str(KEY), "ensure": "absent", "recursive": True}}),
    ("a value", {"registry_value": {"key": str(SMTP / "Enum"), "name": "0", "type": "dword", "data": "0xffffffff"}}),
    ("entries", {"registry_value": {"key": str(KEY), "name": "list", "contains": ["B", "c"]}}),
    ("a value that goes", {"registry_value": {"key": str(KEY), "name": "list", "ensure": "absent"}}),
    ("references", {"registry_references": {"roots": [str(KEY)], "files": ["Seo.dll"], "directory": r"D:\a",
                                            "from": [r"%windir%\System32\Inetsrv"]}}),
    ("a file that is replaced", {"file": {"path": r"D:\a\x", "copy_from": r"%SystemRoot%\x"}}),
    ("a file that is copied", {"file": {"path": r"D:\a\y", "copy_from": r"%SystemRoot%\x"}}),
    ("contents", {"file": {"path": r"D:\a\y", "content": "hello"}}),
    ("a file that goes", {"file": {"path": r"D:\a\x", "ensure": "absent"}}),
    ("a folder", {"directory": {"path": r"D:\b\c"}}),
    ("a folder that goes", {"directory": {"path": r"D:\a", "ensure": "absent", "recursive": True}}),
    ("a service", {"service": {"name": "smtpsvc", "running": True, "start_mode": "automatic"}}),
    ("a service that stops", {"service": {"name": "SMTPSVC", "running": False, "start_mode": "disabled"}}),
]  # fmt: skip


@pytest.mark.parametrize("written", [case[1] for case in CASES], ids=[case[0] for case in CASES])
def test_a_second_decision_is_empty(
    written: Mapping[str, object], decided: Callable[..., Any], rehearsed: Callable[..., Any]
) -> None:
    first = decided(written, HOST)
    assert first.status == "changed", first.error
    assert first.actions
    second = rehearsed(written, HOST)
    assert (second.status, second.actions) == ("ok", ()), second.error
    assert second.before == first.after
