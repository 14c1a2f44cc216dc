"""Win32_OperatingSystem and Win32_ComputerSystem: the properties recorded on Windows Server 2003, 2008 R2 and 2012."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from converge.lab import service_manager
from converge.lab.endpoint.schema import CimClass, CimType, Method, MethodCall, Property, Row, ServedClass, properties
from converge.lab.endpoint.wql import Condition
from converge.lab.world import Right
from converge.windows import paths

NAMESPACE: Final = "root/cimv2"

_PRODUCT_TYPES: Final = {"workstation": 1, "domain_controller": 2, "server": 3}
_SYSTEM_TYPES: Final = {
    "x86": "X86-based PC",
    "x64": "x64-based PC",
    "ia64": "Itanium-based PC",
    "alpha": "Alpha-based PC",
    "arm64": "ARM64-based PC",
}
_SINCE_VISTA: Final = ("MUILanguages", "OperatingSystemSKU", "OSArchitecture", "PortableOperatingSystem")
_UNTIL_2003: Final = ("QuantumLength", "QuantumType")
_COMPUTER_SINCE_2012: Final = ("HypervisorPresent",)
_COMPUTER_SINCE_VISTA: Final = ("AutomaticManagedPagefile", "DNSHostName", "NumberOfLogicalProcessors", "PCSystemType")

_SYSTEM_PROPERTIES: Final = (
    *properties(
        CimType.STRING,
        "BootDevice BuildNumber BuildType Caption CodeSet CountryCode CreationClassName CSCreationClassName CSDVersion CSName "
        "Description Locale Manufacturer Name Organization OSArchitecture OtherTypeDescription PlusProductID "
        "PlusVersionNumber RegisteredUser SerialNumber Status SystemDevice SystemDirectory SystemDrive Version "
        "WindowsDirectory",
    ),
    *properties(
        CimType.BOOLEAN,
        "DataExecutionPrevention_32BitApplications DataExecutionPrevention_Available DataExecutionPrevention_Drivers Debug "
        "Distributed PAEEnabled PortableOperatingSystem Primary",
    ),
    *properties(CimType.SINT16, "CurrentTimeZone"),
    *properties(
        CimType.UINT8, "DataExecutionPrevention_SupportPolicy ForegroundApplicationBoost QuantumLength QuantumType"
    ),
    *properties(CimType.UINT16, "OSType ServicePackMajorVersion ServicePackMinorVersion"),
    *properties(
        CimType.UINT32,
        "EncryptionLevel LargeSystemCache MaxNumberOfProcesses NumberOfLicensedUsers NumberOfProcesses NumberOfUsers "
        "OperatingSystemSKU OSLanguage OSProductSuite ProductType SuiteMask",
    ),
    *properties(
        CimType.UINT64,
        "FreePhysicalMemory FreeSpaceInPagingFiles FreeVirtualMemory MaxProcessMemorySize SizeStoredInPagingFiles "
        "TotalSwapSpaceSize TotalVirtualMemorySize TotalVisibleMemorySize",
    ),
    *properties(CimType.DATETIME, "InstallDate LastBootUpTime LocalDateTime"),
    *properties(CimType.STRING, "MUILanguages", array=True),
)

_COMPUTER_PROPERTIES: Final = (
    *properties(
        CimType.STRING,
        "BootupState Caption CreationClassName Description DNSHostName Domain Manufacturer Model Name NameFormat "
        "PrimaryOwnerContact PrimaryOwnerName Status SystemType UserName Workgroup",
    ),
    *properties(
        CimType.BOOLEAN,
        "AutomaticManagedPagefile AutomaticResetBootOption AutomaticResetCapability BootROMSupported DaylightInEffect "
        "EnableDaylightSavingsTime HypervisorPresent InfraredSupported NetworkServerModeEnabled PartOfDomain "
        "PowerManagementSupported",
    ),
    *properties(
        CimType.UINT16,
        "AdminPasswordStatus BootOptionOnLimit BootOptionOnWatchDog ChassisBootupState DomainRole FrontPanelResetStatus "
        "KeyboardPasswordStatus PCSystemType PowerOnPasswordStatus PowerState PowerSupplyState ResetCapability "
        "SystemStartupDelay ThermalState WakeUpType",
    ),
    *properties(CimType.SINT16, "CurrentTimeZone ResetCount ResetLimit"),
    *properties(CimType.UINT32, "NumberOfLogicalProcessors NumberOfProcessors"),
    *properties(CimType.UINT64, "PauseAfterReset TotalPhysicalMemory"),
    *properties(CimType.DATETIME, "InstallDate LastLoadInfo"),
    *properties(CimType.STRING, "Roles SystemStartupOptions", array=True),
    Property("SystemStartupSetting", CimType.UINT8),
)


def _system(served: ServedClass, condition: Condition | None) -> Iterable[Row]:
    del condition
    world = served.world
    profile = world.profile
    root = profile.system_root
    yield {
        "BootDevice": r"\Device\HarddiskVolume1",
        "BuildNumber": str(profile.build),
        "BuildType": "Multiprocessor Free",
        "Caption": profile.caption,
        "CodeSet": str(profile.ansi_code_page),
        "CountryCode": "1",
        "CreationClassName": "Win32_OperatingSystem",
        "CSCreationClassName": "Win32_ComputerSystem",
        "CSDVersion": f"Service Pack {profile.service_pack}" if profile.service_pack else None,
        "CSName": profile.host_name,
        "CurrentTimeZone": profile.minutes_from_utc,
        "DataExecutionPrevention_32BitApplications": True,
        "DataExecutionPrevention_Available": True,
        "DataExecutionPrevention_Drivers": True,
        "DataExecutionPrevention_SupportPolicy": 3,
        "Debug": False,
        "Description": "",
        "Distributed": False,
        "EncryptionLevel": 256,
        "ForegroundApplicationBoost": 2,
        "FreePhysicalMemory": 262_144,
        "FreeSpaceInPagingFiles": 524_288,
        "FreeVirtualMemory": 786_432,
        "InstallDate": _whole_second(world.started - timedelta(days=400)),
        "LastBootUpTime": world.started,
        "LocalDateTime": world.now(),
        "Locale": f"{profile.language:04x}",
        "Manufacturer": "Microsoft Corporation",
        "MaxNumberOfProcesses": 4_294_967_295,
        "MaxProcessMemorySize": 2_097_024,
        "MUILanguages": ("en-US",),
        "Name": rf"{profile.caption}|{root}|\Device\Harddisk0\Partition1",
        "NumberOfProcesses": len(world.processes),
        "NumberOfUsers": 1,
        "OperatingSystemSKU": 7,
        "Organization": "",
        "OSArchitecture": "64-bit" if profile.is_64_bit else "32-bit",
        "OSLanguage": profile.language,
        "OSProductSuite": 272,
        "OSType": 18,
        "PortableOperatingSystem": False,
        "Primary": True,
        "ProductType": _PRODUCT_TYPES[profile.product_type],
        "QuantumLength": 0,
        "QuantumType": 0,
        "RegisteredUser": "converge lab",
        "SerialNumber": "00000-000-0000000-00000",
        "ServicePackMajorVersion": profile.service_pack,
        "ServicePackMinorVersion": 0,
        "SizeStoredInPagingFiles": 1_048_576,
        "Status": "OK",
        "SuiteMask": 272,
        "SystemDevice": r"\Device\HarddiskVolume1",
        "SystemDirectory": rf"{root}\system32",
        "SystemDrive": paths.drive(root),
        "TotalVirtualMemorySize": 2_097_152,
        "TotalVisibleMemorySize": 1_048_576,
        "Version": profile.version,
        "WindowsDirectory": root,
    }


def _whole_second(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


def _computer(served: ServedClass, condition: Condition | None) -> Iterable[Row]:
    del condition
    world = served.world
    profile = world.profile
    joined = "." in profile.domain
    role = {"workstation": 0, "server": 2, "domain_controller": 5}[profile.product_type]
    yield {
        "AdminPasswordStatus": 3,
        "AutomaticManagedPagefile": True,
        "AutomaticResetBootOption": True,
        "AutomaticResetCapability": True,
        "BootROMSupported": True,
        "BootupState": "Normal boot",
        "Caption": profile.host_name,
        "ChassisBootupState": 3,
        "CreationClassName": "Win32_ComputerSystem",
        "CurrentTimeZone": profile.minutes_from_utc,
        "DaylightInEffect": False,
        "Description": "AT/AT COMPATIBLE",
        "DNSHostName": profile.host_name,
        "Domain": profile.domain,
        "DomainRole": role + 1 if joined and role < 5 else role,
        "EnableDaylightSavingsTime": True,
        "FrontPanelResetStatus": 3,
        "HypervisorPresent": True,
        "InfraredSupported": False,
        "KeyboardPasswordStatus": 3,
        "Manufacturer": "converge",
        "Model": "Simulated host",
        "Name": profile.host_name,
        "NetworkServerModeEnabled": True,
        "NumberOfLogicalProcessors": 1,
        "NumberOfProcessors": 1,
        "PartOfDomain": joined,
        "PauseAfterReset": 18_446_744_073_709_551_615,
        "PCSystemType": 0,
        "PowerOnPasswordStatus": 3,
        "PowerState": 0,
        "PowerSupplyState": 3,
        "PrimaryOwnerName": "converge lab",
        "ResetCapability": 1,
        "ResetCount": -1,
        "ResetLimit": -1,
        "Roles": ("LM_Workstation", "LM_Server", "NT", "Server_NT"),
        "Status": "OK",
        "SystemType": _SYSTEM_TYPES[profile.architecture],
        "ThermalState": 3,
        "TotalPhysicalMemory": 1_073_741_824,
        "WakeUpType": 6,
        "Workgroup": None if joined else profile.domain,
    }


def _reboot(call: MethodCall) -> int:
    """Reboot: 0, or the system error code (1314: a required privilege is not held)."""
    world = call.host.world
    if not call.host.account.administrator or not world.permits(call.host.account, Right.RESTART):
        return 1314
    service_manager.boot(world)
    return 0


def _shutdown(call: MethodCall) -> int:
    """Win32Shutdown with the flags for a reboot (2) or a forced one (6); nothing else is simulated."""
    return _reboot(call) if call.integer("Flags") in (2, 6) else 87


_METHODS: Final = (
    Method("Reboot", _reboot),
    Method("Win32Shutdown", _shutdown, inputs=(*properties(CimType.SINT32, "Flags Reserved"),)),
)


def classes(release: tuple[int, int]) -> tuple[CimClass, ...]:
    """The operating system, which is a singleton, and the computer."""
    system = CimClass(
        NAMESPACE,
        "Win32_OperatingSystem",
        _SYSTEM_PROPERTIES,
        rows=_system,
        methods=_METHODS,
        parents=("CIM_OperatingSystem", "CIM_LogicalElement"),
        singleton=True,
    )
    computer = CimClass(
        NAMESPACE,
        "Win32_ComputerSystem",
        _COMPUTER_PROPERTIES,
        ("Name",),
        _computer,
        parents=("CIM_UnitaryComputerSystem", "CIM_ComputerSystem"),
    )
    if release < (6, 0):
        return system.without(*_SINCE_VISTA), computer.without(*_COMPUTER_SINCE_VISTA, *_COMPUTER_SINCE_2012)
    recent = () if release >= (6, 2) else _COMPUTER_SINCE_2012
    return system.without(*_UNTIL_2003), computer.without(*recent)
