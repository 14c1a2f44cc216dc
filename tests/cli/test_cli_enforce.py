"""`converge enforce` as a process: a round, its metrics and health, signals, and what it leaves alone."""

from __future__ import annotations

import json
import re
import signal
import socket
import ssl
import time
import urllib.error
import urllib.request
from http.client import HTTPConnection
from typing import IO
from urllib.request import Request

import pytest
from tests.cli.cli_program import BOUND, Program, interrupt
from tests.web.test_web_access import TOKEN, certificate

POLICY = "version: 1\ngroups:\n  all: {mode: %s, cadence: 1h, splay: 0, grace: %s}\n"


def policy(program: Program, mode: str = "enforce", grace: str = "0") -> None:
    program.write("policy.yml", POLICY % (mode, grace))


def line_with(stream: IO[str] | None, words: str) -> str:
    assert stream is not None
    for line in stream:
        if words in line:
            return line
    raise AssertionError(f"it ended without saying: {words}")


def get(address: str | Request) -> tuple[int, str]:
    trusting = ssl._create_unverified_context()
    try:
        with urllib.request.urlopen(address, timeout=BOUND, context=trusting) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_one_round_repairs_what_the_policy_allows(fleet: Program) -> None:
    policy(fleet, grace="1h")
    assert "would change, in its grace period: mail[01-02]" in fleet("enforce", "--policy", "policy.yml", "--once").out
    policy(fleet, mode="monitor")
    assert "would change, monitored: mail[01-02]" in fleet("enforce", "--policy", "policy.yml", "--once").out
    assert fleet("--check").code == 2
    policy(fleet)
    ended = fleet("enforce", "--policy", "policy.yml", "--once")
    assert ended.code == 0, ended.err
    assert "repaired: 2 changed" in ended.out
    assert fleet("--check").code == 0


def test_the_daemon_tells_metrics_and_health_and_ends_when_it_is_told_to(fleet: Program) -> None:
    policy(fleet)
    process = fleet.started("enforce", "--policy", "policy.yml", "--port", "0")
    try:
        first = line_with(process.stdout, "/metrics")
        port = int(re.search(r"127\.0\.0\.1:(\d+)", first)[1])  # type: ignore[index]  # the line says its port
        line_with(process.stdout, "repaired: 2 changed")
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 120
        while (told := get(f"{address}/metrics")[1]).count("_total{") < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert 'converge_enforce_repaired_hosts_total{group="all",status="changed"} 2.0' in told
        code, health = get(f"{address}/healthz")
        assert (code, json.loads(health)) == (200, {"healthy": True})
        for path in ("/metrics", "/healthz"):
            assert get(Request(f"{address}{path}", headers={"Host": "rebound.example"}))[0] == 421
        assert get(f"{address}/else")[0] == 404
        ended = interrupt(process, number=signal.SIGTERM)
    finally:
        process.kill()
    assert ended.code == 0
    assert "stopped" in ended.out
    assert fleet("--check").code == 0


def test_sigterm_in_the_middle_of_a_round_leaves_nothing_that_the_next_does_not_finish(fleet: Program) -> None:
    policy(fleet)
    process = fleet.started("enforce", "--policy", "policy.yml", "--port", "0")
    try:
        line_with(process.stdout, "looked")
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=300)
    fleet("enforce", "--policy", "policy.yml", "--once")
    assert fleet("--check").code == 0
    assert "still open" not in fleet("runs", fleet("runs").out.splitlines()[1].split()[0]).out


def test_sighup_is_answered_while_a_round_is_under_way(fleet: Program) -> None:
    policy(fleet)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        fleet.write(
            "inventory/hosts.yml",
            f"all: {{hosts: {{mail01: {{ansible_host: 127.0.0.1, ansible_port: {port}, ansible_winrm_scheme: http, "
            "ansible_winrm_transport: basic, ansible_winrm_message_encryption: never, ansible_user: a, ansible_password: b}}}\n",
        )
        process = fleet.started("enforce", "--policy", "policy.yml", "--port", "0")
        try:
            silent.settimeout(BOUND)
            caller, _ = silent.accept()
            with caller:  # the round waits for an answer that does not come
                process.send_signal(signal.SIGHUP)
                assert process.stdout is not None
                said = next(line for line in process.stdout if "SIGHUP" in line or "all:" in line)
        finally:
            process.kill()
            process.communicate()
    assert re.match(r"[-0-9]+T[0-9:]+Z SIGHUP: the policy is read anew", said)


def test_what_is_wrong_is_told_before_anything_begins(fleet: Program) -> None:
    fleet.write("policy.yml", "version: 1\ngroups:\n  all: {mode: enforced}\n")
    ended = fleet("enforce", "--policy", "policy.yml")
    assert ended.code == 1
    assert "policy.yml:3:" in ended.err
    assert fleet("enforce").code == 1
    fleet.write("policy.yml", "version: 1\ngroups:\n  nobody: {}\n")
    assert fleet("enforce", "--policy", "policy.yml").code == 1
    assert fleet("enforce", "--release", "mail01").code == 1


def test_a_port_that_is_taken_is_an_error_in_words(fleet: Program) -> None:
    policy(fleet)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = fleet("enforce", "--policy", "policy.yml", "--port", str(taken.getsockname()[1]))
    assert ended.code == 1
    assert "cannot be opened" in ended.err


def test_beyond_loopback_it_needs_a_token_and_tls(fleet: Program) -> None:
    policy(fleet, mode="monitor")
    cert, key = certificate(fleet.folder)
    words = ("enforce", "--policy", "policy.yml", "--listen", "0.0.0.0:0")
    none = fleet(*words)
    only_tls = fleet(*words, "--tls-cert", cert, "--tls-key", key)
    only_token = fleet(*words, env={"CONVERGE_ENFORCE_TOKEN": TOKEN})
    short = fleet(*words, "--tls-cert", cert, "--tls-key", key, env={"CONVERGE_ENFORCE_TOKEN": "short"})
    for ended, missing in (
        (none, "a token"),
        (none, "TLS"),
        (only_tls, "a token"),
        (only_token, "TLS"),
        (short, "the token cannot be used"),
    ):
        assert ended.code == 1
        assert missing in ended.err.splitlines()[0]


@pytest.mark.parametrize("place", ["127.0.0.1:0", "0.0.0.0:0"])
def test_with_a_token_nobody_else_is_told_of_metrics_or_health(fleet: Program, place: str) -> None:
    policy(fleet, mode="monitor")
    cert, key = certificate(fleet.folder, "fleet.example", "127.0.0.1.example")
    fleet.write("token", f"{TOKEN}\n").chmod(0o600)
    words = ("--listen", place, "--token-file", "token", "--tls-cert", cert, "--tls-key", key)
    process = fleet.started("enforce", "--policy", "policy.yml", *words)
    try:
        first = line_with(process.stdout, "/metrics")
        port = int(re.search(r":(\d+)/metrics", first)[1])  # type: ignore[index]  # the line says its port
        assert f"https://{place.rpartition(':')[0]}:{port}/metrics" in first
        known = {"Host": "fleet.example", "Authorization": f"Bearer {TOKEN}"}
        for path in ("/metrics", "/healthz"):
            address = f"https://127.0.0.1:{port}{path}"
            for wrong in (
                {},
                {"Authorization": f"Bearer {TOKEN}x"},
                {"Authorization": f"Basic {TOKEN}"},
                {"Authorization": "Bearer é"},
            ):
                code, told = get(Request(address, headers={"Host": "fleet.example", **wrong}))
                assert code == 401
                assert "converge_enforce" not in told
                assert "healthy" not in told
            assert get(Request(address, headers=known))[0] == 200
            assert get(Request(address, headers=known | {"Host": "rebound.example"}))[0] == 421
        with socket.create_connection(
            ("127.0.0.1", port)
        ) as plain:  # who speaks no TLS is hung up on, and hurts nobody
            plain.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            assert b"converge" not in plain.recv(1000)
        assert get(Request(f"https://127.0.0.1:{port}/healthz", headers=known))[0] == 200
        ended = interrupt(process, number=signal.SIGTERM)
    finally:
        process.kill()
    assert ended.code == 0


def test_one_peer_alone_cannot_take_all_connections(fleet: Program) -> None:
    policy(fleet, mode="monitor")
    process = fleet.started("enforce", "--policy", "policy.yml", "--listen", "127.0.0.2:0")
    lines = []
    try:
        port = int(re.search(r":(\d+)/metrics", line_with(process.stdout, "/metrics"))[1])  # type: ignore[index]
        lines = [socket.create_connection(("127.0.0.2", port)) for _ in range(40)]
        other = HTTPConnection("127.0.0.2", port, timeout=BOUND, source_address=("127.0.0.3", 0))
        other.request("GET", "/healthz")
        assert other.getresponse().status == 200
        interrupt(process, number=signal.SIGTERM)
    finally:
        for line in lines:
            line.close()
        process.kill()
