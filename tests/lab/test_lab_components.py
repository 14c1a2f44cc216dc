"""Optional components: sysocmgr does what the answer file says, tells nothing, and takes along what depends on it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from converge.lab import components
from converge.lab.shell import run_command_line
from converge.lab.world import LabAccount, World

MakeWorld = Callable[..., World]

IMAGE = r"""
files:
  'C:\WINDOWS\inf': {sysoc.inf: "[Components]\n"}
  'C:\WINDOWS\System32\inetsrv': {inetinfo.exe: 100, metabase.bin: 10, smtpsvc.dll: 10}
  'D:\point': {ins.inf: 36868, Imsinsc.dll: 515856}
  'C:\temp': {}
services:
  IISADMIN: {image_path: '%SystemRoot%\System32\inetsrv\inetinfo.exe', shares_process: true, state: running}
  SMTPSVC: {image_path: '%SystemRoot%\System32\inetsrv\inetinfo.exe', shares_process: true, state: running,
            depends_on: [IISADMIN]}
  ClusSvc: {image_path: '%SystemRoot%\System32\inetsrv\inetinfo.exe', state: running}
components:
  iis_common:
    {installed: true, remove: {remove_services: [IISADMIN, ClusSvc],
                               remove_files: ['%SystemRoot%\System32\inetsrv\metabase.bin']}}
  iis_smtp:
    installed: true
    needs: [iis_common]
    infs: [sysoc.inf, ins.inf]
    remove: {remove_services: [SMTPSVC], remove_files: ['%SystemRoot%\System32\inetsrv\smtpsvc.dll']}
    install:
      - when: [{file: '{source}\Imsinsc.dll', sizes: [515856, 615696]}]
        files: {'C:\fixed': {smtpsvc.dll: 11}}
        services: {SMTPSVC: {image_path: 'C:\fixed\inetinfo.exe', start: automatic}}
      - when: [{file: '{source}\Ims.inf'}]
        services: {SMTPSVC: {image_path: 'C:\original\inetinfo.exe'}}
"""


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world(IMAGE)


def _run(world: World, answers: str, *, inf: str = r"%windir%\inf\sysoc.inf", account: LabAccount | None = None) -> int:
    echoed = " & ".join(f"echo {line}" for line in answers.splitlines())
    run_command_line(world, rf"({echoed}) > C:\temp\answers.txt")
    return run_command_line(world, rf"sysocmgr.exe /i:{inf} /u:C:\temp\answers.txt /q /r", account=account).exit_code


def test_a_component_that_is_turned_off_goes_with_what_it_brought(world: World) -> None:
    assert _run(world, "[Components]\niis_smtp = off") == 0
    assert world.service("SMTPSVC") is None
    assert not world.files.exists(r"C:\WINDOWS\System32\inetsrv\smtpsvc.dll")
    assert not components.installed(world, "iis_smtp")
    assert components.installed(world, "iis_common")
    assert world.service("ClusSvc") is not None


def test_common_files_take_the_cluster_service_and_all_that_needs_them_along(world: World) -> None:
    assert _run(world, "[Components]\niis_common = off") == 0
    assert [item.name for item in world.services.values()] == []
    assert not world.files.exists(r"C:\WINDOWS\System32\inetsrv\metabase.bin")
    assert not components.installed(world, "iis_smtp")


def test_what_is_installed_depends_on_the_files_it_is_installed_from(world: World) -> None:
    _run(world, "[Components]\niis_smtp = off")
    assert _run(world, "[Components]\niis_smtp = on") == 0
    assert world.service("SMTPSVC") is None
    assert _run(world, "[Components]\niis_smtp = on", inf=r"D:\point\ins.inf") == 0
    service = world.service("SMTPSVC")
    assert service is not None
    assert world.files.file(r"C:\fixed\smtpsvc.dll") is not None
    assert components.installed(world, "IIS_SMTP")


def test_setups_source_path_counts_too(world: World) -> None:
    _run(world, "[Components]\niis_smtp = off")
    run_command_line(world, r"reg add HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup /v SourcePath /d D:\point")
    _run(world, "[Components]\niis_smtp = on")
    assert components.installed(world, "iis_smtp")


def test_the_exit_code_says_nothing(world: World) -> None:
    before = world.registry.to_json()
    helper = LabAccount(name="helper", password="x", administrator=False)
    assert _run(world, "[Components]\niis_smtp = off", account=helper) == 0
    assert _run(world, "[Components]\niis_smtp = off", inf=r"C:\gone.inf") == 0
    assert _run(world, "[Other]\niis_smtp = off") == 0
    assert _run(world, "[Components]\nunknown = off") == 0
    assert _run(world, "rubbish") == 0
    assert run_command_line(world, "sysocmgr").exit_code == 0
    assert world.registry.to_json() == before


def test_answer_files_are_read_as_unattend_files_are() -> None:
    text = '; remark\n[Other]\na = off\n[ components ]\nb=OFF ; why\nc = "on"\nd = maybe\n=\n'
    assert components.read_answers(text) == {"b": False, "c": True}
