"""The policy file: what is wrong in it is told all at once, each with its place."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from converge.errors import InputErrors, UsageError
from converge.schedule.policy import Policy, parse_policy, read_content

GOOD = """\
version: 1
groups:
  exchange:
    mode: enforce
    cadence: 30m
    splay: 5m
    grace: 2h
    window: [{days: [sat], from: '22:00', to: '04:00', timezone: Europe/Berlin}]
    budgets: {changes_per_host: 5, hosts: 3}
  iis4: {}
"""


def load_policy(path: Path) -> Policy:
    return parse_policy(read_content(path), path=path)


def problems(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "policy.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputErrors) as caught:
        load_policy(path)
    return [f"{problem.line}: {problem.message}" for problem in caught.value.problems]


def test_a_group_of_which_nothing_is_said_is_only_watched(tmp_path: Path) -> None:
    path = tmp_path / "policy.yml"
    path.write_text(GOOD)
    policy = load_policy(path)
    assert policy.groups["iis4"].mode == "monitor"
    assert policy.groups["exchange"].grace == timedelta(hours=2)
    assert policy.groups["exchange"].budgets.hosts == 3


def test_everything_wrong_is_told_with_its_line(tmp_path: Path) -> None:
    text = (
        GOOD.replace("enforce", "enforced")
        .replace("2h", "soon")
        .replace("Berlin", "Berlln")
        .replace("hosts: 3", "hosts: 0")
    )
    found = problems(tmp_path, text)
    assert [line.split(":")[0] for line in found] == ["4", "7", "8", "9"]
    assert "did you mean Europe/Berlin" in found[2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "version"),
        ("version: 2\ngroups: {a: {}}\n", "version"),
        ("version: 1\ngroups: {}\n", "groups"),
        ("version: 1\ngroups: {a: {cadence: 5s}}\n", "at least 10s"),
        ("version: 1\ngroups: {a: {cadence: '99 * * * *'}}\n", "2: groups.a"),
        ("version: 1\ngroups: {a: {modus: enforce}}\n", "modus"),
        ("version: 1\nversion: 1\ngroups: {a: {}}\n", "version"),
        ("version: [\n", ":"),
        ("- 1\n", "dictionary"),
        ("a: &a [*a]\n", ""),
    ],
)
def test_hostile_and_hasty_files_are_refused(tmp_path: Path, text: str, words: str) -> None:
    assert any(words in line for line in problems(tmp_path, text))


def test_a_file_that_is_not_there_or_too_large(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_policy(tmp_path / "none.yml")
    large = tmp_path / "large.yml"
    large.write_bytes(b"#" * 2_000_000)
    with pytest.raises(UsageError, match="larger"):
        load_policy(large)
