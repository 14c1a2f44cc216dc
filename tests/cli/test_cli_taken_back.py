"""An undo is offered only after a run that sent something."""

from __future__ import annotations

import pytest

from converge.model.change import Change, Problem, Status
from converge.runs.apply import was_begun

ACTION = ({"action": "SetRegistryValue"},)


@pytest.mark.parametrize(
    ("status", "code", "begun"),
    [
        (Status.CHANGED, "", True),
        (Status.UNKNOWN, "interrupted", True),
        (Status.FAILED, "action-refused", True),
        (Status.WAITING, "no-way-back", False),
        (Status.FAILED, "not-planned", False),
        (Status.SKIPPED, "", False),
        (Status.OK, "", False),
    ],
)
def test_what_was_refused_before_its_first_action_is_nothing_to_take_back(
    status: Status, code: str, begun: bool
) -> None:
    error = Problem(code, "words") if code else None
    change = Change("a:b", {"kind": "a"}, name="n", play="p", status=status, actions=ACTION, error=error)
    assert was_begun(change) is begun
