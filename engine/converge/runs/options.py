"""What was asked for on the command line and in the environment, as values."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from converge.model.recorded import UNDO_CHECK
from converge.model.rollout import Rollout

STATE_FOLDER = Path(".converge")
"""Where journals, simulated hosts and tracebacks are kept, below the current folder."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Which files, which hosts of them, which entries."""

    playbooks: tuple[str, ...] = ()
    inventories: tuple[str, ...] = ()
    limit: str | None = None
    tags: frozenset[str] = frozenset()
    skip_tags: frozenset[str] = frozenset()
    extra_vars: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a run is to do, whichever command asked for it."""

    sources: Sources = field(default_factory=Sources)
    command: Literal["run", "plan", "apply", "undo", "diagnose"] = "run"
    check: bool = False
    forks: int = 50
    accept_no_way_back: bool = False
    allow_reboot: bool = False
    settle: Mapping[str, Literal["done", "not-done"]] = field(default_factory=dict)
    store: str = ""
    new_store: bool = False
    lease_timeout: float = 0.0
    outside_window: str = ""
    full_search: bool = False
    rollout: Rollout = field(default_factory=Rollout)
    soak_said: bool = False
    login_forks: int = 0
    rerun: tuple[str, str] | None = None
    executor: str = "threads"

    @property
    def searches(self) -> bool:
        """Whether registries are searched in full: a check may do with the places that are known, a change may not."""
        return self.full_search or self.mode != "check"

    @property
    def mode(self) -> str:
        """The document's `mode`: what was done, `check` or `undo-check` where nothing was."""
        if self.check and self.command == "undo":
            return UNDO_CHECK
        return "check" if self.check and self.command == "run" else self.command


def applying(options: RunOptions) -> str:
    """The command that does what a check with these options showed. Variables given with -e may be secret, and stay out."""
    sources = options.sources
    words = ["converge", *(word for path in sources.inventories for word in ("-i", path))]
    words += ["-l", sources.limit] if sources.limit else []
    words += ["-t", ",".join(sorted(sources.tags))] if sources.tags else []
    words += ["--skip-tags", ",".join(sorted(sources.skip_tags))] if sources.skip_tags else []
    words += ["--accept-no-way-back"] if options.accept_no_way_back else []
    words += ["--allow-reboot"] if options.allow_reboot else []
    given = [" -e ..." for _ in sources.extra_vars]
    return shlex.join(words) + "".join(given) + "".join(f" {shlex.quote(name)}" for name in sources.playbooks)
