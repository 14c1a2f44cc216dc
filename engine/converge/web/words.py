"""Templates, and how values stand in them: everything is escaped, and what would hide or turn writing around is spelled out."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from converge.model.change import Json
from converge.report.folding import folded
from converge.report.runs import action_in_words, describe_open
from converge.report.values import difference
from converge.report.visible import visible
from converge.report.vocabulary import ORDER, word
from converge.web.query import address

LONGEST_TEXT = 500  # characters of one text that a page shows
LONGEST_NAMES = 1500  # characters of folded names
EXITS = {
    0: "in order", 1: "refused", 2: "drift", 3: "failures", 4: "unreachable", 5: "stale plan", 6: "stopped", 7: "held",
    70: "a bug", 130: "interrupted",
}  # fmt: skip
_UNITS = ((86400 * 2, 86400, "days"), (3600 * 2, 3600, "h"), (120, 60, "min"), (0, 1, "s"))


@cache
def templates() -> Environment:
    """The environment of all templates."""
    environment = Environment(
        loader=PackageLoader("converge.web"), autoescape=True, undefined=StrictUndefined, finalize=_made_visible,
        trim_blocks=True, lstrip_blocks=True, auto_reload=False,
    )  # fmt: skip
    environment.globals.update(address=address, ORDER=ORDER, layout="base.html", single=False)
    environment.filters.update(
        word=word, minute=minute, ago=ago, short=short, names=names, differences=differences, exit=exit_words,
        action=action_in_words, open_ends=describe_open, number=number, problem=problem,
        iso=iso, shell=shlex.quote,
    )  # fmt: skip
    return environment


def _made_visible(value: object) -> object:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def iso(stamp: str | datetime) -> str:
    """A moment as programs read it."""
    return stamp.astimezone(UTC).isoformat(timespec="seconds") if isinstance(stamp, datetime) else stamp


def minute(stamp: str | datetime | None) -> str:
    """A moment in UTC, to the minute."""
    text = stamp.astimezone(UTC).isoformat() if isinstance(stamp, datetime) else stamp or ""
    return text[:16].replace("T", " ")


def ago(stamp: str | datetime | None, now: datetime) -> str:
    """How long ago a moment was, or how long it is until then."""
    try:
        moment = stamp if isinstance(stamp, datetime) else datetime.fromisoformat(stamp or "")
    except ValueError:
        return ""
    seconds = (now - (moment if moment.tzinfo else moment.replace(tzinfo=UTC))).total_seconds()
    size = abs(seconds)
    _, unit, name = next(each for each in _UNITS if size >= each[0])
    words = f"{int(size // unit)} {name}"
    return f"{words} ago" if seconds >= 0 else f"in {words}"


def short(text: object, longest: int = LONGEST_TEXT) -> str:
    """A text of bounded length."""
    words = str(text)
    return words if len(words) <= longest else f"{words[:longest]}… ({len(words):,} characters)"


def names(hosts: list[str]) -> str:
    """Host names in few words."""
    return short(folded(hosts), LONGEST_NAMES)


def differences(resource: Mapping[str, Json]) -> list[tuple[str, str]]:
    """What leaves and what comes, line by line."""
    return [(mark, line) for mark, line in difference(resource.get("before"), resource.get("after"))]


def exit_words(code: int | None) -> str:
    """An exit code with its meaning."""
    return f"{code}, {EXITS.get(code, 'unknown')}" if code is not None else ""


def number(value: int) -> str:
    """A number with its thousands apart."""
    return f"{value:,}"


def problem(error: Mapping[str, str]) -> str:
    """An error on one line."""
    what, code = str(error.get("what", "")), str(error.get("code", ""))
    return f"{what} [{code}]" if what or code else ""
