"""A run keeps change windows: from outside, and on one host whose window ends while it is being changed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.cli.cli_program import INVENTORY, PLAYBOOK, Program

from converge.lab.endpoint.host import SimulatedHost
from converge.lab.endpoint.mishaps import Mishap, MishapKind
from converge.lab.endpoint.server import LabServer
from converge.lab.image import load_image
from converge.model.change import Change, HostResult, Status
from converge.model.facts import ServiceState
from converge.runs.window_keeper import WindowKeeper, held, leaves_after
from converge.schedule.windows import read_windows
from converge.store.store import Store, Where

NEVER = "converge_change_windows: never"


def closed_now() -> str:
    """A window that opens the day after tomorrow."""
    day = (datetime.now(UTC) + timedelta(days=2)).strftime("%a").lower()
    return f"converge_change_windows: [{{days: {day}, from: '10:00', to: '11:00', timezone: UTC}}]"


@pytest.fixture
def program(tmp_path: Path) -> Program:
    program = Program(tmp_path)
    program.write("playbooks/registry.yml", PLAYBOOK)
    return program


def inventory(program: Program, extra: str, *, host: str = "mail01") -> None:
    program.write("inventory/hosts.yml", INVENTORY)
    program.write(f"inventory/host_vars/{host}.yml", extra + "\n")


def journal_of(folder: Path, host: str) -> str:
    import sqlite3

    with sqlite3.connect(folder / ".converge" / "converge.db") as connection:
        return "\n".join(row[0] for row in connection.execute("SELECT body FROM journal WHERE host = ?", (host,)))


def test_outside_its_window_a_host_is_looked_at_and_not_changed(program: Program) -> None:
    inventory(program, closed_now())
    assert program("--check").code == 2
    ended = program("--yes", "--format", "json")
    hosts = ended.document()["hosts"]
    assert ended.code == 6
    assert hosts["mail01"]["status"] == "held"
    assert hosts["mail01"]["error"]["code"] == "outside-window"
    assert "It opens 20" in hosts["mail01"]["error"]["why"]
    assert "service:RemoteRegistry" in hosts["mail01"]["error"]["why"]
    assert hosts["mail01"]["resources"][0]["status"] == "skipped"
    assert hosts["mail02"]["status"] == "changed"
    again = program("--check", "--format", "json").document()["hosts"]
    assert (again["mail01"]["status"], again["mail02"]["status"]) == ("changed", "ok")
    assert journal_of(program.folder, "mail01") == ""


def test_a_reason_overrides_the_window_and_is_journaled(program: Program) -> None:
    inventory(program, NEVER)
    assert program("--yes").code == 6
    assert program("--yes", "--outside-window", "  ").code == 1
    ended = program("--yes", "--outside-window", "mail is down, ticket 4711")
    assert ended.code == 0, ended.err
    assert "mail is down, ticket 4711" in journal_of(program.folder, "mail01")
    shown = program("runs", program("runs").out.splitlines()[1].split()[0]).out
    assert re.search("mail01: changed\n  outside its change window: .*mail is down, ticket 4711", shown)
    assert shown.count("outside its change window") == 1
    assert "WindowOverridden" not in journal_of(program.folder, "mail02")


def test_wrong_windows_are_told_with_their_place_before_any_host_is_contacted(program: Program) -> None:
    inventory(
        program,
        "# first line\nconverge_change_windows:\n  - {days: [mon], from: '22:00', to: '23:00', timezone: Berlin}",
    )
    for words in (("--check",), ("lint",)):
        ended = program(*words)
        assert ended.code == 1
        assert "mail01.yml:" in ended.err
        assert "Berlin" in ended.err
        assert "no host was contacted" in ended.err


# --- a window that ends while hosts are being changed

VALUES = "".join(
    f"    - registry_value: {{key: 'HKLM\\SOFTWARE', name: Value{number:02}, type: dword, data: 1}}\n"
    for number in range(14)
)
SETTINGS = f"""\
- name: Settings
  hosts: all
  resources:
    - service: {{name: RemoteRegistry, start_mode: automatic}}
{VALUES}      notify: in the end
  handlers:
    - name: in the end
      restart_service: {{name: RemoteRegistry}}
"""


def ends_in(seconds: float) -> str:
    """A window that is open and ends then: a rule that began to the second when it is to have begun."""
    begin = datetime.now(UTC) + timedelta(seconds=seconds) - timedelta(hours=1)
    rule = f"DTSTART:{begin:%Y%m%dT%H%M%S}\\nRRULE:FREQ=YEARLY"
    return f'converge_change_windows: [{{rrule: "{rule}", duration: 1h, timezone: UTC}}]'


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[tuple[Program, dict[str, SimulatedHost]]]:
    """Two hosts that listen, in a folder with a play of many values."""
    program = Program(tmp_path)
    program.write("playbooks/settings.yml", SETTINGS)
    with LabServer() as server:
        hosts = {
            name: SimulatedHost(name, load_image("exchange55-registry-stopped", host_name=name)) for name in ("web01", "web02")
        }
        lines = ""
        for name, host in hosts.items():
            port = server.start([host])[0].url.rsplit(":", 1)[1].split("/")[0]
            account = next(iter(host.world.accounts.values()))
            lines += (
                f"    {name}: {{ansible_host: 127.0.0.1, ansible_port: {port}, ansible_winrm_scheme: http, "
                f"ansible_user: '{account.name}', ansible_password: '{account.password}'}}\n"
            )
        program.write("inventory/hosts.yml", f"all:\n  hosts:\n{lines}")
        yield program, hosts


def slowed(host: SimulatedHost, seconds: float) -> None:
    """It takes so long over each value that it is to write."""
    host.mishaps.add(Mishap(MishapKind.DELAY, seconds, operation="Invoke", method="SetDWORDValue"))


def test_at_the_end_of_a_window_hosts_finish_their_resource_and_stop(slow: tuple[Program, dict[str, SimulatedHost]]) -> None:
    program, hosts = slow
    slowed(hosts["web01"], 3.0)
    program.write("inventory/host_vars/web01.yml", ends_in(22) + "\n")
    ended = program("--yes", "--format", "json")
    told = ended.document()["hosts"]
    assert ended.code == 6, ended.out
    assert told["web02"]["status"] == "changed"
    assert told["web01"]["status"] == "held"
    assert told["web01"]["error"]["code"] == "window-ended"
    left = [each["address"] for each in told["web01"]["resources"] if each["status"] == "skipped"]
    done = [each["address"] for each in told["web01"]["resources"] if each["status"] == "changed"]
    assert done
    assert left
    assert all(address in told["web01"]["error"]["why"] for address in left[:8])
    written = [record for record in hosts["web01"].log.records if record.method == "SetDWORDValue"]
    assert len(written) == sum("registry_value" in address for address in done), "what was begun was finished"
    assert "still open" not in program("runs", program("runs").out.splitlines()[1].split()[0]).out
    program.write("inventory/host_vars/web01.yml", "converge_change_windows: always\n")
    hosts["web01"].mishaps.clear()
    again = program("--yes", "--format", "json").document()["hosts"]
    assert again["web01"]["status"] == "changed"
    assert program("--check").code == 0
    service = hosts["web01"].world.service("RemoteRegistry")
    assert service is not None
    assert service.state is ServiceState.RUNNING, "the handler was pending and has run"


def test_no_host_is_begun_that_by_what_was_measured_would_not_end(slow: tuple[Program, dict[str, SimulatedHost]]) -> None:
    """web02 was measured; web01 never was, and is expected to take as long."""
    program, hosts = slow
    slowed(hosts["web02"], 2.0)
    assert program("--yes", "--limit", "web02").code == 0
    program.write("inventory/host_vars/web01.yml", ends_in(22) + "\n")
    ended = program("--yes", "--format", "json")
    assert ended.code == 6
    error = ended.document()["hosts"]["web01"]["error"]
    assert error["code"] == "window-too-short"
    assert "is expected to take" in error["why"]
    assert "Left as they are: service:RemoteRegistry" in error["why"]
    asked = {record.method for record in hosts["web01"].log.records}
    assert not asked & {"SetDWORDValue", "ChangeStartMode", "StartService"}


# --- one host, time by hand


def change(address: str, status: Status = Status.CHANGED) -> Change:
    return Change(address, {"kind": "service"}, address, "play", status)


def keeper(now: Sequence[datetime], *, seconds: float = 0.0, reason: str = "") -> WindowKeeper:
    windows = read_windows({"from": "10:00", "to": "11:00", "timezone": "UTC"})
    moments = iter(now)
    return WindowKeeper({"web01": windows}, reason, {"web01": seconds}, now=lambda: next(moments))


def at(clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-23T{clock}").replace(tzinfo=UTC)


def test_no_host_is_begun_that_would_probably_not_end_in_time() -> None:
    assert keeper([at("10:30")], seconds=29 * 60).refusal("web01") is None
    refusal = keeper([at("10:30")], seconds=31 * 60).refusal("web01")
    assert refusal is not None
    assert refusal.code == "window-too-short"
    assert "31 min" in refusal.why
    assert keeper([at("10:30")], seconds=31 * 60).refusal("host without a window") is None


def test_what_the_end_of_the_window_leaves_is_told() -> None:
    windows = keeper([at("10:59")])
    assert windows.refusal("web01") is None
    moments = iter([at("10:59:30"), at("11:00")])
    leaves = leaves_after(windows.end("web01"), now=lambda: next(moments))
    assert leaves("service:A") == ""
    words = leaves("service:B")
    assert "ended 2026-11-23 11:00 UTC" in words
    done = HostResult("web01", Status.CHANGED, (change("service:A"),))
    assert windows.ended(done) is done
    left = Change("service:B", {"kind": "service"}, "B", "play", Status.SKIPPED, reason=words)
    result = windows.ended(HostResult("web01", Status.CHANGED, (change("service:A"), left)))
    assert result.status is Status.HELD
    assert result.error is not None
    assert result.error.code == "window-ended"
    assert "service:B" in result.error.why
    assert "service:A" not in result.error.why


def test_a_host_held_back_counts_nothing_as_changed() -> None:
    refusal = keeper([at("12:00")]).refusal("web01")
    assert refusal is not None
    result = held(HostResult("web01", Status.CHANGED, (change("service:A"), change("service:B", Status.OK))), refusal)
    assert [item.status for item in result.changes] == [Status.SKIPPED, Status.OK]
    assert result.status is Status.HELD


def test_durations_come_from_the_runs_that_changed_a_host(tmp_path: Path) -> None:
    with Store.open(Where(tmp_path)) as store:
        for number, (mode, seconds) in enumerate((("run", 40.0), ("run", 90.0), ("check", 900.0))):
            run = store.runs.begin(f"2026112{number}T000000Z-0000", mode=mode, playbooks=(), user="u", version="1")
            run.host(HostResult("web01", Status.CHANGED, (change(f"service:{number}"),), seconds=seconds))
            run.end(0)
        assert store.runs.seconds() == {"web01": 90.0}
