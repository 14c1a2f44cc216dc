"""Whatever a host sends, a terminal only ever shows it."""

from __future__ import annotations

import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converge.report.sink import PlainSink, TerminalSink, sink_for
from converge.report.visible import visible

HOSTILE = [
    "\x1b[2J\x1b]0;owned\x07",
    "a\rb",
    "a\nb",
    "\x9b31m",
    "safe\u202etxt.exe",
    "\u200b",
    "\ud800",
    "\x00",
    "\u2028",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_control_characters_are_spelled_out(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable()
    assert shown != text


@pytest.mark.parametrize(
    ("text", "shown"), [("\x1b[0m", "\\x1b[0m"), ("\u202e", "\\u202e"), ("\n", "\\n"), ("Übung", "Übung")]
)
def test_how_they_are_spelled(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=200))
def test_nothing_that_moves_a_cursor_is_left(text: str) -> None:
    shown = visible(text)
    assert not any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in shown)


class Terminal(io.StringIO):
    """A terminal, as far as writing to it goes."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("text", [*HOSTILE, "[red]not markup[/red]", ":boom:", "[link=http://x]y[/link]"])
def test_one_line_stays_one_line_on_a_terminal_and_in_a_pipe(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for out, sink in ((pipe := io.StringIO(), PlainSink(pipe)), (terminal := Terminal(), TerminalSink(terminal))):
        sink.line(text)
        assert out.getvalue().count("\n") == 1
        assert visible(text) in out.getvalue()
        assert "\x1b]" not in out.getvalue()
        assert "\r" not in out.getvalue()


def test_letters_that_a_stream_lacks_are_spelled_out() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii", newline="\n")
    PlainSink(out).line("Dienst läuft")
    out.flush()
    assert raw.getvalue() == b"Dienst l\\xe4uft\n"


def test_colours_are_for_terminals_of_people_who_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(sink_for(Terminal()), TerminalSink)
    assert isinstance(sink_for(io.StringIO()), PlainSink)
    monkeypatch.setenv("NO_COLOR", "1")
    assert isinstance(sink_for(Terminal()), PlainSink)
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(sink_for(Terminal()), PlainSink)
