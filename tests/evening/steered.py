"""The program, stopped at one of its writes: killed there, or waiting there for a word from the test.

    python -m tests.evening.steered PLACE HOW TERM WORDS...

PLACE counts the journal's writes and the actions sent, from 0, or names an action: right before each of that name is sent, when its
row is on disk. HOW is `kill`, or a file: it is made when the place is reached, and the program waits until it is gone. TERM is the
seconds of a lease.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from converge.cli.main import main
from converge.fleet.fencing import FencedMachine
from converge.store.journal import StoredJournal
from converge.store.store import Store, Where


def steer(place: str, how: str, term: float) -> None:
    passed = count()

    def pass_by(*what: Any) -> None:
        if place not in (str(next(passed)), *(type(item).__name__ for item in what)):
            return
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        Path(how).touch()
        while Path(how).exists():
            time.sleep(0.02)

    for owner, name in ((StoredJournal, "write"), (FencedMachine, "perform")):
        before = getattr(owner, name)

        def watched(self: Any, *what: Any, before: Any = before) -> Any:
            pass_by(*what)
            return before(self, *what)

        setattr(owner, name, watched)
    opened = Store.open.__func__  # type: ignore[attr-defined]  # of a class method

    def open_with_term(cls: type[Store], where: Where) -> Store:
        store: Store = opened(cls, replace(where, term=term))
        return store

    Store.open = classmethod(open_with_term)  # type: ignore[method-assign, assignment]  # the term is no option of the program


if __name__ == "__main__":
    steer(sys.argv[1], sys.argv[2], float(sys.argv[3]))
    sys.argv = ["converge", *sys.argv[4:]]
    main()
