"""A host that answers without end costs no more memory than one answer may."""

from __future__ import annotations

import socket
import threading
import tracemalloc
from collections.abc import Iterator

import pytest

from converge.errors import ConvergeError
from converge.model.query import OperatingSystem
from converge.model.secret import Secret
from converge.winrm.connection import Connection, Login, MessageSealing
from converge.winrm.observer import WinRMObserver

LIMIT = 2_000_000
PIECE = b"<a>" + b"x" * 65_000 + b"</a>"
HEADS = {
    "a length that is a lie": b"Content-Length: 99999999999\r\n\r\n",
    "no length": b"Connection: close\r\n\r\n",
    "endless headers": b"",
}


@pytest.fixture
def flooding(request: pytest.FixtureRequest) -> Iterator[int]:
    """Answers every request with a flood, up to 200 MB, until the line is closed."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml;charset=UTF-8\r\n" + HEADS[request.param]
    listener = socket.create_server(("127.0.0.1", 0))

    def flood() -> None:
        try:
            while True:
                line, _ = listener.accept()
                with line:
                    line.recv(65_536)
                    line.sendall(head)
                    for number in range(3000):
                        line.sendall(PIECE if HEADS[request.param] else b"X-%d: %s\r\n" % (number, b"y" * 60_000))
        except OSError:
            return

    threading.Thread(target=flood, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


@pytest.mark.parametrize("flooding", list(HEADS), indirect=True)
def test_a_flood_ends_at_the_limit(flooding: int) -> None:
    observer = WinRMObserver(
        Connection(
            "h", f"http://127.0.0.1:{flooding}/wsman", username="u", password=Secret("p"), login=Login.BASIC,
            sealing=MessageSealing.NEVER, operation_timeout=5, read_timeout=10, max_answer=LIMIT,
        )
    )  # fmt: skip
    tracemalloc.start()
    try:
        answers: object = observer.ask([OperatingSystem()])
        assert answers
    except ConvergeError as error:
        assert str(error)  # noqa: PT017  # either is fine: what counts is the memory
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        observer.close()
    assert peak < 8 * LIMIT
