"""WQL as the endpoint reads it, with queries that converge never sends."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converge.lab.endpoint import wql, wql_match
from converge.lab.endpoint.object_path import ObjectPath, parse_object_path
from converge.lab.endpoint.schema import CimClass, CimType, Property, Row
from converge.lab.endpoint.wql_lexer import InvalidQuery, QueryTooComplex
from converge.wsman.cim import Reference
from converge.wsman.namespaces import wmi_uri

THING = CimClass(
    "root/cimv2",
    "Lab_Thing",
    (
        Property("Name"),
        Property("Size", CimType.UINT32),
        Property("Ready", CimType.BOOLEAN),
        Property("When", CimType.DATETIME),
        Property("Tags", array=True),
        Property("Parent", CimType.REFERENCE),
    ),
    ("Name",),
    parents=("Lab_Base",),
)
ROW: Row = {
    "Name": r"C:\Dir\It's [1] 100%.dll",
    "Size": 42,
    "Ready": True,
    "When": datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC),
    "Tags": ("a",),
    "Parent": Reference(wmi_uri("root/cimv2", "Lab_Thing"), (("Name", "Up"),)),
}
EMPTY: Row = {"Name": "empty"}


def holds(condition: str, row: Row = ROW) -> bool:
    """Whether a condition holds for a row."""
    query = wql.parse(f"SELECT * FROM Lab_Thing WHERE {condition}")
    assert isinstance(query, wql.Select)
    wql_match.check(query.where, THING)
    return wql_match.matches(query.where, row, THING)


@pytest.mark.parametrize(
    "condition",
    [
        r"Name = 'c:\\dir\\it\'s [1] 100%.DLL'",
        r'Name = "C:\\Dir\\It' + "'" + r's [1] 100%.dll"',
        r"'C:\\Dir\\It\'s [1] 100%.dll' = name",
        "Size = 42",
        "size = '42'",
        "Size <> 41",
        "Size != 41",
        "41 < Size",
        "Size >= 42 AND Size <= 42",
        "Size = 0x2A",
        "Size > -1",
        "Ready = TRUE",
        "Ready = 'true'",
        "Ready <> false",
        "NOT Ready = FALSE",
        "NOT NOT (Size = 42)",
        "Size = 1 OR Size = 2 AND Ready = TRUE OR Size = 42",
        "NOT (Size = 1 OR Size = 2) AND Ready = TRUE",
        "Name LIKE 'c:%'",
        "Name LIKE '%DLL'",
        "Name LIKE '%It_s%'",
        "Name LIKE '%[[]1]%'",
        "Name LIKE '%100[%].dll'",
        "Name LIKE '[a-c]:%'",
        "Name NOT LIKE '[^a-c]:%'",
        "Name NOT LIKE 'd:%'",
        "Size IS NOT NULL",
        "Size <> NULL",
        "When > '20240101000000.000000+000'",
        "When = '20240102040405.000000+060'",
        "When < '2024-01-02T03:04:06'",
        "Parent = 'Lab_Thing.Name=\"up\"'",
        r"Parent = '\\\\host\\root\\cimv2:Lab_Thing=\"UP\"'",
        "Parent <> 'Lab_Thing.Name=\"down\"'",
        "__CLASS = 'lab_thing'",
        "__this ISA 'Lab_Base'",
    ],
)
def test_a_condition_that_holds(condition: str) -> None:
    assert holds(condition)


@pytest.mark.parametrize(
    "condition",
    [
        "Name = ''",
        "Size = 43",
        "Size > 42",
        "(Size = 1 OR Size = 42) AND Ready = FALSE",
        "Name LIKE ''",
        "Name LIKE 'c:'",
        "Name LIKE '%\n%'",
        "Size IS NULL",
        "Size = NULL",
        "When > '20240102030405.000000+000'",
        "__this ISA 'Lab_Other'",
        "Parent = 'Lab_Thing.Name=\"down\"'",
    ],
)
def test_a_condition_that_does_not_hold(condition: str) -> None:
    assert not holds(condition)


@pytest.mark.parametrize(
    "condition", ["Size = 1", "Size <> 1", "Name2 IS NULL", "Ready <> TRUE", "When > '20240101000000.0+000'"]
)
def test_a_null_compares_with_nothing(condition: str) -> None:
    if "Name2" in condition:
        with pytest.raises(InvalidQuery):
            holds(condition, EMPTY)
    else:
        assert not holds(condition, EMPTY)


def test_a_null_is_null() -> None:
    assert holds("Size IS NULL AND When = NULL", EMPTY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SELECT",
        "SELECT * FROM",
        "SELECT FROM x",
        "SELECT * FROM x WHERE",
        "SELECT *, Name FROM x",
        "SELECT Name, FROM x",
        "SELECT * FROM x WHERE Name",
        "SELECT * FROM x WHERE Name =",
        "SELECT * FROM x WHERE Name = unquoted",
        "SELECT * FROM x WHERE Name = 'open",
        "SELECT * FROM x WHERE Name = 'a' 'b'",
        "SELECT * FROM x WHERE (Name = 'a'",
        "SELECT * FROM x WHERE Name = 'a')",
        "SELECT * FROM x WHERE Name == 'a'",
        "SELECT * FROM x WHERE Name NOT = 'a'",
        "SELECT * FROM x WHERE Name LIKE 5",
        "SELECT * FROM x WHERE AND",
        "SELECT * FROM x; DROP TABLE y",
        "SELECT * FROM x ORDER BY Name",
        "SELECT COUNT(*) FROM x",
        "UPDATE x SET y = 1",
        "SELECT * FROM x WHERE a = 123456789012345678901234567890",
        "ASSOCIATORS OF",
        "ASSOCIATORS OF Win32_Service",
        "ASSOCIATORS OF {}",
        "ASSOCIATORS OF {Win32_Service.Name=}",
        "ASSOCIATORS OF {Win32_Service.Name='a'} WHERE",
        "ASSOCIATORS OF {Win32_Service.Name='a'} WHERE Nonsense = x",
        "REFERENCES OF {Win32_Service.Name='a'} WHERE AssocClass = x",
    ],
)
def test_a_text_that_is_no_query(text: str) -> None:
    with pytest.raises(InvalidQuery):
        wql.parse(text)


@pytest.mark.parametrize(
    "condition", ["Nope = 1", "Size = 'many'", "Ready = 'maybe'", "When = 'today'", "Size LIKE '4%'", "Tags = 'a'"]
)
def test_a_condition_that_makes_no_sense_for_the_class(condition: str) -> None:
    with pytest.raises(InvalidQuery):
        holds(condition)


def test_and_binds_closer_than_or() -> None:
    query = wql.parse("select Name from x where a=1 or b=2 and c=3")
    assert isinstance(query, wql.Select)
    assert query.where == wql.Or(
        (
            wql.Comparison("a", "=", 1),
            wql.And((wql.Comparison("b", "=", 2), wql.Comparison("c", "=", 3))),
        )
    )


def test_nesting_and_keywords_are_bounded() -> None:
    with pytest.raises(QueryTooComplex):
        wql.parse("SELECT * FROM x WHERE " + "(" * 5000 + "a=1" + ")" * 5000)
    with pytest.raises(QueryTooComplex):
        wql.parse("SELECT * FROM x WHERE " + "NOT " * 5000 + "a=1")
    with pytest.raises(QueryTooComplex):
        wql.parse("SELECT * FROM x WHERE " + " OR ".join(["a=1"] * 3000))
    with pytest.raises(QueryTooComplex):
        wql.parse("SELECT * FROM x WHERE a='" + "a" * 70_000 + "'")


def test_a_pattern_made_to_be_slow_is_matched_in_time() -> None:
    slow: Row = {"Name": "a" * 5000 + "b"}
    assert not holds("Name LIKE '" + "%a" * 400 + "%c'", slow)


def test_clauses_of_associators_and_references() -> None:
    query = wql.parse(
        r"ASSOCIATORS OF {\\.\root\cimv2:Win32_Service.Name='a}\"b'} WHERE AssocClass = X ResultClass=Y "
        "ResultRole = Z Role=W KeysOnly"
    )
    assert isinstance(query, wql.Related)
    assert query.source == ObjectPath("Win32_Service", (("Name", 'a}"b'),), "root/cimv2")
    assert query.clauses == {"ASSOCCLASS": "X", "RESULTCLASS": "Y", "RESULTROLE": "Z", "ROLE": "W"}
    assert query.keys_only
    assert not query.references


def test_object_paths() -> None:
    assert parse_object_path("Win32_OperatingSystem=@").singleton
    assert parse_object_path("A.x=\"1\",y='2',z=3").keys == (("x", "1"), ("y", "2"), ("z", "3"))
    assert parse_object_path("A").keys == ()
    for text in ("", "=", "A.", "A.x", "A.x=1,", "A b", "A.x='1' y='2'"):
        with pytest.raises(InvalidQuery):
            parse_object_path(text)


def test_keys_are_known_before_any_instance_is_read() -> None:
    query = wql.parse(
        r"SELECT * FROM x WHERE Drive='c:' AND (Path='\\a\\' OR Path='\\b\\') AND Size > 3 OR Name='c:\\d'"
    )
    assert isinstance(query, wql.Select)
    found = wql_match.alternatives(query.where, ("Name", "Drive", "Path"))
    assert found == ({"DRIVE": "c:", "PATH": "\\a\\"}, {"DRIVE": "c:", "PATH": "\\b\\"}, {"NAME": "c:\\d"})
    half = wql.parse("SELECT * FROM x WHERE Name='a' OR Size=1")
    assert isinstance(half, wql.Select)
    assert {} in wql_match.alternatives(half.where, ("Name",))


def test_too_many_combinations_of_keys_are_refused() -> None:
    many = " AND ".join("(" + " OR ".join(f"Name='{number}'" for number in range(20)) + ")" for _ in range(6))
    query = wql.parse(f"SELECT * FROM x WHERE {many}")
    assert isinstance(query, wql.Select)
    with pytest.raises(QueryTooComplex):
        wql_match.alternatives(query.where, ("Name",))


WORDS = st.sampled_from(
    [
        "SELECT",
        "*",
        "FROM",
        "WHERE",
        "Name",
        "Size",
        "When",
        "=",
        "<>",
        "<",
        "LIKE",
        "IS",
        "NOT",
        "NULL",
        "AND",
        "OR",
        "(",
        ")",
        "'a'",
        '"b"',
        "'\\\\'",
        "{",
        "}",
        "{x.y='1'}",
        "5",
        "-3.5e2",
        "TRUE",
        "ISA",
        ",",
        "ASSOCIATORS",
        "OF",
        "%",
        "[",
    ]
)


@settings(max_examples=300)
@given(st.one_of(st.text(max_size=200), st.lists(WORDS, max_size=25).map(" ".join)))
def test_any_text_is_a_query_or_refused(text: str) -> None:
    for query in (text, f"SELECT * FROM Lab_Thing WHERE {text}"):
        try:
            parsed = wql.parse(query)
            if isinstance(parsed, wql.Select):
                wql_match.check(parsed.where, THING)
                wql_match.matches(parsed.where, ROW, THING)
        except (InvalidQuery, QueryTooComplex):
            pass


@settings(max_examples=200)
@given(st.text(min_size=0, max_size=40))
def test_any_quoted_text_is_found_again(text: str) -> None:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    assert holds(f"Name = '{escaped}'", {"Name": text})
