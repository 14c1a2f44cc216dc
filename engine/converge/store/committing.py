"""Many threads that each want something on the disk share one transaction: what waited while the last one was written."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from converge.errors import ConvergeError
from converge.store.database import Database

Work = Callable[[Connection], None]


@dataclass(slots=True, eq=False)
class _Piece:
    """One thread's work, and what came of it."""

    work: Work
    over: bool = False
    error: BaseException | None = None


class Committer:
    """Does pieces of work in transactions. A piece that raises is undone alone; a commit that fails fails all its pieces.

    Waiting for the disk is what a small transaction costs: fifty hosts that write one row each wait once, not fifty times.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[_Piece] = []
        self._changed = threading.Condition()
        self._writing = False

    def do(self, work: Work) -> None:
        """Return when the work is on the disk. Raises what it raised, and JournalUnavailable."""
        if self._database.is_shared:  # a server does this itself, for all its clients
            with self._database.writing() as connection:
                work(connection)
            return
        piece = _Piece(work)
        with self._changed:
            self._waiting.append(piece)
            self._changed.wait_for(lambda: piece.over or not self._writing)
            self._writing = self._writing or not piece.over
        if not piece.over:
            self._write()
        if piece.error is not None:
            raise piece.error

    def _write(self) -> None:
        with self._changed:
            pieces, self._waiting = self._waiting, []
        try:
            with self._database.writing() as connection:
                for piece in pieces:
                    _attempt(piece, connection)
        except BaseException as error:
            for piece in pieces:
                piece.error = piece.error or error
            if not isinstance(error, ConvergeError):
                raise
        finally:
            with self._changed:
                self._writing = False
                for piece in pieces:
                    piece.over = True
                self._changed.notify_all()


def _attempt(piece: _Piece, connection: Connection) -> None:
    try:
        with connection.begin_nested():
            piece.work(connection)
    except ConvergeError as error:  # a lease that was lost: the others have theirs
        piece.error = error
