"""What the events of earlier runs leave open on a host, found by walking through them in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from converge.model.backup import is_manifest
from converge.model.change import Json
from converge.model.journal import History, OpenAction, OpenNeed, OpenProcedure, OpenRestart, PendingHandler


@dataclass(slots=True)
class OpenEnds:
    """Everything begun and not ended so far. Feed it the lines of every run, oldest run first."""

    actions: dict[tuple[str, int], OpenAction] = field(default_factory=dict)
    pending: dict[tuple[str, str], PendingHandler] = field(default_factory=dict)
    needs: dict[tuple[str, str], OpenNeed] = field(default_factory=dict)
    restarts: dict[tuple[str, str], OpenRestart] = field(default_factory=dict)
    procedures: dict[str, OpenProcedure] = field(default_factory=dict)
    manifests: dict[str, OpenAction] = field(default_factory=dict)  # by run: written, and nothing kept behind it so far

    def take(self, run: str, event: Mapping[str, Json]) -> None:
        """Take one journal line of a run into account. Raises KeyError or TypeError for a line that lacks what it must hold."""
        match event["event"]:
            case "ActionIntended" | "ActionEnded" | "ActionSettled":
                self._take_action(run, event)
            case "HandlerPending":
                self._take_pending(run, event)
            case "HandlerDone":
                self.pending.pop((event["play"], event["handler"]), None)
            case "NeedRemains":
                need = OpenNeed(event["play"], event["handler"], event["since"])
                self.needs[(need.play, need.handler)] = need
            case "NeedGone":
                self.needs.pop((event["play"], event["handler"]), None)
            case "ServicesStopped":
                restart = OpenRestart(event["handler"], event["service"], tuple(event["dependents"]))
                self.restarts[(restart.handler, restart.service)] = restart
            case "ServicesStarted":
                self.restarts.pop((event["handler"], event["service"]), None)
            case "ProcedureBegun" | "StepBegun" | "StepEnded" | "ProcedureEnded" | "ProcedureReverted":
                self._take_procedure(event)
            case _:
                pass  # the rest tells a story, and leaves nothing open

    def _take_action(self, run: str, event: Mapping[str, Json]) -> None:
        number = event["action_number"]
        if event["event"] == "ActionIntended":
            self.actions[(run, number)] = OpenAction(run, number, event["address"], event["action"])
        elif event["result"] != "unknown":
            # Settling names the run that left the action open; ending one is said in the run itself.
            by = event.get("run", run)
            action, manifest = self.actions.pop((by, number), None), self.manifests.get(by)
            if manifest is not None and (number == manifest.action_number or event["result"] == "done"):
                del self.manifests[by]
            if event["event"] == "ActionEnded" and event["result"] == "done" and action and _is_manifest(action):
                self.manifests[by] = action

    def _take_pending(self, run: str, event: Mapping[str, Json]) -> None:
        key = (event["play"], event["handler"])
        known = self.pending.get(key)
        first = known.first if known else event["since"]
        runs = tuple(dict.fromkeys((*(known.runs if known else ()), run)))
        restarts = tuple(event.get("restarts", ())) or (known.restarts if known else ())
        ran = tuple(dict.fromkeys((*(known.ran if known else ()), *event.get("ran", ()))))
        because = event.get("because", "")
        self.pending[key] = PendingHandler(
            *key, first, event["since"], runs, event.get("unseen_before", ""), restarts, because, ran
        )

    def _take_procedure(self, event: Mapping[str, Json]) -> None:
        address = event["address"]
        known = self.procedures.get(address)
        if event["event"] in ("ProcedureEnded", "ProcedureReverted"):
            self.procedures.pop(address, None)
        elif event["event"] == "ProcedureBegun":
            # Begun again while still open is resumed: what was finished stays finished.
            self.procedures[address] = known or OpenProcedure(event["play"], address, (), None)
        elif known is not None and event["event"] == "StepBegun":
            self.procedures[address] = replace(known, under_way=event["step"])
        elif known is not None:
            finished = (*(step for step in known.finished if step != event["step"]), event["step"])
            self.procedures[address] = replace(known, finished=finished, under_way=None)

    def history(self) -> History:
        """What is open now."""
        return History(
            actions=(*self.actions.values(), *self.manifests.values()),
            pending=tuple(self.pending.values()),
            restarts=tuple(self.restarts.values()),
            procedures=tuple(self.procedures.values()),
            needs=tuple(self.needs.values()),
        )


def _is_manifest(action: OpenAction) -> bool:
    """One that is the last a run did names what was never kept: it is open still."""
    return action.action.get("action") == "WriteFile" and is_manifest(str(action.action.get("path")), run=action.run)
