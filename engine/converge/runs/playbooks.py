"""Which playbooks are meant, and their plays in order."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from converge.errors import UsageError
from converge.model.play import Play

if TYPE_CHECKING:
    from converge.model.resource import Resource
    from converge.playbook.loading import Text

DEFAULT_FOLDER = Path("playbooks")
MOST_NAMED = 10  # playbooks that are named in place of one that is not there


def chosen_playbooks(named: Sequence[str]) -> tuple[Path, ...]:
    """The files named, or those of `playbooks/`. Raises UsageError where there are none."""
    if named:
        paths = tuple(dict.fromkeys(Path(name) for name in named))
        for path in paths:
            if not path.is_file():
                raise UsageError(f"there is not a playbook {path}", try_=near(path))
        return paths
    found = sorted((*DEFAULT_FOLDER.glob("*.yml"), *DEFAULT_FOLDER.glob("*.yaml")))
    if not found:
        raise UsageError(
            f"there is not a playbook: no {DEFAULT_FOLDER}/*.yml in this folder",
            try_="name one (`converge --check PLAYBOOK`), or go to the folder that holds playbooks/",
        )
    return tuple(found)


def load_plays(
    playbooks: Sequence[Path], *, known_variables: Collection[str]
) -> tuple[tuple[Play, ...], tuple[Text, ...]]:
    """Every play of the files, by their order and then by file, and the files as they were read. Raises InputErrors."""
    from converge.playbook.loading import load_texts, read_files
    from converge.reading.problems import Problems

    problems = Problems()
    texts = read_files(playbooks, problems)
    return load_texts(texts, kinds=known_kinds(), known_variables=known_variables, problems=problems), texts


def known_kinds() -> Mapping[str, type[Resource]]:
    """Every kind by its name, those of other packages too; defining them is what registers them. Raises UsageError."""
    import converge.resources  # noqa: F401  # for what it defines
    from converge.model.resource import KINDS
    from converge.runs.plug_ins import plug_ins

    plug_ins()
    return KINDS


def near(path: Path) -> str:
    """The playbook that was probably meant, or those that there are: a hint."""
    from converge.reading.spelling import nearest

    folder = path if path.is_dir() else path.parent
    for place in dict.fromkeys((folder, DEFAULT_FOLDER)):
        names = sorted(item.name for item in place.glob("*.y*ml")) if place.is_dir() else []
        if match := nearest(path.name, names):
            return f"did you mean {place / match}?"
        if names:
            more = ", ..." if len(names) > MOST_NAMED else ""
            return f"{place} holds {', '.join(names[:MOST_NAMED])}{more}"
    return "look at the path"
