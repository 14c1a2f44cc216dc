"""A skipped test proves nothing: it fails, unless its reason is listed in allowed_skips.txt. What takes longest begins first."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes tells of the machine, not of the code: what hangs meets the test's time limit.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
# In CI the examples are the same every time: a run there judges the change, and new examples are sought elsewhere.
settings.register_profile("ci", parent=settings.get_profile("unhurried"), derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background of a shell, interrupts would be ignored here and by every program that a test starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)

_ALLOWED = [
    line.strip()
    for line in (Path(__file__).parent / "allowed_skips.txt").read_text(encoding="utf-8").splitlines()
    if line.strip() and not line.startswith("#")
]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """With `--dist loadgroup`, tests that share what is expensive to make are run by one worker.

    A scheduler of our own, because pytest-xdist up to 3.8 silently knows no groups with pytest 9. It hands them out in the order
    of collection, and not by their number of tests.
    """
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    class Sharing(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
        """Every test that is in no group is one by itself."""

        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    config.option.loadscopereorder = False
    return Sharing(config, log) if config.getoption("dist") == "loadgroup" else None


# What takes longest, the longest first: beginnings of files or tests.
_FIRST = (
    "tests/wine/test_wine_undo", "tests/wine/", "tests/logins/test_logins_own", "tests/cluster/test_cluster_workers",
    "tests/cluster/", "tests/schedule/test_schedule_month", "tests/evening/test_evening_races", "tests/bench/",
    "tests/apply/test_apply_killed", "tests/winrm/test_winrm_many", "tests/web/", "tests/schedule/test_schedule_windows_kept",
    "tests/schedule/test_schedule_daemon", "tests/cli/test_cli_rolling", "tests/apply/test_apply_undo_any",
    "tests/apply/test_apply_stopped", "tests/cli/test_cli_plans", "tests/evening/", "tests/cli/",
)  # fmt: skip


def group_of(nodeid: str) -> str:
    """Tests of Wine share a Windows, in two halves; of a file about pages, servers and a browser; of a cluster, its workers."""
    file = Path(nodeid.partition("::")[0])
    name = nodeid.partition("::")[2]
    if file.parent.name == "wine" or (file.parent.name == "contract" and "[wine" in name):
        return "wine undo" if file.stem == "test_wine_undo" else "wine"
    if file.parent.name == "web":
        return str(file)
    return "cluster" if file.stem == "test_cluster_workers" and "[dask" not in name else nodeid


def rank(nodeid: str) -> int:
    """When a test begins, 0 first; of a group it is what counts for the first of them."""
    return next((number for number, beginning in enumerate(_FIRST) if nodeid.startswith(beginning)), len(_FIRST))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, lest all wait for it in the end."""
    items.sort(key=lambda item: rank(item.nodeid))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip for a reason nobody listed into a failure."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        _refuse_unlisted(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a file that skips itself."""
    report = yield
    if report.skipped:
        _refuse_unlisted(report)
    return report


def _refuse_unlisted(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if not any(fnmatchcase(reason, pattern) for pattern in _ALLOWED):
        report.outcome = "failed"
        report.longrepr = f"skipped for a reason that tests/allowed_skips.txt does not list: {reason}"
