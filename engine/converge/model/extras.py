"""How an optional part of this program is installed: from its checkout, for no package index has it under its name."""

from __future__ import annotations


def how_to_install(*extras: str) -> str:
    """The command that brings these extras, for a hint."""
    return f"pip install '.[{','.join(extras)}]' in the folder that converge was installed from"
