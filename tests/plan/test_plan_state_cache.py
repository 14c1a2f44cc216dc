"""What was worked out for one host serves the next: never where it would be otherwise, and hardly ever twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converge.apply.host import check
from converge.apply.options import ApplyOptions
from converge.errors import InputErrors
from converge.lab.image import list_images, load_image
from converge.model.action import AnyAction, RunCommand
from converge.model.answer import Absent, Answer, Answers, Found, Refused
from converge.model.change import HostResult
from converge.model.facts import FileFacts
from converge.model.journal import History
from converge.model.play import Declared, Play
from converge.model.query import AnyQuery, File
from converge.model.resource import KINDS, Resource, State
from converge.model.secret import Secret
from converge.plan.decision import decide
from converge.plan.state_cache import MOST, cached, questions
from converge.playbook import load
from converge.playbook.sandbox import SANDBOX
from converge.runs.playbooks import known_kinds
from converge.testing.world_machine import WorldMachine

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 20, 22, 1, 7, tzinfo=UTC)
A, B = File(r"C:\a"), File(r"C:\b")


class Sum(State):
    """How large the files are together."""

    size: int


class Summed(Resource):
    """Looks at the second file only where the first is there, and says how often it was worked out."""

    limit: int
    times: ClassVar[Counter[str]] = Counter()

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        self.times["queries"] += 1
        return (A, B) if known.known(A) is not None else (A,)

    def actual_state(self, answers: Answers) -> Sum:
        self.times["actual_state"] += 1
        first = answers.value(A)
        if first is None:
            return Sum(size=0)
        second = answers.part(B, _size)
        return Sum(size=first.size + (second or 0))

    def desired_state(self, actual: State | None, answers: Answers) -> Sum:
        assert isinstance(actual, Sum)
        return Sum(size=min(actual.size, self.limit))

    def actions(self, before: State | None, after: State | None, answers: Answers) -> Sequence[AnyAction]:
        return (RunCommand(argv=("shrink", answers.run)),)


def _size(facts: FileFacts) -> int:
    return facts.size


@pytest.fixture(autouse=True)
def times() -> Counter[str]:
    Summed.times.clear()
    return Summed.times


def found(size: int, *, modified: datetime = NOW) -> Found[FileFacts]:
    return Found(FileFacts(r"C:\file", size, modified=modified))


def told(first: Answer[object], second: Answer[object] | None = None, *, run: str = "r") -> Answers:
    answers: dict[AnyQuery, Answer[object]] = {A: first}
    return Answers(answers if second is None else {**answers, B: second}, run=run)


def test_a_resource_is_worked_out_once_for_all_hosts_that_answer_alike(times: Counter[str]) -> None:
    resource = Summed(limit=5)
    for _host in range(50):
        questions(resource, Answers({}))
        questions(resource, told(found(3)))
        decide(resource, told(found(3), found(4)))
    assert times == {"queries": 2, "actual_state": 1}


def test_a_host_that_answers_otherwise_is_worked_out_for_itself() -> None:
    resource = Summed(limit=100)
    sizes = [decide(resource, told(found(number % 3), found(1))).before for number in range(12)]
    assert sizes == [Sum(size=number % 3 + 1) for number in range(12)]


def test_only_what_was_looked_at_tells_hosts_apart(times: Counter[str]) -> None:
    resource = Summed(limit=5)
    for day in range(20):
        decide(resource, told(Absent(), found(day)))  # the second file is not looked at
    assert times["actual_state"] == 1
    for day in range(20):
        decide(resource, told(found(1), found(1, modified=NOW + timedelta(days=day))))  # of it only the size is
    assert times["actual_state"] == 2
    for day in range(20):
        decide(
            resource, told(found(1, modified=NOW + timedelta(days=day)), found(1))
        )  # the first is looked at as a whole
    assert times["actual_state"] == 21


def test_what_is_new_is_told_from_what_was_not_asked() -> None:
    resource = Summed(limit=5)
    assert [tuple(questions(resource, known)) for known in (Answers({}), told(found(1)), Answers({}))] == [
        (A,),
        (A, B),
        (A,),
    ]


def test_a_refusal_is_never_taken_from_another_host_nor_given_to_one() -> None:
    resource = Summed(limit=100)
    refused = Refused("denied", "Access is denied.")
    statuses = [
        decide(resource, told(answer, found(1))).status.value
        for answer in (refused, found(1), refused, Absent(), found(1))
    ]
    assert statuses == ["undecided", "ok", "undecided", "ok", "ok"]


def test_actions_of_one_run_are_not_those_of_the_next() -> None:
    resource = Summed(limit=1)
    for run in ("first", "second", "first"):
        (action,) = decide(resource, told(found(9), found(9), run=run)).actions
        assert action == RunCommand(argv=("shrink", run))


def test_whoever_goes_through_all_answers_is_asked_each_time() -> None:
    resource = Summed(limit=1)
    counts = [
        cached(resource, "len", known, work=len) for known in (told(found(1)), told(found(1), found(2)), Answers({}))
    ]
    assert counts == [1, 2, 0]


def test_no_more_is_kept_than_a_few_results() -> None:
    resource = Summed(limit=1)
    for size in range(100):
        decide(resource, told(found(size), found(0)))
    assert [len(kept) for kept in resource.cached.values()] == [MOST]


def test_what_was_worked_out_is_no_part_of_the_resource() -> None:
    used, unused = Summed(limit=1), Summed(limit=1)
    decide(used, told(Absent()))
    assert used.cached
    assert used == unused
    assert hash(used) == hash(unused)
    assert used.model_dump() == unused.model_dump()
    assert not used.model_copy().cached


ANSWERS = st.sampled_from([Absent(), Refused("denied", ""), *(found(size) for size in (0, 1, 5))])


@given(hosts=st.lists(st.tuples(ANSWERS, ANSWERS), max_size=20))
def test_a_decision_is_the_same_whatever_hosts_came_before(hosts: list[tuple[Answer[object], Answer[object]]]) -> None:
    shared = Summed(limit=3)
    for first, second in hosts:
        assert decide(shared, told(first, second)) == decide(Summed(limit=3), told(first, second))


# Whole hosts, with the playbooks as they are shipped.


def plays_of(files: Sequence[Path]) -> tuple[Play, ...]:
    return load(files, kinds=known_kinds(), known_variables=frozenset())


def looked_at(plays: tuple[Play, ...], image: str, *, name: str, variables: Mapping[str, object]) -> HostResult:
    machine = WorldMachine(load_image(image, host_name=name))
    return check(
        plays, observer=machine, variables=variables, history=History(), run="r",
        options=ApplyOptions(monotonic=lambda: 0.0),
    )  # fmt: skip


def test_the_shipped_playbooks_come_to_the_same_for_each_image_alone_and_among_all_others() -> None:
    files = sorted((ROOT / "playbooks").glob("*.yml"))
    shared = plays_of(files)
    names = [image.name for image in list_images()]
    among_others = {}
    for image in (*names, *reversed(names)):  # the second time round everything was worked out before
        among_others[image] = looked_at(shared, image, name="host", variables={})
    for image in names:
        assert among_others[image] == looked_at(plays_of(files), image, name="host", variables={}), image


PLAYBOOK = r"""
- name: p
  hosts: all
  vars: {folder: '{{ root }}\inetsrv'}
  resources:
    - file: {path: '{{ folder }}\{{ item }}', copy_from: '%SystemRoot%\{{ item }}'}
      loop: [a.dll, b.dll]
    - registry_value: {key: 'HKLM\SOFTWARE\X', name: Number, type: dword, data: '{{ number }}'}
    - registry_value: {key: 'HKLM\SOFTWARE\X', name: Build, type: dword, data: '{{ facts.os.build }}'}
"""


@pytest.fixture
def plays(tmp_path: Path) -> tuple[Play, ...]:
    (tmp_path / "book.yml").write_text(PLAYBOOK, encoding="utf-8")
    return load([tmp_path / "book.yml"], kinds=KINDS, known_variables={"root", "number"})


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often an expression is compiled and a resource validated."""
    counted: Counter[str] = Counter()

    def counting(owner: object, name: str) -> None:
        original: Callable[..., object] = getattr(owner, name)

        def call(*arguments: object, **named: object) -> object:
            counted[name] += 1
            return original(*arguments, **named)

        monkeypatch.setattr(owner, name, call)

    counting(SANDBOX, "from_string")
    for kind in ("file", "registry_value"):
        counting(known_kinds()[kind], "model_validate")
        counting(known_kinds()[kind], "actual_state")
    return counted


def test_a_hundred_hosts_alike_cost_hardly_more_than_one(plays: tuple[Play, ...], work: Counter[str]) -> None:
    variables = {"root": "C:", "number": 1}
    work.clear()  # of what reading the playbook took
    looked_at(plays, "iis4-smtp-healthy", name="host0", variables=variables)
    first = work.copy()
    assert first["model_validate"] == 4
    for number in range(1, 100):
        looked_at(plays, "iis4-smtp-healthy", name=f"host{number}", variables=variables)
    assert work == first


def test_a_host_with_other_variables_gets_resources_of_its_own(plays: tuple[Play, ...]) -> None:
    entry = plays[0].entries[1]

    def data(number: object) -> object:
        (declared,) = entry.declare(plays[0].scope({"number": number}, {}, {}))
        return declared.resource.model_dump()["data"]

    assert [data(1), data("1"), data(2), data(1)] == [1, "1", 2, 1]
    with pytest.raises(InputErrors, match="true is no dword"):  # equal to 1 in Python, and not what was meant
        data(True)


def test_what_holds_a_secret_is_kept_for_no_other_host(plays: tuple[Play, ...]) -> None:
    entry = plays[0].entries[1]
    scopes = [plays[0].scope({"root": "C:", "number": Secret("7")}, {}, {}) for _ in range(2)]
    (first,), (second,) = (entry.declare(scope) for scope in scopes)
    assert first.sensitive
    assert second.sensitive
    assert first.resource is not second.resource


def test_of_facts_only_those_that_are_named_tell_hosts_apart(plays: tuple[Play, ...]) -> None:
    entry = plays[0].entries[2]
    declared: list[Declared] = []
    for name, build in (("A", 1381), ("B", 1381), ("A", 2195)):
        scope = plays[0].scope({}, {"os": {"build": build}, "host": {"name": name}}, {})
        declared += entry.declare(scope)
    assert declared[0] is declared[1]
    assert declared[2].resource.model_dump()["data"] == 2195
