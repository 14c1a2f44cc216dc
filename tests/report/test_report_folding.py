"""Names folded into ranges: never another set of names than the one given."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converge.report.folding import folded, natural


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([f"web{n:02}" for n in range(1, 41)], "web[01-40]"),
        (["web01", "web02", "web04"], "web[01-02,04]"),
        (["web1", "web2", "web10"], "web[1-2,10]"),
        ([f"web{n}" for n in range(8, 13)], "web[8-12]"),
        ([f"web{n:02}" for n in range(8, 13)], "web[08-12]"),
        (["mail01"], "mail01"),
        (["mail", "db"], "db, mail"),
        (["web01.a.example", "web02.a.example", "web01.b.example"], "web01.b.example, web[01-02].a.example"),
        (["dc1-web01", "dc1-web02", "dc2-web01"], "dc1-web[01-02], dc2-web01"),
        (["10.0.0.1", "10.0.0.2"], "10.0.0.1, 10.0.0.2"),
        (["web01", "web1"], "web[1,01]"),
        (["web2", "web10", "db1"], "db1, web[2,10]"),
        (["x" + "9" * 40, "x" + "9" * 41], "x" + "9" * 40 + ", x" + "9" * 41),
        ([], ""),
    ],
)
def test_names_fold(names: list[str], expected: str) -> None:
    assert folded(names) == expected


def unfolded(text: str) -> Iterator[str]:
    """What a reader of the folded form takes it for."""
    for item in re.findall(r"[^,\[]*(?:\[[^]]*\])?[^,\[]*(?:, |$)", text):
        word = item.removesuffix(", ")
        if not word:
            continue
        match = re.fullmatch(r"(.*)\[([0-9,-]+)\](.*)", word)
        if match is None:
            yield word
            continue
        for part in match[2].split(","):
            first, _, last = part.partition("-")
            for number in range(int(first), int(last or first) + 1):
                yield match[1] + str(number).zfill(len(first)) + match[3]


hosts = st.from_regex(r"(web|db-|a1x|)(0{0,2}[0-9]{1,3})?(|[a-z]|\.example\.com|-b2)", fullmatch=True)


@given(st.sets(hosts.filter(bool), max_size=60))
def test_folding_loses_and_invents_no_host(names: set[str]) -> None:
    back = list(unfolded(folded(names)))
    assert sorted(back) == sorted(names)


@given(st.lists(st.text(max_size=30), max_size=20))
def test_any_text_folds(names: list[str]) -> None:
    assert bool(folded(names)) == any(names)
    assert sorted(sorted(names, key=natural)) == sorted(names)


def test_a_thousand_hosts_fold_into_one_word() -> None:
    assert folded(f"web{n:04}" for n in range(1, 1001)) == "web[0001-1000]"
