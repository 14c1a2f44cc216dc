"""A command prompt in memory: `run_command_line` and `run_arguments` run lines on a world and say what they print."""

from converge.lab.shell.interpreter import ShellResult, run_arguments, run_command_line

__all__ = ["ShellResult", "run_arguments", "run_command_line"]
