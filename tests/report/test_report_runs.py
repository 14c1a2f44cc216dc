"""Runs that are over, in words."""

from __future__ import annotations

import pytest

from converge.model.recorded import RecordedAction
from converge.report.runs import action_in_words

KEY = r"HKLM\SOFTWARE\Classes\InprocServer32"


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ({"action": "SetRegistryValue", "key": KEY, "name": ""}, rf"SetRegistryValue {KEY} (default)"),
        ({"action": "SetRegistryValue", "key": KEY, "name": "Model"}, rf"SetRegistryValue {KEY} Model"),
        ({"action": "NewRegistryKey", "key": KEY}, rf"NewRegistryKey {KEY}"),
    ],
)
def test_an_action_names_what_it_was_about(action: dict[str, str], words: str) -> None:
    assert action_in_words(RecordedAction(1, action, "done")) == words
