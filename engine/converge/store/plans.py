"""Which saved plans were applied to which hosts: a plan applies once per host."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Select, select, text

from converge.store.database import Database
from converge.store.tables import PLANS

_CLAIM = text(
    "INSERT INTO applied_plans (plan, host, run, applied) VALUES (:plan, :host, :run, :applied)"
    " ON CONFLICT (plan, host) DO NOTHING"
)


class AppliedPlans:
    """Claims of hosts for plans. A claim is made before the first action and never taken back."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, plan: str, *, host: str, run: str) -> str:
        """Claim a host for a plan; the run that has it now: `run` itself, or the earlier one. Raises JournalUnavailable."""
        values = {"plan": plan, "host": host, "run": run, "applied": datetime.now(UTC).isoformat(timespec="seconds")}
        with self._database.writing() as connection:
            connection.execute(_CLAIM, values)
            return str(connection.execute(_holder(plan, host)).scalar_one())

    def holder(self, plan: str, *, host: str) -> str:
        """The run that applied a plan to a host; nothing where none did. Raises JournalUnavailable."""
        with self._database.reading() as connection:
            return str(connection.execute(_holder(plan, host)).scalar() or "")

    def applied(self, plan: str) -> dict[str, str]:
        """The hosts to which a plan was applied, each with its run. Raises JournalUnavailable."""
        with self._database.reading() as connection:
            wanted = select(PLANS.c.host, PLANS.c.run).where(PLANS.c.plan == plan)
            return dict(connection.execute(wanted).all())


def _holder(plan: str, host: str) -> Select[tuple[str]]:
    return select(PLANS.c.run).where((PLANS.c.plan == plan) & (PLANS.c.host == host))
