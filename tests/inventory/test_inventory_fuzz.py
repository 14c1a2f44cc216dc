"""Hostile and broken inventories: they load, or every problem is told with its place; nothing else happens."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converge.errors import InputErrors, InputProblem
from converge.inventory import load

T = TypeVar("T")

FRAGMENTS = [
    "all:", "hosts:", "vars:", "children:", "\n", "\n  ", "\n    ", "- ", "{", "}", "[", "]", "web[1:3]", ": ", "a", "*x",
    "&x ", "<<", "!vault |", "!unsafe ", "!!int ", "!!binary ", "'", '"', "\\", "#", "\t", "|", ">", "---", "...", "%YAML 1.2",
    "[web]", "[web:vars]", "[web:children]", "k=v", " ansible_port=x", "=", ";", "{{ a }}", "{% raw", "\ufeff", "\x00", "é",
    "? ", ",", "0x_", "1:30", "1_0", ".inf", "\x85", "\u2028", "9" * 5000, "(" * 300, "null", "~",
]  # fmt: skip
fragments = st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join)
names = st.sampled_from(["hosts", "hosts.yml", "hosts.json", "hosts.ini"])


def try_to_load(data: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        inventory, problems = outcome(lambda: load([str(path)]))
        for problem in problems:
            assert problem.file.startswith(folder)
            assert problem.message
        if inventory is None:
            return
        for host in inventory.hosts[:20]:
            outcome(partial(dict, inventory.variables(host)))
            outcome(partial(inventory.settings, host))


def outcome(action: Callable[[], T]) -> tuple[T | None, tuple[InputProblem, ...]]:
    """What an action returns, or the problems it tells of; there must be one or the other."""
    try:
        result = action()
    except InputErrors as error:
        problems = error.problems
    else:
        return result, ()
    assert problems
    return None, problems


@settings(max_examples=150)
@given(st.binary(max_size=300), names)
def test_any_bytes_load_or_tell_what_is_wrong(data: bytes, name: str) -> None:
    try_to_load(data, name)


@settings(max_examples=400)
@given(fragments, names)
def test_any_mixture_of_syntax_loads_or_tells_what_is_wrong(text: str, name: str) -> None:
    try_to_load(text.encode("utf-8", "surrogatepass"), name)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(
            f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join('*' + chr(97 + n) for _ in range(10))}]\n" for n in range(9)
        ),
        "a: &a {b: *a}\n",
        "a: " + "[" * 5000,
        "a: " + "{a: " * 5000,
        "".join(" " * n + "a:\n" for n in range(300)),
        "all: {hosts: {'web[1:2000]x[1:2000]': }}",
        "a: " + " " * 500_000 + ":\n",
    ],
    ids=["alias bomb", "alias of itself", "brackets", "braces", "deep", "range", "blanks"],
)
def test_a_bomb_is_refused_quickly(text: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.yml"
    path.write_text(text)
    start = time.process_time()
    with pytest.raises(InputErrors) as caught:
        load([str(path)])
    assert time.process_time() - start < 20
    assert caught.value.problems[0].line or "range" in str(caught.value)


@pytest.mark.parametrize("kind", ["ini", "yml"])
def test_a_hundred_thousand_hosts_load_in_seconds(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"hosts.{kind}"
    hosts = [(f"web{n:06d}.example.com", f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}") for n in range(100_000)]
    if kind == "ini":
        path.write_text("[web]\n" + "".join(f"{name} ansible_host={address} rack=7\n" for name, address in hosts))
    else:
        body = "".join(f"        {name}:\n          ansible_host: {address}\n" for name, address in hosts)
        path.write_text("all:\n  children:\n    web:\n      vars:\n        ansible_user: x\n      hosts:\n" + body)
    start = time.process_time()
    inventory = load([str(path)])
    taken = time.process_time() - start
    assert len(inventory.hosts) == 100_000
    assert inventory.settings("web099999.example.com").address == "10.1.134.159"
    assert taken < 40, "seconds of CPU"


def test_a_huge_file_is_refused_before_it_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("converge.inventory.sources.MAX_BYTES", 1 << 20)
    (tmp_path / "hosts.ini").write_text("web\n" * 300_000)
    with pytest.raises(InputErrors, match="is larger than 1 MiB"):
        load([str(tmp_path / "hosts.ini")])
