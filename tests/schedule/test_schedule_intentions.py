"""What enforcement means to do next, kept in the store for whoever shows it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from converge.model.recorded import Intention, Outlook
from converge.store.store import Store, Where

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_outlooks_and_intentions_are_replaced_by_the_next_and_outlast_a_restart(tmp_path: Path) -> None:
    outlook = Outlook("web", "enforce", "c0ffee", "me@here pid 1", NOW, NOW + timedelta(minutes=30))
    left = Intention("web", "web01", "service:A", "grace", NOW + timedelta(hours=1), "in its grace period")
    other = Intention("mail", "web01", "", "not-looked-at", None, "no answer")
    with Store.open(Where(tmp_path)) as store:
        store.intentions.announce(replace(outlook, due=None, error="the inventory cannot be read"))
        store.intentions.announce(outlook)
        store.intentions.replace("web", [replace(left, host="web00"), left])
        store.intentions.replace("web", [left])
        store.intentions.replace("mail", [other])
    with Store.open(Where(tmp_path, read_only=True)) as store:
        assert store.intentions.outlooks() == (outlook,)
        assert list(store.intentions.of("web")) == [left]
        assert list(store.intentions.of(host="web01")) == [other, left]
    with Store.open(Where(tmp_path)) as store:
        store.intentions.retire("somebody else")
        assert store.intentions.outlooks() == (outlook,)
        store.intentions.retire(outlook.owner)
        assert store.intentions.outlooks() == (replace(outlook, owner=""),)
        store.intentions.forget("web")
        assert (store.intentions.outlooks(), list(store.intentions.of("web"))) == ((), [])
