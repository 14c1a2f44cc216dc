"""The variables of a host: which layer wins, where a value came from, and its rendered form."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import TemplateError, TemplateSyntaxError, UndefinedError

from converge.errors import InputErrors, InputProblem
from converge.inventory.templates import holds_template, is_template, render
from converge.inventory.values import Variable
from converge.model.position import Position
from converge.model.secret import Locked
from converge.reading.sandbox import Unusable
from converge.reading.scalars import Unsafe
from converge.reading.spelling import did_you_mean

if TYPE_CHECKING:
    from converge.inventory.groups import Group, Host, Membership
    from converge.inventory.variable_files import FileVariables, VariableFolder

MAX_HOPS = 50
"""Variables that refer to variables that refer to variables: a chain this long is a mistake."""


_NAMED = re.compile(r"'([^']*)'(?! object)|(\d+)")


class Layer(NamedTuple):
    """Variables of several origins merged, and the files that might say more if they could be read."""

    variables: dict[str, Variable]
    vaults: tuple[str, ...]


class Layers:
    """Merges variables by Ansible's precedence. Hosts of the same groups share one layer, so many hosts cost little.

    Weakest first: inventory `all`, inventory groups (parent before child), `group_vars/all` next to the inventory, then
    next to the playbook, `group_vars/GROUP` next to the inventory, then next to the playbook; inventory host,
    `host_vars` next to the inventory, then next to the playbook; extra variables.
    https://docs.ansible.com/ansible/latest/playbook_guide/playbooks_variables.html
    """

    def __init__(
        self,
        members: Membership,
        *,
        inventory_folders: Sequence[VariableFolder],
        playbook_folders: Sequence[VariableFolder],
        extra: Mapping[str, object],
    ) -> None:
        self._members = members
        self._inventory_folders = inventory_folders
        self._playbook_folders = playbook_folders
        self.extra = {name: Variable(value, Position("--extra-vars")) for name, value in extra.items()}
        self._shared: dict[tuple[Group, ...], Layer] = {}

    def of(self, host: Host) -> tuple[Mapping[str, Variable], ...]:
        """The layers of a host, the strongest first."""
        return self.extra, self._of_host(host).variables, self._of_groups(host).variables

    def vaults(self, host: Host) -> tuple[str, ...]:
        """The encrypted files that may set variables of this host."""
        return self._of_host(host).vaults + self._of_groups(host).vaults

    def all_variables(self) -> Iterator[tuple[str, Variable]]:
        """Every variable of every file, group and host, overridden ones too."""
        for group in self._members.groups.values():
            yield from group.variables.items()
        for host in self._members.hosts.values():
            yield from host.variables.items()
        for folder in (*self._inventory_folders, *self._playbook_folders):
            for files in (*folder.groups.values(), *folder.hosts.values()):
                yield from files.variables.items()
        yield from self.extra.items()

    def _of_host(self, host: Host) -> Layer:
        files = [
            folder.hosts[host.name]
            for folder in (*self._inventory_folders, *self._playbook_folders)
            if host.name in folder.hosts
        ]
        return _merge(host.variables, files) if files else Layer(host.variables, ())

    def _of_groups(self, host: Host) -> Layer:
        groups = self._members.groups_of(host)
        layer = self._shared.get(groups)
        if layer is None:
            everyone = self._members.groups["all"]
            inline = dict(everyone.variables)
            for group in groups:
                inline.update(group.variables)
            files = [
                folder.groups[group.name]
                for chosen in ((everyone,), groups)
                for folders in (self._inventory_folders, self._playbook_folders)
                for folder in folders
                for group in chosen
                if group.name in folder.groups
            ]
            layer = self._shared[groups] = _merge(inline, files)
        return layer


def _merge(inline: Mapping[str, Variable], files: Sequence[FileVariables]) -> Layer:
    merged = dict(inline)
    for file in files:
        merged.update(file.variables)
    return Layer(merged, tuple(path for file in files for path in file.vaults))


class HostVariables(Mapping[str, object]):
    """Every variable of a host, each rendered when it is asked for the first time.

    A value that cannot be read here is a `Locked`. One that cannot be rendered raises InputErrors, which names the
    variable and the file it stands in. Meant for one thread.
    """

    def __init__(
        self,
        host: str,
        *,
        layers: Sequence[Mapping[str, Variable]],
        vaults: Sequence[str],
        magic: Mapping[str, Callable[[], object]],
        hops: int = 0,
    ) -> None:
        self._host = host
        self._layers = layers
        self._vaults = vaults
        self._magic = magic
        self._done: dict[str, object] = {}
        self._open: dict[str, None] = {}
        self._hops = hops

    def __getitem__(self, name: str) -> object:
        if name in self._done:
            return self._done[name]
        if name in self._magic:
            value = self._magic[name]()
        else:
            value = self._rendered(name, self.written(name))
        self._done[name] = value
        return value

    def __contains__(self, name: object) -> bool:
        for layer in self._layers:  # no generator: this is asked often
            if name in layer:
                return True
        return name in self._magic

    def __iter__(self) -> Iterator[str]:
        names: dict[str, None] = dict.fromkeys(self._magic)
        for layer in reversed(self._layers):
            names.update(dict.fromkeys(layer))
        return iter(names)

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __repr__(self) -> str:
        return f"HostVariables({self._host!r}, {len(self)} variables)"

    def written(self, name: str) -> Variable:
        """A variable as it was written, and where. Raises KeyError."""
        for layer in self._layers:
            if name in layer:
                return layer[name]
        raise KeyError(name)

    def _rendered(self, name: str, variable: Variable) -> object:
        value = variable.value
        if not isinstance(value, list | dict) and not is_template(value):
            return str(value) if isinstance(value, Unsafe) else value
        if not holds_template(value) and isinstance(value, str):
            return value
        if name in self._open:
            chain = " > ".join((*self._open, name))
            raise self._problem(variable, f"variable {name} refers to itself: {chain}")
        if len(self._open) + self._hops >= MAX_HOPS:
            raise self._problem(variable, f"variable {name} refers to variables through more than {MAX_HOPS} steps")
        self._open[name] = None
        try:
            return self._render(name, variable)
        finally:
            del self._open[name]

    def _render(self, name: str, variable: Variable) -> object:
        try:
            return render(variable.value, self)
        except InputErrors:
            raise
        except UndefinedError as error:
            message = _told(error, variable)
            if self._vaults:
                files = ", ".join(self._vaults)
                return Locked(f"{message}; it may be set in {files}, encrypted with Ansible Vault")
            raise self._undefined(name, variable, message=message) from None
        except TemplateSyntaxError as error:
            detail = "" if "pass" in name.lower() else f": {error.message}"
            raise self._problem(variable, f"variable {name}: mistake in the template{detail}") from None
        except TemplateError as error:
            raise self._problem(variable, f"variable {name} cannot be rendered: {_told(error, variable)}") from None
        except Unusable as error:
            raise self._problem(variable, f"variable {name} cannot be rendered: {error.message}") from None
        except Exception as error:  # noqa: BLE001 - an expression may raise anything; its text may hold a password
            raise self._problem(variable, f"variable {name} cannot be rendered: {type(error).__name__}") from None

    def _undefined(self, name: str, variable: Variable, *, message: str) -> InputErrors:
        undefined = message.split("'")[1] if message.endswith("' is undefined") else ""
        hint = did_you_mean(undefined, self) if undefined else ""
        return self._problem(variable, f"variable {name} of host {self._host}: {message}", hint=hint)

    def _problem(self, variable: Variable, message: str, *, hint: str = "") -> InputErrors:
        return InputErrors([InputProblem(*variable.place, message, hint=hint)])

    @property
    def depth(self) -> int:
        """How many variables are being rendered on the way here."""
        return self._hops + len(self._open)


def _told(error: TemplateError, variable: Variable) -> str:
    """What Jinja complains of, unless it names something that the template does not: that may be a secret's value."""
    message = error.message or type(error).__name__
    names = [quoted or number for quoted, number in _NAMED.findall(message) if not quoted.endswith(" object")]
    if all(name in str(variable.value) for name in names):
        return message
    return "a name or an item is undefined" if isinstance(error, UndefinedError) else type(error).__name__


class OtherHosts(Mapping[str, Any]):
    """`hostvars`: the variables of any host by its name."""

    def __init__(self, hosts: Mapping[str, object], variables_of: Callable[[str], HostVariables]) -> None:
        self._hosts = hosts
        self._variables_of = variables_of

    def __getitem__(self, name: str) -> HostVariables:
        if name not in self._hosts:
            raise KeyError(name)
        return self._variables_of(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._hosts)

    def __len__(self) -> int:
        return len(self._hosts)
