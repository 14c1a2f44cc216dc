"""The `converge` program: finds the command, and turns whatever happens into an exit code. Loads nothing heavy by itself."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import click

from converge import __version__
from converge.cli.words import COMMANDS
from converge.errors import ConvergeError
from converge.runs.exit_codes import ExitCode

_OWN_OPTIONS = ("--help", "-h", "--version")


class Program(click.Group):
    """A group whose commands are loaded when they are used, and whose default is `run`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The first word decides: a command is the command, anything else belongs to `run`."""
        if not args or (args[0] not in COMMANDS and args[0] not in _OWN_OPTIONS):
            if args and not args[0].startswith("-"):
                _is_playbook(args[0])
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of the README."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command, loaded now."""
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Their lines in the help, without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


def _is_playbook(word: str) -> None:
    """Raises UsageError for a first word that is neither a command nor a file."""
    if os.path.exists(word):
        return
    from converge.errors import UsageError
    from converge.reading.spelling import nearest
    from converge.runs.playbooks import near

    looks_like_a_file = Path(word).suffix or Path(word).parent != Path()
    command = "" if looks_like_a_file else nearest(word, (*COMMANDS, "check"))
    meant = f"did you mean `converge {'--check' if command == 'check' else command}`?"
    raise UsageError(f"no such command or playbook: {word}", try_=meant if command else near(Path(word)))


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Without a command it is `run`: `converge --check` shows the drift of all playbooks. "
    "Its options: `converge run --help`.",
)
@click.version_option(__version__, prog_name="converge", message="%(prog)s %(version)s")
def program() -> None:
    """Find, show and repair drift on fleets of Windows servers over WinRM, without an agent."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program and end the process with its exit code."""
    code = run(list(sys.argv[1:] if arguments is None else arguments))
    _flush()
    if _threads_left():
        # Threads of hosts that hang must not hold up the end; everything worth keeping is on the disk.
        os._exit(code)
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run the program with these arguments and return its exit code."""
    from converge.cli.signals import interrupt_on_terminate

    interrupt_on_terminate()
    _tell_warnings()
    try:
        result = program.main(args=arguments, prog_name="converge", standalone_mode=False)
        return result if isinstance(result, int) else ExitCode.IN_ORDER
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        return _usage(error, arguments)
    except ConvergeError as error:
        return _refuse(error, arguments)
    except (KeyboardInterrupt, click.Abort):
        sys.stderr.write("Interrupted.\n")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        return ExitCode.IN_ORDER
    except Exception as error:  # noqa: BLE001  # the last line before Python's own traceback, which would quote values
        return _bug(error, arguments)


def _tell_warnings() -> None:
    """Have what is warned of below the commands told as commands tell their own warnings, each text once."""
    from converge.model.opening import WithoutOwners

    def tell(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        from converge.report.sink import sink_for

        if issubclass(category, WithoutOwners):
            sink_for(sys.stderr).line(f"warning: {message}", style="yellow")
        else:
            (file or sys.stderr).write(warnings.formatwarning(message, category, filename, lineno, line))

    warnings.simplefilter("default", WithoutOwners)
    warnings.showwarning = tell


def _usage(error: click.ClickException, arguments: list[str]) -> int:
    from converge.errors import UsageError

    context = getattr(error, "ctx", None)
    hint = f"see `{context.command_path} --help`" if context else "see `converge --help`"
    return _refuse(UsageError(_in_words(error), try_=hint), arguments)


def _in_words(error: click.ClickException) -> str:
    """On one line: click puts the choices of an argument that is missing below each other."""
    return " ".join(error.format_message().split())


def _refuse(error: ConvergeError, arguments: list[str]) -> int:
    from converge.cli.refusals import refuse

    return refuse(error, arguments)


def _bug(error: Exception, arguments: list[str]) -> int:
    from converge.report.sink import sink_for
    from converge.runs import bugs

    if any(argument.startswith("-vvv") for argument in arguments):
        sys.stderr.write(bugs.trace(error))
    problem = bugs.keep(error, folder=Path(".converge"))
    sink = sink_for(sys.stderr)
    sink.line(f"{problem.what} [{problem.code}]", style="bold red")
    sink.line(problem.why)
    sink.line(f"Try: {problem.try_}")
    return ExitCode.BUG


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue


def _threads_left() -> bool:
    import threading

    return any(thread.name.startswith("host ") for thread in threading.enumerate())


if __name__ == "__main__":
    main()
