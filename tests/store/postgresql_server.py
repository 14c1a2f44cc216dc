"""A PostgreSQL server of our own in a temporary folder, reached through a socket there and by nobody else."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ABSENT = (
    "no PostgreSQL server is installed here (Debian: apt-get install postgresql): the store was tested on SQLite alone"
)
PATIENCE = 60.0  # seconds until it must answer


def programs() -> Path | None:
    """The folder of initdb and postgres, of the newest version there is."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if found:
        return found[-1].parent
    elsewhere = shutil.which("initdb")
    folder = Path(elsewhere).resolve().parent if elsewhere else None
    return folder if folder and (folder / "postgres").exists() else None


@contextmanager
def served(binaries: Path) -> Iterator[Path]:
    """The folder of the socket, for as long as the server runs."""
    account = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="converge-pg-"))
    if account:
        os.chown(folder, pwd.getpwnam(account).pw_uid, pwd.getpwnam(account).pw_gid)
    data = folder / "data"
    try:
        subprocess.run(
            [binaries / "initdb", "-D", data, "-U", "converge", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
            user=account, cwd=folder, check=True, capture_output=True, timeout=PATIENCE,
        )  # fmt: skip
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [binaries / "postgres", "-D", data, "-k", folder, "-h", "", "-c", "fsync=off"],
                user=account, cwd=folder, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            _await(folder, server)
            yield folder
        finally:
            server.send_signal(signal.SIGINT)  # at once, whoever is still connected
            try:
                server.wait(timeout=20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait(timeout=20)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _await(folder: Path, server: subprocess.Popen[bytes]) -> None:
    import psycopg

    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            psycopg.connect(host=str(folder), user="converge", dbname="postgres").close()
            return
        except psycopg.OperationalError as error:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not come up: {(folder / 'log').read_text()}") from error
            time.sleep(0.1)
