"""ansible-core with ansible.windows against a stand-in that answers its modules at once, which is in Ansible's favour.

Both are looked for outside this repository, and left out where they are missing.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench.processes import ROOT, measured
from tests.bench.rows import Row

STAND_IN = ROOT.parent / "shared" / "bench"
VENV = Path.home() / ".cache" / "converge-bench" / "venv"
BOOKS = {
    "ansible, 22 tasks": "q245208.yml",
    "ansible, 5 loops": "q245208_loops.yml",
    "ansible, one script": "q245208_oneshot.yml",
}
FORKS = 20
_CONTROL = "http://127.0.0.1:15985"
_FINE = re.compile(r"^win\d+\s+: ok=\d+\s+changed=0\s+unreachable=0\s+failed=0 ", re.MULTILINE)


def missing() -> str:
    """What is not there, in words; empty where Ansible can be measured."""
    if not (VENV / "bin" / "ansible-playbook").exists():
        return f"no Ansible at {VENV}"
    return "" if STAND_IN.exists() else f"no {STAND_IN}"


def ansible(hosts: int) -> Iterator[Row]:
    """Every way to write the 22 checks, over both logins."""
    environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1")
    program = [str(VENV / "bin" / "python"), str(STAND_IN / "stub_winrm.py")]
    stub = subprocess.Popen(program, stdout=subprocess.PIPE, env=environment)
    try:
        assert stub.stdout
        assert stub.stdout.readline().startswith(b"ready")
        for login in ("basic", "ntlm"):
            for what, book in BOOKS.items():
                yield _played(what, book, login=login, hosts=hosts)
    finally:
        stub.terminate()
        stub.wait(timeout=10)


def _played(what: str, book: str, *, login: str, hosts: int) -> Row:
    with tempfile.TemporaryDirectory(prefix="converge-bench-") as folder:
        inventory = Path(folder) / "inventory.yml"
        told = subprocess.run(
            [sys.executable, str(STAND_IN / "gen_inventory.py"), str(hosts), f"winrm-{login}"],
            capture_output=True, check=True, text=True, timeout=30,
        )  # fmt: skip
        inventory.write_text(told.stdout)
        words = ["-i", str(inventory), "-f", str(FORKS), str(STAND_IN / book), "--check"]
        environment = {"PATH": f"{VENV}/bin:/usr/bin:/bin", "HOME": folder, "LANG": "C.UTF-8"}
        before = _control("/reset")
        command = [str(VENV / "bin" / "ansible-playbook"), *words]
        used = measured(command, folder=Path(folder), environment=environment)
        after = _control("/stats")
    if used.code != 0 or len(_FINE.findall(used.output)) != hosts:
        raise SystemExit(f"{what} ended with {used.code}:\n{used.output[-3000:]}")
    size = (after["bytes_in"] + after["bytes_out"]) / hosts
    return Row(
        what, login, hosts, 0, used, after["requests"] / hosts, size, (after["cpu"] - before["cpu"]) / hosts * 1000
    )


def _control(path: str) -> dict[str, Any]:
    with urllib.request.urlopen(_CONTROL + path, timeout=10) as answer:
        told: dict[str, Any] = json.load(answer)
        return told
