"""Debian's winrmcp (Go) and wsl (shell scripts around curl), unmodified, against the lab."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from converge.lab.endpoint.host import WINRM_1, WINRM_2, WINRM_2_ON_2003, WINRM_3, Stack

if TYPE_CHECKING:
    from tests.outsiders.conftest import Ended, Served

from tests.outsiders.conftest import OPEN, PASSWORD, SEALED_ONLY, USER, run

CIMV2 = "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/cimv2"
STDREGPROV = "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/default/StdRegProv"
WQL = "http://schemas.microsoft.com/wbem/wsman/1/WQL"
STACKS = pytest.mark.parametrize(
    "stack", [WINRM_1, WINRM_2_ON_2003, WINRM_2, WINRM_3], ids=["1.1", "2.0/2003", "2.0", "3.0"]
)


class TestWinrmcp:
    """It uploads through cmd's echo, and decodes what came with PowerShell."""

    def copied(self, winrmcp: str, folder: Path, served: Served, *, content: bytes, password: str = PASSWORD) -> Ended:
        source = folder / "file.bin"
        source.write_bytes(content)
        login = [f"-user={USER}", f"-pass={password}"]
        return run([winrmcp, f"-addr=127.0.0.1:{served.port}", *login, source, r"C:\file.bin"], folder=folder)

    @STACKS
    def test_its_upload_arrives_and_its_powershell_is_refused(
        self, stack: Stack, serve: Callable[..., Served], winrmcp: str, tmp_path: Path
    ) -> None:
        served = serve(OPEN, stack=stack)
        ended = self.copied(winrmcp, tmp_path, served, content=bytes(range(256)) * 40)
        assert ended.code == 1
        assert "restoring file" in ended.told
        assert "'powershell.exe' is not recognized as an internal or external command" in ended.told
        assert served.world.files.file(r"C:\file.bin") is None
        folder = served.world.files.folder(r"C:\WINDOWS\TEMP")
        assert folder is not None
        (left,) = [file for file in folder.files.values() if file.name.startswith("winrmcp-")]
        assert left.size > 256 * 40

    def test_a_wrong_password(self, serve: Callable[..., Served], winrmcp: str, tmp_path: Path) -> None:
        ended = self.copied(winrmcp, tmp_path, serve(), content=b"x", password="wrong")
        assert ended.code == 1
        assert "401" in ended.told

    def test_a_host_without_basic(self, serve: Callable[..., Served], winrmcp: str, tmp_path: Path) -> None:
        ended = self.copied(winrmcp, tmp_path, serve(SEALED_ONLY), content=b"x")
        assert ended.code == 1
        assert "401" in ended.told


class TestWsl:
    """It speaks DMTF's WS-Management with Basic, without ReplyTo's mustUnderstand and with message ids that are no URI."""

    def asked(self, folder: Path, served: Served, *words: str, password: str = PASSWORD) -> Ended:
        env = {
            "WSENDPOINT": f"127.0.0.1:{served.port}", "WSUSER": USER, "WSPASS": password, "WSNOSSL": "true",
            "OUTLEVEL": "1", "SHELL": "/bin/bash",
        }  # fmt: skip
        return run(list(words), folder=folder, env=env)

    @STACKS
    def test_identify(self, stack: Stack, serve: Callable[..., Served], wsl: str, tmp_path: Path) -> None:
        ended = self.asked(tmp_path, serve(OPEN, stack=stack), wsl, "identify", "check")
        assert ended.code == 0, ended.told
        assert re.search(rf"<wsmid:ProductVersion>OS: [^<]* Stack: {stack.version}</wsmid:ProductVersion>", ended.out)

    @STACKS
    def test_every_instance_of_a_class(
        self, stack: Stack, serve: Callable[..., Served], wsl: str, tmp_path: Path
    ) -> None:
        served = serve(OPEN, stack=stack)
        ended = self.asked(tmp_path, served, wsl, "enum", f"{CIMV2}/Win32_Service")
        assert ended.code == 0, ended.told
        names = re.findall(r"<p:Name>([^<]*)</p:Name>", ended.out)
        assert sorted(names) == sorted(service.name for service in served.world.services.values())

    @pytest.mark.parametrize("optimised", [True, False])
    def test_a_query(self, optimised: bool, serve: Callable[..., Served], wsl: str, tmp_path: Path) -> None:
        words = ["-filter", "select Name,State from Win32_Service where StartMode='Auto'", "-dialect", WQL]
        program = [wsl, "enum"] if optimised else [str(Path(wsl).parent / "wslenum")]
        ended = self.asked(tmp_path, serve(), *program, f"{CIMV2}/*", *words)
        assert ended.code == 0, ended.told
        assert "<Name>SMTPSVC</Name>" in ended.out

    def test_one_instance(self, serve: Callable[..., Served], wsl: str, tmp_path: Path) -> None:
        ended = self.asked(tmp_path, serve(), wsl, "get", f"{CIMV2}/Win32_Service", "Name=smtpsvc")
        assert ended.code == 0, ended.told
        assert "<p:DisplayName>Simple Mail Transfer Protocol (SMTP)</p:DisplayName>" in ended.out

    def test_what_is_not_there_is_a_fault(self, serve: Callable[..., Served], wsl: str, tmp_path: Path) -> None:
        served = serve()
        for words in (("get", f"{CIMV2}/Win32_Service", "Name=Nobody"), ("enum", f"{CIMV2}/No_Such_Class")):
            ended = self.asked(tmp_path, served, wsl, *words)
            assert ended.code != 0
            assert "<s:Fault>" in ended.out

    def test_a_wrong_password_gets_nothing(self, serve: Callable[..., Served], wsl: str, tmp_path: Path) -> None:
        ended = self.asked(tmp_path, serve(), wsl, "get", f"{CIMV2}/Win32_Service", "Name=SMTPSVC", password="wrong")
        assert "response-1.xml is empty" in ended.told
        assert "Win32_Service" not in ended.out
