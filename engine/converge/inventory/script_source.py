"""Executable inventories: a program that answers `--list`, and `--host NAME` if it leaves out `_meta`, in JSON."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from typing import TYPE_CHECKING

from converge.inventory.programs import NotAProgram, ProgramFailed, run_program
from converge.inventory.values import MAX_BYTES, Variable
from converge.model.position import Position
from converge.model.secret import Locked
from converge.reading.problems import Problems
from converge.reading.scalars import Unsafe

if TYPE_CHECKING:
    from converge.inventory.groups import Group, Membership

LIST_SECONDS = 120.0
"""A script may ask a slow cloud; one that takes longer hangs."""

ALL_HOSTS_SECONDS = 300.0
"""For all calls of `--host` together."""

_SECTIONS = ("hosts", "vars", "children")


def is_script(path: str) -> bool:
    """Whether a source is to be run instead of read."""
    return os.path.isfile(path) and os.access(path, os.X_OK)


def read_script_inventory(path: str, *, members: Membership, problems: Problems) -> bool:
    """Run an executable inventory and add what it says. False: the system cannot run it, it may be an ordinary file."""
    reader = _Script(path, members=members, problems=problems)
    try:
        reader.read()
    except NotAProgram:
        return False
    return True


class _BadOutput(Exception):
    """What the script wrote is not what an inventory script writes."""


class _Script:
    def __init__(self, path: str, *, members: Membership, problems: Problems) -> None:
        self._place = Position(path)
        self._program = os.path.abspath(path)
        self._members = members
        self._problems = problems
        self._named: dict[str, None] = {}

    def read(self) -> None:
        """Run it with --list. Raises NotAProgram."""
        groups = self._ask(["--list"], seconds=LIST_SECONDS)
        if groups is None:
            return
        meta = groups.pop("_meta", None)
        for name, data in groups.items():
            self._group(name, data)
        if isinstance(meta, dict) and "hostvars" in meta:
            self._meta(meta["hostvars"])
        else:
            self._ask_for_each_host()

    def _ask(self, arguments: list[str], *, seconds: float) -> dict[str, object] | None:
        what = " ".join(arguments)
        try:
            output = run_program([self._program, *arguments], seconds=seconds, max_output=MAX_BYTES)
            if not output.strip() and arguments[0] == "--host":
                return {}
            answer = json.loads(output.decode("utf-8-sig"), object_pairs_hook=_object)
        except NotAProgram:
            raise
        except ProgramFailed as error:
            self._problems.error(self._place, f"inventory script, {what}: {error}")
        except (ValueError, RecursionError, _BadOutput) as error:
            reason = str(error) if isinstance(error, _BadOutput) else "what it wrote is not JSON in UTF-8"
            self._problems.error(self._place, f"inventory script, {what}: {reason}", expected="one JSON object")
        else:
            if isinstance(answer, dict):
                return answer
            self._problems.error(
                self._place, f"inventory script, {what}: wrote {_kind(answer)}", expected="one JSON object"
            )
        return None

    def _group(self, name: str, data: object) -> None:
        group = self._members.add_group(name)
        if isinstance(data, list):
            data = {"hosts": data}
        elif isinstance(data, dict) and not any(section in data for section in _SECTIONS):
            self._problems.warn(
                self._place, f"inventory script: {name[:60]} is not a group, so it is taken as a host, as Ansible does"
            )
            data = {"hosts": [name], "vars": data}
        if not isinstance(data, dict):
            self._wrong(
                data,
                group=name,
                section="group",
                expected="a list of hosts, or an object with hosts, vars and children",
            )
            return
        self._hosts(group, data.get("hosts", []))
        self._variables(group, data.get("vars", {}))
        self._children(group, data.get("children", []))

    def _hosts(self, group: Group, names: object) -> None:
        for host in self._names(names, group=group.name, section="hosts"):
            self._members.add_host(host, group, source=self._place.file)
            self._named[host] = None

    def _variables(self, group: Group, values: object) -> None:
        if not isinstance(values, dict):
            self._wrong(values, group=group.name, section="vars", expected="an object")
            return
        for name, value in values.items():
            self._members.set_group_variable(
                group, name=name, variable=Variable(value, self._place), problems=self._problems
            )

    def _children(self, group: Group, names: object) -> None:
        for child in self._names(names, group=group.name, section="children"):
            self._members.add_child(group.name, child, place=self._place)

    def _names(self, names: object, *, group: str, section: str) -> list[str]:
        if isinstance(names, list) and all(isinstance(name, str) and name for name in names):
            return names
        self._wrong(names, group=group, section=section, expected="a list of names")
        return []

    def _wrong(self, value: object, *, group: str, section: str, expected: str) -> None:
        self._problems.error(
            self._place, f"inventory script: {section} of {group[:60]} is {_kind(value)}", expected=expected
        )

    def _meta(self, hostvars: object) -> None:
        if not isinstance(hostvars, dict):
            self._wrong(hostvars, group="_meta", section="hostvars", expected="an object of hosts")
            return
        for host in self._named:
            self._set(host, hostvars.get(host, {}))

    def _ask_for_each_host(self) -> None:
        deadline = time.monotonic() + ALL_HOSTS_SECONDS
        for host in self._named:
            left = deadline - time.monotonic()
            if left <= 0:
                self._problems.error(
                    self._place,
                    f"inventory script: --host for {len(self._named)} hosts takes more than {ALL_HOSTS_SECONDS:g} s",
                    hint="write the variables of all hosts with --list under _meta: {hostvars: {...}}",
                )
                return
            answer = self._ask(["--host", host], seconds=left)
            if answer is not None:
                self._set(host, answer)

    def _set(self, host: str, values: object) -> None:
        if not isinstance(values, dict):
            self._wrong(values, group=host, section="variables", expected="an object")
            return
        variables = self._members.hosts[host].variables
        for name, value in values.items():
            variables[name] = Variable(value, self._place)


def _object(pairs: list[tuple[str, object]]) -> object:
    """A JSON object; the two that Ansible writes for a locked or an untemplated text become these."""
    made = dict(pairs)
    if len(made) != len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise _BadOutput(f"duplicate key {twice[:60]}")
    if "__ansible_vault" in made:
        return Locked("encrypted with Ansible Vault, in the output of an inventory script")
    if isinstance(text := made.get("__ansible_unsafe"), str):
        return Unsafe(text)
    return made


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else "a locked value")
