"""Codes of the service manager, with their names."""

from __future__ import annotations

from collections.abc import Sequence

from converge.model.answer import DISPLAY_NAME, Refused

RETURN_CODES = {
    0: "accepted",
    1: "not supported",
    2: "access denied",
    3: "dependent services are running",
    4: "invalid control",
    5: "the service cannot accept the control now",
    6: "the service has not been started",
    7: "the service did not respond in time",
    8: "unknown failure while starting or stopping",
    9: "path not found",
    10: "the service is already running",
    11: "the service database is locked",
    12: "a service it depends on was deleted",
    13: "a service it depends on was not found",
    14: "the service is disabled",
    15: "the service's logon failed",
    16: "the service is marked for deletion",
    17: "the service has no execution thread",
    18: "circular dependency",
    19: "the name is in use",
    20: "the name is invalid",
    21: "invalid parameter",
    22: "the account is invalid or lacks the right to log on as a service",
    23: "the service exists already",
    24: "the service is paused",
}
"""What methods of Win32_Service return (Win32_Service, Windows Management Instrumentation)."""

EXIT_CODES = {
    0: "no error",
    1: "incorrect function",
    2: "the system cannot find the file specified",
    3: "the system cannot find the path specified",
    5: "access is denied",
    1051: "dependent services are running",
    1053: "the service did not respond to the start or control request in a timely fashion",
    1054: "a thread could not be created for the service",
    1055: "the service database is locked",
    1056: "an instance of the service is already running",
    1057: "the account name is invalid or does not exist, or the password is invalid",
    1058: "the service is disabled, or has no enabled devices",
    1059: "circular service dependency",
    1060: "the service is not installed",
    1062: "the service has not been started",
    1064: "an exception occurred in the service",
    1066: "a service-specific error",
    1067: "the process terminated unexpectedly",
    1068: "a service it depends on failed to start",
    1069: "the service did not start due to a logon failure",
    1070: "the service hung on starting",
    1072: "the service is marked for deletion",
    1075: "a service it depends on does not exist or is marked for deletion",
    1077: "no attempts to start the service have been made since the last boot",
    1083: "the executable program that this service is configured to run in does not implement the service",
}
"""Win32ExitCode of services (System Error Codes)."""


def describe_exit_code(code: int) -> str:
    """What a service's exit code means: `1083, the executable program ... does not implement the service`."""
    text = EXIT_CODES.get(code)
    return f"{code}, {text}" if text else str(code)


def display_name_of(name: str, services: Sequence[str]) -> Refused:
    """The answer for a name that no service has and by which people know one: it is not absent, it was named otherwise."""
    meant = " or ".join(sorted(services))
    text = f"{name} is the display name of {meant}: write {meant}, the name by which Windows knows the service"
    return Refused(DISPLAY_NAME, text)
