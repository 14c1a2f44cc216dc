"""The command `schema`: JSON Schemas for editors and programs."""

from __future__ import annotations

import click


@click.command(short_help="Print a JSON Schema.")
@click.argument("what", type=click.Choice(["playbook", "inventory", "result", "diagnosis"]))
def command(what: str) -> int:
    """Print the JSON Schema of playbooks, inventories, or the documents of --format json: of a run, of `diagnose`."""
    import json

    if what == "result":
        from converge.report.result_schema import result_schema

        schema = result_schema()
    elif what == "diagnosis":
        from converge.report.diagnosis_schema import diagnosis_schema

        schema = diagnosis_schema()
    elif what == "inventory":
        from converge.inventory import inventory_schema

        schema = inventory_schema()
    else:
        from converge.playbook import playbook_schema
        from converge.runs.playbooks import known_kinds

        schema = playbook_schema(known_kinds())
    click.echo(json.dumps(schema, indent=2))
    return 0
