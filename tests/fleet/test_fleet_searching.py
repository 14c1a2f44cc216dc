"""Registry searches are made in full once, and from then on answered by the places found, until one is due again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from converge.errors import HostUnreachable
from converge.fleet.searching import DUE, MOST, SearchingObserver
from converge.model.answer import Absent, Answer, Answers, Found, Refused
from converge.model.facts import NamedValue, SearchFinds
from converge.model.query import AnyQuery, RegistrySearch, RegistryValue, Service
from converge.model.registry import Hive, RegistryData, RegistryPath, RegistryType
from converge.plan.answer_cache import AnswerCache, gather
from converge.resources.registry_references import RegistryReferences
from converge.store.store import Store, Where

ROOT = RegistryPath(Hive.LOCAL_MACHINE, r"SOFTWARE\Classes")
SEARCH = RegistrySearch((ROOT,), ("Seo.dll",))
NOW = datetime(2026, 11, 20, 22, 1, 7, tzinfo=UTC)


@dataclass
class Registry:
    """A host that holds texts below ROOT and notes what it is asked."""

    texts: dict[str, str]
    closed: tuple[RegistryPath, ...] = ()
    refuses: bool = False
    asked: list[AnyQuery] = field(default_factory=list)
    host: str = "mail01"
    round_trips: int = 0

    def ask(self, queries: Collection[AnyQuery]) -> Answers:
        assert queries
        self.asked += queries
        return Answers({query: self._answer(query) for query in queries}, run="r1")

    def _answer(self, query: AnyQuery) -> Answer[object]:
        if isinstance(query, RegistrySearch):
            if self.refuses:
                return Refused("denied", "access denied")
            values = (NamedValue(ROOT / key, "", self._data(text)) for key, text in self.texts.items())
            return Found(SearchFinds(tuple(values), self.closed))
        if isinstance(query, RegistryValue) and query.key.name in self.texts:
            return Found(self._data(self.texts[query.key.name]))
        return Absent()

    @staticmethod
    def _data(text: str) -> RegistryData:
        return RegistryData(RegistryType.STRING, text)

    @property
    def searches(self) -> int:
        return sum(isinstance(query, RegistrySearch) for query in self.asked)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(Where(tmp_path))


def observer(registry: Registry, store: Store, *, after: timedelta = timedelta(0)) -> SearchingObserver:
    return SearchingObserver(registry, store.places, now=lambda: NOW + after)


def test_the_second_check_asks_for_the_known_places_only(store: Store) -> None:
    registry = Registry({"a": r"C:\old\Seo.dll", "b": r"C:\new\Seo.dll"})
    references = RegistryReferences.model_validate(
        {"roots": [str(ROOT)], "files": ["Seo.dll"], "directory": r"C:\new", "from": [r"C:\old"]}
    )
    told = []
    for hours in (0, 1):
        registry.asked.clear()
        cache = AnswerCache(observer(registry, store, after=timedelta(hours=hours)), run="r1")
        answers = gather((references.queries,), cache)
        told.append((references.actual_state(answers), references.incomplete(answers), registry.searches))
        notes = references.notes(answers)
    assert [searches for _, _, searches in told] == [1, 0]
    assert told[0][:2] == told[1][:2]
    assert "2 known places, last full search 2026-11-20 22:01 UTC" in notes
    assert {query.key.name for query in registry.asked if isinstance(query, RegistryValue)} >= {"a", "b"}


def test_what_is_gone_or_changed_is_seen(store: Store) -> None:
    registry = Registry({"a": r"C:\old\Seo.dll", "b": r"C:\new\Seo.dll"}, closed=(ROOT / "closed",))
    observer(registry, store).ask((SEARCH,))
    finds = observer(registry, store).ask((SEARCH,)).value(SEARCH)
    assert finds is not None
    assert [(value.key, value.data.data) for value in finds.values] == [(ROOT / "a", None), (ROOT / "b", None)]
    assert finds.unreadable == (ROOT / "closed",)
    assert finds.last_full == NOW


@pytest.mark.parametrize(("after", "searches"), [(DUE - timedelta(seconds=1), 1), (DUE, 2), (-timedelta(hours=1), 2)])
def test_a_search_is_made_again_when_it_is_due(store: Store, after: timedelta, searches: int) -> None:
    registry = Registry({"a": r"C:\old\Seo.dll"})
    observer(registry, store).ask((SEARCH,))
    observer(registry, store, after=after).ask((SEARCH,))
    assert registry.searches == searches


def test_other_queries_go_through_with_one_request(store: Store) -> None:
    registry = Registry({"a": r"C:\old\Seo.dll"})
    observer(registry, store).ask((SEARCH,))
    registry.asked.clear()
    answers = observer(registry, store).ask((Service("SMTPSVC"), SEARCH))
    assert registry.asked == [Service("SMTPSVC")]
    assert set(answers) == {Service("SMTPSVC"), SEARCH}
    assert answers.run == "r1"


def test_a_refused_search_is_not_remembered(store: Store) -> None:
    registry = Registry({}, refuses=True)
    for _ in range(2):
        assert isinstance(observer(registry, store).ask((SEARCH,))[SEARCH], Refused)
    assert registry.searches == 2


def test_too_many_places_are_not_remembered(store: Store) -> None:
    registry = Registry({f"k{number}": r"C:\Seo.dll" for number in range(MOST + 1)})
    for _ in range(2):
        observer(registry, store).ask((SEARCH,))
    assert registry.searches == 2


def test_a_store_that_fails_costs_only_the_search(store: Store, tmp_path: Path) -> None:
    registry = Registry({"a": r"C:\old\Seo.dll"})
    store.close()
    for path in tmp_path.glob("converge.db*"):
        path.unlink()
    (tmp_path / "converge.db").write_bytes(b"no database" * 1000)
    for _ in range(2):
        assert observer(registry, store).ask((SEARCH,)).known(SEARCH) is not None
    assert registry.searches == 2


def test_a_dead_host_is_told(store: Store) -> None:
    class Dead(Registry):
        def ask(self, queries: Collection[AnyQuery]) -> Answers:
            raise HostUnreachable("gone")

    with pytest.raises(HostUnreachable):
        observer(Dead({}), store).ask((SEARCH,))
