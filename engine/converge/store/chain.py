"""Journal rows as text, chained by hashes: a row that is changed, removed or put in later no longer fits its successor."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from converge.model.change import Json

NO_ROW = ""
"""What stands for the hash before the first row."""


def canonical(row: Mapping[str, Json]) -> str:
    """The one text of a row, in ASCII."""
    return json.dumps(row, ensure_ascii=True, sort_keys=True, separators=(",", ":"))


def chained(previous: str, body: str) -> str:
    """The hash of a row that follows the one whose hash is `previous`."""
    return hashlib.sha256(f"{previous}\n{body}".encode("ascii", "backslashreplace")).hexdigest()


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it is kept: its place in the chain of its host, its run, its text, its hash."""

    host: str
    number: int
    run: str
    body: str
    hash: str

    def read(self, previous: str) -> Mapping[str, Json]:
        """The row's content. Raises ValueError with words where it is not what was written after `previous`."""
        if chained(previous, self.body) != self.hash:
            raise ValueError("it was changed, or a row before it is missing")
        content = json.loads(self.body)
        if not isinstance(content, dict) or (content["host"], content["number"], content["run"]) != (
            self.host, self.number, self.run,
        ):  # fmt: skip
            raise ValueError("it belongs elsewhere")
        return content
