"""A host that can be asked over WinRM, and can have nothing done to it: whatever it sends, its types only read."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final

from converge.model.answer import Answers
from converge.model.query import (
    AnyQuery,
    CimInstances,
    Directory,
    Events,
    File,
    OperatingSystem,
    RegistryKey,
    RegistrySearch,
    RegistryValue,
    Service,
    ServiceStartTime,
)
from converge.winrm import files, services, system
from converge.winrm.answering import Answered
from converge.winrm.connection import Connection
from converge.winrm.printed_values import PrintedValues
from converge.winrm.raw_texts import RawTexts
from converge.winrm.registry import KnownKeys, RegistryReader
from converge.winrm.registry_search import answer_searches
from converge.winrm.session import Reader

CARRIED_SECONDS: Final = 5.0
"""How long what one round read of the registry serves the further questions of the next."""


class WinRMObserver:
    """Answers queries about one host, many at once. Not for several threads at once."""

    def __init__(self, connection: Connection, *, reader: Reader | None = None) -> None:
        self._reader = reader or Reader(connection)
        self._connection = connection
        self._dependents = services.Dependents()
        self._raw_texts = RawTexts()
        self._printed_values = PrintedValues(self._reader)
        self._known = KnownKeys()
        self._hashing = files.Hashing()

    @property
    def host(self) -> str:
        """The host's name in the inventory."""
        return self._connection.host

    @property
    def round_trips(self) -> int:
        """How many requests were sent after authentication."""
        return self._reader.round_trips

    def ask(self, queries: Collection[AnyQuery]) -> Answers:
        """Answer every query, those of one kind together. One that fails is `Refused`; a dead host raises HostUnreachable."""
        known = self._known_before(queries)
        registry = RegistryReader(self._reader, known, raw_texts=self._raw_texts, printed_values=self._printed_values)
        reader = self._reader
        handlers: dict[type[AnyQuery], Callable[[list[Any]], Answered]] = {
            OperatingSystem: lambda asked: system.answer_operating_system(reader, asked),
            Service: lambda asked: services.answer_services(reader, asked, self._dependents),
            ServiceStartTime: lambda asked: services.answer_start_times(reader, asked),
            File: lambda asked: files.answer_files(reader, asked, hashing=self._hashing),
            Directory: lambda asked: files.answer_directories(reader, asked),
            RegistryKey: registry.answer_keys,
            RegistryValue: registry.answer_values,
            RegistrySearch: lambda asked: answer_searches(reader, registry, asked),
            Events: lambda asked: system.answer_events(reader, asked),
            CimInstances: lambda asked: system.answer_cim_instances(reader, asked),
        }
        asked_by_kind: dict[type[AnyQuery], list[AnyQuery]] = {}
        for query in dict.fromkeys(queries):
            asked_by_kind.setdefault(type(query), []).append(query)
        answers: Answered = {}
        try:
            for kind, asked in asked_by_kind.items():
                answers.update(handlers[kind](asked))
        finally:
            self._reader.close_shell()
        return Answers(answers)

    def _known_before(self, queries: Collection[AnyQuery]) -> KnownKeys:
        """What was read of the registry a moment ago, less what is asked for again: that may have changed."""
        if self._known.age > CARRIED_SECONDS:
            self._known = KnownKeys()
        self._known.ask(queries)
        return self._known

    def _forget(self) -> None:
        """Something is done to the host: nothing that was read before counts any more."""
        self._known = KnownKeys()

    def close(self) -> None:
        """End the conversation."""
        self._reader.close()
