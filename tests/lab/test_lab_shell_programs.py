"""What programs and inner commands print and do, in the formats of old and new Windows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from converge.lab.shell import ShellResult, run_arguments, run_command_line
from converge.lab.world import LabAccount, World
from converge.windows.commands import ReadingCommand
from converge.windows.registry import parse_path

MakeWorld = Callable[..., World]

IMAGE = r"""
files:
  'C:\data': {a.txt: "hello\nworld\n", b.bin: {hex: '00 ff'}, wide.txt: {text: 'häh', encoding: utf-16}}
  'C:\My Programs': {x.txt: hi}
registry:
  'HKLM\SOFTWARE\Lab':
    '': the default
    Text: one two
    Raw: {expand_string: '%SystemRoot%\x'}
    List: [a, b]
    Number: 255
    Bytes: {binary: '00 ff'}
    '\Sub': {v: C:\x\Seo.dll}
    '\Empty': {}
    '\Closed': {'\': {deny: [read]}, v: seo.dll}
services:
  Svc: {image_path: 'C:\data\a.txt', display_name: The Service, state: stopped}
  Busy: {image_path: 'C:\data\a.txt', display_name: Busy One, state: running, depends_on: [Svc]}
"""


def out(result: ShellResult) -> str:
    return result.stdout.decode("cp437")


def err(result: ShellResult) -> str:
    return result.stderr.decode("cp437")


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world(IMAGE)


@pytest.fixture
def modern(make_world: MakeWorld) -> World:
    return make_world(IMAGE, version="6.1.7601")


OLD = (
    "\r\n! REG.EXE VERSION 3.0\r\n"
    "\r\nHKEY_LOCAL_MACHINE\\SOFTWARE\\Lab\r\n"
    "    <NO NAME>\tREG_SZ\tthe default\r\n"
    "    Text\tREG_SZ\tone two\r\n"
    "    Raw\tREG_EXPAND_SZ\t%SystemRoot%\\x\r\n"
    "    List\tREG_MULTI_SZ\ta\\0b\\0\\0\r\n"
    "    Number\tREG_DWORD\t0xff\r\n"
    "    Bytes\tREG_BINARY\t00FF\r\n"
    "\r\n"
    "HKEY_LOCAL_MACHINE\\SOFTWARE\\Lab\\Sub\r\n"
    "HKEY_LOCAL_MACHINE\\SOFTWARE\\Lab\\Empty\r\n"
    "HKEY_LOCAL_MACHINE\\SOFTWARE\\Lab\\Closed\r\n"
)
NEW = (
    "\r\nHKEY_LOCAL_MACHINE\\SOFTWARE\\Lab\r\n"
    "    (Default)    REG_SZ    the default\r\n"
    "    Text    REG_SZ    one two\r\n"
    "    Raw    REG_EXPAND_SZ    %SystemRoot%\\x\r\n"
    "    List    REG_MULTI_SZ    a\\0b\r\n"
    "    Number    REG_DWORD    0xff\r\n"
    "    Bytes    REG_BINARY    00FF\r\n"
    "\r\n"
    "HKEY_LOCAL_MACHINE\\SOFTWARE\\Lab\\Sub\r\n"
    "HKEY_LOCAL_MACHINE\\SOFTWARE\\Lab\\Empty\r\n"
    "HKEY_LOCAL_MACHINE\\SOFTWARE\\Lab\\Closed\r\n"
)


@pytest.mark.parametrize("line", [r"reg query HKLM\software\LAB", r'REG.EXE QUERY "HKEY_LOCAL_MACHINE\SOFTWARE\Lab\\"'])
def test_reg_query_prints_a_key_as_its_version_does(world: World, modern: World, line: str) -> None:
    assert out(run_command_line(world, line)).replace("software\\LAB", "SOFTWARE\\Lab") == OLD
    assert out(run_command_line(modern, line)).replace("software\\LAB", "SOFTWARE\\Lab") == NEW


def test_a_search_passes_over_what_it_may_not_read_and_says_so(world: World, modern: World) -> None:
    line = ReadingCommand.search_registry(parse_path(r"HKLM\SOFTWARE\Lab")).line
    for held in (world, modern):
        result = run_command_line(held, line)
        assert r"C:\x\Seo.dll" in out(result)
        assert "Access is denied" in err(result)
        assert out(result).count("seo.dll") == 0


def test_f_is_known_from_vista_on(world: World, modern: World) -> None:
    line = r"reg query HKLM\SOFTWARE\Lab /s /f seo.dll /d"
    assert run_command_line(world, line).exit_code == 1
    result = run_command_line(modern, line)
    assert result.exit_code == 0
    assert out(result).endswith("End of search: 1 match(es) found.\r\n")
    assert run_command_line(modern, r"reg query HKLM\SOFTWARE\Lab /s /f nowhere").exit_code == 1


@pytest.mark.parametrize(
    ("line", "old", "new"),
    [
        (
            r"reg query HKLM\Nope",
            "\r\nError:  The system was unable to find the specified registry key or value\r\n",
            "ERROR: The system was unable to find the specified registry key or value.\r\n",
        ),
        (
            r"reg query HKLM\SOFTWARE\Lab /v Nope",
            "\r\nError:  The system was unable to find the specified registry key or value\r\n",
            "ERROR: The system was unable to find the specified registry key or value.\r\n",
        ),
        (r"reg query HKLM\SOFTWARE\Lab\Closed", "\r\nError:  Access is denied.\r\n", "ERROR: Access is denied.\r\n"),
        (r"reg query HKXX\Lab", "\r\nError:  Invalid key name\r\n", "ERROR: Invalid key name.\r\n"),
    ],
)
def test_reg_refuses_in_the_words_of_its_version(world: World, modern: World, line: str, old: str, new: str) -> None:
    for held, words in ((world, old), (modern, new)):
        result = run_command_line(held, line)
        assert (result.exit_code, err(result), out(result).strip().removeprefix("! REG.EXE VERSION 3.0")) == (
            1,
            words,
            "",
        )


@pytest.mark.parametrize(
    ("arguments", "number", "data"),
    [
        ("/v x /t REG_SZ /d hi", 1, "hi"),
        ('/v "a b" /t REG_EXPAND_SZ /d ^%SystemRoot^%', 2, "%SystemRoot%"),
        (r"/v x /t REG_MULTI_SZ /d a\0b", 7, ("a", "b")),
        ("/v x /t REG_MULTI_SZ /s , /d a,b", 7, ("a", "b")),
        ("/v x /t REG_DWORD /d 0xffffffff", 4, 0xFFFFFFFF),
        ("/v x /t REG_BINARY /d 00ff", 3, b"\x00\xff"),
        ("/v x /t REG_BINARY /f", 3, b""),
        ("/ve /d new /f", 1, "new"),
        ("/v TEXT /d new /f", 1, "new"),
    ],
)
def test_reg_add_writes(world: World, arguments: str, number: int, data: object) -> None:
    assert run_command_line(world, rf"reg add HKLM\SOFTWARE\Lab {arguments}").exit_code == 0
    name = {"/v x": "x", '/v "': "a b", "/ve ": "", "/v T": "Text"}[arguments[:4]]
    value = world.registry.value(parse_path(r"HKLM\SOFTWARE\Lab"), name)
    assert value is not None
    assert (value.number, value.data) == (number, data)


@pytest.mark.parametrize(
    "arguments", ["/v Text /d new", "/v x /t REG_DWORD /d many", "/v x /t REG_WRONG /d 1", "/v x /t REG_BINARY /d 0"]
)
def test_reg_add_writes_nothing_it_is_not_sure_of(world: World, arguments: str) -> None:
    before = world.to_json()
    assert run_command_line(world, rf"reg add HKLM\SOFTWARE\Lab {arguments}").exit_code == 1
    assert world.to_json() == before


def test_what_is_exported_is_imported_again(modern: World) -> None:
    key = parse_path(r"HKLM\SOFTWARE\Lab")
    world = modern
    before = run_command_line(world, r"reg query HKLM\SOFTWARE\Lab").stdout
    assert run_command_line(world, r"reg export HKLM\SOFTWARE\Lab C:\data\lab.reg").exit_code == 0
    assert run_command_line(world, r"reg delete HKLM\SOFTWARE\Lab\Closed /f").exit_code == 1
    world.registry.remove(key)
    assert run_command_line(world, r"reg import C:\data\lab.reg").exit_code == 0
    after = run_command_line(world, r"reg query HKLM\SOFTWARE\Lab").stdout
    assert after == before.replace(b"HKEY_LOCAL_MACHINE\\SOFTWARE\\Lab\\Closed\r\n", b"")
    assert run_command_line(world, r"reg import C:\data\a.txt").exit_code == 1


@pytest.mark.parametrize(
    ("version", "printed"),
    [
        ("5.2.3790", "SHA1 hash of file C:\\data\\a.txt:\r\n{spaced}\r\n"),
        ("6.3.9600", "SHA1 hash of file C:\\data\\a.txt:\r\n{spaced}\r\n"),
        ("10.0.17763", "SHA1 hash of C:\\data\\a.txt:\r\n{plain}\r\n"),
    ],
)
def test_certutil_prints_hashes_as_its_version_does(make_world: MakeWorld, version: str, printed: str) -> None:
    world = make_world(IMAGE, version=version)
    digest = hashlib.sha1(b"hello\r\nworld\r\n").hexdigest()
    spaced = " ".join(digest[index : index + 2] for index in range(0, 40, 2))
    result = run_command_line(world, ReadingCommand.hash_file(r"C:\data\a.txt", algorithm="SHA1").line)
    wanted = printed.format(plain=digest, spaced=spaced) + "CertUtil: -hashfile command completed successfully.\r\n"
    assert out(result) == wanted
    assert result.exit_code == 0


def test_sha256_needs_vista(world: World, modern: World) -> None:
    line = ReadingCommand.hash_file(r"C:\data\a.txt").line
    assert run_command_line(world, line).exit_code != 0
    assert run_command_line(modern, line).exit_code == 0
    assert run_command_line(modern, r"certutil -hashfile C:\data\gone").exit_code != 0


def test_certutil_decodes_what_echo_wrote(modern: World) -> None:
    for line in (r"echo AP8= >C:\data\x.b64", r"certutil -decode C:\data\x.b64 C:\data\x.bin"):
        assert run_command_line(modern, line).exit_code == 0
    file = modern.files.file(r"C:\data\x.bin")
    assert file is not None
    assert file.content == b"\x00\xff"
    assert run_command_line(modern, r"certutil -decode C:\data\x.b64 C:\data\x.bin").exit_code != 0
    assert run_command_line(modern, r"certutil -decode C:\data\a.txt C:\data\y.bin").exit_code != 0
    assert run_command_line(modern, r"certutil -encode C:\data\x.bin C:\data\y.b64").exit_code == 0


@pytest.mark.parametrize(
    ("line", "printed", "code"),
    [
        ("echo a  b", "a  b\r\n", 0),
        ("echo.", "\r\n", 0),
        ("hostname", "SRV1\r\n", 0),
        (r"type C:\data\a.txt", "hello\r\nworld\r\n", 0),
        (r"type C:\data\wide.txt", "häh", 0),
        (r"cd \data & cd", "C:\\data\r\n", 0),
        (r"cd /d C:\data && type A.TXT", "hello\r\nworld\r\n", 0),
        (r"cd \gone || echo no", "no\r\n", 0),
        (r"set X=1& echo %X%", "%X%\r\n", 0),
        ("set y=2& set y", "y=2\r\n", 0),
        ("exit 5 & echo never", "", 5),
        ("exit /b 3", "", 3),
        ("(echo a & exit 7) | type nul", "", 0),
        ("echo x 1>&2", "", 0),
        ("nosuch 2>nul & echo after", "after\r\n", 0),
        (r"if exist C:\data\a.txt (echo yes) else (echo no)", "yes\r\n", 0),
        (r"if exist C:\gone (echo yes) else (echo no)", "no\r\n", 0),
        (r"if exist C:\data\ echo dir", "dir\r\n", 0),
        ("dir /b C:\\data", "a.txt\r\nb.bin\r\nwide.txt\r\n", 0),
        ("ver", "\r\nMicrosoft Windows [Version 5.2.3790]\r\n", 0),
        (r'cmd /c "type "C:\My Programs\x.txt""', "hi", 0),
        ('cmd /c "echo a & echo b"', "a \r\nb\r\n", 0),
        ("cmd /c exit 9", "", 9),
        ("chcp 65001", "Active code page: 65001\r\n", 0),
        ("rem x > y", "", 0),
    ],
)
def test_inner_commands(world: World, line: str, printed: str, code: int) -> None:
    result = run_command_line(world, line)
    assert (out(result), result.exit_code) == (printed, code)


@pytest.mark.parametrize("name", ["powershell", "findstr", "nosuch.exe", "powershell.exe"])
def test_an_unknown_program_is_not_recognized(world: World, name: str) -> None:
    result = run_command_line(world, f"{name} -x")
    words = f"'{name}' is not recognized as an internal or external command,\r\noperable program or batch file.\r\n"
    assert (result.stdout, err(result), result.exit_code) == (b"", words, 1)


def test_old_windows_lacks_what_it_never_had(make_world: MakeWorld) -> None:
    world = make_world("", version="4.0.1381", root=r"C:\WINNT")
    for program in ("reg", "sc", "certutil", "whoami", "sysocmgr"):
        assert run_command_line(world, program).exit_code == 1
        assert b"not recognized" in run_command_line(world, program).stderr
    assert run_command_line(world, r"C:\WINNT\system32\HOSTNAME.EXE").stdout == b"SRV1\r\n"


@pytest.mark.parametrize(
    ("line", "code", "there", "gone"),
    [
        (r"mkdir C:\new\below", 0, [r"C:\new\below"], []),
        (r"mkdir C:\data", 1, [r"C:\data"], []),
        (r'md "C:\a b" C:\c', 0, [r"C:\a b", r"C:\c"], []),
        (r"rd C:\data", 145, [r"C:\data"], []),
        (r"rd /s /q C:\data", 0, [], [r"C:\data"]),
        (r"rd /s C:\data", 1, [r"C:\data"], []),
        (r"rd C:\gone", 2, [], [r"C:\gone"]),
        (r"del C:\data\*.txt", 0, [r"C:\data\b.bin"], [r"C:\data\a.txt", r"C:\data\wide.txt"]),
        (r"del C:\data\gone.txt", 0, [], []),
        (r"copy C:\data\a.txt C:\data\c.txt", 0, [r"C:\data\a.txt", r"C:\data\c.txt"], []),
        (r"copy C:\data\gone C:\data\c.txt", 1, [], [r"C:\data\c.txt"]),
        (r'move C:\data\a.txt "C:\My Programs"', 0, [r"C:\My Programs\a.txt"], [r"C:\data\a.txt"]),
        (r"ren C:\data\a.txt c.txt", 0, [r"C:\data\c.txt"], [r"C:\data\a.txt"]),
        (r"ren C:\data\a.txt b.bin", 1, [r"C:\data\a.txt"], []),
        (r"echo x> C:\data\new.txt", 0, [r"C:\data\new.txt"], []),
        (r"echo x> C:\gone\new.txt", 1, [], [r"C:\gone"]),
        (r"type nul >C:\data\none.txt", 0, [r"C:\data\none.txt"], []),
    ],
)
def test_commands_change_the_disk(world: World, line: str, code: int, there: list[str], gone: list[str]) -> None:
    assert run_command_line(world, line).exit_code == code
    assert [path for path in there if not world.files.exists(path)] == []
    assert [path for path in gone if world.files.exists(path)] == []


def test_copy_leaves_an_existing_target_unless_told_to(world: World) -> None:
    line = r"copy {} C:\data\b.bin C:\data\a.txt"
    assert run_command_line(world, line.format("")).exit_code == 1
    assert run_command_line(world, line.format("/y")).exit_code == 0
    file = world.files.file(r"C:\data\a.txt")
    assert file is not None
    assert file.read() == b"\x00\xff"


def test_appending_keeps_what_was_there(world: World) -> None:
    for line in (r"echo one>C:\data\new.txt", r"echo two>>C:\data\new.txt"):
        assert run_command_line(world, line).exit_code == 0
    assert run_command_line(world, r"type C:\data\new.txt").stdout == b"one\r\ntwo\r\n"


def test_output_is_in_the_code_page_asked_for(world: World) -> None:
    assert run_command_line(world, "echo ü").stdout == b"\x81\r\n"
    assert run_command_line(world, "echo ü", code_page=65001).stdout == "ü\r\n".encode()
    assert run_command_line(world, "echo Ж").stdout == b"?\r\n"
    assert run_command_line(world, "echo ü", code_page=12345).stdout == b"\x81\r\n"


def test_an_account_may_do_no_more_in_a_shell_than_elsewhere(world: World) -> None:
    account = LabAccount(
        name=r"LAB\me", password="x", denies=(r"file_write:C:\data", r"registry_write:HKLM\SOFTWARE", "service_start")
    )
    before = world.to_json()
    for line in (
        r"echo x>C:\data\n.txt",
        r"del C:\data\a.txt",
        r"reg add HKLM\SOFTWARE\Lab /v x",
        r"reg delete HKLM\SOFTWARE\Lab /f",
        "net start Svc",
        "sc start Svc",
    ):
        assert run_command_line(world, line, account=account).exit_code != 0, line
    assert world.to_json() == before
    assert run_command_line(world, "whoami", account=account).stdout == b"lab\\me\r\n"


def test_services_are_started_and_stopped_by_sc_and_net(world: World) -> None:
    assert run_command_line(world, "sc query svc").stdout.count(b"1  STOPPED") == 1
    assert run_command_line(world, 'net start "the service"').exit_code == 0
    assert run_command_line(world, "net start svc").exit_code == 2
    assert b"4  RUNNING" in run_command_line(world, "sc query Svc").stdout
    assert run_command_line(world, "sc stop Svc").exit_code == 1051
    assert run_command_line(world, "net stop Busy").exit_code == 0
    assert run_command_line(world, "sc stop Svc").exit_code == 0
    assert run_command_line(world, "sc start Nobody").exit_code == 1060
    assert run_command_line(world, "sc config Svc start= disabled").exit_code == 0
    assert run_command_line(world, "sc start Svc").exit_code == 1058


def test_arguments_reach_cmd_joined_or_the_program_without_it(world: World) -> None:
    assert run_arguments(world, "echo", ["a", "&", "hostname"]).stdout == b"a \r\nSRV1\r\n"
    assert run_arguments(world, "hostname", [], through_cmd=False).stdout == b"SRV1\r\n"
    assert run_arguments(world, "echo", ["a"], through_cmd=False).exit_code == 2


def test_a_line_that_would_nest_or_print_without_end_ends(world: World) -> None:
    assert run_command_line(world, "cmd /c " * 40 + "echo x").exit_code == 1
    assert run_command_line(world, "a" * 9000).stderr == b"The command line is too long.\r\n"


@pytest.mark.parametrize(
    ("line", "printed"),
    [
        ("for /L %i in (1,1,3) do @echo n%i", "n1\r\nn2\r\nn3\r\n"),
        ("(FOR /l %a in (5, -2, 0) do echo %a)&echo end", "5\r\n3\r\n1\r\nend\r\n"),
        ("for /L %i in (3,1,1) do echo %i", ""),
        ("for /L %i in (1,1,2) do (echo %i & if %i==2 echo two)", "1 \r\n2 \r\ntwo\r\n"),
    ],
)
def test_counting(world: World, line: str, printed: str) -> None:
    assert out(run_command_line(world, line)) == printed


def test_nothing_counts_for_ever(world: World) -> None:
    line = "for /L %i in (1,1,2000000000) do for /L %j in (1,1,2000000000) do rem"
    assert run_command_line(world, line).exit_code == 0
    assert run_command_line(world, "for /L %i in (1,0,2) do rem").exit_code == 0
