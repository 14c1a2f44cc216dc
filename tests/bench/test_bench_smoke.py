"""The benchmarks run, each on a handful of hosts: what they measure is not judged here, only that they still measure it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.bench.processes import ROOT, Used
from tests.bench.rows import HEAD, Row, beside_ansible


def test_every_row_is_measured(tmp_path: Path) -> None:
    table = tmp_path / "table.md"
    words = ["--hosts", "3", "--latency", "20", "--population", "20", "--engine", "20", "--ansible", "0"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", str(table), *words],
        cwd=ROOT, capture_output=True, text=True, timeout=170, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    lines = table.read_text("utf-8").splitlines()
    assert lines[:2] == list(HEAD)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:] if line.startswith("|")]
    measured = [(row[0].partition(" (")[0], row[1], row[3]) for row in rows]
    for login, bare in (("basic", "requests"), ("ntlm", "pywinrm")):
        assert ("converge --check", login, "20") in measured
        assert (f"bare {bare} loop", login, "20") in measured
        for what in ("answering side alone", "mixed population", "converge --check --format json"):
            assert (what, login, "0") in measured
    assert ("engine without the wire, start-up taken off", "", "0") in measured
    columns = [cell.strip() for cell in HEAD[0].strip("|").split("|")]
    asked = columns.index("requests/host")
    by_converge = {row[asked] for row in rows if row[0] == "converge --check"}
    by_bare = {row[asked] for row in rows if row[0].startswith("bare")}
    assert {float(number) for number in by_bare} == {float(round(float(number))) for number in by_converge}
    first = columns.index("first result s")
    assert all(float(row[first]) > 0 for row in rows if row[0].endswith("json"))


def used(cpu: float) -> Used:
    return Used(wall=1.0, cpu=cpu, memory=0.0, first=0.0, code=0, output="")


def test_ansible_is_set_beside_the_largest_fleet() -> None:
    rows = [
        Row("converge --check", "ntlm", 20, 0, used(1.0)),
        Row("converge --check", "ntlm", 1000, 0, used(10.0)),
        Row("converge --check", "ntlm", 1000, 100, used(99.0)),
        Row("ansible, 22 tasks", "ntlm", 20, 0, used(20.0)),
    ]
    (sentence,) = beside_ansible(rows)
    assert "100 times" in sentence
    assert "1,000" in sentence
