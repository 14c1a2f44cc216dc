"""Ranges, host names and patterns, over many generated ones."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converge.errors import UsageError
from converge.inventory import load
from converge.inventory.hostnames import BadRange, expand, expand_ranges
from converge.inventory.patterns import Selector, split

words = st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True)


@given(st.integers(0, 999), st.integers(0, 60), st.integers(1, 9), words)
def test_a_numeric_range_counts_from_begin_to_end(begin: int, more: int, step: int, word: str) -> None:
    end = begin + more
    names = expand_ranges(f"{word}[{begin}:{end}:{step}].x")
    assert names == [f"{word}{number}.x" for number in range(begin, end + 1, step)]


@given(st.integers(0, 999), st.integers(0, 60), words)
def test_zeros_before_the_begin_are_kept(begin: int, more: int, word: str) -> None:
    names = expand_ranges(f"{word}[{begin:05d}:{begin + more:05d}]")
    assert [len(name) for name in names] == [len(word) + 5] * (more + 1)
    assert [int(name.removeprefix(word)) for name in names] == list(range(begin, begin + more + 1))


@given(st.integers(0, 25), st.integers(0, 25))
def test_a_range_of_letters_holds_both_ends(one: int, other: int) -> None:
    first, last = sorted((one, other))
    assert expand_ranges(f"db-[{chr(97 + first)}:{chr(97 + last)}]") == [
        f"db-{chr(97 + n)}" for n in range(first, last + 1)
    ]


@given(st.integers(1, 20), st.integers(1, 20))
def test_two_ranges_stand_for_every_pair(rows: int, columns: int) -> None:
    names = expand_ranges(f"r[1:{rows}]c[1:{columns}]")
    assert len(set(names)) == rows * columns
    assert names[:2] == [f"r1c{column}" for column in range(1, columns + 1)][:2] or columns == 1


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("web[5:1]", "backwards"),
        ("web[c:a]", "backwards"),
        ("web[1:9:0]", "step"),
        ("web[1]", "is not a range"),
        ("web[1:2:3:4]", "is not a range"),
        ("web[1:]", "no end"),
        ("web[01:9]", "as many digits"),
        ("web[a:9]", "neither"),
        ("web[ab:cd]", "neither"),
        ("web[1:2", "not closed"),
        ("web1:2]", "not closed"),
        ("web[1:[2:3]]", "not closed"),
        ("web[1:99999999]", "more than"),
        ("a[1:2000]b[1:2000]", "more than"),
        ("web[١:٣]", "neither"),
        ("web:99999", "not a port"),
        ("web:0", "not a port"),
    ],
)
def test_a_range_that_cannot_be_meant_is_refused(pattern: str, complaint: str) -> None:
    with pytest.raises(BadRange, match=re.escape(complaint)):
        expand(pattern)


@pytest.mark.parametrize(
    ("pattern", "names", "port"),
    [
        ("web", ["web"], None),
        ("web:5985", ["web"], 5985),
        ("web[1:2]:5985", ["web1", "web2"], 5985),
        ("[1:2].example.com", ["1.example.com", "2.example.com"], None),
        ("10.0.0.[8:10]:5986", ["10.0.0.8", "10.0.0.9", "10.0.0.10"], 5986),
        ("[2001:db8::1]:5986", ["2001:db8::1"], 5986),
        ("2001:db8::1", ["2001:db8::1"], None),
        ("-odd:1", ["-odd:1"], None),
        ("bücher.example.com:5986", ["bücher.example.com"], 5986),
    ],
)
def test_a_port_is_told_from_an_address(pattern: str, names: list[str], port: int | None) -> None:
    assert expand(pattern) == (names, port)


HOSTS = [f"web{number:02d}" for number in range(1, 13)] + ["db-a", "db-b"]
GROUPS = {"web": HOSTS[:12], "db": HOSTS[12:], "prod": [*HOSTS[:3], "db-a"], "all": HOSTS}
selector = Selector(HOSTS, GROUPS, members=lambda group: GROUPS[group])
plain_parts = st.sampled_from([*GROUPS, *HOSTS, "web*", "~web0[1-5]", "*", "db-?", "web[0:2]", "prod[-1]", "none"])
parts = st.lists(st.tuples(st.sampled_from(["", "&", "!"]), plain_parts).map("".join), min_size=1, max_size=5)


@given(parts)
def test_a_pattern_is_what_set_theory_says(chosen: list[str]) -> None:
    plain = [part for part in chosen if part[0] not in "&!"] or ["all"]
    expected = set().union(*(selector.match(part) for part in plain))
    for part in chosen:
        if part.startswith("&"):
            expected &= set(selector.match(part[1:]))
    for part in chosen:
        if part.startswith("!"):
            expected -= set(selector.match(part[1:]))
    result = selector.select(chosen)
    assert set(result) == expected
    assert len(result) == len(set(result))


@given(st.lists(st.sampled_from(["web", "&prod", "!web01", "web[0:2]", "~db.*"]), min_size=2, max_size=4))
def test_commas_and_colons_separate_alike(chosen: list[str]) -> None:
    assert split(":".join(chosen)) == split(",".join(chosen)) == chosen


@given(st.text(max_size=60))
def test_any_text_is_a_pattern_or_a_usage_error(text: str) -> None:
    inventory = load(["web[1:3],db,"])
    try:
        chosen = inventory.select(text)
    except UsageError:
        return
    assert set(chosen) <= set(inventory.hosts)


def test_both_ends_of_a_slice_are_meant() -> None:
    assert selector.select(["web[0:2]"]) == ("web01", "web02", "web03")
    assert selector.select(["web[-1]"]) == ("web12",)
    assert selector.select(["web[10:]"]) == ("web11", "web12")
    with pytest.raises(UsageError, match="beyond the last host"):
        selector.select(["web[12]"])
