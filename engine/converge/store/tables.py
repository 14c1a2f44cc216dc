"""The tables. Types are those that SQLite and PostgreSQL share; JSON is text in ASCII."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Index, MetaData, Table, Text

METADATA = MetaData()

VERSIONS = Table(
    "schema_version", METADATA,
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("applied", Text, nullable=False),
)  # fmt: skip

SETTINGS = Table(
    "settings", METADATA,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)  # fmt: skip
"""Random values made once for a store: the key under which its journal is chained and saved plans are signed, and a salt."""
SIGNING_KEY = "signing key"

RUNS = Table(
    "runs", METADATA,
    Column("run", Text, primary_key=True),
    Column("started", Text, nullable=False),
    Column("ended", Text),
    Column("mode", Text, nullable=False),
    Column("playbooks", Text, nullable=False),
    Column("username", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("exit_code", BigInteger),
    Column("hosts", Text, nullable=False),
)  # fmt: skip

HOST_RESULTS = Table(
    "host_results", METADATA,
    Column("run", Text, primary_key=True),
    Column("host", Text, primary_key=True),
    Column("status", Text, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("error", Text),
    Column("resources", Text, nullable=False),
    Index("host_results_by_host", "host", "run"),
)  # fmt: skip
"""Hosts that were not in order, or whose state was another than before. The others are in `host_state` alone."""

HOST_STATE = Table(
    "host_state", METADATA,
    Column("host", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("seen", Text, nullable=False),
)  # fmt: skip

JOURNAL = Table(
    "journal", METADATA,
    Column("host", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("run", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Index("journal_by_run", "run", "host", "number"),
)  # fmt: skip
"""Append-only. `number` counts the rows of a host; `hash` is that of the row before with this one, under the store's key."""

JOURNAL_HEADS = Table(
    "journal_heads", METADATA,
    Column("host", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
    Column("settled", BigInteger, nullable=False),
    Column("settled_hash", Text, nullable=False),
    Column("seal", Text, nullable=False),
)  # fmt: skip
"""The last row of each host, and the row up to which nothing is left open. Believed where the seal is that of the rest."""

JOURNAL_GAPS = Table(
    "journal_gaps", METADATA,
    Column("host", Text, primary_key=True),
    Column("first", BigInteger, primary_key=True, autoincrement=False),
    Column("last", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
    Column("seal", Text, nullable=False),
)  # fmt: skip
"""Rows removed by retention, with the hash of the last of them: the chain goes on from there. Sealed like the heads."""

LEASES = Table(
    "leases", METADATA,
    Column("host", Text, primary_key=True),
    Column("token", BigInteger, nullable=False),
    Column("holder", Text),
    Column("owner", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("since", Text, nullable=False),
    Column("deadline", Double, nullable=False),
)  # fmt: skip
"""Who may change a host. A row stays when its lease ends, so that `token` only ever grows."""

PLANS = Table(
    "applied_plans", METADATA,
    Column("plan", Text, primary_key=True),
    Column("host", Text, primary_key=True),
    Column("run", Text, nullable=False),
    Column("applied", Text, nullable=False),
)  # fmt: skip

PLACES = Table(
    "places", METADATA,
    Column("host", Text, primary_key=True),
    Column("search", Text, primary_key=True),
    Column("found", Text, nullable=False),
    Column("last_full", Text, nullable=False),
)  # fmt: skip

ENFORCED_GROUPS = Table(
    "enforced_groups", METADATA,
    Column("name", Text, primary_key=True),
    Column("begun", Text, nullable=False),
)  # fmt: skip

ENFORCED_DRIFT = Table(
    "enforced_drift", METADATA,
    Column("name", Text, primary_key=True),
    Column("host", Text, primary_key=True),
    Column("address", Text, primary_key=True),
    Column("since", Text),
    Column("repaired", Text),
    Column("reverted", BigInteger, nullable=False),
    Column("quarantined", Text),
)  # fmt: skip

ENFORCED_OUTLOOK = Table(
    "enforced_outlook", METADATA,
    Column("name", Text, primary_key=True),
    Column("mode", Text, nullable=False),
    Column("revision", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("written", Text, nullable=False),
    Column("due", Text),
    Column("error", Text, nullable=False),
)  # fmt: skip

ENFORCED_INTENTIONS = Table(
    "enforced_intentions", METADATA,
    Column("name", Text, primary_key=True),
    Column("host", Text, primary_key=True),
    Column("address", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("due", Text),
    Column("words", Text, nullable=False),
)  # fmt: skip
"""What the last round of each group left, and what is meant to become of it. Replaced as a whole by the next round."""

REFUSED_LOGINS = Table(
    "refused_logins", METADATA,
    Column("account", Text, primary_key=True),
    Column("host", Text, primary_key=True),
    Column("refused", Text, nullable=False),
)  # fmt: skip
"""Logins that a host refused to enforcement, by the folded name of the account. Nothing of any password."""
