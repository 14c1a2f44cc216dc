"""What the service manager writes to the System log, and the words of the error numbers it names.

Texts as in the message table of netevent.dll (events 7000 to 7043 of Service Control Manager, Windows Server 2003); that the
insertion string of an error is `%%NUMBER` is how such events are stored, the message shows its text.
"""

from __future__ import annotations

from converge.lab.world import LoggedEvent, ServiceRecord, World

PROVIDER = "Service Control Manager"

ERROR_TEXTS = {
    2: "The system cannot find the file specified.",
    3: "The system cannot find the path specified.",
    5: "Access is denied.",
    87: "The parameter is incorrect.",
    1051: "A stop control has been sent to a service that other running services are dependent on.",
    1052: "The requested control is not valid for this service.",
    1053: "The service did not respond to the start or control request in a timely fashion.",
    1056: "An instance of the service is already running.",
    1057: "The account name is invalid or does not exist, or the password is invalid for the account name specified.",
    1058: "The service cannot be started, either because it is disabled or because it has no enabled devices "
    "associated with it.",
    1059: "Circular service dependency was specified.",
    1060: "The specified service does not exist as an installed service.",
    1061: "The service cannot accept control messages at this time.",
    1062: "The service has not been started.",
    1066: "The service has returned a service-specific error code.",
    1067: "The process terminated unexpectedly.",
    1068: "The dependency service or group failed to start.",
    1069: "The service did not start due to a logon failure.",
    1072: "The specified service has been marked for deletion.",
    1073: "The specified service already exists.",
    1075: "The dependency service does not exist or has been marked for deletion.",
    1083: "The executable program that this service is configured to run in does not implement the service.",
    1326: "Logon failure: unknown user name or bad password.",
}
"""Texts of system error codes, as FormatMessage gives them (System Error Codes)."""

_TEMPLATES = {
    7000: "The %1 service failed to start due to the following error: \r\n%2",
    7001: "The %1 service depends on the %2 service which failed to start because of the following error: \r\n%3",
    7003: "The %1 service depends on the following nonexistent service: %2",
    7009: "Timeout (%1 milliseconds) waiting for the %2 service to connect.",
    7023: "The %1 service terminated with the following error: \r\n%2",
    7024: "The %1 service terminated with service-specific error %2 (0x%3).",
    7034: "The %1 service terminated unexpectedly.  It has done this %2 time(s).",
    7036: "The %1 service entered the %2 state.",
    7038: "The %1 service was unable to log on as %2 with the currently configured password due to the following "
    "error: \r\n%3",
}


def error_text(number: int) -> str:
    """The text of a system error code, or its number."""
    return ERROR_TEXTS.get(number, f"Error {number}")


def log(world: World, number: int, strings: tuple[str, ...], *, type_: str = "error") -> None:
    """Write one event of the service manager; `%%N` in a string is shown as the text of error N."""
    message = _TEMPLATES[number]
    for position, text in enumerate(strings, start=1):
        shown = error_text(int(text[2:])) if text.startswith("%%") and text[2:].isdigit() else text
        message = message.replace(f"%{position}", shown)
    world.log(
        LoggedEvent(
            log="System",
            provider=PROVIDER,
            id=number,
            type=type_,
            time=world.now(),
            strings=strings,
            message=message,
        )
    )


def shown_name(record: ServiceRecord) -> str:
    """The name events give the service."""
    return "" if record.nameless else record.display_name


def start_failed(world: World, record: ServiceRecord, error: int) -> None:
    """Event 7000."""
    log(world, 7000, (shown_name(record), f"%%{error}"))


def dependency_failed(world: World, record: ServiceRecord, needed: ServiceRecord, error: int) -> None:
    """Event 7001."""
    log(world, 7001, (shown_name(record), needed.display_name, f"%%{error}"))


def terminated(world: World, record: ServiceRecord) -> None:
    """Event 7024 for a service-specific error, 7023 for any other."""
    if record.exit_code == 1066:
        specific = record.specific_exit_code
        log(world, 7024, (shown_name(record), str(specific), f"{specific:X}"))
    else:
        log(world, 7023, (shown_name(record), f"%%{record.exit_code}"))


def entered(world: World, record: ServiceRecord, state: str) -> None:
    """Event 7036, which Windows writes from XP on."""
    if world.profile.release >= (5, 1):
        log(world, 7036, (shown_name(record), state), type_="information")
