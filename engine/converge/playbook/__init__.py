"""What must be true, as users write it: playbooks loaded, checked and compiled into plays."""

from converge.playbook.loading import load
from converge.playbook.tags import select_entries

__all__ = ["load", "select_entries"]
