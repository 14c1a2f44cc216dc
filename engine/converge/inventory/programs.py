"""Runs a program of the control node, an inventory script or a password command: no shell, bounded in time and output."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_CHUNK = 65536
_MAX_ERROR_OUTPUT = 4096


class ProgramFailed(Exception):
    """The program could not be run, ended badly, took too long or wrote too much; the text says which."""


class NotAProgram(ProgramFailed):
    """The system cannot run this file."""


@dataclass(frozen=True, slots=True)
class _Limits:
    seconds: float
    output: int


def run_program(argv: Sequence[str], *, seconds: float, max_output: int, quotes_errors: bool = True) -> bytes:
    """What the program wrote to its standard output. Raises ProgramFailed.

    Its output is never part of an error; the last line of its standard error is, unless not even that may be quoted.
    """
    try:
        process = subprocess.Popen(  # noqa: S603 - the user's own program, named in the user's own inventory
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise NotAProgram(f"cannot be run: {error.strerror}") from error
    except ValueError as error:  # a null character in an argument
        raise NotAProgram(f"cannot be run: {error}") from error
    with process:
        try:
            output, errors = _collect(process, _Limits(seconds, max_output))
        except BaseException:
            _kill(process)
            raise
    if process.returncode != 0:
        said = errors.decode("utf-8", "replace").strip().splitlines()
        raise ProgramFailed(f"ended with exit code {process.returncode}" + (f": {said[-1][:300]}" if said and quotes_errors else ""))
    return output


def _collect(process: subprocess.Popen[bytes], limits: _Limits) -> tuple[bytes, bytes]:
    """Read both outputs until they close, then wait for the end; all within the limits."""
    deadline = time.monotonic() + limits.seconds
    late = ProgramFailed(f"did not end within {limits.seconds:g} s")
    output, errors = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        for stream, buffer in ((process.stdout, output), (process.stderr, errors)):
            if stream is not None:
                selector.register(stream, selectors.EVENT_READ, buffer)
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                raise late
            for key, _ in ready:
                chunk = _read(key.fileobj)
                if not chunk:
                    selector.unregister(key.fileobj)
                key.data.extend(chunk)
            if len(output) > limits.output:
                raise ProgramFailed(f"wrote more than {limits.output} bytes")
            del errors[:-_MAX_ERROR_OUTPUT]
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise late from None
    return bytes(output), bytes(errors)


def _read(stream: int | IO[bytes] | object) -> bytes:
    descriptor = stream if isinstance(stream, int) else stream.fileno()  # type: ignore[attr-defined] # selectors types it as "has fileno"
    return os.read(descriptor, _CHUNK)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the program and what it started. It is not reaped yet, so the number of its group is still its own."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()
