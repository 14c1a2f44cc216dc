"""Files as bytes: whatever they hold, they load or say at which place they do not, within bounds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converge.errors import InputErrors, InputProblem
from converge.model.play import Play, Scope
from converge.model.resource import KINDS
from converge.playbook import load

Texts = Callable[[str], str]
Plays = Callable[..., tuple[Play, ...]]
OnePlay = Callable[..., Play]
Problems = Callable[..., tuple[InputProblem, ...]]
ScopeOf = Callable[..., Scope]


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


SERVICE = "resources: [{service: {name: W3SVC, running: true}}]"


@pytest.mark.parametrize(
    ("data", "place", "words"),
    [
        (b"", (0, 0), "no play"),
        (b"# nothing\n", (0, 0), "no play"),
        (b"[]", (1, 1), "no play"),
        (b"hosts: all\n", (1, 1), "list of plays"),
        (b"just words", (1, 1), "list of plays"),
        (b"- 7", (1, 3), "a play is a mapping"),
        (b"- name: x\n\thosts: all\n", (2, 1), "tab"),
        (b"- name: a\n  name: b\n", (2, 3), "twice"),
        (b"\xff\xfe-\x00", (0, 0), "UTF-16"),
        (b"- name: x\n  hosts: \xe4\n", (2, 10), "not UTF-8"),
        (b"- name: 'x\x07'\n", (1, 11), "U+0007"),
        (b"- name: 'x", (1, 9), "is not closed"),
        (b"- {name: x}\n---\n- {name: y}\n", (2, 1), "second document"),
        (b"- &a [*a]", (1, 7), "names no anchor"),
        (b"- " + b"[" * 500, (1, 43), "nested deeper"),
        (b"- name: {{ x }}", (1, 10), "must be a text"),
        (b"- name: {{ x }}\\foo", (1, 10), "quotes"),
        (b'- name: "c:\\Setup"', (1, 12), "single quotes"),
        (b"- !!python/object:os.system {name: x}", (1, 3), "is not known"),
        (b"- name: !vault x", (1, 9), "inventory"),
        (b"- ? [a]\n  : x", (1, 5), "must be a text"),
    ],
)
def test_a_broken_file_is_told_with_its_place(
    problems_in: Problems, data: bytes, place: tuple[int, int], words: str
) -> None:
    problems = problems_in(data)
    assert any((item.line, item.column) == place and words in str(item) for item in problems), problems


def test_a_byte_order_mark_and_windows_line_ends_are_no_mistake(play_text: Texts, plays_of: Plays) -> None:
    text = play_text(SERVICE).replace("\n", "\r\n")
    assert plays_of(b"\xef\xbb\xbf" + text.encode())[0].name == "p"


def test_a_file_that_is_not_there_and_one_that_is_too_large(tmp_path: Path) -> None:
    large = written(tmp_path / "large.yml", b"# " + b"x" * (4 * 1024 * 1024))
    with pytest.raises(InputErrors) as caught:
        load([tmp_path / "none.yml", large, tmp_path], kinds=KINDS)
    texts = [str(problem) for problem in caught.value.problems]
    assert len(texts) == 3
    assert any("none.yml: the file cannot be read" in text for text in texts)
    assert any("large.yml: the file is larger than 4 MiB" in text for text in texts)


def test_problems_of_all_files_are_told_at_once_in_order(tmp_path: Path) -> None:
    one = written(tmp_path / "1.yml", b"- name: x\n  hosts: all\n  resorces: []\n")
    two = written(tmp_path / "2.yml", b"- {nme: x, hosts: all, resources: []}\n")
    with pytest.raises(InputErrors) as caught:
        load([two, one], kinds=KINDS)
    files = [Path(problem.file).name for problem in caught.value.problems]
    assert files == sorted(files)
    assert set(files) == {"1.yml", "2.yml"}


def test_an_alias_bomb_is_refused(problems_in: Problems) -> None:
    lines = ["- vars:", "    a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"    a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    begun = time.process_time()
    problems = problems_in("\n".join(lines))
    assert any("aliases" in problem.message for problem in problems)
    assert time.process_time() - begun < 5


def test_anchors_and_merge_keys_spare_repetition(one_play: OnePlay, scope_of: ScopeOf) -> None:
    body = """
    vars: {common: &common {running: true, start_mode: manual}}
    resources:
      - service: {<<: *common, name: W3SVC, start_mode: automatic}
      - service: {<<: *common, name: SMTPSVC}
    """
    first, second = (
        entry.declare(scope_of(play))[0].resource.model_dump(mode="json")
        for play in [one_play(body)]
        for entry in play.entries
    )
    assert (first["running"], first["start_mode"]) == (True, "automatic")
    assert (second["running"], second["start_mode"]) == (True, "manual")


@pytest.mark.parametrize(
    ("written_as", "value"),
    [
        ("yes", True), ("off", False), ("~", None), ("12", 12), ("-3", -3), ("0x1F", 31), ("1.5", 1.5),
        ("0000", "0000"), ("010", "010"), ("1:30", "1:30"), ("2001-02-03", "2001-02-03"), ("1_000", "1_000"),
        ("9" * 40, "9" * 40), ("'yes'", "yes"), (r"C:\temp\new", r"C:\temp\new"), ("!!str 7", "7"),
    ],
)  # fmt: skip
def test_scalars_are_what_they_look_like(one_play: OnePlay, scope_of: ScopeOf, written_as: str, value: object) -> None:
    play = one_play(f"vars: {{x: {written_as}}}\nresources: []")
    found = scope_of(play)["x"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "better"),
    [
        (r'"c:\temp"', r"c:\temp"),
        (r'"C:\new\readme"', r"C:\new\readme"),
        (r'"C:\Program Files\a"', r"C:\Program Files\a"),
        (r'"C:\Setup\x"', r"C:\Setup\x"),
        (r'"%SystemRoot%\fonts"', r"%SystemRoot%\fonts"),
        (r'"HKLM\\SOFTWARE\a"', r"HKLM\SOFTWARE\a"),
        (r'"{{ x }}\bin"', r"{{ x }}\bin"),
        (r'"C:\0\NTFS\exchange"', r"C:\0\NTFS\exchange"),
    ],
)
def test_a_backslash_that_yaml_ate_is_told_with_the_right_spelling(
    problems_in: Problems, play_text: Texts, text: str, better: str
) -> None:
    problems = problems_in(play_text(f"vars: {{x: 1, dir: {text}}}\nresources: []"))
    assert any(f"write '{better}'" in problem.hint and problem.line == 3 for problem in problems), problems


def test_line_breaks_in_prose_are_meant(one_play: OnePlay) -> None:
    body = r"""
    vars: {note: "first\nsecond"}
    resources:
      - file: {path: 'C:\x.txt', content: "C:\\one\r\nC:\\two\r\n"}
    """
    (entry,) = one_play(body).entries
    assert getattr(entry.declare({})[0].resource, "content") == "C:\\one\r\nC:\\two\r\n"  # noqa: B009 - of a kind mypy does not see


HOSTILE = st.text(alphabet="-:{}[]&*!|>'\"%@`,#?\\ \n\t{}abcx0", max_size=120)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.one_of(st.binary(max_size=200), HOSTILE.map(str.encode)))
def test_any_bytes_load_or_raise_input_errors(problems_in: Problems, data: bytes) -> None:
    problems_in(data)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.just("{{ x }}") | st.just("{{"),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "name", "hosts", "vars", "discover", "applies_when", "resources", "handlers", "tags", "that", "else",
                    "service", "file", "registry_value", "procedure", "steps", "loop", "when", "expr", "notify", "any",
                    "requires", "done_when", "symptoms", "events", "x", "command", "argv", "path", "key", "not", "order",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=30,
)  # fmt: skip


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(value=VALUES)
def test_any_structure_loads_or_raises_input_errors(problems_in: Problems, value: object) -> None:
    problems_in(json.dumps([value] if isinstance(value, dict) else value))


def test_five_thousand_entries_load_in_seconds(one_play: OnePlay) -> None:
    entry = r"- {{file: {{path: '{{{{ d }}}}\f{n}', copy_from: 'C:\src\f{n}'}}, when: facts.os.build > 1, tags: a}}"
    body = "vars: {d: 'D:\\x'}\nresources:\n" + "\n".join("  " + entry.format(n=n) for n in range(5000))
    begun = time.process_time()
    play = one_play(body)
    assert len(play.entries) == 5000
    assert time.process_time() - begun < 20


@pytest.mark.parametrize(
    "text",
    [
        "- name: x\n  hosts: a\n  resources: []\n  vars:\n"
        + "".join(f"    v{n}: '{{{{ w{n} }}}}'\n" for n in range(20_000)),
        "- name: x\n  hosts: a\n  resources:\n" + "  - {servce: {}, a: 1}\n" * 20_000,
        "- {}\n" * 50_000,
        "- name: '" + "{{ x }}" * 100_000 + "'\n",
        "- " * 100_000,
        "# " + "x" * 2_000_000,
    ],
    ids=["names", "entries", "plays", "expressions", "dashes", "comment"],
)
def test_a_large_file_full_of_mistakes_is_told_in_bounded_time(problems_in: Problems, text: str) -> None:
    begun = time.process_time()
    assert 0 < len(problems_in(text)) <= 301
    assert time.process_time() - begun < 30
