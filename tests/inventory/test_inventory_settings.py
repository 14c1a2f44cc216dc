"""How to reach a host: safe unless explicitly said otherwise; passwords fetched only when asked for."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from converge.errors import HostUnreachable, InputErrors
from converge.inventory import HostSettings, Inventory, inventory_schema
from converge.model.secret import Secret

Loader = Callable[..., Inventory]


def settings_with(read: Loader, variables: dict[str, object]) -> HostSettings:
    return read({"h.json": json.dumps({"all": {"hosts": {"h": variables}}})}).settings("h")


def test_without_any_word_it_is_https_with_a_checked_certificate(read: Loader) -> None:
    settings = settings_with(read, {})
    assert settings.endpoint == "https://h:5986/wsman"
    assert settings.connection == "winrm"
    assert settings.server_cert_validation == "validate"
    assert settings.transports == ("negotiate",)
    assert (settings.operation_timeout, settings.read_timeout) == (20, 30)
    assert settings.password() is None
    assert settings.skip == ""


@pytest.mark.parametrize(
    ("variables", "endpoint", "encryption"),
    [
        ({"ansible_port": 5985}, "http://h:5985/wsman", "always"),
        ({"ansible_port": "5985"}, "http://h:5985/wsman", "always"),
        ({"ansible_winrm_scheme": "http"}, "http://h:5985/wsman", "always"),
        ({"ansible_winrm_scheme": "HTTPS", "ansible_port": 5985}, "https://h:5985/wsman", "auto"),
        ({"ansible_port": 8443}, "https://h:8443/wsman", "auto"),
        ({"ansible_port": 80, "ansible_winrm_scheme": "http"}, "http://h:80/wsman", "always"),
        ({"ansible_port": 5985, "ansible_winrm_message_encryption": "never"}, "http://h:5985/wsman", "never"),
        ({"ansible_host": "fe80::1"}, "https://[fe80::1]:5986/wsman", "auto"),
        ({"ansible_host": "[::1]", "ansible_winrm_path": "x/y"}, "https://[::1]:5986/x/y", "auto"),
        ({"ansible_host": "a", "ansible_winrm_host": "b"}, "https://b:5986/wsman", "auto"),
        ({"ansible_host": "{{ net }}.7", "net": "10.0.0"}, "https://10.0.0.7:5986/wsman", "auto"),
        ({"ansible_port": "{{ p }}", "p": 5985}, "http://h:5985/wsman", "always"),
        ({"ansible_port": None}, "https://h:5986/wsman", "auto"),
    ],
)
def test_port_and_scheme_follow_each_other(
    read: Loader, variables: dict[str, object], endpoint: str, encryption: str
) -> None:
    settings = settings_with(read, variables)
    assert (settings.endpoint, settings.message_encryption) == (endpoint, encryption)


@pytest.mark.parametrize(
    ("transport", "transports"),
    [
        ("ntlm", ("ntlm",)),
        ("kerberos, NTLM", ("kerberos", "ntlm")),
        (["ssl"], ("basic",)),
        (["plaintext", "basic"], ("basic",)),
        ("{{ 'credssp' }}", ("credssp",)),
    ],
)
def test_transports_are_read_as_ansible_writes_them(
    read: Loader, transport: object, transports: tuple[str, ...]
) -> None:
    assert settings_with(read, {"ansible_winrm_transport": transport}).transports == transports


def test_a_client_certificate_is_used_with_ssl(read: Loader) -> None:
    variables: dict[str, object] = {"ansible_winrm_transport": "ssl", "ansible_winrm_cert_pem": "~/c.pem"}
    with pytest.raises(InputErrors, match="certificate without a certificate"):
        settings_with(read, variables)
    settings = settings_with(read, {**variables, "ansible_winrm_cert_key_pem": "k.pem"})
    assert settings.transports == ("certificate",)
    assert settings.cert_pem == str(Path("~/c.pem").expanduser())


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"ansible_winrm_transport": "basic", "ansible_port": 5985}, "Basic over http"),
        ({"ansible_winrm_transport": ["ntlm", "plaintext"], "ansible_winrm_scheme": "http"}, "Basic over http"),
        (
            {"ansible_winrm_transport": "basic", "ansible_port": 5985, "ansible_winrm_message_encryption": "always"},
            "Basic over http",
        ),
        ({"ansible_winrm_transport": "ssl", "ansible_port": 5985}, "needs https"),
        ({"ansible_winrm_operation_timeout_sec": 60, "ansible_winrm_read_timeout_sec": 60}, "read timeout of 60 s"),
        ({"ansible_host": "http://x"}, "ansible_host"),
        ({"ansible_host": "a b"}, "ansible_host"),
        ({"ansible_host": "{{ 'a/b' }}"}, "ansible_host"),
        ({"ansible_port": "{{ 'x' }}"}, "ansible_port"),
        ({"ansible_port": True}, "ansible_port"),
        ({"ansible_winrm_server_cert_validation": "ignored"}, "ansible_winrm_server_cert_validation"),
        ({"ansible_user": "{{ missing }}"}, "'missing' is undefined"),
        ({"ansible_user": "a\nb"}, "ansible_user"),
        ({"ansible_password": "{{ lookup('file', 'x') }}"}, "lookup('file')"),
        ({"converge_password_env": "A", "converge_password_file": "b"}, "converge_password_env and"),
    ],
)
def test_what_cannot_be_meant_is_refused(read: Loader, variables: dict[str, object], message: str) -> None:
    with pytest.raises(InputErrors, match=re.escape(message)) as caught:
        settings_with(read, variables)
    assert caught.value.problems[0].line == 1


def test_basic_over_http_is_possible_when_it_is_set_explicitly(read: Loader) -> None:
    variables: dict[str, object] = {
        "ansible_winrm_transport": "basic",
        "ansible_port": 5985,
        "ansible_winrm_message_encryption": "never",
    }
    assert settings_with(read, variables).transports == ("basic",)


def test_every_wrong_setting_of_a_host_is_told_at_once(read: Loader) -> None:
    with pytest.raises(InputErrors) as caught:
        settings_with(read, {"ansible_port": "{{ 'x' }}", "ansible_user": "{{ y }}", "ansible_host": "{{ 'a b' }}"})
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    "connection", ["ssh", "psrp", "local", "ansible.builtin.ssh", "community.docker.docker", "our.own.kind"]
)
def test_hosts_of_other_connections_are_skipped_with_a_reason(read: Loader, connection: str) -> None:
    settings = settings_with(read, {"ansible_connection": connection, "ansible_password": "{{ missing }}"})
    assert f"ansible_connection is {connection}" in settings.skip


@pytest.mark.parametrize(
    ("connection", "meant"),
    [
        ("winrn", "winrm"),
        ("wimrm", "winrm"),
        ("ansible.builtin.wimrm", "winrm"),
        ("labs", "lab"),
        ("shs", "ssh"),
        ("nothing", ""),
    ],
)
def test_a_connection_that_nobody_knows_is_an_error(read: Loader, connection: str, meant: str) -> None:
    with pytest.raises(InputErrors) as caught:
        settings_with(read, {"ansible_connection": connection})
    (problem,) = caught.value.problems
    assert problem.hint == (f"did you mean {meant}?" if meant else "")


def test_a_lab_host_names_its_image(read: Loader) -> None:
    settings = settings_with(read, {"ansible_connection": "lab", "converge_lab_image": "iis4", "converge_site": "A"})
    assert (settings.connection, settings.lab_image, settings.site, settings.skip) == ("lab", "iis4", "A", "")


def test_the_connection_timeout_sets_both(read: Loader) -> None:
    settings = settings_with(read, {"ansible_winrm_connection_timeout": 40})
    assert (settings.operation_timeout, settings.read_timeout) == (40, 50)


def test_a_password_is_a_secret_everywhere(read: Loader) -> None:
    settings = settings_with(read, {"ansible_user": "u", "ansible_password": "hunter2"})
    assert settings.password() == Secret("hunter2")
    assert "hunter2" not in repr(settings) + str(settings) + repr(settings.password_source)
    assert settings_with(read, {"ansible_password": 12345}).password() == Secret("12345")


def test_an_unused_locked_password_disturbs_nobody(read: Loader) -> None:
    inventory = read(
        {
            "h.yml": "all: {hosts: {a: {ansible_password: !vault x}, b: , c: {ansible_password: !vault x, converge_password_env: E}}}"
        }
    )
    assert inventory.settings("b").password() is None
    assert inventory.settings("c").password_source.origin == "env"
    with pytest.raises(InputErrors, match="encrypted with Ansible Vault") as caught:
        inventory.settings("a")
    assert "converge_password_command" in caught.value.problems[0].hint


def test_a_password_comes_from_the_environment_when_it_is_asked_for(
    read: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_with(read, {"converge_password_env": "CONVERGE_TEST_SECRET"})
    monkeypatch.setenv("CONVERGE_TEST_SECRET", "hunter2")
    assert settings.password() == Secret("hunter2")
    other = settings_with(read, {"converge_password_env": "CONVERGE_TEST_OTHER"})
    with pytest.raises(HostUnreachable, match="CONVERGE_TEST_OTHER") as caught:
        other.password()
    assert caught.value.code == "password-unavailable"


def test_a_password_is_the_first_line_of_a_file_beside_the_inventory(read: Loader) -> None:
    files: dict[str, str] = {
        "inv/group_vars/all.yml": "converge_password_file: ../pw\n",
        "inv/h.ini": "h\n",
        "inv/pw": "",
    }
    (inventory) = read({**files, "inv/group_vars/../pw": "hünter2\r\nmore\n"}, "inv/h.ini")
    assert inventory.settings("h").password() == Secret("hünter2")
    with pytest.raises(HostUnreachable, match="cannot be read"):
        settings_with(read, {"converge_password_file": "missing"}).password()
    Path("empty").write_text("\nx\n")
    with pytest.raises(HostUnreachable, match="empty first line"):
        settings_with(read, {"converge_password_file": "empty"}).password()
    Path("latin").write_bytes(b"caf\xe9\n")
    with pytest.raises(HostUnreachable, match="not UTF-8") as caught:
        settings_with(read, {"converge_password_file": "latin"}).password()
    assert "caf" not in str(caught.value)


def test_a_command_runs_once_for_all_hosts_that_share_it(read: Loader) -> None:
    Path("give").write_text("#!/bin/sh\necho x >> calls\necho 'hunter 2 '\"$1\"\n")
    Path("give").chmod(0o755)
    inventory = read({"h.yml": "all: {vars: {converge_password_command: './give \"$HOME; ls\"'}, hosts: {'h[1:8]': }}"})
    found: list[Secret | None] = []
    threads = [
        threading.Thread(target=lambda host=host: found.append(inventory.settings(host).password()))
        for host in inventory.hosts
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert found == [Secret("hunter 2 $HOME; ls")] * 8
    assert Path("calls").read_text() == "x\n"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("./no-such-program", "cannot be run"),
        ("sh -c 'echo hunter2; echo reason >&2; exit 4'", "exit code 4"),
        ("sleep 60", "did not end within"),
        ("cat /dev/zero", "wrote more than"),
        ("true", "empty first line"),
        ("sh -c 'unclosed", "not a command"),
    ],
)
def test_a_command_that_gives_no_password_fails_its_host(
    read: Loader, monkeypatch: pytest.MonkeyPatch, command: str, message: str
) -> None:
    monkeypatch.setattr("converge.inventory.passwords.COMMAND_SECONDS", 0.5 if "sleep" in command else 120.0)
    settings = settings_with(read, {"converge_password_command": command})
    with pytest.raises(HostUnreachable) as caught:
        settings.password()
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_schema_describes_what_the_loader_understands() -> None:
    schema = inventory_schema()
    assert schema["$id"] == "urn:converge:schema:inventory:1"
    definitions = schema["$defs"]
    assert isinstance(definitions, dict)
    described = definitions["variables"]["properties"]
    assert {"ansible_host", "ansible_winrm_transport", "converge_password_command", "converge_change_windows"} <= set(
        described
    )
    assert all(entry["description"] for entry in described.values())
    json.dumps(schema)
