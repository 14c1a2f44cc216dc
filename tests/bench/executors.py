"""What an executor costs: `python -m tests.bench.executors [HOSTS] [LATENCY_MS]`, threads and dask side by side.

The whole tree of processes is measured by looking at it while it runs: what a process used after the last look is missed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.fleet import IMAGE, Bench
from tests.bench.processes import ROOT, Answerers, memory_of, tree_of

EXECUTORS = ("threads", "dask:2")
HEAD = "| executor | wall s | CPU s | control node CPU s | processes | peak MB |\n|---|--:|--:|--:|--:|--:|"
LOOK_SECONDS = 0.05
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Tree:
    """What a process and all its descendants used: CPU seconds by process, and the peak of their memory in kilobytes."""

    cpu: dict[int, float] = field(default_factory=dict)
    peak: int = 0

    def look(self, pid: int) -> None:
        """Look at it as it is now."""
        pids = tree_of(pid)
        for each in pids:
            try:
                fields = Path(f"/proc/{each}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
            except OSError:
                continue
            self.cpu[each] = (int(fields[11]) + int(fields[12])) / TICKS
        self.peak = max(self.peak, sum(memory_of(each) for each in pids))


def measure(executor: str, inventory: Path, folder: Path, *, forks: int) -> str:
    """One row: wall seconds, CPU seconds of all and of the control node, processes and megabytes, of one check of the hosts."""
    words = ["run", "--check", "--forks", str(forks), "--executor", executor, "-i", str(inventory)]
    checks = str(ROOT / "tests" / "bench" / "checks.yml")
    tree = Tree()
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "converge.cli.main", *words, checks], cwd=folder,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    while process.poll() is None:
        tree.look(process.pid)
        time.sleep(LOOK_SECONDS)
    wall = time.monotonic() - began
    if process.returncode != 0:
        raise SystemExit(process.communicate()[1].decode())
    total, control = sum(tree.cpu.values()), tree.cpu[process.pid]
    return f"| {executor} | {wall:.1f} | {total:.1f} | {control:.1f} | {len(tree.cpu)} | {tree.peak / 1024:.0f} |"


def main() -> None:
    """Print a row for each executor."""
    hosts = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    latency = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with tempfile.TemporaryDirectory(prefix="converge-bench-") as name, Answerers(2, image=IMAGE) as answerers:
        folder = Path(name)
        bench = Bench(answerers, folder)
        bench.converge("ntlm", 4, 0)
        answerers.tell(f"latency {latency / 1000}")
        inventory = bench.inventory("ntlm", hosts)
        print(f"{hosts} hosts, {latency} ms\n{HEAD}")  # noqa: T201  # it is what this program is for
        for executor in EXECUTORS:
            print(measure(executor, inventory, folder, forks=50), flush=True)  # noqa: T201  # see above


if __name__ == "__main__":
    main()
