"""The engine without the wire: a whole check whose hosts answer from memory. `python -m tests.bench.engine IMAGE WORDS...`

All is as in `converge WORDS...` but the way to the host: every question is answered by the lab once, then repeated.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from converge.cli.main import run
from converge.lab.image import load_image
from converge.model.answer import Answer, Answers
from converge.model.machine import Observer
from converge.model.query import AnyQuery
from converge.runs import host_runner
from converge.testing.world_machine import WorldMachine
from converge.winrm.connection import Connection


class KeptAnswers:
    """An observer of hosts that all answer what one lab machine answered."""

    def __init__(self, host: str, machine: WorldMachine, kept: dict[AnyQuery, Answer[object]]) -> None:
        self.host = host
        self.round_trips = 0
        self._machine = machine
        self._kept = kept

    def ask(self, queries: Collection[AnyQuery]) -> Answers:
        """Answer every query."""
        self.round_trips += 1
        new = [query for query in queries if query not in self._kept]
        self._kept.update(self._machine.ask(new) if new else {})
        return Answers({query: self._kept[query] for query in queries})


def main(image: str, words: list[str]) -> None:
    """Run converge with hosts that answer at once."""
    machine, kept = WorldMachine(load_image(image)), dict[AnyQuery, Answer[object]]()

    @contextmanager
    def observing(connection: Connection, guard: object) -> Iterator[Observer]:
        del guard
        yield KeptAnswers(connection.host, machine, kept)

    setattr(host_runner, "observing", observing)  # noqa: B010  # the one thing that is put in place of another
    run(words)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
