"""Names of runs, and host names as file names."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from converge.store.names import file_name, host_name, new_run_id


def test_run_ids_sort_by_time_and_differ() -> None:
    moment = datetime(2026, 11, 20, 22, 1, 7, tzinfo=UTC)
    assert re.fullmatch(r"2026-11-20T220107Z-[0-9a-f]{4}", new_run_id(moment))
    assert len({new_run_id(moment) for _ in range(50)}) > 40


@given(st.text(max_size=60))
def test_a_file_name_reads_back_as_the_host(host: str) -> None:
    name = file_name(host)
    assert "/" not in name
    assert name not in ("", ".", "..")
    if "~" not in name:
        assert host_name(name) == host


def test_long_names_differ() -> None:
    assert file_name("x" * 5000) != file_name("x" * 5001)
    assert len(file_name("é" * 5000)) <= 200
