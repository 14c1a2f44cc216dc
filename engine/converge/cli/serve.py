"""The command `serve`: the live page about the fleet."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click

from converge.cli import options as given
from converge.model import listening
from converge.report.sink import sink_for
from converge.runs.exit_codes import ExitCode
from converge.runs.recording import where
from converge.web import server

TOKEN = "CONVERGE_SERVE_TOKEN"  # noqa: S105  # the name of a variable


@click.command(short_help="Show the fleet in a browser, as it is remembered, while runs go on.")
@click.option(
    "--listen", metavar="HOST:PORT", default="127.0.0.1:8620", show_default=True, envvar="CONVERGE_LISTEN",
    help="Address to listen on. Beyond loopback only with a token and TLS. Port 0: a free one.",
)  # fmt: skip
@click.option(
    "--token-file", metavar="FILE", type=click.Path(path_type=Path), envvar="CONVERGE_SERVE_TOKEN_FILE",
    help=f"The token that opens the page; or in the variable {TOKEN}.",
)  # fmt: skip
@given.TLS_CERT
@given.TLS_KEY
@given.NAMES
@given.STORE
def command(
    listen: str, *, token_file: Path | None, tls_cert: Path | None, tls_key: Path | None, names: tuple[str, ...], store: str
) -> int:  # fmt: skip
    """Show the fleet in a browser: hosts, drift over time, identical changes, runs and journals, what enforcement will do.

    Reads the store, changes nothing, contacts no host. Ctrl-C and SIGTERM end it.
    """

    token = given.token(token_file, TOKEN)
    place = listening.place(listen, token=token, certificate=tls_cert, key=tls_key, names=names)
    out, errors = sink_for(sys.stdout), sink_for(sys.stderr)

    def tell(address: str) -> None:
        out.line(f"{address}  Ctrl-C ends it")
        sys.stdout.flush()

    telling = server.ServerMessages(tell, lambda words: errors.line(f"warning: {words}", style="yellow"))
    server.serve(replace(where(store), key=None), place, telling)
    return ExitCode.IN_ORDER
