"""Whatever changes a run makes, in whatever order, taking it back gives the same world."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.apply.apply_site import Site, told
from tests.apply.conftest import MEMORY_DISK
from tests.apply.test_apply_undo import VENDOR

KEYS = (VENDOR, VENDOR + r"\Empty", VENDOR + r"\New\Deep", r"HKLM\SOFTWARE\WOW6432Node\Vendor")
NAMES = ("Text", "Path", "List", "Number", "Large", "Octets", "new", "")
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp", "Zs", "Cn", "Co")), min_size=1, max_size=20
)
DATA = st.one_of(
    st.tuples(st.sampled_from(["string", "expand_string"]), TEXTS.filter(lambda text: "{" not in text)),
    st.tuples(st.just("multi_string"), st.lists(TEXTS.filter(lambda text: "{" not in text), max_size=4)),
    st.tuples(st.just("dword"), st.integers(0, 2**32 - 1)),
    st.tuples(st.just("qword"), st.integers(0, 2**64 - 1)),
    st.tuples(st.just("binary"), st.binary(max_size=20).map(bytes.hex)),
)
WRITTEN = st.builds(
    lambda key, name, data: {"registry_value": {"key": key, "name": name, "type": data[0], "data": data[1]}},
    st.sampled_from(KEYS), st.sampled_from(NAMES), DATA,
)  # fmt: skip
REMOVED = st.builds(
    lambda key, name: {"registry_value": {"key": key, "name": name, "ensure": "absent"}},
    st.sampled_from(KEYS), st.sampled_from(NAMES),
)  # fmt: skip
FOLDERS = (r"D:\Vendor", r"D:\Vendor\new", r"D:\Vendor\new\er")
MADE = st.sampled_from(FOLDERS).map(lambda path: {"directory": {"path": path}})
FILES = st.builds(
    lambda folder, name, how: {"file": {"path": f"{folder}\\{name}", **how}},
    st.sampled_from(FOLDERS), st.sampled_from(["app.dll", "a.txt", "ä 日本.dll"]),
    st.one_of(
        st.just({"ensure": "absent"}),
        st.just({"copy_from": r"D:\Media\new.dll"}),
        st.text("abcä", max_size=5).map(lambda text: {"content": text}),
    ),
)  # fmt: skip
SERVICES = st.builds(
    lambda name, running, mode: {"service": {"name": name, "running": running, "start_mode": mode}},
    st.sampled_from(["Plain", "Busy", "Barred", "Slow"]), st.booleans(), st.sampled_from(["automatic", "manual"]),
)  # fmt: skip
ENTRIES = st.lists(
    st.one_of(WRITTEN, REMOVED, MADE, FILES, SERVICES), min_size=1, max_size=8,
    unique_by=lambda entry: str(sorted((kind, body.get("key"), body.get("name"), body.get("path")) for kind, body in entry.items())),
)  # fmt: skip


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(entries=ENTRIES)
def test_the_world_is_the_same(entries: list[dict[str, Any]]) -> None:
    within = MEMORY_DISK if MEMORY_DISK.is_dir() else None
    with tempfile.TemporaryDirectory(dir=within) as name:
        site = Site(Path(name))
        before = site.essence()
        site.apply(site.plays(entries))
        after = site.essence()
        result = site.undo()
        assert result.status.value in ("changed", "ok", "skipped"), told(result)
        assert site.essence() == before, told(result)
        back = site.undo()
        assert back.status.value in ("changed", "ok", "skipped"), told(back)
        assert site.essence() == after, told(back)
