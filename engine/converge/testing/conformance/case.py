r"""The cases: each a world, what a playbook declares for it, the drift expected, and facts that hold in the world afterwards.

A file `KIND.yml` is a list of cases, each of which runs through every test of the suite.

    - title: a sentence that says what is shown
      image: windows-2003            # a file of worlds/, this one by default
      world: {files: {'D:\': {a.txt: hello}}}     # what is put into it first, in the words of the lab's images
      quirks: {get_string_of_expandable: raw}     # and how it is odd
      denies: [shells]               # rights that the account lacks
      backup_folder: 'D:\converge'        # the folder set aside for what is kept, where there is one
      entry: {file: {path: 'D:\b.txt', copy_from: 'D:\a.txt'}}    # or `resources:` and `handlers:`, as in a playbook
      drift:                         # what check shows, in order; what is left out does not matter
        - {status: changed, before: null, after: {size: 5, version: null, sha256: null}, actions: [CopyFile]}
      ends: [changed]                # the statuses after apply, where they are others
      again: ok                      # the host's status when it is applied once more, where it is neither ok nor failed again
      wrong: some words              # that a failure must tell
      holds:                         # read from the world itself after apply
        files: {'D:\b.txt': {text: hello}, 'D:\gone.txt': null, 'D:\x.dll.converge-RUN': {size: 1}}
        folders: {'D:\new': true}
        keys: {'HKLM\SOFTWARE\Vendor': true}
        values: {'HKLM\SOFTWARE\Vendor': {Number: {dword: 1}, Gone: null}}
        services: {SMTPSVC: {state: running, start: automatic}}
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from converge.lab.effects import enact
from converge.lab.image import load_image
from converge.lab.specs import Effects, Quirks
from converge.lab.world import World
from converge.model.play import Play
from converge.playbook import load
from converge.runs.playbooks import known_kinds

WORLDS = Path(__file__).parent / "worlds"
ACCOUNT = r"CASE\deploy"


@dataclass(frozen=True)
class Case:
    """One case. `drift` is what check shows, one mapping per resource in order; `ends` the statuses of apply where they differ."""

    title: str
    file: str
    drift: list[dict[str, Any]]
    entry: dict[str, Any] | None = None
    resources: list[dict[str, Any]] = field(default_factory=list)
    handlers: list[dict[str, Any]] = field(default_factory=list)
    image: str = "windows-2003"
    world: dict[str, Any] = field(default_factory=dict)
    quirks: dict[str, Any] = field(default_factory=dict)
    denies: list[str] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    holds: dict[str, Any] = field(default_factory=dict)
    wrong: str = ""  # what the words of a failure must hold
    again: str = ""  # the host's status when it is applied once more; by default as it ended, or ok for changed
    backup_folder: str = ""  # the folder of the host that is set aside for what is kept
    worlds: Path | None = None  # where its image may lie beside those of converge
    person: str = ""  # who settles it after a crash or a broken line: `settle` for what only a person can tell

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The entries of the play."""
        return [self.entry] if self.entry else self.resources

    @property
    def kinds(self) -> set[str]:
        """Every kind that takes part."""
        steps = [step for entry in self.entries for step in entry.get("procedure", {}).get("steps", ())]
        return {key for entry in [*self.entries, *self.handlers, *steps] for key in entry if key in known_kinds()}

    @property
    def statuses(self) -> list[str]:
        """The statuses after apply."""
        return self.ends or [item["status"] for item in self.drift]

    @property
    def status_again(self) -> str:
        """The host's status when it is applied once more."""
        stays = [status for status in ("failed", "undecided") if status in self.statuses]
        return self.again or (stays[0] if stays else "ok")

    @property
    def changes(self) -> bool:
        """Whether something would be done."""
        return any(item.get("actions") for item in self.drift)

    @property
    def ends_well(self) -> bool:
        """Whether apply brings about everything that is declared."""
        return set(self.statuses) <= {"ok", "changed", "skipped"}

    def make_world(self) -> World:
        """The world before anything is done; its clock stands still."""
        kept = _WORLDS.get(repr(self)) or _WORLDS.setdefault(repr(self), json.dumps(self._furnished().to_json()))
        return World.from_json(json.loads(kept))

    def _furnished(self) -> World:
        own = self.worlds is not None and (self.worlds / f"{self.image}.yml").is_file()
        world = load_image(self.image, folder=self.worlds if own and self.worlds else WORLDS)
        enact(world, Effects.model_validate(self.world))
        world.quirks = Quirks.model_validate(self.quirks)
        account = world.accounts[ACCOUNT.upper()]
        account.denies = tuple(self.denies)
        world.clock.freeze(world.now())
        return world

    def plays(self, folder: Path) -> tuple[Play, ...]:
        """Its plays, loaded from a playbook as users write it."""
        return _PLAYS.get(self._declared) or _PLAYS.setdefault(self._declared, self._loaded(folder))

    @property
    def _declared(self) -> str:
        return repr((self.entries, self.handlers))

    def _loaded(self, folder: Path) -> tuple[Play, ...]:
        entries = [{"name": f"entry {number}", **entry} for number, entry in enumerate(self.entries)]
        play = {"name": "the case", "hosts": "all", "resources": entries, "handlers": self.handlers}
        path = folder / "case.yml"
        with path.open("w", encoding="utf-8") as stream:
            yaml.safe_dump([play], stream)
        return load([path], kinds=known_kinds())


_WORLDS: dict[str, str] = {}  # a case is played many times over
_PLAYS: dict[str, tuple[Play, ...]] = {}


def read_cases(folder: Path, *, worlds: Path | None = None) -> Iterator[Case]:
    """Every case of every file of a folder."""
    known = {item.name for item in fields(Case)} - {"file", "worlds"}
    for path in sorted(folder.glob("*.yml")):
        for raw in yaml.safe_load(path.read_text(encoding="utf-8")):
            unknown = set(raw) - known
            assert not unknown, f"{path.name}: {raw.get('title')}: unknown {unknown}"
            yield Case(file=path.stem, worlds=worlds, **raw)
