"""The words that are commands: none of them is taken for the name of a playbook."""

from __future__ import annotations

COMMANDS = {
    "run": ("converge.cli.run", "Bring the hosts to the desired state, or with --check show what would change."),
    "diagnose": ("converge.cli.diagnose", "Find which articles' problems hosts have, and the playbook to run."),
    "plan": ("converge.cli.plan", "Save what would change, to be approved and applied later."),
    "show": ("converge.cli.show", "Show a saved plan. Contacts no host."),
    "apply": ("converge.cli.apply", "Apply a saved plan to the hosts for which it still holds."),
    "undo": ("converge.cli.undo", "Take a run back."),
    "runs": ("converge.cli.runs", "List past runs, show one, or forget old ones."),
    "enforce": ("converge.cli.enforce", "Watch groups on a cadence; repair drift where the policy says so."),
    "report": ("converge.cli.report", "Write one page about the fleet: hosts, drift over time, a run's journal."),
    "serve": ("converge.cli.serve", "Show the fleet in a browser, as it is remembered, while runs go on."),
    "lab": ("converge.cli.lab", "Serve simulated Windows hosts over WinRM on loopback, and look after them."),
    "lint": ("converge.cli.lint", "Check playbooks and inventory without contacting any host."),
    "schema": ("converge.cli.schema", "Print a JSON Schema: of playbooks, inventories or results."),
    "doctor": ("converge.cli.doctor", "Explain why a host cannot be reached."),
}
"""Each command's module, whose `command` is the click command, and its line in the help."""
