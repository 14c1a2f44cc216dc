"""ansible-core's winrm connection, unmodified, against the lab.

It hands every command to PowerShell except lines that begin with `type `, whatever `ansible_shell_type` says: those are
what a host without PowerShell can run for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from converge.lab.endpoint.host import WINRM_1, WINRM_2, WINRM_2_ON_2003, WINRM_3, Stack
from converge.windows.registry import parse_path

if TYPE_CHECKING:
    from tests.outsiders.conftest import Ended, Served

from tests.outsiders.conftest import OPEN, PASSWORD, SEALED_ONLY, USER, run

NTLM = {"ansible_winrm_transport": "ntlm", "ansible_winrm_message_encryption": "always"}
NTLM_PLAIN = {"ansible_winrm_transport": "ntlm", "ansible_winrm_message_encryption": "never"}
BASIC = {"ansible_winrm_transport": "basic", "ansible_winrm_message_encryption": "never"}


class Ansible:
    """Runs `ansible` against one host."""

    def __init__(self, programs: Path, folder: Path, served: Served) -> None:
        self.programs = programs
        self.folder = folder
        self.served = served

    def __call__(self, module: str, words: str = "", **variables: str) -> Ended:
        settings = {
            "ansible_host": "127.0.0.1",
            "ansible_port": self.served.port,
            "ansible_connection": "winrm",
            "ansible_winrm_scheme": "http",
            "ansible_shell_type": "cmd",
            "ansible_user": USER,
            "ansible_password": PASSWORD,
            **variables,
        }
        inventory = self.folder / "inventory.json"
        inventory.write_text(json.dumps({"all": {"hosts": {"lab1": settings}}}))
        more = ["-a", words] if words else []
        argv: list[str | Path] = [self.programs / "ansible", "-i", inventory, "lab1", "-m", module, *more]
        return run(argv, folder=self.folder, env={"ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCALHOST_WARNING": "False"})


@pytest.mark.parametrize("settings", [BASIC, NTLM, NTLM_PLAIN], ids=["basic", "ntlm sealed", "ntlm plain"])
@pytest.mark.parametrize("stack", [WINRM_1, WINRM_2_ON_2003, WINRM_2, WINRM_3], ids=["1.1", "2.0/2003", "2.0", "3.0"])
def test_raw_runs_a_command_line(
    stack: Stack, settings: dict[str, str], serve: Callable[..., Served], ansible: Path, tmp_path: Path
) -> None:
    served = serve(SEALED_ONLY if settings is NTLM else OPEN, stack=stack)
    ended = Ansible(ansible, tmp_path, served)("raw", "type NUL & sc query SMTPSVC", **settings)
    assert ended.code == 0, ended.told
    assert "lab1 | CHANGED | rc=0" in ended.out
    assert "SERVICE_NAME: SMTPSVC" in ended.out
    assert "RUNNING" in ended.out


def test_raw_hands_on_exit_codes_and_standard_error(
    serve: Callable[..., Served], ansible: Path, tmp_path: Path
) -> None:
    ended = Ansible(ansible, tmp_path, serve())("raw", r"type C:\no\such\file", **NTLM)
    assert ended.code == 2
    assert "lab1 | FAILED | rc=1" in ended.out
    assert "The system cannot find the path specified." in ended.told


def test_raw_changes_what_it_says(serve: Callable[..., Served], ansible: Path, tmp_path: Path) -> None:
    served = serve()
    ended = Ansible(ansible, tmp_path, served)("raw", "type NUL & net stop SMTPSVC", **NTLM)
    assert ended.code == 0, ended.told
    service = served.world.service("SMTPSVC")
    assert service is not None
    assert service.state.value in ("stopped", "stop_pending")


def test_a_large_output_comes_whole(serve: Callable[..., Served], ansible: Path, tmp_path: Path) -> None:
    served = serve()
    key = served.world.registry.create(parse_path(r"HKLM\SOFTWARE\Large"))
    for number in range(2000):
        key.set(f"value {number}", number=1, data="x" * 60)
    ended = Ansible(ansible, tmp_path, served)("raw", r"type NUL & reg query HKLM\SOFTWARE\Large", **NTLM)
    assert ended.code == 0, ended.told
    assert all(f"value {number}\tREG_SZ\t{'x' * 60}" in ended.out for number in range(2000))


@pytest.mark.parametrize("module", ["raw", "ping"])
@pytest.mark.parametrize("settings", [BASIC, NTLM], ids=["basic", "ntlm"])
def test_powershell_is_refused_as_a_host_without_it_would(
    module: str, settings: dict[str, str], serve: Callable[..., Served], ansible: Path, tmp_path: Path
) -> None:
    ended = Ansible(ansible, tmp_path, serve())(module, "echo it runs" if module == "raw" else "", **settings)
    assert ended.code != 0
    assert "'PowerShell' is not recognized as an internal or external command" in ended.told


def test_a_wrong_password(serve: Callable[..., Served], ansible: Path, tmp_path: Path) -> None:
    for settings in (BASIC, NTLM):
        ended = Ansible(ansible, tmp_path, serve())("raw", "type NUL", **settings, ansible_password="wrong")
        assert ended.code == 4
        assert "the specified credentials were rejected by the server" in ended.told


def test_a_host_that_takes_only_sealed_messages(serve: Callable[..., Served], ansible: Path, tmp_path: Path) -> None:
    ended = Ansible(ansible, tmp_path, serve(SEALED_ONLY))("raw", "type NUL", **NTLM_PLAIN)
    assert ended.code == 4
    assert "Code 500" in ended.told
