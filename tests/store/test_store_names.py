"""Names of runs, and host names as file names."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from converge.store.names import file_name, host_name, new_run_id


def test_run_ids_sort_by_time_and_differ() -> None:
    moment = datetime(2026, 11, 20, 22, 1, 7, tzinfo=UTC)
    ids = [new_run_id(moment + timedelta(microseconds=20 * number)) for number in range(50_000)]
    assert ids == sorted(set(ids))
    assert re.fullmatch(r"2026-11-20T220107Z-[0-9a-f]{4}", ids[-1])


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
