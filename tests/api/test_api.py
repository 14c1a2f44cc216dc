"""The library as a program uses it: what the commands do, as values; nothing printed, nothing installed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.cli_program import BOUND, INVENTORY, PLAYBOOK, REPOSITORY

from converge import api
from converge.errors import InputErrors, UsageError

EVERYTHING_TWICE = """
import contextlib, importlib, io, json, pkgutil, signal, sys
import converge
for module in pkgutil.walk_packages(converge.__path__, "converge."):
    with contextlib.suppress(ImportError):  # an extra that is not installed
        importlib.import_module(module.name)
from converge import api

handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
said = {}
printed = io.StringIO()
with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
    for turn in (1, 2):
        check, plan = api.check(), api.plan()
        done, diagnosis = api.apply(plan=plan), api.diagnose()
        undone = api.undo(run=done.run)
        again = api.apply(playbooks="playbooks/registry.yml")
        back = api.undo(run=again.run)
        said[turn] = [(each.mode, int(each.exit_code), each.document()["summary"]["changed"])
                      for each in (check, plan, done, diagnosis, undone, again, back)]
        assert api.check().hosts["mail01"].resources == check.hosts["mail01"].resources
assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
assert printed.getvalue() == "", printed.getvalue()
print(json.dumps(said))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in (("playbooks/registry.yml", PLAYBOOK), ("inventory/hosts.yml", INVENTORY)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def program(text: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=folder, capture_output=True, text=True, timeout=BOUND, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_function_twice_in_one_process_after_every_module_was_imported(folder: Path) -> None:
    said = json.loads(program(EVERYTHING_TWICE, folder))
    assert said["1"] == said["2"]
    assert said["1"] == [
        ["check", 2, 2], ["plan", 2, 2], ["apply", 0, 2], ["diagnose", 0, 0], ["undo", 0, 2], ["run", 0, 2], ["undo", 0, 2],
    ]  # fmt: skip


def test_importing_the_package_loads_nothing_else() -> None:
    loaded = program("import sys, converge; print([name for name in sys.modules if name.startswith('converge.')])", REPOSITORY)
    assert loaded == "[]\n"


def test_the_example_of_the_readme(folder: Path) -> None:
    (example,) = re.findall(r"## As a library\n\n```python\n(.*?)```", (REPOSITORY / "engine/README.md").read_text(), re.S)
    lines = program(example, folder).splitlines()
    assert lines[0] == "mail01 changed ['service:RemoteRegistry']"
    assert lines[-1].startswith("0 {'ok': 0, 'changed': 2,") or lines[-1].startswith("0 {'ok': 1, 'changed': 2,")


def test_events_can_be_watched_and_are_what_the_result_holds(folder: Path) -> None:
    events: list[api.Event] = []
    result = api.check(limit="mail01", on_event=events.append)
    ended = [event.result for event in events if isinstance(event, api.Ended)]
    assert ended == [result.hosts["mail01"]]
    assert result.document()["hosts"].keys() == {"mail01"}


def test_it_can_be_stopped_from_outside(folder: Path) -> None:
    stop = api.StopToken()
    result = api.check(stop=stop, on_event=lambda event: stop.ask())
    assert result.exit_code == 130
    assert {host.status for host in result.hosts.values()} <= {api.Status.SKIPPED, api.Status.CHANGED, api.Status.OK}


def test_mistakes_are_errors_before_any_host_is_contacted(folder: Path) -> None:
    with pytest.raises(UsageError, match="a plan or playbooks, not both"):
        api.apply(plan="x.plan", playbooks="playbooks/registry.yml")
    with pytest.raises(UsageError, match="cannot be read"):
        api.apply(plan="x.plan")
    with pytest.raises(UsageError, match="no run"):
        api.undo(run="2020-01-01T000000Z-0000")
    Path("playbooks/registry.yml").write_text("- name: x\n  hosts: all\n  resources: [{servise: {}}]\n")
    with pytest.raises(InputErrors, match="servise"):
        api.check()
    assert not list(Path(".converge").glob("lab/*.json"))


def test_a_plan_in_memory_is_the_saved_one(folder: Path) -> None:
    plan = api.plan(extra_vars={"any": [1, "two"]})
    plan.save("x.plan")
    done = api.apply(plan=plan, extra_vars={"any": [1, "two"]})
    assert done.exit_code == 0
    again = api.apply(plan="x.plan", extra_vars={"any": 0})
    assert {host.status for host in again.hosts.values()} == {api.Status.STALE, api.Status.SKIPPED}
    assert again.exit_code == 5
