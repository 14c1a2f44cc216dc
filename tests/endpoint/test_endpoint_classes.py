"""The WMI classes over a world: every assertion on a change reads the world itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from converge.lab.specs import ClassSpec, MethodSpec, Quirks
from converge.lab.world import World
from converge.model.facts import ServiceState, StartMode
from converge.model.registry import Hive, RegistryPath
from converge.wsman import messages, namespaces
from converge.wsman.cim import Properties, Reference
from converge.wsman.envelopes import ResourceTarget
from converge.wsman.faults import Fault
from converge.wsman.messages import AnyAnswer
from converge.wsman.operations import Invoke, ShellOutput

if TYPE_CHECKING:
    from tests.endpoint.conftest import Asker

FaultOf = Callable[[AnyAnswer], Fault]
VENDOR = r"SOFTWARE\Vendor"
WRONG_TYPE = 2147749893


def vendor(world: World) -> RegistryPath:
    del world
    return RegistryPath(Hive.LOCAL_MACHINE, VENDOR)


def code(returned: Properties) -> int | None:
    return returned.integer("ReturnValue")


def test_the_registry_is_read(asker: Asker) -> None:
    keys = asker.registry("EnumKey", VENDOR.upper())
    assert (keys.array("sNames"), code(keys)) == (("Käse 日本", "Denied"), 0)
    values = asker.registry("EnumValues", VENDOR)
    assert dict(zip(values.array("sNames"), values.array("Types"), strict=True)) == {
        "Text": "1",
        "Path": "2",
        "List": "7",
        "Number": "4",
        "Large": "11",
        "Octets": "3",
        "Nothing": "0",
        "": "1",
    }
    text = asker.registry("GetStringValue", VENDOR, sValueName="TEXT")
    assert (text.text("sValue"), code(text)) == ('it\'s "quoted" & <tagged>', 0)
    assert asker.registry("GetStringValue", VENDOR, sValueName="").text("sValue") == "the default"
    assert asker.registry("GetMultiStringValue", VENDOR, sValueName="List").array("sValue") == ("one", "two", "three")
    assert asker.registry("GetDWORDValue", VENDOR, sValueName="Number").integer("uValue") == 0xFFFFFFFF
    assert asker.registry("GetBinaryValue", VENDOR, sValueName="Octets").array("uValue") == ("0", "127", "255")
    assert asker.registry("GetExpandedStringValue", VENDOR, sValueName="Path").text("sValue") == r"C:\WINDOWS\System32"


def test_what_the_registry_does_not_hold(asker: Asker) -> None:
    missing = asker.registry("GetStringValue", VENDOR, sValueName="nope")
    assert (missing.text("sValue"), code(missing)) == (None, 1)
    assert code(asker.registry("GetStringValue", r"SOFTWARE\Nope", sValueName="x")) == 2
    assert code(asker.registry("EnumKey", r"SOFTWARE\Nope")) == 2
    assert code(asker.registry("GetDWORDValue", VENDOR, sValueName="Text")) == WRONG_TYPE
    assert code(asker.registry("GetMultiStringValue", VENDOR, sValueName="Text")) == WRONG_TYPE
    assert code(asker.registry("EnumValues", rf"{VENDOR}\Denied")) == 5
    assert code(asker.registry("EnumKey", "x", hDefKey=7)) == 6


@pytest.mark.parametrize(
    ("quirk", "sent", "returned"),
    [("raw", r"%SystemRoot%\System32", 0), ("expanded", r"C:\WINDOWS\System32", 0), ("error", None, WRONG_TYPE)],
)
def test_the_three_answers_of_a_getter_to_an_expandable_string(
    asker: Asker, quirk: str, sent: str | None, returned: int
) -> None:
    asker.world.quirks = Quirks.model_validate({"get_string_of_expandable": quirk})
    answer = asker.registry("GetStringValue", VENDOR, sValueName="Path")
    assert (answer.text("sValue"), code(answer)) == (sent, returned)


def test_the_registry_is_written(modern: Asker) -> None:
    key = vendor(modern.world) / "New" / "Below"
    assert code(modern.registry("SetStringValue", key.subkey, sValueName="x", sValue="y")) == 2
    assert code(modern.registry("CreateKey", key.subkey)) == 0
    for method, value in (
        ("SetStringValue", {"sValue": "täxt"}),
        ("SetExpandedStringValue", {"sValue": "%TEMP%"}),
        ("SetMultiStringValue", {"sValue": ("a", "b")}),
        ("SetDWORDValue", {"uValue": 4294967295}),
        ("SetQWORDValue", {"uValue": 18446744073709551615}),
        ("SetBinaryValue", {"uValue": (1, 255)}),
    ):
        assert code(modern.registry(method, key.subkey, sValueName=method, **value)) == 0
    held = modern.world.registry.find(key)
    assert held is not None
    assert {value.name: (value.number, value.data) for value in held.values.values()} == {
        "SetStringValue": (1, "täxt"),
        "SetExpandedStringValue": (2, "%TEMP%"),
        "SetMultiStringValue": (7, ("a", "b")),
        "SetDWORDValue": (4, 4294967295),
        "SetQWORDValue": (11, 18446744073709551615),
        "SetBinaryValue": (3, b"\x01\xff"),
    }
    assert modern.registry("GetQWORDValue", key.subkey, sValueName="SetQWORDValue").integer("uValue") == 2**64 - 1
    assert code(modern.registry("SetMultiStringValue", key.subkey, sValueName="SetMultiStringValue")) == 0
    assert held.value("SetMultiStringValue").data == ()  # type: ignore[union-attr]  # it was there a line before
    assert code(modern.registry("DeleteValue", key.subkey, sValueName="setstringvalue")) == 0
    assert code(modern.registry("DeleteValue", key.subkey, sValueName="setstringvalue")) == 2
    assert code(modern.registry("DeleteKey", rf"{VENDOR}\New")) == 5
    assert code(modern.registry("DeleteKey", key.subkey)) == 0
    assert modern.world.registry.find(key) is None


def test_qwords_and_root_cimv2_came_with_vista(asker: Asker, modern: Asker, faulted: FaultOf) -> None:
    older = ResourceTarget(namespaces.wmi_uri("root/default", "StdRegProv"))
    fault = faulted(asker.ask(Invoke(older, "GetQWORDValue", {"sSubKeyName": VENDOR, "sValueName": "Large"})))
    assert fault.subcode == "a:ActionNotSupported"
    newer = ResourceTarget(namespaces.wmi_uri("root/cimv2", "StdRegProv"))
    enum_key = Invoke(newer, "EnumKey", {"sSubKeyName": VENDOR})
    assert faulted(asker.ask(enum_key)).code == 2150858752
    assert isinstance(modern.ask(enum_key), ShellOutput)


def test_the_32_bit_view_only_where_windows_reads_the_option(asker: Asker, modern: Asker) -> None:
    for client, text in ((asker, 'it\'s "quoted" & <tagged>'), (modern, "thirty-two")):
        assert client.registry("GetStringValue", VENDOR, view=32, sValueName="Text").text("sValue") == text
        assert client.registry("GetStringValue", VENDOR, view=64, sValueName="Text").text("sValue").startswith("it's")  # type: ignore[union-attr]  # it is there


def test_access_is_checked(asker: Asker, serve: Callable[..., Asker], worlds: Callable[..., World]) -> None:
    granted = asker.registry("CheckAccess", VENDOR, uRequired=3)
    assert (granted.text("bGranted"), code(granted)) == ("true", 0)
    denied = asker.registry("CheckAccess", rf"{VENDOR}\Denied", uRequired=1)
    assert (denied.text("bGranted"), code(denied)) == ("false", 5)
    reader = serve(worlds(denies=(r"registry_write:HKLM\SOFTWARE",)))
    assert reader.registry("CheckAccess", VENDOR, uRequired=2).text("bGranted") == "false"
    assert code(reader.registry("SetStringValue", VENDOR, sValueName="a", sValue="b")) == 5


def test_control_characters_are_shown_as_question_marks(asker: Asker) -> None:
    key = asker.world.registry.find(vendor(asker.world))
    assert key is not None
    key.set("Odd", number=1, data="a\x01b\x00c\ud800d\te")
    assert asker.registry("GetStringValue", VENDOR, sValueName="Odd").text("sValue") == "a?b?c?d\te"


def test_a_service(asker: Asker) -> None:
    (smtp,) = asker.rows("SELECT * FROM Win32_Service WHERE Name = 'smtpsvc'")
    assert smtp.text("PathName") == r"C:\WINDOWS\system32\inetsrv\inetinfo.exe"
    assert (smtp.text("State"), smtp.text("StartMode"), smtp.text("Started")) == ("Stopped", "Auto", "false")
    assert (smtp.text("Description"), smtp.text("InstallDate")) == (None, None)
    assert smtp.text("SystemName") == "LAB1"


def test_a_service_is_controlled(asker: Asker) -> None:
    def call(method: str, name: str = "SMTPSVC", **arguments: str) -> int | None:
        return code(asker.invoke("Win32_Service", method, ("Name", name), **arguments))

    def state() -> ServiceState:
        return asker.world.services["SMTPSVC"].state

    assert call("StopService") == 5
    assert call("InterrogateService") == 6
    assert call("StartService") == 0
    assert state() is ServiceState.RUNNING
    assert call("StartService") == 10
    assert call("PauseService") == 0
    assert state() is ServiceState.PAUSED
    assert call("ResumeService") == 0
    assert call("StopService", "IISADMIN") == 3
    assert call("StopService") == 0
    assert state() is ServiceState.STOPPED
    assert call("StartService", "Off") == 14
    assert call("StartService", "Missing") == 9
    assert call("ChangeStartMode", "Off", StartMode="Auto") == 21
    assert call("ChangeStartMode", "Off", StartMode="Automatic") == 0
    assert asker.world.services["OFF"].start_mode is StartMode.AUTOMATIC
    assert asker.world.registry.value(asker.world.services["OFF"].key, "Start").data == 2  # type: ignore[union-attr]  # it was just written
    assert call("Change", "Off", PathName=r"D:\x.exe", StartMode="Manual", DisplayName="Other") == 0
    (off,) = asker.rows("SELECT PathName, StartMode, DisplayName FROM Win32_Service WHERE Name='Off'")
    assert [off.text(name) for name in ("PathName", "StartMode", "DisplayName")] == [r"D:\x.exe", "Manual", "Other"]
    assert call("Delete", "Off") == 0
    assert "OFF" not in asker.world.services


def test_a_service_an_account_may_not_start(serve: Callable[..., Asker], worlds: Callable[..., World]) -> None:
    asker = serve(worlds(denies=("service_start", "service_query:Off")))
    assert code(asker.invoke("Win32_Service", "StartService", ("Name", "SMTPSVC"))) == 2
    names = {row.text("Name") for row in asker.rows("SELECT Name FROM Win32_Service")}
    assert names == {"IISADMIN", "SMTPSVC", "Missing"}


def test_dependents_are_found_in_four_ways(asker: Asker) -> None:
    path = r"Win32_Service.Name=\"IISADMIN\""
    (row,) = asker.rows(f'SELECT * FROM Win32_DependentService WHERE Antecedent = "{path}"')
    dependent = row["Dependent"]
    assert isinstance(dependent, Reference)
    assert dependent.selectors == (("Name", "SMTPSVC"),)
    assert asker.rows(f'SELECT * FROM Win32_DependentService WHERE Dependent = "{path}"') == []
    associators = "ASSOCIATORS OF {Win32_Service.Name='IISADMIN'} WHERE AssocClass=Win32_DependentService "
    assert [item.text("Name") for item in asker.rows(associators + "Role=Antecedent")] == ["SMTPSVC"]
    assert [item.text("Name") for item in asker.rows(associators + "ResultRole=Dependent ResultClass=CIM_Service")] == [
        "SMTPSVC"
    ]
    assert asker.rows(associators + "Role=Dependent") == []
    (keys_only,) = asker.rows(associators + "KeysOnly")
    assert (keys_only.text("Name"), keys_only.text("State")) == ("SMTPSVC", None)
    (reference,) = asker.rows("REFERENCES OF {Win32_Service='SMTPSVC'} WHERE Role=Dependent")
    assert reference["Antecedent"] == Reference(
        namespaces.wmi_uri("root/cimv2", "Win32_Service"), (("Name", "IISADMIN"),)
    )


def test_files_by_name_and_by_folder(asker: Asker) -> None:
    (seo,) = asker.rows(r"SELECT * FROM CIM_DataFile WHERE Name='C:\\Windows\\SYSTEM32\\inetsrv\\SEO.DLL'")
    assert seo.text("Name") == r"c:\windows\system32\inetsrv\seo.dll"
    assert (seo.text("Drive"), seo.text("Path")) == ("c:", "\\windows\\system32\\inetsrv\\")
    assert (seo.text("FileName"), seo.text("Extension")) == ("seo", "dll")
    assert (seo.integer("FileSize"), seo.text("Version")) == (210_432, "6.0.3790.1830")
    folder = r"FROM CIM_DataFile WHERE Drive='c:' AND Path='\\windows\\system32\\inetsrv\\'"
    assert {row.text("FileName") for row in asker.rows(f"SELECT FileName {folder}")} == {
        "inetinfo",
        "seo",
        "smtpread",
        "o'brien [1]",
    }
    some = asker.rows(f"SELECT FileName {folder} AND (Extension='dll' AND FileSize > 100 OR FileName='smtpread')")
    assert {row.text("FileName") for row in some} == {"seo", "smtpread"}
    (quoted,) = asker.rows(
        r"SELECT Name FROM CIM_DataFile WHERE Name='c:\\windows\\system32\\inetsrv\\o\'brien [1].dll'"
    )
    assert quoted.text("Name") == r"c:\windows\system32\inetsrv\o'brien [1].dll"
    assert asker.rows(r"SELECT Name FROM CIM_DataFile WHERE Name='c:\\nope.txt'") == []
    assert asker.instance("CIM_DataFile", ("Name", r"C:\WINDOWS\system32\inetsrv\seo.dll")).properties.text("Version")


def test_folders(asker: Asker) -> None:
    (empty,) = asker.rows(r"SELECT * FROM Win32_Directory WHERE Name='d:\\EMPTY'")
    assert (empty.text("Name"), empty.text("FileType"), empty.text("Path")) == (r"d:\empty", "File Folder", "\\")
    below = asker.rows(r"SELECT Name FROM Win32_Directory WHERE Drive='c:' AND Path='\\windows\\system32\\inetsrv\\'")
    assert [row.text("Name") for row in below] == [r"c:\windows\system32\inetsrv\metaback"]
    both = asker.rows(r"SELECT * FROM CIM_LogicalFile WHERE Drive='c:' AND Path='\\windows\\system32\\inetsrv\\'")
    assert len(both) == 5
    (root,) = asker.rows(r"SELECT * FROM Win32_Directory WHERE Name='c:\\'")
    assert (root.text("Name"), root.text("FileName")) == ("c:\\", "")


def test_files_that_may_not_be_read_are_refused_not_absent(asker: Asker) -> None:
    for wql in (
        r"SELECT * FROM CIM_DataFile WHERE Name='c:\\secret\\key.pem'",
        r"SELECT * FROM CIM_DataFile WHERE Name='c:\\secret\\not there'",
        r"SELECT * FROM CIM_DataFile WHERE Drive='c:' AND Path='\\secret\\'",
    ):
        fault = asker.query_fault(wql)
        assert (fault.code, fault.access_denied) == (2150859013, True)


def test_files_are_copied_renamed_and_deleted(asker: Asker) -> None:
    source = ("Name", r"C:\WINDOWS\system32\inetsrv\Seo.dll")
    copied = r"D:\empty\Seo.dll"
    assert code(asker.invoke("CIM_DataFile", "Copy", source, FileName=copied)) == 0
    assert asker.world.files.file(copied).version == "6.0.3790.1830"  # type: ignore[union-attr]  # it was just copied
    assert code(asker.invoke("CIM_DataFile", "Copy", source, FileName=copied)) == 10
    assert code(asker.invoke("CIM_DataFile", "Rename", source, FileName=r"D:\empty\other.dll")) == 13
    assert code(asker.invoke("CIM_DataFile", "Rename", ("Name", copied), FileName=r"D:\empty\other.dll")) == 0
    assert code(asker.invoke("Win32_Directory", "Delete", ("Name", r"D:\empty"))) == 14
    assert code(asker.invoke("CIM_DataFile", "Delete", ("Name", r"d:\EMPTY\OTHER.DLL"))) == 0
    assert code(asker.invoke("Win32_Directory", "Rename", ("Name", r"D:\empty"), FileName=r"D:\gone")) == 0
    assert asker.world.files.exists(r"D:\gone")
    assert not asker.world.files.exists(r"D:\empty")


def test_the_operating_system_then_and_now(asker: Asker, modern: Asker) -> None:
    (old,) = asker.rows("SELECT * FROM Win32_OperatingSystem")
    (new,) = modern.rows("SELECT * FROM Win32_OperatingSystem")
    assert {"OSArchitecture", "MUILanguages", "OperatingSystemSKU", "PortableOperatingSystem"} & set(old) == set()
    assert {"QuantumLength", "QuantumType"} <= set(old)
    assert new.text("OSArchitecture") == "64-bit"
    assert "QuantumLength" not in new
    assert old.text("Version") == "5.2.3790"
    assert old.text("CSDVersion") == "Service Pack 2"
    assert old.datetime("LocalDateTime") == asker.world.now()
    assert old.datetime("LastBootUpTime") == asker.world.started
    assert (old.integer("ProductType"), old.integer("OSLanguage")) == (3, 1033)


def test_a_restart(asker: Asker, serve: Callable[..., Asker], worlds: Callable[..., World]) -> None:
    asker.world.clock.advance(60)
    assert code(asker.invoke("Win32_OperatingSystem", "Win32Shutdown", Flags=6)) == 0
    assert asker.world.started == asker.world.now()
    assert asker.world.services["IISADMIN"].state is ServiceState.RUNNING
    assert code(serve(worlds(denies=("restart",))).invoke("Win32_OperatingSystem", "Reboot")) == 1314


def test_events_since_a_time(asker: Asker) -> None:
    since = "TimeGenerated >= '20060331113500.000000+000'"
    every = asker.rows("SELECT * FROM Win32_NTLogEvent WHERE Logfile='system'")
    assert [row.integer("EventCode") for row in every] == [7036, 7000]
    (late,) = asker.rows(f"SELECT EventCode, TimeGenerated FROM Win32_NTLogEvent WHERE Logfile='System' AND {since}")
    assert late.datetime("TimeGenerated") == datetime(2006, 3, 31, 11, 40, tzinfo=UTC)
    (error,) = asker.rows(
        "SELECT * FROM Win32_NTLogEvent WHERE EventIdentifier = 3221232472 AND SourceName LIKE 'Service%'"
    )
    assert error.array("InsertionStrings") == ("SMTPSVC", "%%2")
    one = asker.instance("Win32_NTLogEvent", ("Logfile", "System"), ("RecordNumber", "1"))
    assert one.properties.text("Type") == "error"


def test_processes_and_one_that_is_created(asker: Asker) -> None:
    (inetinfo,) = asker.rows("SELECT * FROM Win32_Process WHERE Name='INETINFO.EXE'")
    assert inetinfo.integer("ProcessId") == asker.world.services["IISADMIN"].process_id
    assert inetinfo.datetime("CreationDate") is not None
    made = asker.invoke("Win32_Process", "Create", CommandLine=r"cmd /c mkdir D:\made")
    assert (code(made), made.integer("ProcessId") is not None) == (0, True)
    assert asker.world.files.folder(r"D:\made") is not None
    nothing = asker.invoke("Win32_Process", "Create", CommandLine=r"C:\nope\nope.exe /x")
    assert (code(nothing), nothing.text("ProcessId")) == (9, None)


def test_classes_an_image_adds(modern: Asker) -> None:
    modern.world.cim["root/MSCluster"] = {
        "MSCluster_Node": ClassSpec(
            key="Name",
            instances=({"Name": "N1", "State": 0, "Roles": ["a", "b"]}, {"Name": "N2", "State": None}),
            methods={"Pause": MethodSpec(return_value=7, results={"Text": "done"})},
        ),
        "MSCluster_Secret": ClassSpec(key="Name", instances=({"Name": "x"},), deny=True),
    }
    rows = modern.rows("SELECT Name, Roles FROM MSCluster_Node WHERE State=0", namespace="ROOT/mscluster")
    assert [(row.text("Name"), row.array("Roles")) for row in rows] == [("N1", ("a", "b"))]
    target = ResourceTarget(namespaces.wmi_uri("root/MSCluster", "MSCluster_Node"), (("Name", "n2"),))
    paused = modern.ask(Invoke(target, "Pause", {"Drain": "true"}))
    assert isinstance(paused, ShellOutput)
    assert dict(paused.properties) == {"Text": "done", "ReturnValue": "7"}
    assert modern.query_fault("SELECT * FROM MSCluster_Secret", namespace="root/MSCluster").code == 2150859013


def test_output_comes_in_the_order_of_declaration(asker: Asker) -> None:
    target = ResourceTarget(namespaces.wmi_uri("root/default", "StdRegProv"))
    header = asker.header()
    _, body = asker.post(messages.build_request(Invoke(target, "EnumValues", {"sSubKeyName": VENDOR}), header=header))
    text = body.decode()
    assert text.index("sNames") < text.index("Types") < text.index("ReturnValue")
    assert "EnumValues_OUTPUT" in text
    assert "xsi:type" not in text


def test_folders_tell_their_8_3_names(asker: Asker) -> None:
    world = asker.world
    world.files.make_folder(r"C:\Program Files\Internet Explorer")
    columns = "SELECT EightDotThreeFileName, Name FROM Win32_Directory"
    (below,) = asker.rows(columns + r" WHERE Drive='c:' AND Path='\\program files\\'")
    assert below["EightDotThreeFileName"] == r"c:\progra~1\intern~1"
