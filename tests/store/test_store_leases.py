"""One writer per host: leases that are held, waited for, renewed, lost, and that end with their owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.store.conftest import Rows, render

from converge.errors import Held, JournalUnavailable, LeaseLost
from converge.model.journal import ActionIntended, RegistrySnapshot
from converge.store.store import Store, Where

INTENDED = ActionIntended(1, 1, "service:SMTPSVC", {"action": "StartService"})
OWNER = (
    "import sys, time\n"
    "from pathlib import Path\n"
    "from converge.store.store import Store, Where\n"
    "store = Store.open(Where(Path(sys.argv[1]), url=sys.argv[2], term=float(sys.argv[3])))\n"
    "lease = store.leases.acquire('mail01', run='other')\n"
    "print(lease.token, flush=True)\n"
    "time.sleep(600)\n"
)


def owner_process(where: Where, *, term: float = 30.0) -> subprocess.Popen[str]:
    """Another process that holds mail01; ready when this returns."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(where.folder), where.url, str(term)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "1"
    return process


class TestHolding:
    def test_the_second_is_told_who_holds_the_host(self, where: Where, store: Store) -> None:
        process = owner_process(where)
        try:
            with pytest.raises(Held) as held:
                store.leases.acquire("mail01", run="mine")
        finally:
            process.kill()
            process.wait(timeout=120)
        assert f"pid {process.pid} since 2" in held.value.what
        assert "run other" in held.value.what
        assert "@" in held.value.what

    def test_hosts_do_not_hold_each_other(self, store: Store) -> None:
        with store.leases.acquire("a", run="1"), store.leases.acquire("b", run="1"):
            with pytest.raises(Held):
                store.leases.acquire("a", run="2")

    def test_a_released_host_is_free_and_its_token_grows(self, store: Store) -> None:
        tokens = []
        for _ in range(3):
            with store.leases.acquire("mail01", run="1") as lease:
                tokens.append(lease.token)
        assert tokens == [1, 2, 3]

    def test_waiting_ends_with_the_release(self, store: Store, where: Where) -> None:
        lease = store.leases.acquire("mail01", run="1")
        threading.Timer(1.0, lease.release).start()
        with Store.open(where) as other, other.leases.acquire("mail01", run="2", wait=120.0) as second:
            assert second.token == 2

    def test_waiting_ends_when_it_was_told_to(self, store: Store) -> None:
        with store.leases.acquire("mail01", run="1"):
            started = time.monotonic()
            with pytest.raises(Held):
                store.leases.acquire("mail01", run="2", wait=0.6)
            assert time.monotonic() - started > 0.5
            with pytest.raises(Held):
                store.leases.acquire("mail01", run="2", wait=60.0, stop=lambda: True)

    def test_of_many_at_once_one_wins(self, where: Where) -> None:
        won: list[int] = []
        lost: list[Held] = []

        def attempt() -> None:
            with Store.open(where) as store:
                try:
                    won.append(store.leases.acquire("mail01", run="x").token)
                except Held as held:
                    lost.append(held)
                finished.wait(timeout=120)

        finished = threading.Barrier(6)
        threads = [threading.Thread(target=attempt) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=240)
        assert won == [1]
        assert len(lost) == 5


class TestOwnersThatDie:
    def test_in_one_state_folder_the_lease_ends_with_its_owner(self, tmp_path: Path) -> None:
        where = Where(tmp_path)
        process = owner_process(where)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=120)
        with Store.open(where) as store, store.leases.acquire("mail01", run="mine", wait=5.0) as lease:
            assert lease.token == 2

    def test_elsewhere_it_ends_at_its_deadline(self, where: Where) -> None:
        process = owner_process(where, term=2.0)
        process.kill()
        process.wait(timeout=120)
        for beacon in (where.folder / "leases").glob("*"):
            beacon.unlink()  # nobody can tell any more that the owner is gone
        with Store.open(where) as store:
            with pytest.raises(Held):
                store.leases.acquire("mail01", run="mine")
            with store.leases.acquire("mail01", run="mine", wait=120.0) as lease:
                assert lease.token == 2

    def test_an_owner_at_work_keeps_its_lease_beyond_the_term(self, where: Where) -> None:
        process = owner_process(where, term=1.5)
        try:
            with Store.open(where) as store, pytest.raises(Held):
                store.leases.acquire("mail01", run="mine", wait=5.0)
        finally:
            process.kill()
            process.wait(timeout=120)

    def test_a_suspended_owner_does_nothing_more_when_it_wakes(self, where: Where) -> None:
        code = OWNER.replace("time.sleep(600)\n", "").replace("print(", "print('ready', ") + (
            "from converge.errors import LeaseLost\n"
            "from converge.model.journal import RunEnded\n"
            "sys.stdin.readline()\n"
            "for use in (lease.confirm, lambda: store.journal(lease, render=None).write(RunEnded('ok', ''))):\n"
            "    try: use(); print('went on')\n"
            "    except LeaseLost: print('stopped')\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(where.folder), where.url, "1.5"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready")
        process.send_signal(signal.SIGSTOP)
        with Store.open(where) as store, store.leases.acquire("mail01", run="mine", wait=120.0) as lease:
            process.send_signal(signal.SIGCONT)
            out, _ = process.communicate("\n", timeout=120)
            assert out.split() == ["stopped", "stopped"]
            store.journal(lease, render=render).write(INTENDED)
            assert store.verify("mail01") == 1


class TestLost:
    def test_who_lost_it_writes_nothing_more(self, store: Store, rows: Rows) -> None:
        lease = store.leases.acquire("mail01", run="1")
        book = store.journal(lease, render=render)
        book.write(INTENDED)
        rows("UPDATE leases SET token = token + 1, holder = 'another'")
        with pytest.raises(LeaseLost, match="another run has taken mail01 over"):
            book.write(INTENDED)
        assert rows("SELECT count(*) FROM journal") == [(1,)]
        with pytest.raises(LeaseLost):
            lease.confirm()
        with pytest.raises(LeaseLost):
            book.back_up(RegistrySnapshot(()))
        lease.release()
        assert rows("SELECT token, holder FROM leases") == [(2, "another")]

    def test_the_renewing_thread_notices(self, where: Where, store: Store, rows: Rows) -> None:
        with Store.open(replace(where, term=1.2)) as mine:
            lease = mine.leases.acquire("mail01", run="1")
            rows("UPDATE leases SET token = token + 1, holder = 'another'")
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline:
                try:
                    lease.confirm()
                except LeaseLost:
                    return
                time.sleep(0.1)
        raise AssertionError("the lease was believed to be good for ever")

    def test_a_lease_of_a_store_that_went_away_is_not_trusted_for_longer_than_its_term(self, tmp_path: Path) -> None:
        with Store.open(Where(tmp_path / "state", term=1.0)) as store:
            lease = store.leases.acquire("mail01", run="1")
            lease.confirm()
            (tmp_path / "state/converge.db").rename(tmp_path / "elsewhere")
            (tmp_path / "state/converge.db").write_bytes(b"no database at all" * 1000)
            for path in (tmp_path / "state").glob("converge.db-*"):
                path.unlink()
            store._database.close()  # connections that are open would still reach the renamed file
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline:
                try:
                    lease.confirm()
                except JournalUnavailable:
                    return
                time.sleep(0.1)
        raise AssertionError("a lease was trusted that nobody could renew")


def test_beacons_do_not_pile_up(tmp_path: Path) -> None:
    where = Where(tmp_path)
    for number in range(3):
        process = owner_process(replace(where, folder=tmp_path / str(number)))
        process.kill()
        process.wait(timeout=120)
    folder = tmp_path / "0" / "leases"
    (old,) = folder.iterdir()
    os.utime(old, (0, 0))
    with Store.open(replace(where, folder=tmp_path / "0")) as store:
        store.leases.acquire("other", run="1").release()
    assert list(folder.iterdir()) == []
