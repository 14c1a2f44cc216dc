"""Where lines of text go: a terminal with colours, or anything else without. What hosts sent is made visible here."""

from __future__ import annotations

import os
from typing import IO, Protocol, cast

from converge.report.visible import visible


class Stream(Protocol):
    """What text is written to, as far as it matters here."""

    @property
    def encoding(self) -> str | None:
        """How it turns letters into bytes."""

    def isatty(self) -> bool:
        """Whether a person reads along."""

    def write(self, text: str, /) -> int:
        """Take some text."""

    def flush(self) -> None:
        """Hand it on."""


class Sink(Protocol):
    """Takes one line after the other."""

    def line(self, text: str = "", *, style: str = "") -> None:
        """Write one line. A line break or control character within it is spelled out."""


class PlainSink:
    """Lines without colours. Letters that the stream's encoding lacks are spelled out as well."""

    def __init__(self, out: Stream) -> None:
        self._out = out
        self._encoding = out.encoding or "utf-8"

    def line(self, text: str = "", *, style: str = "") -> None:
        """Write one line."""
        safe = visible(text).encode(self._encoding, "backslashreplace").decode(self._encoding)
        self._out.write(safe + "\n")


class TerminalSink:
    """Lines with colours. Markup is never read out of them."""

    def __init__(self, out: Stream) -> None:
        from rich.console import Console

        self._console = Console(file=cast("IO[str]", out), markup=False, highlight=False, emoji=False, soft_wrap=True)

    def line(self, text: str = "", *, style: str = "") -> None:
        """Write one line."""
        from rich.text import Text

        self._console.print(Text(visible(text), style=style), soft_wrap=True)


def sink_for(out: Stream) -> Sink:
    """Colours only on a terminal that can show them and whose owner did not set NO_COLOR."""
    plain = not out.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return PlainSink(out) if plain else TerminalSink(out)
