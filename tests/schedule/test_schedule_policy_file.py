"""A policy file that changes while it is enforced: right versions are taken over, wrong ones are told and refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from converge.errors import InputErrors, UsageError
from converge.schedule.policy import Policy, parse_policy
from converge.schedule.policy_file import PolicyFile

RIGHT = "version: 1\ngroups: {web: {cadence: %s}}\n"


def written(path: Path, text: str) -> None:
    """Put in place as a whole, as tools that care do; and in a moment of its own for coarse clocks."""
    new = path.with_suffix(".new")
    new.write_text(text)
    os.replace(new, path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yml"
    written(path, RIGHT % "30m")
    return path


def anything(_policy: Policy) -> None:
    """Every policy will do."""


def test_a_new_version_is_taken_over_and_told_once(path: Path) -> None:
    file = PolicyFile(path, anything)
    first = file.revision
    assert not file.look()
    written(path, RIGHT % "10m")
    assert file.look()
    assert file.policy.groups["web"].cadence == "10m"
    assert file.revision != first
    assert not file.look()


def test_a_wrong_version_is_refused_and_the_one_before_stays(path: Path) -> None:
    file = PolicyFile(path, anything)
    first = file.revision
    written(path, RIGHT % "never")
    assert file.look()
    assert isinstance(file.problem, InputErrors)
    assert ":2:" in str(file.problem)
    assert (file.revision, file.policy.groups["web"].cadence) == (first, "30m")
    assert not file.look(), "told once"
    path.unlink()
    assert file.look()
    assert isinstance(file.problem, UsageError)
    written(path, RIGHT % "10m")
    assert file.look()
    assert file.problem is None
    assert file.policy.groups["web"].cadence == "10m"


def test_a_version_whose_hosts_or_playbooks_are_not_there_is_refused(path: Path) -> None:
    wrong: list[str] = []

    def check(policy: Policy) -> None:
        if wrong:
            raise UsageError(f"no host matches {wrong[0]}")

    file = PolicyFile(path, check)
    wrong.append("mail")
    written(path, RIGHT % "10m")
    assert file.look()
    assert file.policy.groups["web"].cadence == "30m"
    wrong.clear()
    assert not file.look()
    assert file.look(anew=True), "asked for explicitly, it is read although nobody wrote it since"
    assert file.policy.groups["web"].cadence == "10m"


def test_a_file_that_was_only_touched_tells_nothing(path: Path) -> None:
    file = PolicyFile(path, anything)
    written(path, RIGHT % "30m")
    assert not file.look()
    assert file.look(anew=True)


def test_a_first_version_that_is_wrong_is_an_error(path: Path) -> None:
    written(path, RIGHT % "never")
    with pytest.raises(InputErrors):
        PolicyFile(path, anything)


@pytest.mark.parametrize("nothing", ["0", "0s"])
def test_no_splay_is_written_with_or_without_a_unit(nothing: str) -> None:
    content = f"version: 1\ngroups: {{web: {{playbooks: [a.yml], splay: {nothing}}}}}\n".encode()
    assert not parse_policy(content, path=Path("p.yml")).groups["web"].splay
