"""The command `schema`: JSON Schemas for editors and programs."""

from __future__ import annotations

import json

import click

from converge.inventory import inventory_schema
from converge.playbook import playbook_schema
from converge.report.diagnosis_schema import diagnosis_schema
from converge.report.result_schema import result_schema
from converge.runs.playbooks import known_kinds


@click.command(short_help="Print a JSON Schema.")
@click.argument("what", type=click.Choice(["playbook", "inventory", "result", "diagnosis"]))
def command(what: str) -> int:
    """Print the JSON Schema of playbooks, inventories, or the documents of --format json: of a run, of `diagnose`."""

    if what == "result":
        schema = result_schema()
    elif what == "diagnosis":
        schema = diagnosis_schema()
    elif what == "inventory":
        schema = inventory_schema()
    else:
        schema = playbook_schema(known_kinds())
    click.echo(json.dumps(schema, indent=2))
    return 0
