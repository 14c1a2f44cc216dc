"""Commands that really run, through a real command prompt."""

from __future__ import annotations

import pytest
from tests.wine.agent import HKLM, REG_SZ, Agent, Win32Error, sz
from tests.wine.conftest import Converge

KEY = r"SOFTWARE\WitnessCommand (1) & more"
FOLDER = r"C:\Program (x) & more"


@pytest.fixture
def program(windows: Agent) -> str:
    """reg.exe under a path that has to be quoted, and no key yet."""
    path = rf"{FOLDER}\reg.exe"
    if not windows.exists(path):
        windows.make_folder(FOLDER)
        windows.copy_file(r"C:\windows\system32\reg.exe", path)
    if windows.opens(HKLM, KEY, 1) == 0:
        windows.remove_key(HKLM, KEY)
    return path


@pytest.mark.parametrize("text", ["plain", "two words", "a & b | c > d", "100%", "it's (so)"])
def test_a_quoted_program_gets_its_quoted_arguments_as_they_are(
    converge: Converge, windows: Agent, program: str, text: str
) -> None:
    play = f"""
- name: commands
  hosts: all
  resources:
    - command:
        name: write
        argv: ['{program}', add, 'HKLM\\{KEY}', /v, v, /d, "{text}", /f]
        unless: {{registry_value: {{key: 'HKLM\\{KEY}', name: v, equals: "{text}"}}}}
"""
    assert converge.check(play).exit_code == 2
    with pytest.raises(Win32Error):
        windows.value(HKLM, KEY, "v")

    applied = converge.apply(play)
    assert applied.exit_code == 0, applied.text + applied.complaint
    written = windows.value(HKLM, KEY, "v")
    assert (written.kind, written.data) == (REG_SZ, sz(text))
    assert converge.check(play).exit_code == 0


def test_a_command_that_fails_is_told_with_its_code(converge: Converge) -> None:
    play = r"""
- name: commands
  hosts: all
  resources:
    - command: {name: fails, argv: [cmd.exe, /c, exit, '3'], creates: 'C:\nothing.txt'}
"""
    applied = converge.apply(play)
    assert applied.exit_code == 3
    (resource,) = applied.resources
    assert "3" in resource["error"]["what"]
