"""Hosts of the lab for programs written by others, and those programs themselves, installed unmodified."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.debian import install

from converge.lab.endpoint.host import WINRM_3, EndpointPolicy, SimulatedHost, Stack
from converge.lab.endpoint.server import LabServer
from converge.lab.image import load_image
from converge.lab.world import LabAccount, World
from converge.model.names import fold

INSTALLING = 300  # seconds that fetching a program may take
RUNNING = 60  # seconds for one run of it
USER, PASSWORD = "outsider", "Outsider-1"  # no name that the image has in its domain
OPEN = EndpointPolicy(basic=True, allow_unencrypted=True)
SEALED_ONLY = EndpointPolicy()


@dataclass(frozen=True, slots=True)
class Served:
    """A simulated Windows Server 2003 that listens, and who may log in there."""

    world: World
    host: SimulatedHost
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/wsman"


@dataclass(frozen=True, slots=True)
class Ended:
    """What a run of a program left behind."""

    code: int
    out: str
    err: str

    @property
    def told(self) -> str:
        """Everything it said, on one line a line."""
        return self.out + self.err


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Serves an image to clients that log in as USER with PASSWORD."""
    with LabServer() as server:

        def start(policy: EndpointPolicy = OPEN, *, stack: Stack = WINRM_3, image: str = "exchange2003") -> Served:
            world = load_image(image, host_name="LAB1")
            world.accounts[fold(USER)] = LabAccount(name=USER, password=PASSWORD)
            host = SimulatedHost("lab1", world, policy=policy, stack=stack)
            (endpoint,) = server.start([host])
            return Served(world, host, endpoint.port)

        yield start


def run(words: Sequence[str | Path], *, folder: Path, env: dict[str, str] | None = None) -> Ended:
    """Run a program in a folder that is its home, with nothing of the tester's own settings but the path."""
    settings = {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8", **(env or {})}
    done = subprocess.run(
        [str(word) for word in words], cwd=folder, env=settings, stdin=subprocess.DEVNULL, text=True,
        capture_output=True, timeout=RUNNING, check=False,
    )  # fmt: skip
    return Ended(done.returncode, done.stdout, done.stderr)


@contextmanager
def one_at_a_time(place: Path) -> Iterator[None]:
    """Several workers may want the same program: one installs it, the others wait."""
    with (place / ".installing").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this session that all its workers share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base


@pytest.fixture(scope="session")
def ansible(shared: Path) -> Path:
    """The folder of the programs of ansible-core, in a virtual environment of its own that goes with the session."""
    place = shared / "ansible-core"
    with one_at_a_time(shared):
        if not (place / "ready").exists():
            try:
                _quietly(sys.executable, "-m", "venv", "--clear", place)
                _quietly(place / "bin" / "python", "-m", "pip", "install", "-q", "ansible-core", "pywinrm")
            except (OSError, subprocess.SubprocessError):
                pytest.skip("ansible-core cannot be installed here")
            (place / "ready").touch()
    return place / "bin"


def debian_program(name: str, *packages: str, shared: Path) -> str:
    """A program of Debian's, installed by apt-get where that is possible."""
    with one_at_a_time(shared):
        if shutil.which(name) is None:
            if shutil.which("apt-get") is None or os.geteuid() != 0:
                pytest.skip(f"{name} is not installed and only root on Debian could install it")
            try:
                install(*packages)
            except (OSError, subprocess.SubprocessError):
                pytest.skip(f"{name} cannot be installed here")
    found = shutil.which(name)
    assert found is not None
    return found


def _quietly(*words: str | Path) -> None:
    settings = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = [str(word) for word in words]
    subprocess.run(command, env=settings, stdin=subprocess.DEVNULL, capture_output=True, timeout=INSTALLING, check=True)


@pytest.fixture(scope="session")
def winrmcp(shared: Path) -> str:
    """Debian's winrmcp."""
    return debian_program("winrmcp", "winrmcp", shared=shared)


@pytest.fixture(scope="session")
def wsl(shared: Path) -> str:
    """Debian's wsl, the Wsman Shell Command Line; it calls curl, and uuidgen without saying so in its dependencies."""
    debian_program("curl", "curl", shared=shared)
    debian_program("uuidgen", "uuid-runtime", shared=shared)
    return debian_program("wsl", "wsl", shared=shared)
