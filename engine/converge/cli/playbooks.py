"""Which playbooks are meant, and their plays in order."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from converge.errors import UsageError
from converge.model.play import Play

DEFAULT_FOLDER = Path("playbooks")


def chosen_playbooks(named: Sequence[str]) -> tuple[Path, ...]:
    """The files named, or those of `playbooks/`. Raises UsageError where there are none."""
    if named:
        paths = tuple(dict.fromkeys(Path(name) for name in named))
        for path in paths:
            if not path.is_file():
                raise UsageError(f"there is no playbook {path}", try_=_near(path))
        return paths
    found = sorted((*DEFAULT_FOLDER.glob("*.yml"), *DEFAULT_FOLDER.glob("*.yaml")))
    if not found:
        raise UsageError(
            f"there is no playbook: no {DEFAULT_FOLDER}/*.yml in this folder",
            try_="name one (`converge --check PLAYBOOK`), or go to the folder that holds playbooks/",
        )
    return tuple(found)


def load_plays(playbooks: Sequence[Path], *, known_variables: Collection[str]) -> tuple[Play, ...]:
    """Every play of the files, by their order and then by file. Raises InputErrors."""
    from converge import resources  # defining the kinds is what registers them
    from converge.model.resource import KINDS
    from converge.playbook import load

    del resources
    return load(playbooks, kinds=KINDS, known_variables=known_variables)


def _near(path: Path) -> str:
    folder = path if path.is_dir() else path.parent
    names = sorted(item.name for item in folder.glob("*.y*ml"))[:10] if folder.is_dir() else []
    return f"{folder} holds {', '.join(names)}" if names else "look at the path"
