"""Where a report is written: standard output or a file. A reader that goes away does not stop a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from converge.cli.options import View
from converge.errors import UsageError
from converge.model.opening import OWNER_ONLY, READABLE, create_output, is_stream
from converge.report.sink import sink_for
from converge.runs.exit_codes import ExitCode, worst


class Output:
    """A stream that remembers why it could not be written, and from then on drops what comes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.failure: OSError | None = None

    @property
    def encoding(self) -> str:
        """The encoding of the stream behind."""
        return self._stream.encoding or "utf-8"

    def isatty(self) -> bool:
        """Whether a person reads along."""
        return self._stream.isatty()

    def write(self, text: str, /) -> int:
        """Write, or drop it if writing has failed."""
        self._attempt(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Hand on what was written."""
        self._attempt(self._stream.flush)

    def _attempt(self, step: Callable[[], object]) -> None:
        if self.failure is None:
            try:
                step()
            except OSError as error:
                self.failure = error


@contextmanager
def opened(path: str | None, *, whole: bool = False, for_others: bool = False) -> Iterator[Output]:
    """The output for `-o`, standard output without it. Raises UsageError when the file cannot be made.

    `for_others` lets other accounts read it. `whole` leaves an earlier file as it is until the new one is complete: whoever
    reads it never sees half of one.
    """
    if path is None or path == "-":
        output = Output(sys.stdout)
        try:
            yield output
        finally:
            output.flush()
            if output.failure is not None:
                _forget_stdout()
        return
    try:
        whole = whole and not is_stream(path)
        written_to = f"{path}.{os.getpid()}.tmp" if whole else path
        # What is told of hosts is for its owner alone; figures for a collector are for the account that collects them.
        descriptor = create_output(written_to, mode=READABLE if for_others else OWNER_ONLY)
        file = open(descriptor, "w", encoding="utf-8", newline="\n")  # noqa: SIM115  # closed below, whose errors are told apart
    except OSError as error:
        raise UsageError(
            f"the output file {path} cannot be written: {error.strerror or error}",
            try_="a file in a folder that is there and that this account may write",
        ) from error
    output = Output(file)
    complete = False
    try:
        yield output
        complete = True
    finally:
        output.flush()
        try:
            file.close()
            if whole:
                _put_in_place(written_to, path, complete=complete and output.failure is None)
        except OSError as error:
            output.failure = output.failure or error


@contextmanager
def opened_for(view: View) -> Iterator[Output]:
    """The output that was asked for. A collector of metrics reads whole files only, under an account of its own."""
    collected = view.output_format == "prometheus"
    with opened(view.output, whole=collected, for_others=collected) as out:
        yield out


def _put_in_place(written_to: str, path: str, *, complete: bool) -> None:
    if complete:
        os.replace(written_to, path)
    else:
        os.unlink(written_to)


def written(out: Output, code: ExitCode) -> ExitCode:
    """Hand on the last of the output; the exit code, worse if the output could not be written. A reader that left is none."""
    out.flush()
    if out.failure is None or isinstance(out.failure, BrokenPipeError):
        return code
    sink_for(sys.stderr).line(
        f"The output could not be written: {out.failure.strerror or out.failure}", style="bold red"
    )
    return worst([code, ExitCode.USAGE])


def _forget_stdout() -> None:
    """Python flushes standard output again at exit, and would complain of the same broken pipe."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        return
