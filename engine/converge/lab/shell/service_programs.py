"""sc and net, as far as services go: query, start, stop.

Formats as `sc query` and `net start` print them on Windows Server 2003; that net's own messages carry those numbers rests on
documentation alone.
"""

from __future__ import annotations

from collections.abc import Callable

from converge.lab import service_manager
from converge.lab.service_events import error_text
from converge.lab.shell.grammar import split_arguments
from converge.lab.shell.session import Call
from converge.lab.world import Right, ServiceRecord
from converge.model.facts import ServiceState, StartMode
from converge.model.names import same

_STATES = tuple(ServiceState)  # numbered from 1 (SERVICE_STATUS)
_MODES = {"auto": StartMode.AUTOMATIC, "demand": StartMode.MANUAL, "disabled": StartMode.DISABLED}


def sc(call: Call) -> int:
    """`sc query|start|stop NAME`, `sc config NAME start= MODE`."""
    arguments = split_arguments(call.tail)
    verb = arguments[0].lower() if arguments else ""
    world, account = call.session.world, call.session.account
    service_manager.settle(world)
    name = arguments[1] if len(arguments) > 1 else ""
    if verb in ("query", "queryex") and not name:
        for item in world.services.values():
            if item.state is not ServiceState.STOPPED and world.permits(account, Right.SERVICE_QUERY, item.name):
                _print_status(call, item)
        return 0
    record = world.service(name)
    if verb in ("query", "queryex"):
        denied = record is not None and not world.permits(account, Right.SERVICE_QUERY, record.name)
        if record is None or denied:
            return _refused(call, "EnumQueryServicesStatus:OpenService", 5 if denied else 1060)
        _print_status(call, record)
        return 0
    if verb in ("start", "stop"):
        act = service_manager.start if verb == "start" else service_manager.stop
        error = act(world, name, account=account)
        if error or record is None:
            opening = "OpenService" if error in (5, 1060) else {"start": "StartService", "stop": "ControlService"}[verb]
            return _refused(call, opening, error)
        _print_status(call, record)
        return 0
    if verb == "config" and len(arguments) == 4 and arguments[2].lower() == "start=" and arguments[3].lower() in _MODES:
        error = service_manager.set_start_mode(world, name, _MODES[arguments[3].lower()], account=account)
        if not error:
            call.say("[SC] ChangeServiceConfig SUCCESS")
        return _refused(call, "OpenService", error) if error else 0
    call.say("ERROR:  Unrecognized command")
    return 1639


def _refused(call: Call, where: str, error: int) -> int:
    call.say(f"[SC] {where} FAILED {error}:\r\n\r\n{error_text(error)}\r\n")
    return error


def _print_status(call: Call, record: ServiceRecord) -> None:
    state = record.state
    kind = "20  WIN32_SHARE_PROCESS" if record.shares_process else "10  WIN32_OWN_PROCESS"
    call.say(f"\r\nSERVICE_NAME: {record.name}")
    call.say(f"        TYPE               : {kind} ")
    call.say(f"        STATE              : {_STATES.index(state) + 1}  {state.value.upper()} ")
    call.say(f"        WIN32_EXIT_CODE    : {record.exit_code}  ({record.exit_code:#x})")
    call.say(f"        SERVICE_EXIT_CODE  : {record.specific_exit_code}  ({record.specific_exit_code:#x})")
    call.say("        CHECKPOINT         : 0x0")
    call.say("        WAIT_HINT          : 0x0")


def net(call: Call) -> int:
    """`net start [NAME]`, `net stop NAME`: by short name or display name, waiting for the end of pending states."""
    arguments = [item for item in split_arguments(call.tail) if item.lower() != "/y"]
    verb = arguments[0].lower() if arguments else ""
    world = call.session.world
    service_manager.settle(world)
    if verb == "start" and len(arguments) == 1:
        call.say("These Windows services are started:\r\n")
        for record in world.services.values():
            if record.state is not ServiceState.STOPPED:
                call.say(f"   {record.display_name}")
        call.say("\r\nThe command completed successfully.\r\n")
        return 0
    if verb not in ("start", "stop") or len(arguments) != 2:
        call.complain("The syntax of this command is:\r\n\r\nNET [ START | STOP ] SERVICE")
        return 1
    found = [item for item in world.services.values() if same(arguments[1], item.name)]
    found += [item for item in world.services.values() if same(arguments[1], item.display_name)]
    if not found:
        call.complain("The service name is invalid.\r\n\r\nMore help is available by typing NET HELPMSG 2185.\r\n")
        return 2
    return _net_start(call, found[0]) if verb == "start" else _net_stop(call, found[0])


def _net_start(call: Call, record: ServiceRecord) -> int:
    def done() -> bool:
        return record.state is ServiceState.RUNNING

    return _net(call, record, service_manager.start, done, ("starting", "started"))


def _net_stop(call: Call, record: ServiceRecord) -> int:
    def done() -> bool:
        return record.state is ServiceState.STOPPED

    return _net(call, record, service_manager.stop, done, ("stopping", "stopped"))


def _net(
    call: Call, record: ServiceRecord, act: Callable[..., int], done: Callable[[], bool], verbs: tuple[str, str]
) -> int:
    world, name = call.session.world, record.display_name
    error = act(world, record.name, account=call.session.account)
    if error == 1056:
        call.complain(
            "The requested service has already been started.\r\n\r\nMore help is available by typing NET HELPMSG 2182.\r\n"
        )
        return 2
    if error == 1062:
        call.complain(
            f"The {name} service is not started.\r\n\r\nMore help is available by typing NET HELPMSG 3521.\r\n"
        )
        return 2
    if error:
        call.complain(f"System error {error} has occurred.\r\n\r\n{error_text(error)}\r\n")
        return 2
    call.say(f"The {name} service is {verbs[0]}.")
    _wait(call, record)
    if not done():
        call.complain(f"The {name} service could not be {verbs[1]}.\r\n")
        return 2
    call.say(f"The {name} service was {verbs[1]} successfully.\r\n")
    return 0


def _wait(call: Call, record: ServiceRecord) -> None:
    """Let the time of a pending state pass on the host's clock, at most half a minute, as net waits for it."""
    world = call.session.world
    if record.settles_at is not None:
        left = (record.settles_at - world.now()).total_seconds()
        world.clock.advance(min(max(left, 0.0), 30.0))
    service_manager.settle(world)
