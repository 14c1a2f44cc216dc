"""Durations are read alike wherever they may be written: in playbooks, policies, inventories and options."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from converge.cli.options import Duration as Option
from converge.inventory import known
from converge.model.durations import SPELLINGS, in_words, read_duration
from converge.schedule.policy import Duration as PolicyDuration
from converge.schedule.policy import GroupPolicy
from converge.schedule.windows import RuleWindow, read_windows
from converge.windows.fields import Duration as PlaybookDuration

RIGHT = [
    ("90", 90), (90, 90), ("90s", 90), ("90 seconds", 90), ("1 second", 1), ("10m", 600), ("10 minutes", 600), ("1 min", 60),
    ("1h30m", 5400), ("1h 30m", 5400), ("1 hour 30 minutes", 5400), ("3 h 20 min", 12000), ("12H", 43200), ("1.5 h", 5400),
    ("2d", 172800), ("7 days", 604800), ("1w", 604800), ("2 weeks", 1209600), ("1w2d3h4m5s", 788645), (" 5m ", 300),
]  # fmt: skip
WRONG = [
    "", " ", "soon", "7 fortnights", "-1h", -1, True, None, [], 1e18, float("nan"), float("inf"), "1" * 400, "1e3", "nan",
    "1h1h", "30m1h", "1:30", "10 m/s", "1m30", "m", "h5", "1 mins", "10 M 5", "\u0661h", "5\nm", "P1D",
]  # fmt: skip


def _window(value: object) -> timedelta:
    (window,) = read_windows({"rrule": "FREQ=DAILY", "duration": value, "timezone": "UTC"}).windows
    assert isinstance(window, RuleWindow)
    return window.duration


def _cadence(value: object) -> timedelta:
    interval = GroupPolicy.model_validate({"cadence": value, "splay": 0}).trigger().interval
    assert isinstance(interval, timedelta)
    return interval


READERS: dict[str, Callable[[object], timedelta]] = {
    "itself": read_duration,
    "playbook": lambda value: timedelta(seconds=TypeAdapter(PlaybookDuration).validate_python(value)),
    "policy": TypeAdapter(PolicyDuration).validate_python,
    "cadence": _cadence,
    "window": _window,
    "inventory": lambda value: timedelta(seconds=known.seconds(value)),
    "retention": known.retention,
    "option": lambda value: timedelta(seconds=Option().convert(value, None, None)),
}
BOUNDS = {"cadence": (10, 10**9), "window": (60, 31 * 86400), "inventory": (1, 86400), "retention": (3600, 10**9),
          "option": (0, 86400)}  # fmt: skip


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(("text", "seconds"), RIGHT)
def test_every_place_reads_it_alike(name: str, text: object, seconds: int) -> None:
    low, high = BOUNDS.get(name, (0, 10**9))
    if low <= seconds <= high:
        assert READERS[name](text) == timedelta(seconds=seconds)
    else:
        with pytest.raises((ValueError, click.BadParameter)):
            READERS[name](text)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("text", WRONG, ids=repr)
def test_no_place_reads_what_is_none(name: str, text: object) -> None:
    with pytest.raises((ValueError, click.BadParameter)):
        READERS[name](text)


@pytest.mark.parametrize(("text", "seconds"), [*RIGHT, *((text, None) for text in WRONG if isinstance(text, str))])
def test_editors_are_told_the_same(text: object, seconds: int | None) -> None:
    pattern = SPELLINGS[1]["pattern"]
    assert isinstance(pattern, str)
    if isinstance(text, str) and len(text) < 100:
        assert bool(re.search(pattern, text)) is (seconds is not None)


@given(st.integers(0, 86400 * 365))
def test_what_is_told_in_whole_is_read_again(seconds: int) -> None:
    told = in_words(timedelta(seconds=seconds))
    read = read_duration(told)
    assert in_words(read) == told
    assert timedelta(0) <= timedelta(seconds=seconds) - read < timedelta(hours=1)


def test_a_number_alone_is_no_time_for_which_to_keep_files() -> None:
    with pytest.raises(ValueError, match="at least an hour, with its unit"):
        known.retention(30)
