"""An observer that answers a registry search from the places an earlier one found, until a search in full is due.

Places are nominations, as a search's finds are: who asked reads each of them from the registry itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta

from converge.errors import JournalUnavailable
from converge.model.answer import Answer, Answers, Found
from converge.model.facts import NamedValue, SearchFinds
from converge.model.machine import Fronting, Observer
from converge.model.places import KnownPlaces, Place, Places
from converge.model.query import AnyQuery, RegistrySearch
from converge.model.registry import RegistryData, RegistryType

DUE = timedelta(days=7)  # after which a search in full is made again
MOST = 5000  # places of one search that are remembered


def _now() -> datetime:
    return datetime.now(UTC)


class SearchingObserver(Fronting):
    """Asks for a search in full where none is remembered or it is older than `due`, and remembers what it found."""

    def __init__(
        self, observer: Observer, places: Places, *, due: timedelta = DUE, now: Callable[[], datetime] = _now
    ) -> None:
        super().__init__(observer)
        self._places = places
        self._due = due
        self._now = now

    def ask(self, queries: Collection[AnyQuery]) -> Answers:
        """Answer every query, searches from what is remembered where that is recent. Raises as the observer does."""
        remembered: dict[AnyQuery, Answer[object]] = {}
        for query in queries:
            if isinstance(query, RegistrySearch) and (known := self._recent(query)) is not None:
                remembered[query] = Found(_nominations(known))
        asked = tuple(query for query in queries if query not in remembered)
        answers = self._observer.ask(asked) if asked else Answers({})
        for query in asked:
            if isinstance(query, RegistrySearch) and (finds := answers.known(query)) is not None:
                self._remember(query, finds)
        return Answers({**answers, **remembered}, run=answers.run, by=answers.by)

    def _recent(self, search: RegistrySearch) -> KnownPlaces | None:
        try:
            known = self._places.known(self.host, search)
        except JournalUnavailable:
            return None  # what cannot be remembered is searched for
        if known is None or not timedelta(0) <= self._now() - known.last_full < self._due:
            return None
        return known

    def _remember(self, search: RegistrySearch, finds: SearchFinds) -> None:
        if len(finds.values) > MOST:
            return
        places = tuple(Place(value.key, value.name) for value in finds.values)
        try:
            self._places.remember(
                self.host, search, found=KnownPlaces(places, finds.unreadable, self._now().replace(microsecond=0))
            )
        except JournalUnavailable:
            return  # the next check searches in full again


def _nominations(known: KnownPlaces) -> SearchFinds:
    unread = RegistryData(RegistryType.EXPAND_STRING, None)
    values = tuple(NamedValue(place.key, place.name, unread) for place in known.places)
    return SearchFinds(values, known.unreadable, last_full=known.last_full)
