"""Files that another account may change, links that it may have put there, and what is no file: refused, with what to do."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tests.cli.cli_program import INVENTORY, PLAYBOOK, Ended, Program

from converge.cli.main import main
from converge.model import opening

pytestmark = pytest.mark.timeout(240)
STRANGER, GROUP = 60_123, 60_124
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another account")


class Inside(Program):
    """The program in this very process: a hundred starts would take minutes."""

    def __call__(self, *words: str, env: Mapping[str, str] | None = None, stdin: str = "") -> Ended:
        del env, stdin
        out, err, code = io.StringIO(), io.StringIO(), 0
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main(list(words))
            except SystemExit as ended:
                code = int(ended.code or 0)
        return Ended(code, out.getvalue(), err.getvalue())


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("CONVERGE_")]:
        monkeypatch.delenv(name)
    program = Inside(tmp_path)
    program.write("playbooks/registry.yml", PLAYBOOK)
    program.write("inventory/hosts.yml", INVENTORY)
    return program


def checked(program: Program, *words: str) -> Ended:
    return program("--check", *words)


def to_stranger(path: Path) -> None:
    os.chown(path, STRANGER, GROUP)


def open_to_all(path: Path) -> None:
    path.chmod(path.stat().st_mode | 0o002)


def open_to_group(path: Path) -> None:
    os.chown(path, os.getuid(), GROUP)
    path.chmod(path.stat().st_mode | 0o020)


TAMPERED: list[Callable[[Path], None]] = [to_stranger, open_to_all, open_to_group]


@needs_root
@pytest.mark.parametrize("tamper", TAMPERED)
class TestThirdAccounts:
    @pytest.mark.parametrize(
        "name",
        [
            "playbooks/registry.yml",
            "inventory/hosts.yml",
            "inventory/group_vars/all.yml",
            "extra.yml",
            "playbooks",
            "inventory",
        ],
    )
    def test_what_another_account_may_change_is_not_read(
        self, site: Program, name: str, tamper: Callable[[Path], None]
    ) -> None:
        site.write("inventory/group_vars/all.yml", "x: 1\n")
        site.write("extra.yml", "y: 1\n")
        assert checked(site, "-e", "@extra.yml").code == 2
        tamper(site.folder / name)
        ended = checked(site, "-e", "@extra.yml")
        assert ended.code == 1, ended.out
        assert "another account may change it" in ended.err
        assert "chmod " in ended.err or "chown " in ended.err, "the command to type"
        assert "Traceback" not in ended.err

    def test_a_program_that_another_account_may_change_is_not_run(
        self, site: Program, tamper: Callable[[Path], None]
    ) -> None:
        (site.folder / "inventory/hosts.yml").unlink()
        script = site.write("inventory/hosts.sh", '#!/bin/sh\ntouch ran\necho \'{"all": {"hosts": ["a"]}}\'\n')
        script.chmod(0o755)
        tamper(script)
        ended = site("--list-hosts")
        assert ended.code == 1
        assert "another account may change it" in ended.err
        assert not (site.folder / "ran").exists()

    def test_a_password_command_is_not_run_either(self, site: Program, tamper: Callable[[Path], None]) -> None:
        script = site.write("tell.sh", "#!/bin/sh\ntouch ran\necho secret\n")
        script.chmod(0o755)
        tamper(script)
        host = (
            "web01: {ansible_host: 127.0.0.1, ansible_port: 9, ansible_user: u, converge_password_command: ./tell.sh}"
        )
        site.write("inventory/hosts.yml", f"all:\n  hosts:\n    {host}\n")
        ended = checked(site)
        assert ended.code == 4
        assert "another account may change" in ended.out + ended.err
        assert not (site.folder / "ran").exists()

    @pytest.mark.parametrize("words", [("--check",), ("--yes",), ("runs",), ("diagnose",)])
    def test_a_state_folder_that_another_account_may_change_is_not_used(
        self, site: Program, words: tuple[str, ...], tamper: Callable[[Path], None]
    ) -> None:
        assert checked(site).code == 2
        tamper(site.folder / ".converge")
        ended = site(*words)
        assert ended.code == 1, ended.out
        assert "the state folder .converge is not used: another account may change it" in ended.err

    def test_a_policy_is_not_followed(self, site: Program, tamper: Callable[[Path], None]) -> None:
        tamper(site.write("policy.yml", "version: 1\ngroups:\n  all: {mode: enforce, grace: 0}\n"))
        ended = site("enforce", "--policy", "policy.yml", "--once")
        assert ended.code == 1
        assert "another account may change it" in ended.err


@needs_root
def test_the_owner_of_the_current_folder_is_trusted(site: Program) -> None:
    for base, folders, files in os.walk(site.folder):
        for name in [".", *folders, *files]:
            os.chown(Path(base) / name, STRANGER, GROUP)
    assert checked(site).code == 2


@needs_root
def test_a_link_that_another_account_put_into_a_shared_folder_is_not_followed(site: Program) -> None:
    shared = site.folder / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    link = shared / "site.yml"
    link.symlink_to(site.folder / "playbooks/registry.yml")
    os.chown(link, STRANGER, GROUP, follow_symlinks=False)
    ended = checked(site, str(link))
    assert ended.code == 1
    assert "is a link in a folder that others may write to" in ended.err
    victim = site.write("victim", "precious")
    out = shared / "out.json"
    out.symlink_to(victim)
    os.chown(out, STRANGER, GROUP, follow_symlinks=False)
    ended = checked(site, "--format", "json", "-o", str(out))
    assert ended.code == 1
    assert victim.read_text() == "precious"


@pytest.mark.parametrize(
    "words", [("--check",), ("diagnose",), ("doctor", "mail01"), ("enforce", "--policy", "p.yml", "--once")]
)
def test_the_state_folder_is_for_its_owner_whoever_makes_it_first(site: Program, words: tuple[str, ...]) -> None:
    site.write("p.yml", "version: 1\ngroups:\n  all: {mode: monitor}\n")
    before = os.umask(0)
    try:
        ended = site(*words)
    finally:
        os.umask(before)
    assert "Traceback" not in ended.err
    assert (site.folder / ".converge").is_dir(), ended.out + ended.err
    for base, folders, _ in os.walk(site.folder / ".converge"):
        for folder in [Path(base), *(Path(base) / name for name in folders)]:
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder


def test_what_is_told_of_hosts_is_for_its_owner(site: Program) -> None:
    site.write("out.json", "earlier").chmod(0o644)
    assert checked(site, "--format", "json", "-o", "out.json").code == 2
    assert checked(site, "-o", "out.txt").code == 2
    assert site("report", "-o", "page.html").code == 0
    assert checked(site, "--format", "prometheus", "-o", "c.prom").code == 2
    for name in ("out.json", "out.txt", "page.html"):
        assert stat.S_IMODE((site.folder / name).stat().st_mode) == 0o600, name
    assert stat.S_IMODE((site.folder / "c.prom").stat().st_mode) == 0o644, "another account collects it"


@pytest.mark.parametrize("what", ["pipe", "device", "bomb"])
@pytest.mark.parametrize("where", ["extra", "policy", "plan", "playbook", "inventory", "vars", "source", "limit"])
def test_what_is_no_file_or_explodes_is_refused_at_once(site: Program, what: str, where: str) -> None:
    """Each of these would be waited for, or read, forever."""
    names = {"playbook": "playbooks/x.yml", "inventory": "inventory/x.yml", "vars": "inventory/group_vars/all.yml"}
    path = site.write(names.get(where, "x.yml"), BOMB)
    if what != "bomb":
        path.unlink()
        if what == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to("/dev/zero")
    elif where in ("source", "limit", "plan"):
        return  # these are no YAML
    if where == "source":
        text = f"- name: p\n  hosts: all\n  resources:\n    - file: {{path: 'c:\\x.txt', source: {path}}}\n"
        site.write("playbooks/registry.yml", text)
    words = {
        "extra": ("--check", "-e", "@x.yml"), "policy": ("enforce", "--policy", "x.yml", "--once"),
        "plan": ("show", "x.yml"), "playbook": ("--check", "playbooks/x.yml"),
        "inventory": ("--check", "-i", "inventory/x.yml"), "vars": ("--check",), "source": ("--check",),
        "limit": ("--check", "-l", "@x.yml"),
    }[where]  # fmt: skip
    ended = site(*words)
    assert "Traceback" not in ended.err
    if where == "vars" and what != "bomb":
        return  # passed over, as in any folder of files
    assert ended.code == 1, ended.out
    if where == "limit" or (where == "playbook" and what != "bomb"):
        return  # these are not there, as files
    assert "too many values" in ended.err or "more than" in ended.err or "no ordinary file" in ended.err, ended.err


REMOTE = "all: {hosts: {web01: {ansible_host: 127.0.0.1, ansible_port: 9, ansible_user: u, converge_password_env: SECRET%s}}}\n"


@pytest.mark.parametrize(
    ("words", "variable", "code"),
    [
        (("serve", "--listen", "127.0.0.1:0", "--tls-cert", "x", "--tls-key", "key.pem"), "", 1),
        (("serve", "--listen", "127.0.0.1:0", "--tls-cert", "cert.pem", "--tls-key", "x"), "", 1),
        (("--check",), "ansible_winrm_ca_trust_path: x", 1),
        (("doctor", "web01"), "ansible_winrm_ca_trust_path: x", 1),
        (
            ("--check",),
            "ansible_winrm_transport: certificate, ansible_winrm_cert_pem: x, ansible_winrm_cert_key_pem: key.pem",
            1,
        ),
    ],
)
def test_a_pipe_where_certificates_are_named_is_refused_at_once(
    site: Program, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], variable: str, code: int
) -> None:
    monkeypatch.setenv("SECRET", "s")
    for name in ("cert.pem", "key.pem"):
        site.write(name, "none")
    os.mkfifo(site.folder / "x")
    if variable:
        site.write("inventory/hosts.yml", REMOTE % f", {variable}")
    ended = site(*words)
    assert ended.code == code, ended.err + ended.out
    assert "no ordinary file" in ended.out + ended.err, ended.err + ended.out


@pytest.mark.parametrize(
    "words",
    [
        ("--check",),
        ("enforce", "--policy", "policy.yml", "--once"),
        ("runs",),
        ("report", "-o", "x.html"),
        ("plan", "-o", "plan.json"),
    ],
)
@pytest.mark.parametrize("what", [os.mkfifo, os.mkdir])
def test_a_store_that_is_no_file_is_refused_at_once(
    site: Program, words: tuple[str, ...], what: Callable[[Path], None]
) -> None:
    site.write("policy.yml", "version: 1\ngroups:\n  all: {mode: monitor}\n")
    (site.folder / ".converge").mkdir(mode=0o700)
    what(site.folder / ".converge/converge.db")
    ended = site(*words)
    assert (
        "converge.db cannot be used: it is no ordinary file, but a pipe, a device or a folder" in ended.err + ended.out
    )


@pytest.mark.parametrize(
    "words",
    [
        ("--check", "-o"), ("--check", "--format", "json", "-o"), ("--check", "--format", "prometheus", "-o"), ("diagnose", "-o"),
        ("report", "-o"), ("plan", "-o"), ("runs", "-o"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_read", [False, True])
def test_a_pipe_with_a_name_is_no_report(site: Program, words: tuple[str, ...], is_read: bool) -> None:
    """Writing into it would wait for a reader, or take the pipe's place."""
    checked(site)
    pipe = site.folder / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK) if is_read else None
    ended = site(*words, "pipe")
    assert ended.code == 1, ended.err
    said = ended.out + ended.err
    assert "pipe cannot be written" in said or "cannot be written to pipe" in said
    assert "it is no ordinary file, but a pipe, a device or a folder" in said
    assert stat.S_ISFIFO(pipe.lstat().st_mode)
    if reader is not None:
        os.close(reader)


@pytest.mark.parametrize(
    "words", [("--check", "-o"), ("--check", "--format", "prometheus", "-o"), ("report", "-o")]
)
def test_a_report_goes_to_an_open_pipe_and_to_devices_and_leaves_them(site: Program, words: tuple[str, ...]) -> None:
    checked(site)
    reading, writing = os.pipe()
    place = site.folder / "null"
    place.symlink_to("/dev/null")
    with open(reading, "rb") as reader:
        for output in (f"/dev/fd/{writing}", "/dev/null", "null"):
            assert site(*words, output).code in (0, 2)
        os.close(writing)
        assert reader.read()
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert place.is_symlink()


@pytest.mark.parametrize(
    ("line", "path", "none"),
    [
        ("1 0 0:1 / /mnt/c rw,noatime - 9p C:\\134 rw,aname=drvfs;path=C:\\;uid=1000", "/mnt/c/x", True),
        ("1 0 0:1 / /mnt/c rw,noatime - 9p C:\\134 rw,aname=drvfs;path=C:\\;metadata;uid=1000", "/mnt/c/x", False),
        ("1 0 0:1 / /mnt/c rw - drvfs C: rw,noatime", "/mnt/c/x", True),
        ("1 0 0:1 / /mnt/c rw - drvfs C: rw,noatime", "/mnt/cd/x", False),
        ("1 0 0:1 / / rw - ext4 /dev/sda rw", "/mnt/c/x", False),
        ("1 0 0:1 / /media/us\\040b rw - vfat /dev/sdb rw", "/media/us b/x", True),
        ("1 0 0:1 / /shared rw - 9p virtio rw,trans=virtio", "/shared/x", False),
    ],
)
def test_file_systems_without_owners_are_known(line: str, path: str, none: bool) -> None:
    mounts = f"0 0 0:0 / / rw - ext4 /dev/root rw\n{line}\n"
    assert opening.has_no_owners(path, mounts=mounts) is none


@pytest.fixture
def without_owners(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("converge.model.opening.has_no_owners", lambda _path: True)


@pytest.mark.usefixtures("without_owners")
@pytest.mark.parametrize(
    "words", [("--check",), ("diagnose",), ("lint",), ("enforce", "--policy", "policy.yml", "--once")]
)
def test_without_owners_every_command_warns_and_goes_on(site: Program, words: tuple[str, ...]) -> None:
    site.write("policy.yml", "version: 1\ngroups:\n  all: {mode: monitor}\n")
    for name in ("playbooks/registry.yml", "inventory/hosts.yml", "policy.yml"):
        open_to_all(site.folder / name)
    (site.folder / ".converge").mkdir(mode=0o777)
    ended = site(*words)
    assert ended.code in (0, 2), ended.err
    assert "warning: " in ended.err
    assert "lies on a file system without owners: other accounts may change what converge reads there" in ended.err


@pytest.mark.usefixtures("without_owners")
def test_without_owners_password_commands_and_sources_are_used(site: Program) -> None:
    open_to_all(site.write("source.txt", "x"))
    playbook = "- name: p\n  hosts: all\n  resources:\n    - file: {path: 'C:\\x', source: ../source.txt}\n"
    site.write("playbooks/registry.yml", playbook)
    script = site.write("tell.sh", "#!/bin/sh\ntouch ran\necho secret\n")
    script.chmod(0o777)
    host = "web01: {ansible_host: 127.0.0.1, ansible_port: 9, ansible_user: u, converge_password_command: ./tell.sh}"
    site.write("inventory/hosts.yml", f"all:\n  hosts:\n    {host}\n")
    ended = checked(site)
    assert ended.code == 4, ended.err
    assert (site.folder / "ran").exists(), ended.out


def test_a_private_group_is_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_text("x")
    path.chmod(0o664)
    monkeypatch.setattr(opening, "_members", lambda _gid: {os.getuid()})
    assert opening.doubt(path) == ""
    monkeypatch.setattr(opening, "_members", lambda _gid: {os.getuid(), STRANGER})
    assert "chmod g-w" in opening.doubt(path)
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize(
    "command",
    ["sh ./tell.sh", "sh tell.sh", "sh {folder}/tell.sh x", "env -i sh tell.sh", "./own.sh --program=tell.sh"],
)
def test_a_password_command_is_not_run_with_a_file_that_others_may_write(site: Program, command: str) -> None:
    script = site.write("tell.sh", "touch ran\necho secret\n")
    site.write("own.sh", "#!/bin/sh\ntouch ran\necho secret\n").chmod(0o755)
    command = command.format(folder=site.folder)
    host = f"{{ansible_host: 127.0.0.1, ansible_port: 9, ansible_user: u, converge_password_command: '{command}'}}"
    site.write("inventory/hosts.yml", f"all:\n  hosts:\n    web01: {host}\n")
    open_to_all(script)
    ended = checked(site)
    assert ended.code == 4, ended.err
    assert f"chmod o-w {script}" in ended.out
    assert "another account may change" in ended.out
    assert not (site.folder / "ran").exists()
    script.chmod(0o755)
    assert checked(site).code == 4
    assert (site.folder / "ran").exists()


def test_a_password_file_that_others_may_write_is_not_read(site: Program) -> None:
    path = site.write("secret", "s\n")
    host = "{ansible_host: 127.0.0.1, ansible_port: 9, ansible_user: u, converge_password_file: ../secret}"
    site.write("inventory/hosts.yml", f"all:\n  hosts:\n    web01: {host}\n")
    open_to_all(path)
    ended = checked(site)
    assert ended.code == 4, ended.err
    assert f"chmod o-w {path}" in ended.out
