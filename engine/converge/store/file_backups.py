"""What runs keep on a host, told from its journal: what was moved aside, what came back, what retention removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from converge.model.backup import Backup, BackupRecord, is_backup
from converge.model.change import Json
from converge.model.names import fold

_MOVES = ("MoveFile", "MoveDirectory")
_REMOVALS = ("RemoveFile", "RemoveDirectory")


def file_backups(rows: Iterable[Mapping[str, Json]]) -> tuple[BackupRecord, ...]:
    """All that runs ever kept of a host and that was not brought back, oldest first, among the rows of its journal in order.

    Only what was certainly done counts: of a move whose outcome nobody knows, looking again tells, and settles it.
    """
    ledger = _Ledger()
    for row in rows:
        ledger.take(str(row["run"]), str(row["time"]), row["event"])
    return tuple(ledger.kept.values())


@dataclass(slots=True)
class _Ledger:
    intended: dict[tuple[str, int], tuple[Mapping[str, Json], str]] = field(default_factory=dict)
    kept: dict[str, BackupRecord] = field(default_factory=dict)  # by the folded path

    def take(self, run: str, time: str, event: Mapping[str, Json]) -> None:
        """One event of a run."""
        if event["event"] == "ActionIntended":
            self.intended[run, event["action_number"]] = event["action"], time
        elif event["event"] == "ActionEnded" and event["result"] != "unknown":
            self._ended(run, event["action_number"], done=event["result"] == "done")
        elif event["event"] == "ActionSettled" and event["result"] != "unknown":
            self._ended(event["run"], event["action_number"], done=event["result"] == "done")

    def _ended(self, run: str, number: int, *, done: bool) -> None:
        action, time = self.intended.pop((run, number), ({}, ""))
        kind = action.get("action")
        if not done:
            return
        if kind in _MOVES and "target" in action:
            self._moved(run, time, str(action["source"]), str(action["target"]), is_folder=kind == "MoveDirectory")
        elif kind in _REMOVALS:
            held = self.kept.get(fold(str(action["path"])))
            if held is not None:
                self.kept[fold(held.thing.path)] = replace(held, removed=time, removed_by=run)

    def _moved(self, run: str, time: str, source: str, target: str, *, is_folder: bool) -> None:
        self.kept.pop(fold(source), None)
        if is_folder:  # what is kept in a folder goes where the folder goes
            for key, held in list(self.kept.items()):
                if key.startswith(fold(source) + "\\"):
                    del self.kept[key]
                    path = target + held.thing.path[len(source) :]
                    self.kept[fold(path)] = replace(held, thing=replace(held.thing, path=path))
        if is_backup(target, run=run):
            self.kept[fold(target)] = BackupRecord(run, time, Backup(source, target, is_folder))
