"""The command `doctor`: why can this host not be reached?"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import ExitStack
from pathlib import Path

import click

from converge.cli.options import Paths, WholeText
from converge.errors import ConvergeError, DeadlineExceeded, UsageError
from converge.inventory import load
from converge.report.sink import Sink, sink_for
from converge.runs.connections import Reach
from converge.runs.doctor import ShellRefused, Stage, after_login, before_login
from converge.runs.exit_codes import ExitCode
from converge.runs.extra_vars import read_extra_vars
from converge.runs.options import STATE_FOLDER
from converge.runs.recording import describe
from converge.runs.selection import default_inventory
from converge.store.exchanges import ExchangeFolder
from converge.winrm.connection import Connection
from converge.winrm.exchange import Faulted
from converge.winrm.session import Reader
from converge.winrm.unreached import NOTHING_LISTENS


@click.command(short_help="Explain why a host cannot be reached.")
@click.argument("host")
@click.option("-i", "--inventory", multiple=True, type=Paths(), envvar="CONVERGE_INVENTORY")
@click.option(
    "-e", "--extra-vars", multiple=True, type=WholeText(), envvar="CONVERGE_EXTRA_VARS", metavar="k=v | @FILE | YAML"
)
@click.option(
    "--record", metavar="DIR", envvar="CONVERGE_RECORD",
    help="Keep every request and answer in this new folder, without passwords and logins.",
)  # fmt: skip
@click.option("--store", metavar="URL", default="", envvar="CONVERGE_STORE", help="Where runs are remembered.")
def command(
    host: str, inventory: tuple[str, ...], *, extra_vars: tuple[str, ...], record: str | None, store: str
) -> int:
    """Go to a host step by step: settings, name, port, TLS, HTTP, authentication, Identify, WMI, registry, services, shell.

    Reads only.

    The first step that fails is told with its remedy, and ends it: exit code 4. Last, the store: exit code 1 if it cannot be
    used. All well: 0.

    converge reaches Windows Server 2003 and later. NT 4.0 and Windows 2000 never had WinRM.
    """

    return examine(host, inventories=inventory, extra_vars=extra_vars, record=record, store=store)


PROBE_SECONDS = 20.0
"""What a step before the login may take by the wall clock."""
STEP_SECONDS = 120.0
"""What a step after it may take beside the inventory's read timeout."""


class _LeftBehind(DeadlineExceeded):
    """A step took longer than it is given, and still goes on."""


_TOO_OLD = "converge reaches Windows Server 2003 and later; NT 4.0 and Windows 2000 never had WinRM."


def examine(
    host: str, *, inventories: Sequence[str], extra_vars: Sequence[str], record: str | None = None, store: str = ""
) -> ExitCode:
    """Go as far as it goes. Raises UsageError for a host that the inventory lacks, and for a folder that cannot be written.

    `record` is a folder in which every exchange is kept, without secrets; `store` the URL of the store, which is told of last.
    """
    inventory = load(inventories or (default_inventory(),), extra_variables=read_extra_vars(extra_vars))
    if host not in inventory.hosts:
        raise UsageError(f"the inventory has no host {host}", try_="see `converge --list-hosts`")
    settings = inventory.settings(host)
    if settings.skip:
        raise UsageError(f"{host} is not reached over WinRM: {settings.skip}")
    sink = sink_for(sys.stdout)
    with ExitStack() as stack:
        reach = stack.enter_context(Reach(STATE_FOLDER))
        try:
            connection = reach.connection(host, settings)
            folder = ExchangeFolder(Path(record), secrets=(connection.password,)) if record else None
            simulated = settings.connection == "lab"
            sink.line(f"ok    settings: {_settings(connection, simulated=simulated)}", style="green")
            _walk(before_login(connection), sink, seconds=PROBE_SECONDS)
            _walk_with(Reader(connection, recorder=folder), sink)
            if folder is not None:
                sink.line(f"{folder.count} exchanges are in {record}", style="dim")
            if simulated:
                sink.line("This host is simulated.", style="dim")
        except UsageError:
            raise
        except (Faulted, ConvergeError) as error:
            _tell(error, sink)
            if isinstance(error, ConvergeError) and error.code == NOTHING_LISTENS:
                sink.line(_TOO_OLD, style="dim")
            return ExitCode.UNREACHABLE
    return _examine_store(store, sink)


def _walk_with(reader: Reader, sink: Sink) -> None:
    """The steps from the login on. A step that is left behind still has the reader: it is not closed then."""
    seconds = STEP_SECONDS + reader.connection.read_timeout
    try:
        _walk(after_login(reader.connection, reader), sink, seconds=seconds)
    except _LeftBehind:
        raise
    except BaseException:
        reader.close()
        raise
    reader.close()


def _examine_store(url: str, sink: Sink) -> ExitCode:
    try:
        sink.line(f"ok    store: {describe(url)}", style="green")
    except ConvergeError as error:
        _tell(error, sink)
        return ExitCode.USAGE
    return ExitCode.IN_ORDER


def _walk(stages: Iterable[Stage], sink: Sink, *, seconds: float) -> None:
    """One line for each step. A refused shell is told as a warning; anything else that fails is raised."""
    for name, stage in stages:
        try:
            sink.line(f"ok    {name}: {_within(seconds, name, stage)}", style="green")
        except ShellRefused as refused:
            _tell(refused, sink, word="WARN", style="yellow")


def _within(seconds: float, name: str, stage: Callable[[], str]) -> str:
    """What a step says, by the wall clock, whatever it waits for. Raises DeadlineExceeded, and what the step raises."""
    said: Future[str] = Future()

    def run() -> None:
        try:
            said.set_result(stage())
        except BaseException as error:  # noqa: BLE001  # handed on to the thread that waits
            said.set_exception(error)

    # What does not end is left behind: doctor ends with it.
    threading.Thread(target=run, daemon=True).start()
    try:
        return said.result(timeout=seconds)
    except FutureTimeout:
        if said.done():
            raise
        raise _LeftBehind(
            f"the step {name} does not end within the {seconds:g} s that doctor gives it",
            why="the host, or something on the way, answers too slowly or without end",
            try_="check whether the host is overloaded, and what is between it and this machine",
        ) from None


def _settings(connection: Connection, *, simulated: bool) -> str:
    clear = "encrypted by TLS" if connection.is_https else "NOT encrypted"
    sealed = "encrypted messages" if connection.seals else clear
    note = ", a simulated host" if simulated else ""
    return f"{connection.endpoint} as {connection.username} by {connection.login}, {sealed}{note}"


def _tell(error: Exception, sink: Sink, *, word: str = "FAIL", style: str = "bold red") -> None:
    what = error.what if isinstance(error, ConvergeError) else str(error)
    code = f" [{error.code}]" if isinstance(error, ConvergeError) else ""
    sink.line(f"{word}  {what}{code}", style=style)
    if isinstance(error, ConvergeError):
        for line in error.why.splitlines():
            sink.line(f"      {line}")
        if error.try_:
            sink.line(f"Try:  {error.try_}", style="cyan")
