"""The lab from outside: served, stopped, shown, reset; and doctor's way to a host."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator

import pytest
from tests.cli.cli_program import Program, interrupt


@pytest.fixture
def up(fleet: Program) -> Iterator[dict[str, dict[str, str]]]:
    """The fleet's hosts, served by a process of their own."""
    hosts: dict[str, dict[str, str]] = fleet("lab", "up", "--detach", "--format", "json").document()["hosts"]
    yield hosts
    fleet("lab", "down")


def listens(endpoint: str) -> bool:
    port = int(endpoint.split(":")[2].split("/")[0])
    with socket.socket() as line:
        line.settimeout(5)
        return line.connect_ex(("127.0.0.1", port)) == 0


class TestUpAndDown:
    def test_one_line_tells_where_the_hosts_are(self, fleet: Program) -> None:
        process = fleet.started("lab", "up", "--format", "json")
        assert process.stdout is not None
        hosts = json.loads(process.stdout.readline())["hosts"]
        assert sorted(hosts) == ["mail01", "mail02", "mail03"]
        for host in hosts.values():
            assert sorted(host) == ["endpoint", "image", "password", "username"]
            assert host["endpoint"].startswith("http://127.0.0.1:")
            assert listens(host["endpoint"])
        assert hosts["mail03"]["image"] == "exchange55"
        assert interrupt(process).code == 0
        assert not any(listens(host["endpoint"]) for host in hosts.values())

    def test_images_by_name(self, program: Program) -> None:
        process = program.started("lab", "up", "exchange55", "exchange55", "--format", "json")
        assert process.stdout is not None
        assert sorted(json.loads(process.stdout.readline())["hosts"]) == ["exchange55", "exchange55-2"]
        assert interrupt(process, number=signal.SIGTERM).code == 0

    def test_detached_until_down(self, fleet: Program, up: dict[str, dict[str, str]]) -> None:
        assert all(listens(host["endpoint"]) for host in up.values())
        again = fleet("lab", "up", "--detach")
        assert again.code == 1
        assert "converge lab down" in again.err
        assert fleet("lab", "down").out == "stopped\n"
        assert not any(listens(host["endpoint"]) for host in up.values())
        assert fleet("lab", "down").out == "the lab is not up\n"

    def test_a_run_talks_to_hosts_that_are_up(self, fleet: Program, up: dict[str, dict[str, str]]) -> None:
        assert fleet("--yes").code == 0
        assert fleet("--check").code == 0
        assert fleet("lab", "show", "mail01").out.count("RemoteRegistry: running, automatic") == 1
        assert fleet("lab", "reset", "mail01").code == 0
        assert fleet("--check").code == 2

    @pytest.mark.parametrize("words", [["no-such-image"], ["-i", "web01,"], []])
    def test_nothing_to_serve_is_1(self, program: Program, words: list[str]) -> None:
        for detach in ([], ["--detach"]):
            ended = program("lab", "up", *words, *detach)
            assert ended.code == 1
            assert "Traceback" not in ended.err


class TestWorlds:
    def test_the_images_are_listed(self, program: Program) -> None:
        images = program("lab", "list", "--format", "json").document()["images"]
        assert {"exchange55", "iis4-smtp-broken"} <= {image["image"] for image in images}
        assert all(image["describe"] for image in images)

    def test_a_reset_host_is_as_its_image(self, fleet: Program) -> None:
        fleet("--yes")
        assert fleet("--check").code == 0
        assert fleet("lab", "reset").code == 0
        assert fleet("--check").code == 2

    def test_the_components_of_a_host_are_shown_as_they_are_now(self, program: Program) -> None:
        program.write(
            "inventory/hosts.yml",
            "all: {vars: {ansible_connection: lab}, hosts: {www: {converge_lab_image: iis4-smtp-healthy}}}\n",
        )
        shown = program("lab", "show", "www").out.splitlines()
        assert {"  component iis_ftp: installed", "  component iis_nntp: not installed"} <= set(shown)
        components = program("lab", "show", "www", "--format", "json").document()["components"]
        assert components["iis_ftp"] == {"installed": True}
        assert components["iis_nntp"] == {"installed": False}

    def test_hosts_and_steps_that_are_not_there(self, fleet: Program) -> None:
        assert fleet("lab", "show", "nobody").code == 1
        assert fleet("lab", "reset", "nobody").code == 1
        ended = fleet("lab", "operator", "mail01", "no-such-step")
        assert ended.code == 1
        assert "no operator step" in ended.err

    def test_a_persons_step_is_played(self, program: Program) -> None:
        program.write(
            "inventory/hosts.yml",
            "all: {vars: {ansible_connection: lab}, hosts: {hub01: {converge_lab_image: exchange2000-smtp-removed}}}\n",
        )
        before = json.loads(program("lab", "show", "hub01", "--format", "json").out)
        ended = program("lab", "operator", "hub01", "run-exchange-setup")
        assert ended.code == 0
        after = json.loads(program("lab", "show", "hub01", "--format", "json").out)
        assert before["files"] != after["files"]

    def test_a_damaged_world_is_told_with_its_remedy(self, fleet: Program) -> None:
        fleet("--check")
        fleet.write(".converge/lab/mail01.json", "{}")
        ended = fleet("--check")
        assert ended.code in (3, 4)
        assert "converge lab reset" in ended.out
        assert "mail02" in ended.out


class TestDoctor:
    def test_every_step_to_a_healthy_host(self, fleet: Program) -> None:
        ended = fleet("doctor", "mail01")
        assert ended.code == 0
        steps = [line.split(":")[0] for line in ended.out.splitlines() if line.startswith("ok")]
        assert steps == [
            "ok    settings", "ok    name", "ok    port", "ok    HTTP", "ok    authentication", "ok    Identify",
            "ok    WMI read", "ok    registry read", "ok    service read", "ok    shell", "ok    store",
        ]  # fmt: skip
        assert "This host is simulated." in ended.out
        assert "never had WinRM" not in ended.out  # nothing is wrong with it

    def test_it_ends_at_the_first_step_that_fails_with_its_remedy(
        self, fleet: Program, up: dict[str, dict[str, str]]
    ) -> None:
        port = up["mail01"]["endpoint"].split(":")[2].split("/")[0]
        here = "ansible_connection: winrm, ansible_host: 127.0.0.1, ansible_winrm_scheme: http"
        fleet.write(
            "inventory/zz.yml",
            "all:\n  hosts:\n"
            f"    closed: {{{here}, ansible_port: 9, ansible_user: x, ansible_password: y}}\n"
            f"    wrong: {{{here}, ansible_port: {port}, ansible_user: 'LAB\\deploy', ansible_password: no-no}}\n"
            "    nowhere: {ansible_connection: winrm, ansible_host: nowhere.invalid, ansible_user: x, ansible_password: y}\n"
            "    linux: {ansible_connection: ssh}\n",
        )
        for host, last in (("closed", "name"), ("wrong", "HTTP"), ("nowhere", "settings")):
            ended = fleet("doctor", host)
            assert ended.code == 4, ended.err
            assert [line.split(":")[0] for line in ended.out.splitlines() if line.startswith("ok")][
                -1
            ] == f"ok    {last}"
            assert ended.out.count("FAIL") == 1
            assert "Try:" in ended.out
            assert "no-no" not in ended.out
        assert fleet("doctor", "linux").code == 1
        assert fleet("doctor", "nobody").code == 1
