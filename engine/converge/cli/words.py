"""The words that are commands, and those kept for commands: none of them is taken for the name of a playbook."""

from __future__ import annotations

COMMANDS = {
    "run": ("converge.cli.run", "Bring the hosts to the desired state, or with --check show what would change."),
    "diagnose": ("converge.cli.diagnose", "Tell which articles' problems hosts show, and the playbook to run."),
    "runs": ("converge.cli.runs", "List past runs, show one, or forget old ones."),
    "lab": ("converge.cli.lab", "Serve simulated Windows hosts over WinRM on loopback, and look after them."),
    "lint": ("converge.cli.lint", "Check playbooks and inventory without contacting any host."),
    "schema": ("converge.cli.schema", "Print a JSON Schema: of playbooks, inventories or results."),
    "doctor": ("converge.cli.doctor", "Explain why a host cannot be reached."),
}
"""Each command's module, whose `command` is the click command, and its line in the help."""

RESERVED = frozenset({*COMMANDS, "plan", "show", "apply", "undo", "enforce", "report", "serve"})
