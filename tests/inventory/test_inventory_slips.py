"""What an inventory says and hardly means: values that reading changes, names without colons."""

from __future__ import annotations

import pytest
from tests.inventory.conftest import Loader

from converge.errors import InputErrors


@pytest.mark.parametrize(
    ("text", "became"),
    [
        ("no", "true or false"), ("On", "true or false"), ("0777", "base 8"), ("12:30", "base 60"), ("1_000", "another spelling"),
        ("1.10", "another spelling"), ("1.0e+3", "another spelling"), ("+0777", "base 8"),
        ("true", ""), ("False", ""), ("7", ""), ("-7", ""), ("+7", ""), ("1.5", ""), ("0x1F", ""), ("2026-03-01", ""), ("08", ""),
        ("'no'", ""), ('"0777"', ""), ("1e3", ""), ("~", ""), ("web", ""),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["plain", "flow", "listed", "folder"])
def test_a_value_that_reading_changes_is_warned_of(read: Loader, text: str, became: str, form: str) -> None:
    files = {
        "plain": {"h.yml": f"all:\n  hosts:\n    a:\n      x: {text}\n"},
        "flow": {"h.yml": f"all: {{hosts: {{a: {{x: {text}}}}}}}\n"},
        "listed": {"h.yml": f"all:\n  hosts:\n    a:\n      x: [1, {{y: {text}}}]\n"},
        "folder": {"h.yml": "all: {hosts: {a: }}\n", "group_vars/all.yml": f"x: {text}\n"},
    }[form]
    warnings = [str(warning) for warning in read(files).warnings]
    assert len(warnings) == bool(became)
    assert all("the value of x is not the text that is written" in each and became in each for each in warnings)
    assert all(text not in each for each in warnings if len(text) > 2), "a value may be a secret"


@pytest.mark.parametrize(
    ("text", "changes"), [("1e3", True), ("1.10", True), ("0o17", True), ("017", False), ("no", False), ("7", False)]
)
def test_in_an_ini_file_too(read: Loader, text: str, changes: bool) -> None:
    assert len(read({"h.ini": f"a x={text}\n[all:vars]\nx={text}\n"}).warnings) == changes


def test_a_password_of_digits_that_becomes_another_is_warned_of_and_a_yes_is_none(read: Loader) -> None:
    (warning,) = read(
        {"h.yml": "all: {hosts: {a: {ansible_password: 0777, ansible_winrm_kerberos_delegation: yes}}}\n"}
    ).warnings
    assert "ansible_password" in str(warning)


def test_one_variable_is_told_once(read: Loader) -> None:
    hosts = "".join(f"    h{number}: {{x: no}}\n" for number in range(50))
    (warning,) = read({"h.yml": f"all:\n  hosts:\n{hosts}"}).warnings
    assert (warning.line, warning.column) == (3, 13)


@pytest.mark.parametrize("section", ["hosts", "children"])
@pytest.mark.parametrize("names", ["web01 web02", "\n      web01\n      web02\n      web03"])
def test_names_without_colons_are_no_single_name(read: Loader, section: str, names: str) -> None:
    with pytest.raises(InputErrors) as caught:
        read({"h.yml": f"all:\n  children:\n    g:\n     {section}: {names}\n"})
    (problem,) = caught.value.problems
    assert "one name with blanks" in problem.message
    assert problem.hint == "web01:"


def test_a_lone_name_needs_no_colon(read: Loader) -> None:
    assert read({"h.yml": "all: {hosts: web01}\n"}).hosts == ("web01",)


@pytest.mark.parametrize("name", ["web01 web02", "web01 ", "web01,web02", "web01;web02"])
def test_a_name_that_looks_like_several_is_warned_of(read: Loader, name: str) -> None:
    (warning,) = read({"h.yml": f"all:\n  hosts:\n    '{name}':\n"}).warnings
    assert "is one host" in str(warning)


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        (
            "h.yml",
            "all:\n  hosts:\n    'w[1:x]': {ansible_port: abc}\n    7: {ansible_port: x}\n    ok: {ansible_port: 0}\n"
            "  vars: {converge_tls_minimum: 9}\n",
            {3, 4, 5, 6},
        ),
        ("h.ini", "w[1:x] ansible_port=abc\nok stray more ansible_port=z\nb: ansible_port=y\n", {1, 2, 3}),
    ],
    ids=["yaml", "ini"],
)
def test_after_a_wrong_name_the_variables_beside_it_are_judged_too(
    read: Loader, name: str, text: str, lines: set[int]
) -> None:
    with pytest.raises(InputErrors) as caught:
        read({name: text})
    wrong = [problem for problem in caught.value.problems if problem.message.endswith("is wrong")]
    assert {problem.line for problem in wrong} == lines
    others = [problem for problem in caught.value.problems if problem not in wrong]
    assert len(others) == (2 if name == "h.yml" else 3), others
