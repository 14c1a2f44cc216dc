"""The suite that converge hands out, over its own kinds: a new one needs a file `cases/KIND.yml` and nothing else."""

from __future__ import annotations

from pathlib import Path

from converge.model.resource import KINDS
from converge.testing.conformance import Conformance


class TestConformance(Conformance):
    """Every promise, for every kind."""

    cases = Path(__file__).parent / "cases"

    def test_every_kind_has_its_cases(self) -> None:
        """No kind of converge's own is without."""
        own = {name for name, kind in KINDS.items() if kind.__module__.startswith("converge.")}
        assert {path.stem for path in self.cases.glob("*.yml")} == own
