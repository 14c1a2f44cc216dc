"""Many registry values in few requests: `reg.exe query` of each, all on one line, in a shell where one may be opened.

StdRegProv needs a request for each key and one for each value; a shell needs six, however many values there are. What it
cannot tell for certain is left to StdRegProv, and where there is no shell everything is.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import Final

from converge.errors import HostUnreachable, LocalProtocolError
from converge.model.query import RegistryValue
from converge.model.registry import Hive
from converge.windows.commands import ReadingCommand, ReadingLine
from converge.winrm.exchange import Faulted
from converge.winrm.printed import TELLING, PrintedForm, PrintedValue
from converge.winrm.session import Reader

LINE_REQUESTS: Final = 4
"""Command, two Receives (the second brings the end), Signal; and about a shell Create and Delete."""
WORTH_A_LINE: Final = 2 * LINE_REQUESTS
WORTH_A_SHELL: Final = 2 * (LINE_REQUESTS + 2)
"""Requests of StdRegProv that are worth a line, or a shell for it: a host needs longer to start programs than to answer one."""
SECONDS: Final = 30.0
MAX_PRINTED: Final = 1024 * 1024
LONGEST_QUESTION: Final = 1000
"""Characters of one command: a longer name is better asked for by itself."""
# What is a view of something else may be another's view in a shell than in a provider.
_SEEN_ALIKE: Final = frozenset({Hive.LOCAL_MACHINE, Hive.USERS})


class PrintedValues:
    """Reads values of one host by reg.exe, and remembers how it prints them and whether it does."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._form: PrintedForm | None = None
        self._prints = True

    def read_ahead(self, wanted: Collection[RegistryValue]) -> dict[RegistryValue, PrintedValue]:
        """Those values that are printed beyond doubt. A host that once printed nothing of use is not asked again."""
        commands = _commands(query for query in wanted if query.key.hive in _SEEN_ALIKE)
        if not self._prints or not commands:
            return {}
        try:
            found = self._read(commands, patient=False)
        except (Faulted, HostUnreachable):
            # Whether the host is away, the next request tells. It may be shells alone that something cuts off.
            found = {}
            self._prints = False
        self._prints = self._prints and self._form is not None
        return found

    def one(self, query: RegistryValue) -> PrintedValue | None:
        """One value, for what only reg.exe can tell of it; None where that cannot be known. Raises HostUnreachable."""
        try:
            return self._read(_commands([query]), patient=True).get(query)
        except Faulted:
            return None

    def _read(
        self, commands: Mapping[RegistryValue, ReadingCommand], *, patient: bool
    ) -> dict[RegistryValue, PrintedValue]:
        """Raises Faulted, HostUnreachable."""
        if not commands:
            return {}
        telling = () if self._form else TELLING
        printed: list[str] = []
        for line in ReadingLine.filled((*telling, *commands.values()), mark=secrets.token_hex(8)):
            printed += self._pieces(line, patient=patient)
        form = self._form = self._form or PrintedForm.learnt(*printed[: len(TELLING)])
        if form is None:
            return {}
        told = zip(commands, printed[len(telling) :], strict=True)
        return {query: value for query, text in told if (value := form.read(text, query.key, query.name))}

    def _pieces(self, line: ReadingLine, *, patient: bool) -> list[str]:
        """What each command of a line printed; nothing, for all of them, where that cannot be told apart."""
        finished = self._reader.run_reading(line, seconds=SECONDS, limit=MAX_PRINTED, patient=patient)
        pieces = finished.text.split(f"{line.mark}\r\n")[1:-1]
        return pieces if len(pieces) == len(line.commands) else [""] * len(line.commands)


def _commands(queries: Iterable[RegistryValue]) -> dict[RegistryValue, ReadingCommand]:
    """What asks for each value, where a line can carry it."""
    return {query: command for query in queries if (command := _command(query)) is not None}


@lru_cache(maxsize=8192)  # a fleet's hosts are asked for the same values
def _command(query: RegistryValue) -> ReadingCommand | None:
    with contextlib.suppress(LocalProtocolError):
        command = ReadingCommand.query_registry_value(query.key, query.name)
        if command.joinable and len(command.line) < LONGEST_QUESTION:
            return command
    return None
