"""Somebody on the way: carries HTTP between a client and a host, and may change what the host answers."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Change = Callable[[int, bytes, bytes], bytes]
"""From the number of an answer, from 0 on, its head and its body: what the client gets instead. Nothing hangs up."""


def unchanged(_number: int, head: bytes, body: bytes) -> bytes:
    """As the host said it."""
    return head + body


@dataclass
class Meddler:
    """Stands before the port `behind`. `heads` are those of all requests it carried."""

    behind: int
    change: Change = unchanged
    heads: list[bytes] = field(default_factory=list)
    answered: int = 0
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _open: list[socket.socket] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def serve(self) -> None:
        """Take connections until closed."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                host = socket.create_connection(("127.0.0.1", self.behind))
                self._open += [client, host]
                threading.Thread(target=self._carry, args=(client, host), daemon=True).start()

    def _carry(self, client: socket.socket, host: socket.socket) -> None:
        with contextlib.suppress(OSError), client, host:
            while (request := whole_message(client)) is not None:
                self.heads.append(request[0])
                host.sendall(request[0] + request[1])
                answer = whole_message(host)
                if answer is None:
                    return
                with self._lock:
                    number, self.answered = self.answered, self.answered + 1
                told = self.change(number, *answer)
                if not told:
                    return
                client.sendall(told)

    def close(self) -> None:
        """Stop listening and carrying."""
        for line in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()


def whole_message(line: socket.socket) -> tuple[bytes, bytes] | None:
    """Head and body of the next message that states its length; None where there is none."""
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0:
        piece = line.recv(65536)
        if not piece:
            return None
        data += piece
    head, body = data[: end + 4], data[end + 4 :]
    rows = [row for row in head.split(b"\r\n") if row.lower().startswith(b"content-length:")]
    length = int(rows[0].split(b":")[1]) if rows else 0
    while len(body) < length:
        piece = line.recv(65536)
        if not piece:
            return None
        body += piece
    return head, body


@contextlib.contextmanager
def meddling(behind: int, change: Change = unchanged) -> Iterator[Meddler]:
    """Somebody between a client and the port `behind`."""
    made = Meddler(behind, change)
    thread = threading.Thread(target=made.serve, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.close()
        thread.join(timeout=60)
