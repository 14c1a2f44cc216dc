"""The backup of registry keys that are about to be touched, before the first of them is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from converge.model.action import (
    AnyAction,
    NewRegistryKey,
    RemoveRegistryKey,
    RemoveRegistryValue,
    SetRegistryValue,
)
from converge.model.answer import Answers, Found, Refused
from converge.model.facts import KeyContents, NamedValue
from converge.model.journal import Journal, RegistryBackedUp, RegistrySnapshot
from converge.model.query import AnyQuery, OperatingSystem, RegistryKey, RegistryValue
from converge.model.registry import RegistryData, RegistryPath, RegistryType
from converge.plan.answer_cache import AnswerCache, gather


def touched_keys(actions: Iterable[AnyAction]) -> tuple[RegistryPath, ...]:
    """The registry keys that actions write to or remove, each once."""
    registry = (SetRegistryValue, RemoveRegistryValue, NewRegistryKey, RemoveRegistryKey)
    return tuple(dict.fromkeys(action.key for action in actions if isinstance(action, registry)))


def back_up(keys: Iterable[RegistryPath], *, cache: AnswerCache, journal: Journal) -> None:
    """Export keys with their values to a .reg file of the run. The articles order a backup before any change (KB 256986).

    Raises JournalUnavailable when the file cannot be written, HostUnreachable when the host is gone.
    """
    wanted = tuple(keys)
    if not wanted:
        return

    def queries(known: Answers) -> list[AnyQuery]:
        asked: list[AnyQuery] = [OperatingSystem(), *(RegistryKey(key) for key in wanted)]
        for key in wanted:
            contents: KeyContents | None = known.known(RegistryKey(key))
            if contents:
                # A host leaves the default value out of what it lists where it is the only one.
                names = dict.fromkeys(("", *(name for name, _ in contents.values)))
                asked += [RegistryValue(key, name) for name in names]
        return asked

    answers = gather((queries,), cache)
    contents = {key: answers.known(RegistryKey(key)) for key in wanted}
    values = tuple(
        _value(answers, key, name=name, type_=type_)
        for key, found in contents.items()
        if found is not None
        for name, type_ in _listed(found, key, answers)
    )
    system = answers.known(OperatingSystem())
    there = tuple((key, contents[key] or _unreadable(answers[RegistryKey(key)])) for key in wanted)
    file = journal.back_up(RegistrySnapshot(there, values, system.version if system else ""))
    journal.write(RegistryBackedUp(file, tuple(str(key) for key in wanted)))


def _listed(contents: KeyContents, key: RegistryPath, answers: Answers) -> Sequence[tuple[str, RegistryType]]:
    """The values of a key with their types, the default one also where the host did not list it."""
    default: RegistryData | None = answers.known(RegistryValue(key, ""))
    if default is None or any(not name for name, _ in contents.values):
        return contents.values
    return (("", default.type), *contents.values)


def _unreadable(answer: object) -> KeyContents | None:
    return KeyContents((), ()) if isinstance(answer, Refused) else None


def _value(answers: Answers, key: RegistryPath, *, name: str, type_: RegistryType) -> NamedValue:
    answer = answers[RegistryValue(key, name)]
    data = answer.value if isinstance(answer, Found) else None
    return NamedValue(key, name, data if isinstance(data, RegistryData) else RegistryData(type_, None))
