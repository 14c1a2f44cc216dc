"""`-e` as Ansible users write it."""

from __future__ import annotations

from pathlib import Path

import pytest

from converge.errors import ConvergeError, InputErrors, UsageError
from converge.runs.extra_vars import read_extra_vars


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["a=1"], {"a": "1"}),
        (["a=1 b=two"], {"a": "1", "b": "two"}),
        (["a='x y'"], {"a": "x y"}),
        ([r"a=D:\iis4fix b='C:\Program Files'"], {"a": r"D:\iis4fix", "b": r"C:\Program Files"}),
        (["a="], {"a": ""}),
        (["a=b=c"], {"a": "b=c"}),
        (["{a: 1, b: [x, y]}"], {"a": 1, "b": ["x", "y"]}),
        (['{"a": true}'], {"a": True}),
        (["a: 5"], {"a": 5}),
        (["a=1", "a=2"], {"a": "2"}),
        ([], {}),
        ([""], {}),
    ],
)
def test_words_become_variables(words: list[str], expected: dict[str, object]) -> None:
    assert read_extra_vars(words) == expected


def test_a_file_of_variables(tmp_path: Path) -> None:
    path = tmp_path / "vars.yml"
    path.write_text("\ufeffa: 1\nb: ä\n", encoding="utf-8")
    assert read_extra_vars([f"@{path}"]) == {"a": 1, "b": "ä"}
    path.write_text("# nothing\n")
    assert read_extra_vars([f"@{path}"]) == {}


@pytest.mark.parametrize(
    "words", [["@/no/such/file"], ["just-a-word"], ["1x=2"], ["a='open"], ["{a: "], ["[1, 2]"], ["{1: 2}"]]
)
def test_what_is_no_variable_is_refused(words: list[str]) -> None:
    with pytest.raises(ConvergeError):
        read_extra_vars(words)


@pytest.mark.parametrize("word", ["pw=Geheim'x", "pw=Geheim dots=1 Geheim", "pw=a Geheim-x=1", "Geheim"])
def test_a_refusal_holds_no_value(word: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_extra_vars([word])
    assert "Geheim" not in str(caught.value).replace("Geheim-x=...", "")
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_mistake_in_a_file_has_its_place(tmp_path: Path) -> None:
    path = tmp_path / "vars.yml"
    path.write_text("a: 1\nb: [\n")
    with pytest.raises(InputErrors) as refused:
        read_extra_vars([f"@{path}"])
    assert refused.value.problems[0].file == str(path)
    assert refused.value.problems[0].line >= 2
