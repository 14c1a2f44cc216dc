"""A Kerberos realm of one's own: MIT's KDC as Debian ships it, on a loopback port, with every file in one folder."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

NAME: Final = "LAB.TEST"
USER, PASSWORD = "alice", "Kerberos works 1!"
PRINCIPAL: Final = f"{USER}@{NAME}"
HOST: Final = "localhost"
STARTING: Final = 20.0

_CLIENTS = """
[libdefaults]
  default_realm = {name}
  dns_lookup_kdc = false
  dns_lookup_realm = false
  dns_canonicalize_hostname = false
  rdns = false
  udp_preference_limit = 1
  forwardable = true
[realms]
  {name} = {{
    kdc = 127.0.0.1:{port}
  }}
  DEAD.TEST = {{
    kdc = 127.0.0.1:{dead}
  }}
[domain_realm]
  localhost = {name}
"""
_SERVER = """
[kdcdefaults]
  kdc_listen = ""
  kdc_tcp_listen = 127.0.0.1:{port}
[realms]
  {name} = {{
    database_name = {folder}/principal
    key_stash_file = {folder}/stash
    acl_file = {folder}/none.acl
    max_life = 10h
  }}
[logging]
  kdc = FILE:{folder}/kdc.log
"""


class Realm:
    """Runs from `start` to `stop`; `ahead` is by how many hours its clock is ahead, by Debian's faketime."""

    def __init__(self, folder: Path, *, ahead: int = 0) -> None:
        self.folder = folder
        self.keytab = folder / "host.keytab"
        self.port, dead = free_port(), free_port()
        self._ahead = ahead
        self._kdc: subprocess.Popen[bytes] | None = None
        (folder / "krb5.conf").write_text(_CLIENTS.format(name=NAME, port=self.port, dead=dead))
        (folder / "kdc.conf").write_text(_SERVER.format(name=NAME, port=self.port, folder=folder))

    @property
    def environment(self) -> dict[str, str]:
        """What makes Kerberos programs and libraries look here and nowhere else."""
        return {
            "KRB5_CONFIG": str(self.folder / "krb5.conf"),
            "KRB5_KDC_PROFILE": str(self.folder / "kdc.conf"),
            "KRB5CCNAME": f"FILE:{self.folder / 'tickets'}",
            "KRB5RCACHENAME": "none:",
        }

    def start(self) -> None:
        """Make the realm with one user and the host's keys, and wait until it answers."""
        self._run(["kdb5_util", "-r", NAME, "create", "-s", "-P", "of the realm"])
        self.admin(f'addprinc +requires_preauth -pw "{PASSWORD}" {USER}')
        self.admin(f"addprinc -randkey HTTP/{HOST}")
        self.admin(f"ktadd -k {self.keytab} HTTP/{HOST}")
        clock = ["faketime", "--exclude-monotonic", "-f", f"+{self._ahead}h"] if self._ahead else []
        log = (self.folder / "krb5kdc.out").open("wb")
        self._kdc = subprocess.Popen(
            [*clock, "krb5kdc", "-n", "-r", NAME],
            env=self._settings(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        ends = time.monotonic() + STARTING
        while time.monotonic() < ends:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.05)
        self.stop()
        raise TimeoutError(f"the KDC does not listen: {(self.folder / 'krb5kdc.out').read_text()}")

    def stop(self) -> None:
        """End the KDC."""
        if self._kdc is not None:
            # faketime runs the KDC as a child of its own: both are ended, and nobody else is in their group.
            os.killpg(self._kdc.pid, signal.SIGTERM)
            self._kdc.wait(timeout=STARTING)

    def admin(self, command: str) -> None:
        """Do something to the realm's accounts."""
        self._run(["kadmin.local", "-r", NAME, "-q", command])

    def kinit(self, *options: str) -> None:
        """Put a ticket of the user into the cache, as people do."""
        self._run(["kinit", *options, PRINCIPAL], text=PASSWORD + "\n")

    def kdestroy(self) -> None:
        """Empty the cache."""
        (self.folder / "tickets").unlink(missing_ok=True)

    def _settings(self) -> dict[str, str]:
        return {**os.environ, **self.environment, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}

    def _run(self, words: Sequence[str], *, text: str = "") -> None:
        done = subprocess.run(
            words, env=self._settings(), input=text, text=True, capture_output=True, timeout=STARTING, check=False
        )
        if done.returncode or "Cannot" in done.stderr:
            raise RuntimeError(f"{words[0]}: {done.stderr}")


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])
