"""The way back: from wherever the host is, the actions to a recorded before restore it; where there is none, the plan says so."""

from __future__ import annotations

from typing import Any

from converge.lab import service_manager
from converge.testing.conformance.bench import MachineName, MakeBench
from converge.testing.conformance.case import Case
from converge.testing.conformance.reading import facts, settled
from converge.testing.conformance.trying import changes_well, tried_on


def _all_changes(changes: Any) -> list[Any]:
    return [item for change in changes for item in (change, *change.steps)]


class Reverting:
    """A change is reverted, or its plan had said why not."""

    @tried_on(changes_well, first_on=("basic",))
    def test_a_recorded_before_is_restored_or_the_plan_had_said_why_not(
        self, case: Case, machine: MachineName, bench: MakeBench
    ) -> None:
        made = bench(case, machine, stored=True)
        subjects = settled(case.holds)
        later = bench(case, "memory").world
        later.clock.advance(3600)
        service_manager.settle(later)
        before = facts(later, subjects)  # what is pending comes to its end by itself
        planned = made.check()
        ways = {change.address: change.way_back for change in _all_changes(planned.changes)}
        made.apply()
        run = made.runs[-1]
        begun = [line for line in made.journal() if line["event"] == "ChangeBegun"]
        assert begun
        assert [line["way_back"] for line in begun] == [str(ways[line["address"]]) for line in begun]
        undone = made.undo(run)
        if all(ways[line["address"]].kind == "full" for line in begun):
            assert undone.status.value in ("ok", "changed"), undone
            assert facts(made.world, subjects) == before
        if all(ways[line["address"]].kind == "none" for line in begun):
            assert not any(change.status.value == "changed" for change in undone.changes), "there was a way back after all"

    @tried_on(lambda case: changes_well(case) and case.file != "procedure")
    def test_a_loss_is_accepted_or_not_made(self, case: Case, bench: MakeBench) -> None:
        made = bench(case, "memory")
        losing = [change for change in made.check().changes if change.way_back.must_accept]
        before = made.state()
        result = made.apply(accept_no_way_back=False)
        assert {change.error.code for change in result.changes if change.error} <= {"no-way-back"}
        if losing and len(case.entries) == 1:
            assert made.done() == []
            assert made.state() == before
