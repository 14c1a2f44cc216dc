"""The program in a folder of its own, over hosts that a process of their own serves."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.cli_program import REPOSITORY, Program

PLAYBOOK = r"""
- name: the release
  hosts: all
  order: 10
  resources:
    - name: the setting
      registry_value: {key: 'HKLM\SOFTWARE\Contoso', name: Mode, type: string, data: fast}
      notify: restart the registry service
    - name: the list
      registry_value: {key: 'HKLM\SOFTWARE\Contoso\Deep', name: Hosts, type: multi_string, data: [a, b]}
    - name: the folder
      directory: {path: 'C:\Contoso'}
    - name: the file
      file: {path: 'C:\Contoso\mad.exe', copy_from: 'C:\exchsrvr\bin\mad.exe'}
    - name: Remote Registry starts by itself and runs
      service: {name: RemoteRegistry, running: true, start_mode: automatic}
    - name: the move
      procedure:
        name: move
        done_when: {registry_value: {key: 'HKLM\SOFTWARE\Contoso', name: Moved, exists: true}}
        steps:
          - {registry_value: {key: 'HKLM\SOFTWARE\Contoso', name: Moving, type: dword, data: 1}}
          - {registry_value: {key: 'HKLM\SOFTWARE\Contoso', name: Moved, type: dword, data: 1}}
  handlers:
    - name: restart the registry service
      restart_service: {name: RemoteRegistry}
"""
HOSTS = ("mail01", "mail02", "mail03")
INVENTORY = """\
all:
  vars: {ansible_connection: lab}
  hosts:
    mail[01:03]: {converge_lab_image: exchange55-registry-stopped}
"""


def _is_kept(name: str) -> bool:
    return ".converge-" in name or name.startswith("converge-")


class Evening(Program):
    """A fleet that outlives whoever works on it."""

    def world(self, host: str) -> Any:
        """A host's registry, files and services as they are, read themselves and not by converge's questions.

        Without moments, event logs, and what converge keeps aside on the host.
        """
        told = json.loads((self.folder / f".converge/lab/{host}.json").read_text())
        files = {
            folder["path"]: sorted(file["name"] for file in folder["files"] if not _is_kept(file["name"]))
            for folder in told["files"]
            if not _is_kept(folder["path"])
        }
        services = {item["name"]: (item["state"], item["start_mode"]) for item in told["services"]}
        registry = {key["key"]: sorted(key.get("values", ()), key=str) for key in told["registry"]}
        return {"files": files, "services": services, "registry": registry}

    def worlds(self) -> Any:
        """Those of all hosts."""
        return {host: self.world(host) for host in HOSTS}

    def steered(self, place: int | str, how: str, *words: str, term: float = 3.0) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.evening.steered", str(place), how, str(term), *words],
            cwd=self.folder, env=self.env({"PYTHONPATH": str(REPOSITORY)}), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip


@pytest.fixture
def evening(tmp_path: Path) -> Iterator[Evening]:
    """A playbook of several kinds, three hosts that need it, served until the end of the test."""
    fleet = Evening(tmp_path)
    fleet.write("playbooks/release.yml", PLAYBOOK)
    fleet.write("inventory/hosts.yml", INVENTORY)
    up = fleet("lab", "up", "--detach", "--format", "json")
    assert up.code == 0, up.err
    yield fleet
    fleet("lab", "down")
