"""What enforcement will do next, and why not: from what the daemon wrote down of its plans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from converge.model.recorded import Drift, Intention, Outlook
from converge.store.store import Store
from converge.web.look import Context, Look, Pages

LATE = timedelta(minutes=5)  # after which a round that was due and has not come means that nobody enforces
LONGEST_ROUND = timedelta(hours=2)  # after which one that was begun and has not ended is taken for broken off
State = Literal["enforcing", "going", "ended", "late"]
INTENTIONS = 100  # on a page
REASONS = {
    "monitored": "monitored only",
    "grace": "in the grace period",
    "quarantined": "in quarantine",
    "changes-budget": "over the limit of changes per host",
    "hosts-budget": "over the limit of hosts per round",
    "outside-window": "outside the change window",
    "window-too-short": "not enough time left in the window",
    "not-repaired": "repair failed",
    "not-looked-at": "could not be checked",
}
"""The codes of `schedule/drift.py`, said of many; what is said of one stands in its intention."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a group stands: its outlook, what is left in it by reason, and whether somebody enforces."""

    outlook: Outlook
    state: State
    reasons: Sequence[tuple[str, str, int]]  # code, words, how many
    hosts: int

    @property
    def left(self) -> int:
        """How much is left."""
        return sum(count for _, _, count in self.reasons)


@dataclass(frozen=True, slots=True)
class SkippedView:
    """One thing that is left, with what enforcement remembers of it."""

    intention: Intention
    drift: Drift | None


def standings(store: Store, now: datetime) -> list[Standing]:
    """Every group, by name."""
    outlooks = store.intentions.outlooks()
    going = {each.group for each in outlooks if _is_going(each, store.enforcement.begun(each.group), now)}
    busy = {each.owner for each in outlooks if each.group in going}  # one round at a time: the others wait
    return [
        _standing(each, list(store.intentions.of(each.group)), _state(each, now, going=going, busy=busy))
        for each in outlooks
    ]


def intentions_of(store: Store, host: str) -> list[Intention]:
    """What enforcement means to do with one host."""
    return list(store.intentions.of(host=host))


def enforcement_page(look: Look) -> Context:
    """Groups, and what is left in them: soonest first, then what waits for a person."""
    query, store = look.query, look.store
    told = standings(store, look.now)
    groups = [each.outlook.group for each in told]
    group, text = query.choice("group", groups), query.text("q").strip().lower()
    everything = [each for name in groups if group in ("", name) for each in store.intentions.of(name)]
    codes = sorted({each.reason for each in everything})
    reason = query.choice("reason", codes)
    found = [
        each
        for each in everything
        if (not reason or each.reason == reason) and (not text or text in f"{each.host} {each.address}".lower())
    ]
    found.sort(key=lambda each: (each.due is None, each.due.timestamp() if each.due else 0.0, each.host, each.address))
    pages = Pages(query, len(found), INTENTIONS)
    shown = found[pages.first : pages.last]
    return {
        "title": "Enforcement",
        "standings": told,
        "left": _with_drift(store, shown),
        "pages": pages,
        "groups": groups,
        "reasons": [(code, REASONS.get(code, code)) for code in codes],
        "filters": {"group": group, "reason": reason, "q": query.text("q")},
    }


def _is_going(outlook: Outlook, begun: datetime | None, now: datetime) -> bool:
    """Whether a round of this group was begun and has not ended: an outlook is written at its end."""
    return bool(outlook.owner) and begun is not None and outlook.written < begun and now - begun < LONGEST_ROUND


def _state(outlook: Outlook, now: datetime, *, going: Collection[str], busy: Collection[str]) -> State:
    if not outlook.owner:
        return "ended"
    if outlook.group in going:
        return "going"
    late = outlook.due is not None and now - outlook.due > LATE and outlook.owner not in busy
    return "late" if late else "enforcing"


def _standing(outlook: Outlook, intentions: Sequence[Intention], state: State) -> Standing:
    counts = Counter(each.reason for each in intentions)
    reasons = [(code, REASONS.get(code, code), count) for code, count in counts.most_common()]
    return Standing(outlook, state, reasons, len({each.host for each in intentions}))


def _with_drift(store: Store, shown: Sequence[Intention]) -> list[SkippedView]:
    known: Mapping[tuple[str, str, str], Drift] = {
        (group, each.host, each.address): each
        for group in {intention.group for intention in shown}
        for each in store.enforcement.drift(group)
    }
    return [SkippedView(each, known.get((each.group, each.host, each.address))) for each in shown]
