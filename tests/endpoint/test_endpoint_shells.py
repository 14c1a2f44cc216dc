"""WinRS shells, met by pywinrm and pypsrp as they are, and by hand where they would never go."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from pypsrp.exceptions import WSManFaultError
from pypsrp.shell import Process, WinRS
from pypsrp.wsman import WSMan
from winrm.protocol import Protocol

from converge.lab.endpoint.mishaps import Mishap, MishapKind
from converge.lab.file_tree import StoredFile
from converge.lab.world import LabAccount, World
from converge.model.names import fold
from converge.wsman import namespaces
from converge.wsman.envelopes import Option, ResourceTarget
from converge.wsman.faults import Fault
from converge.wsman.messages import AnyAnswer
from converge.wsman.operations import Get
from converge.wsman.shells import (
    Command,
    CommandStarted,
    CreateShell,
    DeleteShell,
    Receive,
    Received,
    Send,
    Sent,
    ShellCreated,
    ShellDeleted,
    Signal,
    SignalCode,
    Signalled,
)

if TYPE_CHECKING:
    from tests.endpoint.conftest import Asker

FaultOf = Callable[[AnyAnswer], Fault]
CMD = ResourceTarget(namespaces.CMD_SHELL)


@pytest.fixture
def protocol(asker: Asker) -> Protocol:
    return Protocol(
        asker.endpoint.url,
        transport="ntlm",
        username=asker.user,
        password=asker.password,
        message_encryption="always",
        operation_timeout_sec=5,
        read_timeout_sec=20,
    )


def test_pywinrm_runs_commands_in_a_shell(asker: Asker, protocol: Protocol) -> None:
    shell = protocol.open_shell(codepage=65001)
    try:
        command = protocol.run_command(shell, "echo", ["Käse 日本"])
        assert protocol.get_command_output(shell, command) == ("Käse 日本\r\n".encode(), b"", 0)
        protocol.cleanup_command(shell, command)
        failed = protocol.run_command(shell, "no-such-program")
        out, err, code = protocol.get_command_output(shell, failed)
        assert (out, code) == (b"", 1)
        assert b"not recognized" in err
        protocol.cleanup_command(shell, failed)
        query = protocol.run_command(shell, "reg", ["query", r"HKLM\SOFTWARE\Vendor", "/v", "Path"])
        out, _, code = protocol.get_command_output(shell, query)
        assert (b"%SystemRoot%\\System32" in out, code) == (True, 0)
    finally:
        protocol.close_shell(shell)


def test_pypsrp_gets_a_large_output_whole(modern: Asker) -> None:
    text = "".join(f"line {number}\r\n" for number in range(9000))
    assert len(text) > 64 * 1024
    modern.world.files.make_folder(r"D:\out")
    modern.world.files.place(r"D:\out\long.txt", StoredFile("long.txt", len(text), content=text.encode()))
    wsman = WSMan(
        "127.0.0.1",
        port=modern.endpoint.port,
        ssl=False,
        auth="negotiate",
        username=modern.user,
        password=modern.password,
        operation_timeout=10,
        read_timeout=20,
    )
    with WinRS(wsman) as shell:
        assert shell.owner == rf"LAB1\{modern.user}"
        process = Process(shell, "type", [r"D:\out\long.txt"])
        process.invoke()
        assert (process.rc, process.stdout) == (0, text.encode())
        with pytest.raises(WSManFaultError) as raised:
            Process(WinRS(wsman, id="11111111-2222-3333-4444-555555555555"), "ver").begin_invoke()
    assert raised.value.code == 2150858843


def open_shell(asker: Asker, *options: Option) -> ResourceTarget:
    created = asker.ask(CreateShell(ResourceTarget(namespaces.CMD_SHELL, options=options)))
    assert isinstance(created, ShellCreated), created
    assert created.resource_uri == namespaces.CMD_SHELL
    assert created.address == asker.endpoint.url
    return ResourceTarget(namespaces.CMD_SHELL, (("ShellId", created.shell_id),))


def start(asker: Asker, shell: ResourceTarget, command: str = "ver") -> str:
    started = asker.ask(Command(shell, command))
    assert isinstance(started, CommandStarted), started
    return started.command_id


def test_what_a_new_shell_is_told(asker: Asker, modern: Asker) -> None:
    old, new = asker.ask(CreateShell(CMD)), modern.ask(CreateShell(CMD))
    assert isinstance(old, ShellCreated)
    assert isinstance(new, ShellCreated)
    assert old.details == {}
    assert list(new.details) == [
        "ShellId",
        "ResourceUri",
        "Owner",
        "ClientIP",
        "IdleTimeOut",
        "InputStreams",
        "OutputStreams",
        "ShellRunTime",
        "ShellInactivity",
    ]
    assert new.details["ShellId"] == new.shell_id
    assert new.details["IdleTimeOut"] == "PT7200.000S"


def test_a_command_from_start_to_end(asker: Asker) -> None:
    shell = open_shell(asker)
    command = start(asker, shell, "echo one")
    received = asker.ask(Receive(shell, command))
    assert isinstance(received, Received)
    assert (received.state, received.exit_code) == ("Done", 0)
    data, out, err = received.streams
    assert (data.name, data.data, data.end) == ("stdout", b"one\r\n", False)
    assert [(item.name, item.data, item.end) for item in (out, err)] == [("stdout", b"", True), ("stderr", b"", True)]
    assert isinstance(asker.ask(Signal(shell, command)), Signalled)
    assert isinstance(asker.ask(DeleteShell(shell)), ShellDeleted)


def test_ids_that_name_nothing(asker: Asker, faulted: FaultOf) -> None:
    shell = open_shell(asker)
    nowhere = ResourceTarget(namespaces.CMD_SHELL, (("ShellId", "nope"),))
    for operation in (Command(nowhere, "ver"), Receive(nowhere, "x"), DeleteShell(nowhere), DeleteShell(CMD)):
        fault = faulted(asker.ask(operation))
        assert (fault.subcode, fault.code) == ("w:InvalidSelectors", 2150858843)
        assert fault.detail.endswith("/UnexpectedSelectors")
        assert fault.provider is not None
        assert fault.provider.provider == "Shell provider"
    for other in (Receive(shell, "x"), Signal(shell, "x"), Send(shell, "x", b"")):
        fault = faulted(asker.ask(other))
        assert (fault.subcode, fault.code, fault.provider) == ("w:InvalidSelectors", 2150858843, None)
        assert "command identifier that does not exist" in fault.message


def test_a_shell_is_of_the_account_that_opened_it(asker: Asker, faulted: FaultOf) -> None:
    shell = open_shell(asker)
    asker.world.accounts[fold("Other")] = LabAccount(name="Other", password=asker.password)
    asker.user = "Other"
    assert faulted(asker.ask(Command(shell, "ver"))).code == 2150858843


def test_output_that_is_late(asker: Asker, faulted: FaultOf) -> None:
    asker.host.mishaps.add(Mishap(MishapKind.SLOW_COMMAND, amount=3.0))
    shell = open_shell(asker)
    command = start(asker, shell, "echo late")
    fault = faulted(asker.ask(Receive(shell, command), timeout=0.1))
    assert (fault.code, fault.value, fault.subcode) == (2150858793, "s:Receiver", "w:TimedOut")
    received = asker.ask(Receive(shell, command), timeout=60)
    assert isinstance(received, Received)
    assert received.streams[0].data == b"late\r\n"


def test_a_command_that_is_ended(asker: Asker) -> None:
    asker.host.mishaps.add(Mishap(MishapKind.SLOW_COMMAND, amount=600.0))
    shell = open_shell(asker)
    command = start(asker, shell, "echo never")
    assert isinstance(asker.ask(Send(shell, command, b"y\r\n", end=True)), Sent)
    assert isinstance(
        asker.ask(Signal(shell, command, SignalCode.CTRL_C)),
        Signalled,
    )
    received = asker.ask(Receive(shell, command))
    assert isinstance(received, Received)
    assert (received.state, received.exit_code) == ("Done", -1073741510)
    assert all(stream.data == b"" for stream in received.streams)


def test_more_shells_than_an_account_may_have(asker: Asker, modern: Asker, faulted: FaultOf) -> None:
    for client, most in ((asker, 5), (modern, 30)):
        shells = [open_shell(client) for _ in range(most)]
        fault = faulted(client.ask(CreateShell(CMD)))
        assert (fault.code, fault.over_quota) == (2150859173, True)
        assert isinstance(client.ask(DeleteShell(shells[0])), ShellDeleted)
        open_shell(client)
    assert (fault.subcode, fault.cim_status) == ("w:QuotaLimit", 27)


def test_code_pages(asker: Asker, faulted: FaultOf) -> None:
    for page, said in (("65001", "ä".encode()), ("1252", b"\xe4"), ("437", b"\x84")):
        shell = open_shell(asker, Option("WINRS_CODEPAGE", page))
        received = asker.ask(Receive(shell, start(asker, shell, "echo ä")))
        assert isinstance(received, Received)
        assert received.streams[0].data == said + b"\r\n"
        asker.ask(DeleteShell(shell))
    for wrong in ("99999", "x", "-1", "٣"):
        fault = faulted(
            asker.ask(CreateShell(ResourceTarget(namespaces.CMD_SHELL, options=(Option("WINRS_CODEPAGE", wrong),))))
        )
        assert (fault.code, fault.subcode) == (87, "w:InvalidParameter")


def test_an_account_without_shells(serve: Callable[..., Asker], worlds: Callable[..., World], faulted: FaultOf) -> None:
    asker = serve(worlds(denies=("shells",)))
    assert faulted(asker.ask(CreateShell(CMD))).code == 5
    assert asker.rows("SELECT Name FROM Win32_ComputerSystem")


def test_other_things_asked_of_shells(asker: Asker, faulted: FaultOf) -> None:
    assert faulted(asker.ask(CreateShell(ResourceTarget(namespaces.SHELL + "/other")))).code == 2150858811
    assert faulted(asker.ask(Get(CMD))).subcode == "a:ActionNotSupported"
    shell = open_shell(asker)
    command = start(asker, shell)
    assert faulted(asker.ask(Signal(shell, command, "urn:explode"))).code == 87
    assert faulted(asker.ask(Command(shell, "  "))).code == 87


def test_commands_are_remembered_and_the_world_kept(asker: Asker) -> None:
    changes: list[int] = []
    asker.host.on_change = lambda: changes.append(1)
    shell = open_shell(asker)
    start(asker, shell, r"mkdir D:\made")
    assert asker.world.files.folder(r"D:\made") is not None
    assert changes == [1]
    created, commanded = asker.host.log.records
    assert (created.operation, commanded.operation, commanded.detail) == ("Create", "Command", r"mkdir D:\made")


def test_a_program_without_cmd(asker: Asker, modern: Asker, faulted: FaultOf) -> None:
    for client in (asker, modern):
        shell = open_shell(client)
        alone = ResourceTarget(shell.resource_uri, shell.selectors, (Option("WINRS_SKIP_CMD_SHELL", "TRUE"),))
        fault = faulted(client.ask(Command(alone, "no-such-program")))
        assert (fault.code, fault.subcode) == (2147942402, "w:InternalError")
        command = client.ask(Command(alone, "hostname"))
        assert isinstance(command, CommandStarted)
        received = client.ask(Receive(shell, command.command_id))
        assert isinstance(received, Received)
        assert received.streams[0].data == b"LAB1\r\n"
