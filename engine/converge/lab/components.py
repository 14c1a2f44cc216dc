"""Optional components: what sysocmgr makes of an answer file.

Source: Sysocmgr (Windows Server 2003 command-line reference); answer files: [Components] of Unattend.txt, NAME = on | off. The exit
code of sysocmgr says nothing about what was done, and here it is always 0. A component goes with those it cannot do
without, and brings them along when it comes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from converge.lab.effects import SUBCOMPONENTS, enact
from converge.lab.specs import ComponentSpec, InstallVariant
from converge.lab.world import World
from converge.model.names import fold, same
from converge.model.registry import Hive, RegistryPath
from converge.windows import paths

_SETUP = RegistryPath(Hive.LOCAL_MACHINE, r"SOFTWARE\Microsoft\Windows\CurrentVersion\Setup")
_SECTIONS = ("COMPONENTS", "NETOPTIONALCOMPONENTS")


def read_answers(text: str) -> dict[str, bool]:
    """Which components an answer file turns on and off. What is no `NAME = on|off` in its sections is passed over."""
    answers: dict[str, bool] = {}
    section = ""
    for line in text.splitlines():
        plain = line.partition(";")[0].strip()
        if plain.startswith("["):
            section = fold(plain.strip("[]").strip())
        elif section in _SECTIONS and "=" in plain:
            name, _, state = plain.partition("=")
            if fold(state.strip().strip('"')) in ("ON", "OFF", "1", "0"):
                answers[name.strip().strip('"')] = fold(state.strip().strip('"')) in ("ON", "1")
    return answers


def installed(world: World, name: str) -> bool:
    """Whether a component is installed, as its entry under Subcomponents says."""
    value = world.registry.value(SUBCOMPONENTS, name)
    return value is not None and value.data == 1


def list_states(world: World) -> dict[str, bool]:
    """Which components a host knows, and whether each is installed: those of its master INF files, and those it has notes of."""
    key = world.registry.find(SUBCOMPONENTS)
    noted = [value.name for value in key.values.values() if value.name] if key is not None else []
    names = sorted({fold(name): name for name in (*world.components, *noted)}.values(), key=fold)
    return {name.lower(): installed(world, name) for name in names}


def change(world: World, answers: Mapping[str, bool], *, inf: str) -> None:
    """Remove and install what the answers say, of the components a master INF file knows."""
    known = {
        name: spec for name, spec in world.components.items() if any(same(paths.name(inf), held) for held in spec.infs)
    }
    wanted = {fold(name): on for name, on in answers.items() if fold(name) in known}
    leaving = [name for name, on in wanted.items() if not on]
    for name in _with_dependents(world, leaving):
        if installed(world, name):
            enact(world, world.components[name].remove)
            _record(world, name, on=False)
    for name in _with_needs(world, [name for name, on in wanted.items() if on]):
        if not installed(world, name):
            variant = _variant(world, world.components[name], sources=_sources(world, inf))
            if variant is not None:
                enact(world, variant)
                _record(world, name, on=True)


def _record(world: World, name: str, *, on: bool) -> None:
    world.registry.create(SUBCOMPONENTS).set(name.lower(), number=4, data=int(on))


def _with_dependents(world: World, names: list[str]) -> list[str]:
    """The components and all that cannot do without them, those first."""
    return _followed(
        names, lambda name: [key for key, spec in world.components.items() if name in map(fold, spec.needs)]
    )


def _with_needs(world: World, names: list[str]) -> list[str]:
    """The components and all they need, what is needed first."""
    return _followed(
        names, lambda name: [key for key in map(fold, world.components[name].needs) if key in world.components]
    )


def _followed(names: list[str], leads_to: Callable[[str], list[str]]) -> list[str]:
    """The names and all that they lead to, what was reached last first."""
    found: list[str] = []
    waiting = list(names)
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found.append(name)
            waiting += leads_to(name)
    return found[::-1]


def _sources(world: World, inf: str) -> list[str]:
    """Where files are installed from: what Setup was told (SourcePath), and beside a master INF of its own."""
    value = world.registry.value(_SETUP, "SourcePath")
    told = [str(value.data)] if value is not None else []
    own = not same(paths.parent(inf), paths.join(world.profile.system_root, "inf"))
    return [*told, paths.parent(inf)] if own else told


def _variant(world: World, spec: ComponentSpec, *, sources: list[str]) -> InstallVariant | None:
    if not spec.install:
        return InstallVariant()
    for variant in spec.install:
        if not variant.when or any(_met(world, variant, source) for source in sources):
            return variant
    return None


def _met(world: World, variant: InstallVariant, source: str) -> bool:
    for test in variant.when:
        file = world.files.file(world.expand(test.file.replace("{source}", source)))
        if file is None or (test.sizes and file.size not in test.sizes):
            return False
    return True
