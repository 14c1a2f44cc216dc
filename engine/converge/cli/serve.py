"""The command `serve`: the live page about the fleet."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import click

from converge.cli import given
from converge.errors import UsageError
from converge.model.secret import Secret
from converge.runs.exit_codes import ExitCode

TOKEN = "CONVERGE_SERVE_TOKEN"  # noqa: S105  # the name of a variable


@click.command(short_help="Show the fleet in a browser, as it is remembered, while runs go on.")
@click.option(
    "--listen", metavar="HOST:PORT", default="127.0.0.1:8620", show_default=True, envvar="CONVERGE_LISTEN",
    help="Where. Beyond loopback only with a token and TLS. Port 0: a free one.",
)  # fmt: skip
@click.option(
    "--token-file", metavar="FILE", type=click.Path(path_type=Path), envvar="CONVERGE_SERVE_TOKEN_FILE",
    help=f"What one must know to look; or in the variable {TOKEN}.",
)  # fmt: skip
@click.option("--tls-cert", metavar="FILE", type=click.Path(path_type=Path), envvar="CONVERGE_TLS_CERT",
              help="The certificate, PEM, with those between it and its authority.")  # fmt: skip
@click.option("--tls-key", metavar="FILE", type=click.Path(path_type=Path), envvar="CONVERGE_TLS_KEY",
              help="Its key, PEM, without a passphrase.")  # fmt: skip
@click.option("--name", "names", metavar="NAME", multiple=True,
              help="Another name by which browsers ask for it, like that of a proxy. Repeatable.")  # fmt: skip
@given.STORE
def command(
    listen: str, *, token_file: Path | None, tls_cert: Path | None, tls_key: Path | None, names: tuple[str, ...], store: str
) -> int:  # fmt: skip
    """Show the fleet in a browser: hosts, drift over time, identical changes, runs and journals, what enforcement will do.

    Reads the store, changes nothing, contacts no host. Ctrl-C and SIGTERM end it.
    """
    from converge.report.sink import sink_for
    from converge.runs.recording import where
    from converge.web import listening, server

    token = _token(token_file)
    place = listening.place(listen, token=token, certificate=tls_cert, key=tls_key, names=names)
    out, errors = sink_for(sys.stdout), sink_for(sys.stderr)

    def tell(address: str) -> None:
        out.line(f"{address}  Ctrl-C ends it")
        sys.stdout.flush()

    telling = server.Telling(tell, lambda words: errors.line(f"warning: {words}", style="yellow"))
    server.serve(replace(where(store), key=None), place, telling)
    return ExitCode.IN_ORDER


def _token(file: Path | None) -> Secret | None:
    from converge.web.listening import read_token

    text = os.environ.pop(TOKEN, "")  # nothing that is started from here needs it
    if file is not None and text:
        raise UsageError(f"--token-file and {TOKEN} are both given", try_="give one of them")
    return read_token(file) if file is not None else Secret(text) if text else None
