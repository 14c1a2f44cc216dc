"""Registry searches: `reg.exe query ROOT /s` nominates values, each is confirmed; where no shell opens, StdRegProv walks.

What reg.exe prints is believed to be whole only if it ended well, said nothing beside, and showed every key directly below
the root. Otherwise the keys are walked, and those it did not show are read. What can be read by neither way is told.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

from converge.errors import LocalProtocolError, RemoteProtocolError
from converge.model.answer import Absent, Answer, Found, Refused
from converge.model.facts import NamedValue, SearchFinds
from converge.model.names import fold
from converge.model.query import RegistrySearch, RegistryValue
from converge.model.registry import Hive, RegistryData, RegistryPath, RegistryType
from converge.windows.commands import ReadingCommand
from converge.windows.registry import MAX_NAME, long_name, parse_path
from converge.winrm.answering import Answered
from converge.winrm.exchange import Faulted
from converge.winrm.printed import parse_value_line
from converge.winrm.registry import RegistryReader
from converge.winrm.session import Reader

T = TypeVar("T")

MAX_PRINTED: Final = 512 * 1024 * 1024
SECONDS: Final = 900.0
MAX_WALKED: Final = 20_000
MAX_LINE: Final = 256 * 1024
MAX_SHOWN: Final = 20_000
"""Keys that are remembered as shown: a walk that begins again reads no more, and what was forgotten it reads itself."""
MAX_HELD: Final = 4 * 1024 * 1024
"""Bytes of keys that wait to be walked, of keys that are told as unreadable, and of values that were found; each."""
MAX_NAMED: Final = 16 * 1024 * 1024
"""Characters of all names that a walk reads."""
_OF_A_KEY: Final = 200
"""Bytes that a key takes beside its path, which it holds as it is and as it is compared."""
MAX_NOMINATED: Final = 1024 * 1024
"""Characters of lines that mention a wanted file."""
LONGEST_NAME: Final = 1024
_BELOW: Final = rf"(?:\\[^\\\x00-\x1f]{{1,{MAX_NAME}}})*"
_TEXTS: Final = (RegistryType.STRING, RegistryType.EXPAND_STRING)
_KINDS: Final = {"REG_SZ": RegistryType.STRING, "REG_EXPAND_SZ": RegistryType.EXPAND_STRING}
_DEFAULT_VALUE: Final = ("(Default)", "<NO NAME>")  # in English; in other languages the key is read as a whole


@dataclass(slots=True)
class _Printed:
    """What reg.exe printed, taken in piece by piece: the keys it showed, and those that mention a wanted file.

    A nomination is None where the line is none of a value: its data may hold line ends. `garbled` says that something
    was printed which is no key below the root and no value of one.
    """

    root: RegistryPath
    wanted: tuple[str, ...]
    below: frozenset[str] = frozenset()
    """The names directly below the root, folded."""
    tops: set[str] = field(default_factory=set)
    """Those of them that were shown, they or something below."""
    shown: set[int] = field(default_factory=set)
    """Hashes of keys, as of `_shown_as`: what a host prints may name millions."""
    nominated: dict[RegistryPath, list[tuple[str, RegistryData] | None]] = field(default_factory=dict)
    garbled: bool = False
    _key: str = ""
    """The line of the key whose values follow; it is read only if they mention a wanted file."""
    _folded: str = ""
    """Its path below the hive, folded."""
    _rest: str = ""
    _said: int = 0
    _decoder: codecs.IncrementalDecoder = field(init=False)
    _form: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        hive, parted, subkey = fold(long_name(self.root)).partition("\\")
        self._form = re.compile(rf"{hive}(?P<path>{re.escape(parted + subkey)}(?P<below>{_BELOW}))")

    def take(self, data: bytes) -> None:
        """More output."""
        *lines, self._rest = (self._rest + self._decoder.decode(data)).split("\n")
        for line in lines:
            self._line(line.rstrip("\r"))
        if len(self._rest) > MAX_LINE:
            self._line(self._rest)
            self._rest = self._rest[-LONGEST_NAME:]

    def end(self, *, whole: bool) -> None:
        """No more output. Where it broke off, the last key may not have been shown to its end."""
        self._line(self._rest.rstrip("\r"))
        if not whole:
            self._forget()

    def _forget(self) -> None:
        """The present key was not shown to its end."""
        self.shown.discard(_shown_as(self.root.hive, self._folded))

    def _line(self, line: str) -> None:
        if line.startswith("HKEY_"):
            self._enter(line)
        elif any(file in fold(line) for file in self.wanted):
            if not self._key:
                self.garbled = True
                return
            self._said += len(line) + LONGEST_NAME
            if self._said > MAX_NOMINATED:
                self.garbled = True
                self._forget()
                return
            self.nominated.setdefault(parse_path(self._key), []).append(_printed_value(line))

    def _enter(self, line: str) -> None:
        found = self._form.fullmatch(fold(line))
        if found is None:
            self._key = self._folded = ""
            self.garbled = True
            return
        self._key, self._folded = line, found["path"][1:]
        top = found["below"][1:].partition("\\")[0]
        if top in self.below:
            self.tops.add(top)
        if len(self.shown) < MAX_SHOWN:
            self.shown.add(_shown_as(self.root.hive, self._folded))


def _shown_as(hive: Hive, folded: str) -> int:
    return hash((hive, folded))


def _printed_value(line: str) -> tuple[str, RegistryData] | None:
    parsed = parse_value_line(line)
    if parsed is None:
        return None
    name, kind, data = parsed
    return "" if name in _DEFAULT_VALUE else name, RegistryData(_KINDS.get(kind, RegistryType.UNKNOWN), data)


class _Search:
    """One search on one host."""

    def __init__(self, reader: Reader, registry: RegistryReader, query: RegistrySearch) -> None:
        self._reader = reader
        self._registry = registry
        self._wanted = tuple(fold(file) for file in query.files)
        self._query = query
        self._walked = 0
        self._held_of_found = self._held_of_unreadable = self._named = 0
        self._found: dict[tuple[RegistryPath, str], NamedValue] = {}
        self._unreadable: dict[RegistryPath, None] = {}

    def answer(self) -> Answer[SearchFinds]:
        """What was found below all roots, and what could not be read. Roots that are not there hold nothing."""
        for root in self._query.roots:
            self._search(root)
        return Found(SearchFinds(values=tuple(self._found.values()), unreadable=tuple(self._unreadable)))

    def _search(self, root: RegistryPath) -> None:
        below = self._subkeys(root)
        if below is None:
            return
        printed, whole = self._printed(root, frozenset(fold(name) for name in below))
        self._registry.read_ahead(
            RegistryValue(key, given[0])
            for key, nominations in printed.nominated.items()
            for given in nominations
            if given is not None and given[1].type is RegistryType.STRING
        )
        for key, nominations in printed.nominated.items():
            if not self._confirmed(key, nominations) and not self._read_key(key):
                # Its name was not printed as it is: the shell's code page lacks a character of it.
                self._walk(self._nearest(key, root), printed.shown)
        if not whole:
            self._walk(root, printed.shown)
            return
        for name in below:
            if fold(name) not in printed.tops:
                self._walk(root / name, printed.shown)

    def _subkeys(self, key: RegistryPath) -> tuple[str, ...] | None:
        """The names below a key; None where it is not there or cannot be read, which is noted."""
        answer = self._asked(self._registry.subkeys, key)
        return answer.value if isinstance(answer, Found) else None

    def _asked(self, ask: Callable[[RegistryPath], Answer[T]], key: RegistryPath) -> Answer[T]:
        try:
            answer = ask(key)
        except (Faulted, RemoteProtocolError):
            answer = Refused("unreadable", "")
        if isinstance(answer, Refused):
            self._tell(key)
        return answer

    def _tell(self, key: RegistryPath) -> None:
        """The key, or something below it, was not read. Where these are too many, it is the roots that were not read."""
        self._held_of_unreadable += _size(key)
        if self._held_of_unreadable <= MAX_HELD:
            self._unreadable[key] = None
        else:
            self._unreadable = dict.fromkeys(self._query.roots)

    def _keep(self, key: RegistryPath, name: str, data: RegistryData) -> None:
        """A value was found. Where they are too many, the search goes no further."""
        texts = [text for text in (name, data.data, data.expanded) if isinstance(text, str)]
        self._held_of_found += _size(key) + sum(map(len, texts))
        if self._held_of_found <= MAX_HELD:
            self._found[key, fold(name)] = NamedValue(key, name, data)
        else:
            self._walked = MAX_WALKED
            self._tell(key)

    def _printed(self, root: RegistryPath, below: frozenset[str]) -> tuple[_Printed, bool]:
        """What reg.exe prints of everything below a root, and whether that is all of it."""
        taken = [_Printed(root, self._wanted, below)]

        def sink() -> Callable[[bytes], None]:
            taken[:] = [_Printed(root, self._wanted, below)]
            return taken[0].take

        whole = False
        try:
            command = ReadingCommand.search_registry(root)
            finished = self._reader.run_reading(command, seconds=SECONDS, limit=MAX_PRINTED, sink=sink)
            whole = finished.exit_code == 0 and not finished.stderr.strip()
        except (Faulted, LocalProtocolError):
            whole = False
        taken[0].end(whole=whole)
        return taken[0], whole and not taken[0].garbled

    def _walk(self, start: RegistryPath, shown: Collection[int]) -> None:
        """Everything from a key downwards, by StdRegProv alone; values only of keys that were not shown already."""
        pending, held = [start], _size(start)
        while pending and self._walked < MAX_WALKED:
            self._walked += 1
            key = pending.pop()
            held -= _size(key)
            if _shown_as(key.hive, key.folded) not in shown:
                self._read_key(key)
            names = self._subkeys(key) or ()
            self._count(names)
            more = 2 * sum(map(len, names)) + len(names) * (_size(key) + 2)
            if held + more > MAX_HELD:
                self._tell(key)
                continue
            held += more
            pending += [key / name for name in names]
        # Enough: what is left is told by its topmost keys.
        for key in pending:
            self._tell(key)

    def _count(self, names: Collection[str]) -> None:
        """A host that names more than any registry holds is walked no further."""
        self._named += sum(map(len, names))
        if self._named > MAX_NAMED:
            self._walked = MAX_WALKED

    def _confirmed(self, key: RegistryPath, nominations: Sequence[tuple[str, RegistryData] | None]) -> bool:
        """Whether every nomination is what its getter says too; those that are no texts need no confirming."""
        texts = [given for given in nominations if given is None or given[1].type in _TEXTS]
        names = {fold(given[0]) for given in texts if given}
        if None in texts or len(names) < len(texts):
            return False
        found: dict[str, RegistryData] = {}
        for name, printed in filter(None, texts):
            try:
                data = self._registry.confirm(key, name, printed)
            except (Faulted, RemoteProtocolError):
                data = None
            if data is None:
                return False
            found[name] = data
        for name, data in found.items():
            self._keep(key, name, data)
        return True

    def _nearest(self, key: RegistryPath, root: RegistryPath) -> RegistryPath:
        """The nearest key above one that is not there; the root at the last."""
        above = key.parent
        while above is not None and above != root and isinstance(self._asked(self._registry.subkeys, above), Absent):
            above = above.parent
        return above or root

    def _read_key(self, key: RegistryPath) -> bool:
        """Read all texts of a key. Whether it is there."""
        values = self._asked(self._registry.values, key)
        if not isinstance(values, Found):
            return not isinstance(values, Absent)
        if not values.value:
            # Where the default value is the only one, EnumValues tells none.
            self._read(key, "")
        self._count(values.value)
        for name, kind in values.value.values():
            if kind not in _TEXTS:
                continue
            if self._mentions(self._asked(partial(self._registry.shown_text, name=name, kind=kind), key)):
                self._read(key, name)
        # A walk goes over more keys than are asked for otherwise.
        self._registry.forget(key)
        return True

    def _mentions(self, answer: Answer[str]) -> bool:
        return isinstance(answer, Found) and any(file in fold(answer.value) for file in self._wanted)

    def _read(self, key: RegistryPath, name: str) -> None:
        answer = self._asked(partial(self._registry.value, name=name), key)
        if isinstance(answer, Found):
            told = " ".join(text for text in (answer.value.data, answer.value.expanded) if isinstance(text, str))
            if self._mentions(Found(told)):
                self._keep(key, name, answer.value)


def _size(key: RegistryPath) -> int:
    return 2 * len(key.subkey) + _OF_A_KEY


def answer_searches(reader: Reader, registry: RegistryReader, queries: Sequence[RegistrySearch]) -> Answered:
    """Every search, one after the other."""
    return {query: _Search(reader, registry, query).answer() for query in queries}
