"""The service manager of a simulated Windows: it starts what can be started and says why it refuses the rest.

Every operation returns a system error code, 0 for accepted; `return_code` gives what methods of Win32_Service make of it.
That a failed start leaves its error as the service's exit code, and which of the return codes 8 and 9 stands for a missing
program, rests on documentation alone (StartService; Win32_Service.StartService).
"""

from __future__ import annotations

from datetime import timedelta

from converge.lab import service_events
from converge.lab.world import LabAccount, ProcessRecord, Right, ServiceRecord, World
from converge.model.facts import ServiceState, StartMode
from converge.model.names import fold, same
from converge.model.registry import Hive, RegistryPath
from converge.windows import paths

DISPATCH_KEY = RegistryPath(Hive.LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Services\InetInfo\Parameters")
DISPATCH_VALUE = "DispatchEntries"
_MAX_DEPTH = 32
STARTS = tuple(StartMode)
"""By the number of `Start` in the registry: 0 boot ... 4 disabled."""

_RETURN_CODES = {
    0: 0,
    2: 9,
    3: 9,
    5: 2,
    87: 21,
    1051: 3,
    1052: 4,
    1053: 7,
    1055: 11,
    1056: 10,
    1057: 22,
    1058: 14,
    1059: 18,
    1061: 5,
    1062: 6,
    1069: 15,
    1072: 16,
    1073: 23,
    1075: 13,
}


def return_code(error: int, *, stopping: bool = False) -> int:
    """The return value of a Win32_Service method for a system error. A stop of what is stopped is 5, not 6."""
    return 5 if stopping and error == 1062 else _RETURN_CODES.get(error, 8)


def image_path(world: World, record: ServiceRecord) -> str:
    """The command line as the service manager expands it: an expandable string is expanded, a string is not."""
    value = world.registry.value(record.key, "ImagePath")
    if value is None or not isinstance(value.data, str):
        return ""
    return world.expand(value.data) if value.number == 2 else value.data


def settle(world: World) -> None:
    """Let happen what time has brought: pending states end, services die. Called before anything looks or acts."""
    now = world.now()
    for record in list(world.services.values()):
        if record.settles_at is not None and record.settles_at <= now:
            _settle(world, record)
        if record.dies_at is not None and record.dies_at <= now and record.state is not ServiceState.STOPPED:
            _die(world, record)


def _settle(world: World, record: ServiceRecord) -> None:
    record.settles_at = None
    if record.state is ServiceState.STOP_PENDING:
        _end(world, record)
        service_events.entered(world, record, "stopped")
    elif record.state is ServiceState.START_PENDING:
        missing = _missing_need(world, record)
        if missing:
            _end(world, record, exit_code=missing[0], specific_exit_code=missing[1])
            service_events.terminated(world, record)
        else:
            record.state = ServiceState.RUNNING
            service_events.entered(world, record, "running")
            _plan_death(world, record)


def _missing_need(world: World, record: ServiceRecord) -> tuple[int, int] | None:
    folder = paths.parent(paths.executable_of(image_path(world, record)))
    for need in record.needs:
        if world.files.file(world.expand(need.file.replace("{image_directory}", folder))) is None:
            return need.exit_code, need.specific_exit_code
    return None


def _plan_death(world: World, record: ServiceRecord) -> None:
    death = record.dies
    if death and not (death.while_missing and world.files.file(world.expand(death.while_missing))):
        record.dies_at = world.now() + timedelta(seconds=death.after_seconds)


def _die(world: World, record: ServiceRecord) -> None:
    death = record.dies
    if death is None:
        record.dies_at = None
        return
    _end(world, record, exit_code=death.exit_code, specific_exit_code=death.specific_exit_code)
    if death.crash:
        service_events.log(world, 7034, (service_events.shown_name(record), "1"))
    else:
        service_events.terminated(world, record)


def _end(world: World, record: ServiceRecord, *, exit_code: int = 0, specific_exit_code: int = 0) -> None:
    process = record.process_id
    record.state = ServiceState.STOPPED
    record.exit_code, record.specific_exit_code = exit_code, specific_exit_code
    record.process_id, record.settles_at, record.dies_at = 0, None, None
    if process and not any(other.process_id == process for other in world.services.values()):
        world.processes.pop(process, None)


def _opened(world: World, name: str, right: Right, *, account: LabAccount | None) -> ServiceRecord | int:
    """A service as somebody may use it who needs this right, or the error of opening it."""
    settle(world)
    record = world.service(name)
    if record is None:
        return 1060
    return record if world.permits(account, right, record.name) else 5


def start(world: World, name: str, *, account: LabAccount | None = None) -> int:
    """Start a service and, before it, those it depends on."""
    record = _opened(world, name, Right.SERVICE_START, account=account)
    if isinstance(record, int):
        return record
    return _start(world, record, ())


def _start(world: World, record: ServiceRecord, above: tuple[str, ...]) -> int:
    if record.state is not ServiceState.STOPPED:
        return 1056
    if record.start_mode is StartMode.DISABLED:
        return 1058
    if fold(record.name) in above or len(above) >= _MAX_DEPTH:
        return 1059
    error = _start_needed(world, record, (*above, fold(record.name)))
    if error:
        return error
    error = _launch(world, record)
    if error:
        record.exit_code, record.specific_exit_code = error, 0
        service_events.start_failed(world, record, error)
        return error
    record.state = ServiceState.START_PENDING
    record.settles_at = world.now() + timedelta(seconds=record.start_seconds)
    if not record.start_seconds:
        _settle(world, record)
    return 0


def _start_needed(world: World, record: ServiceRecord, above: tuple[str, ...]) -> int:
    for name in record.depends_on:
        needed = world.service(name)
        if needed is None:
            service_events.log(world, 7003, (service_events.shown_name(record), name))
            return 1075
        error = 0 if needed.state is not ServiceState.STOPPED else _start(world, needed, above)
        if error == 1059:
            return error
        if not error and needed.state is ServiceState.STOPPED:
            error = needed.exit_code or 1067
        if error:
            record.exit_code = 1068
            service_events.dependency_failed(world, record, needed, error)
            return 1068
    return 0


def _launch(world: World, record: ServiceRecord) -> int:
    """Give the service a process, its own or the shared one of its program."""
    program = paths.executable_of(image_path(world, record))
    if not program or world.files.file(program) is None:
        return 2 if world.files.folder(paths.parent(program or "\\")) else 3
    if record.logon_fails:
        service_events.log(world, 7038, (service_events.shown_name(record), record.account, "%%1326"))
        return 1069
    if record.hangs:
        service_events.log(world, 7009, ("30000", service_events.shown_name(record)))
        return 1053
    process = _process(world, program, shared=record.shares_process)
    if record.needs_dispatch_entry and not any(same(record.name, entry) for entry in process.dispatch_entries):
        return 1083
    world.processes[process.process_id] = process
    record.process_id = process.process_id
    return 0


def _process(world: World, program: str, *, shared: bool) -> ProcessRecord:
    running = world.processes.values() if shared else ()
    for held in running:
        if held.shared and same(held.image, program):
            return held
    entries = world.registry.value(DISPATCH_KEY, DISPATCH_VALUE)
    return ProcessRecord(
        process_id=max(world.processes, default=396) + 4,
        image=world.files.real_path(program),
        created=world.now(),
        shared=shared,
        dispatch_entries=entries.data if entries and isinstance(entries.data, tuple) else (),
    )


def stop(world: World, name: str, *, account: LabAccount | None = None) -> int:
    """Stop a service. Refused while a service that depends on it runs."""
    record = _opened(world, name, Right.SERVICE_STOP, account=account)
    if isinstance(record, int):
        return record
    if record.state is ServiceState.STOPPED:
        return 1062
    if record.state.pending:
        return 1061
    if any(other.state is not ServiceState.STOPPED for other in world.dependents(record.name)):
        return 1051
    if not record.can_stop:
        return 1052
    record.state = ServiceState.STOP_PENDING
    record.dies_at = None
    record.settles_at = world.now() + timedelta(seconds=record.stop_seconds)
    if not record.stop_seconds:
        _settle(world, record)
    return 0


def pause(world: World, name: str, *, account: LabAccount | None = None) -> int:
    """Pause a running service that can be paused."""
    return _control(world, name, ServiceState.RUNNING, ServiceState.PAUSED, account=account)


def resume(world: World, name: str, *, account: LabAccount | None = None) -> int:
    """Let a paused service go on. One that runs is asked in vain, as Windows does: accepted, nothing happens."""
    return _control(world, name, ServiceState.PAUSED, ServiceState.RUNNING, account=account)


def _control(
    world: World, name: str, from_state: ServiceState, to_state: ServiceState, *, account: LabAccount | None
) -> int:
    record = _opened(world, name, Right.SERVICE_STOP, account=account)
    if isinstance(record, int):
        return record
    if record.state is ServiceState.STOPPED:
        return 1062
    if record.state.pending:
        return 1061
    if not record.can_pause:
        return 1052
    if record.state is from_state:
        record.state = to_state
        service_events.entered(world, record, to_state.value)
    return 0


def set_start_mode(world: World, name: str, mode: StartMode, *, account: LabAccount | None = None) -> int:
    """Change when a service is started; the registry's `Start` follows."""
    record = _opened(world, name, Right.SERVICE_CHANGE, account=account)
    if isinstance(record, int):
        return record
    record.start_mode = mode
    world.registry.create(record.key).set("Start", number=4, data=STARTS.index(mode))
    return 0


def set_image_path(world: World, name: str, path: str, *, account: LabAccount | None = None) -> int:
    """Change a service's command line; it is stored as an expandable string, as ChangeServiceConfig does."""
    record = _opened(world, name, Right.SERVICE_CHANGE, account=account)
    if isinstance(record, int):
        return record
    if not path.strip():
        return 87
    world.registry.create(record.key).set("ImagePath", number=2, data=path)
    return 0


def delete(world: World, name: str) -> bool:
    """Take a service away whatever it does, with its registry key; False if there was none."""
    record = world.services.get(fold(name))
    if record is None:
        return False
    _end(world, record)
    del world.services[fold(name)]
    world.registry.remove(record.key)
    return True


def put_in_state(world: World, record: ServiceRecord, state: ServiceState) -> None:
    """Make a service be in a state without asking whether it could: how an image begins."""
    if state is ServiceState.STOPPED:
        if record.state is not ServiceState.STOPPED:
            _end(world, record, exit_code=record.exit_code, specific_exit_code=record.specific_exit_code)
        return
    if not record.process_id:
        program = paths.executable_of(image_path(world, record))
        process = _process(world, program, shared=record.shares_process)
        process.created = min(process.created, world.started + timedelta(seconds=30))
        world.processes[process.process_id] = process
        record.process_id = process.process_id
    record.state = state
    record.exit_code = record.specific_exit_code = 0


def process_of(world: World, record: ServiceRecord) -> ProcessRecord | None:
    """The process a service runs in, if it runs."""
    return world.processes.get(record.process_id)


def boot(world: World) -> None:
    """Restart Windows: every service ends, settings are read from the registry anew, automatic services start."""
    for record in world.services.values():
        _end(world, record, exit_code=1077)
        value = world.registry.value(record.key, "Start")
        if value is not None and isinstance(value.data, int) and value.data < len(STARTS):
            record.start_mode = STARTS[value.data]
    for name in [name for name, record in world.services.items() if world.registry.find(record.key) is None]:
        del world.services[name]
    world.processes.clear()
    world.started = world.now()
    world.restarts += 1
    for record in list(world.services.values()):
        if record.start_mode in (StartMode.BOOT, StartMode.SYSTEM, StartMode.AUTOMATIC):
            _start(world, record, ())
