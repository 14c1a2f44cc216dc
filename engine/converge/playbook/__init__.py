"""What must be true, as users write it: playbooks loaded, checked and compiled into plays."""

from converge.playbook.lint import lint, warnings_of
from converge.playbook.loading import load
from converge.playbook.schema import playbook_schema
from converge.playbook.tags import select_entries

__all__ = ["lint", "load", "playbook_schema", "select_entries", "warnings_of"]
