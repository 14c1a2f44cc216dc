"""The host itself: Win32_OperatingSystem, Win32_ComputerSystem, Win32_Process, and an event log that holds nothing."""

from __future__ import annotations

from collections.abc import Iterable

from tests.wine.agent import Agent
from tests.wine.soap import Row
from tests.wine.wql import Select

AMD64, I386 = 9, 0


class OperatingSystem:
    """Win32_OperatingSystem, of which there is one."""

    name, key = "Win32_OperatingSystem", ""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def rows(self, query: Select | None) -> Iterable[Row]:
        """The Windows that runs."""
        system = self._agent.system()
        major, minor, build = system.version
        yield {
            "BootDevice": r"\Device\HarddiskVolume1",
            "BuildNumber": str(build),
            "Caption": f"Microsoft Windows {major}.{minor} ",
            "CodeSet": "1252",
            "CSDVersion": f"Service Pack {system.service_pack}" if system.service_pack else None,
            "CSName": system.computer,
            "CurrentTimeZone": 0,
            "Description": "",
            "LastBootUpTime": system.now - system.running_for,
            "LocalDateTime": system.now,
            "Name": f"Microsoft Windows|{system.folder}|\\Device\\Harddisk0\\Partition1",
            "OSArchitecture": "64-bit" if system.architecture == AMD64 else "32-bit",
            "OSLanguage": system.language,
            "ProductType": system.product_type,
            "ServicePackMajorVersion": system.service_pack,
            "ServicePackMinorVersion": 0,
            "Status": "OK",
            "SystemDirectory": rf"{system.folder}\system32",
            "SystemDrive": system.folder[:2],
            "Version": f"{major}.{minor}.{build}",
            "WindowsDirectory": system.folder,
        }


class ComputerSystem:
    """Win32_ComputerSystem."""

    name, key = "Win32_ComputerSystem", "Name"

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def rows(self, query: Select | None) -> Iterable[Row]:
        """The computer."""
        system = self._agent.system()
        yield {
            "Caption": system.computer,
            "DNSHostName": system.computer,
            "Domain": "WORKGROUP",
            "DomainRole": 2,
            "Name": system.computer,
            "PartOfDomain": False,
            "SystemType": "x64-based PC" if system.architecture == AMD64 else "X86-based PC",
            "Workgroup": "WORKGROUP",
        }


class Processes:
    """Win32_Process."""

    name, key = "Win32_Process", "Handle"

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def rows(self, query: Select | None) -> Iterable[Row]:
        """Every process."""
        for process in self._agent.processes():
            yield {
                "Caption": process.image,
                "CreationDate": process.created,
                "Handle": str(process.number),
                "Name": process.image,
                "ParentProcessId": process.parent,
                "ProcessId": process.number,
            }


class Events:
    """Win32_NTLogEvent: this host's logs are empty."""

    name, key = "Win32_NTLogEvent", ""

    def rows(self, query: Select | None) -> Iterable[Row]:
        """None."""
        return ()
