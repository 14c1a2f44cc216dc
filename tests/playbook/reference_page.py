"""Writes the reference into playbooks/README.md: `python -m tests.playbook.reference_page` after a change of a kind or a form."""

from __future__ import annotations

from pathlib import Path

from converge.playbook.reference import conditions_reference, forms_reference, kinds_reference
from converge.runs.playbooks import known_kinds

PAGE = Path(__file__).parents[2] / "playbooks" / "README.md"
BEGINS = "<!-- made from the declarations of engine/converge; see tests/playbook/reference_page.py -->"


def with_reference(page: str) -> str:
    """The page with its generated end as the declarations have it now."""
    written = page.partition(BEGINS)[0].rstrip("\n")
    parts = (
        "## Plays, entries, handlers", forms_reference(), "## Conditions", conditions_reference(), "## Kinds",
        kinds_reference(known_kinds()),
    )  # fmt: skip
    return "\n\n".join((written, BEGINS, *parts)) + "\n"


if __name__ == "__main__":
    PAGE.write_text(with_reference(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
