"""The host itself: what it does where Wine fails it."""

from __future__ import annotations

import os
import signal

from tests.wine.conftest import Converge

PLAY = r"""
- name: nothing is there
  hosts: all
  resources:
    - registry_value: {key: 'HKLM\SOFTWARE\NoSuchKey', name: NoSuchValue, ensure: absent}
"""


def test_an_agent_that_died_is_told_as_what_it_is_and_started_again(converge: Converge) -> None:
    for _ in range(2):
        process = converge.host.agent._process
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        result = converge.check(PLAY)
        assert "broke off" not in result.text
        assert result.exit_code == 0, result.text
