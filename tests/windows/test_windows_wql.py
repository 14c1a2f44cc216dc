"""Whatever text goes into a query comes out of it as the same constant, and never as anything else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converge.windows import wql


def constant(text: str) -> tuple[str, str]:
    """Read one WQL string constant: its value, and what follows it (WQL: a backslash escapes a quote or a backslash)."""
    assert text[0] == "'"
    value, index = "", 1
    while text[index] != "'":
        if text[index] == "\\":
            index += 1
        value += text[index]
        index += 1
    return value, text[index + 1 :]


@given(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])))
def test_a_text_stays_one_constant(text: str) -> None:
    assert constant(wql.quoted(text)) == (text, "")


def test_a_path_is_doubled_and_a_quote_escaped() -> None:
    assert wql.equals("Name", "C:\\a'b\\c.dll") == "Name = 'C:\\\\a\\'b\\\\c.dll'"


@pytest.mark.parametrize("name", ["", "1a", "a b", "a;b", "a'b", "Näme", "a.b"])
def test_only_names_are_names(name: str) -> None:
    with pytest.raises(ValueError, match="no class or property name"):
        wql.select([name], "Win32_Service")


def test_times_are_utc_and_need_a_zone() -> None:
    east = datetime(2026, 11, 20, 1, 2, 3, tzinfo=timezone(timedelta(hours=2)))
    assert wql.at_least("TimeGenerated", east) == "TimeGenerated >= '20261119230203.000000+000'"
    assert wql.timestamp(datetime(2026, 1, 1, tzinfo=UTC)) == "'20260101000000.000000+000'"
    with pytest.raises(ValueError, match="without a zone"):
        wql.timestamp(datetime(2026, 1, 1))  # a naive time is what is refused


def test_queries_read_as_wql() -> None:
    names = wql.any_of([wql.equals("Name", "a"), wql.equals("Name", "b")])
    assert wql.select(["Name", "State"], "Win32_Service", where=names) == (
        "SELECT Name, State FROM Win32_Service WHERE Name = 'a' OR Name = 'b'"
    )
    assert wql.select([], "Win32_OperatingSystem") == "SELECT * FROM Win32_OperatingSystem"
