"""A host that will not say is never treated as a host that lacks: every right taken away, nothing is done for want of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from converge.lab import service_manager
from converge.model.backup import is_manifest
from converge.model.change import HostResult
from converge.model.machine import Machine
from converge.model.query import AnyQuery
from converge.testing.conformance.bench import MachineName, MakeBench
from converge.testing.conformance.case import Case
from converge.testing.conformance.reading import facts, settled
from converge.testing.conformance.trying import changes, tried_on
from converge.testing.faulty_machine import FaultyMachine

READING = (
    "invoke",
    "registry_read",
    "file_read",
    "service_query",
    "shells",
    "class:Win32_Service",
    "class:Win32_OperatingSystem",
    "class:CIM_DataFile",
    "class:Win32_Directory",
    "class:StdRegProv",
    "namespace:root/cimv2",
    "namespace:root/default",
)
READING_OVER_WINRM = ("invoke", "service_query", "shells", "class:CIM_DataFile", "namespace:root/default")
WRITING = ("registry_write", "file_write", "service_start", "service_stop", "service_change", "restart", "shells")


def _is_note(action: Mapping[str, Any]) -> bool:
    """Whether it is a manifest, which is dated, and without which a change is made all the same."""
    return action["action"] == "WriteFile" and is_manifest(str(action["path"]))


def _denied(case: Case, right: str) -> Case:
    return replace(case, denies=[*case.denies, right])


def _says_why(result: HostResult) -> bool:
    """Whether something is undecided and says which code the host refused with, or an error says so."""
    told = [change.error for change in result.changes if change.error] + [result.error]
    undecided = [change for change in result.changes if change.status.value == "undecided" and not change.steps]
    assert all(change.before is None or change.before["refused"]["code"] == "access-denied" for change in undecided), (
        "the code is told"
    )
    return any(problem is not None for problem in told)


class Refusing:
    """What a host will not say or do never causes a change."""

    @tried_on(changes, first_on=("basic",))
    def test_a_right_to_look_that_is_missing_never_causes_a_change(
        self, case: Case, machine: MachineName, bench: MakeBench
    ) -> None:
        whole = bench(case, "memory")
        whole.apply()
        meant = [action for action in whole.done() if not _is_note(action)]
        for right in READING if machine == "memory" else READING_OVER_WINRM:
            made = bench(_denied(case, right), machine)
            made.apply()
            sent = [action for action in made.done() if not _is_note(action)]
            assert [action for action in sent if action not in meant] == [], f"without {right} something else was done"

    @tried_on(changes)
    def test_a_question_that_is_refused_never_causes_a_change(self, case: Case, bench: MakeBench) -> None:
        whole = bench(case, "memory")
        seen: list[FaultyMachine] = []

        def watched(machine: Machine) -> Machine:
            seen.append(FaultyMachine(machine))
            return seen[0]

        whole.apply(wrap=watched)
        meant = whole.done()
        for refused in dict.fromkeys(seen[0].asked):
            made = bench(case, "memory")

            def closed(machine: Machine, refused: AnyQuery = refused) -> Machine:
                return FaultyMachine(machine, refuses=lambda query: query == refused)

            result = made.apply(wrap=closed)
            sent = made.done()
            assert [action for action in sent if action not in meant] == [], f"{refused} refused"
            if not sent and meant:
                assert _says_why(result), f"{refused} refused: {result}"

    @tried_on(changes, first_on=("basic",))
    def test_a_right_to_write_that_is_missing_fails_and_breaks_nothing(
        self, case: Case, machine: MachineName, bench: MakeBench
    ) -> None:
        for right in WRITING:
            made = bench(_denied(case, right), machine)
            result = made.apply()
            lines = made.journal()
            notes = [
                line["action_number"] for line in lines if line["event"] == "ActionIntended" and _is_note(line["action"])
            ]
            ended = [line for line in lines if line["event"] == "ActionEnded" and line["action_number"] not in notes]
            refused = [line for line in ended if line["result"] == "refused"]
            assert not [line for line in ended if line["result"] == "unknown"]
            if refused:
                assert result.status.value in ("failed", "undecided"), f"without {right}"
            if len(refused) == len(ended) and machine == "memory":
                untouched = bench(case, "memory").world
                for world in (made.world, untouched):
                    world.clock.advance(3600)  # what was pending came to its end by itself
                    service_manager.settle(world)
                kept = settled(case.holds)
                assert facts(made.world, kept) == facts(untouched, kept), f"without {right}"
