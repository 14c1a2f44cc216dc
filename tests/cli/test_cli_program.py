"""The program as a whole: commands, options, refusals, all before any host is contacted."""

from __future__ import annotations

import json
import os
import re
import subprocess

import pytest
from tests.cli.cli_program import BOUND, PLAYBOOK, Program

from converge import __version__
from converge.cli.words import COMMANDS


def test_the_version_is_told(program: Program) -> None:
    ended = program("--version")
    assert (ended.code, ended.out) == (0, f"converge {__version__}\n")


def test_nothing_heavy_is_loaded_for_the_version(program: Program) -> None:
    code = "import sys; from converge.cli.main import run; run(['--version']); print(sorted(sys.modules))"
    done = subprocess.run(
        [*program.argv(())[:1], "-c", code],
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=True,
        cwd=program.folder,
    )
    for module in (
        "pydantic", "requests", "lxml", "aiohttp", "rich", "jinja2", "yaml", "sqlalchemy", "cryptography", "spnego",
        "winrm", "dateutil", "apscheduler", "prometheus_client", "distributed", "asyncio", "ssl",
    ):  # fmt: skip
        assert f"'{module}'" not in done.stdout, f"{module} costs time that --version does not have"


class TestHelp:
    def test_it_names_every_command_that_is_there_and_no_other(self, program: Program) -> None:
        ended = program("--help")
        assert ended.code == 0
        for word in COMMANDS:
            assert f"\n  {word} " in ended.out
        listed = ended.out[ended.out.index("\nCommands:") :]
        assert {line.split()[0] for line in listed.splitlines() if re.match("  [a-z]+  ", line)} == set(COMMANDS)

    @pytest.mark.parametrize("command", [*COMMANDS, "lab up"])
    def test_every_command_has_help(self, program: Program, command: str) -> None:
        assert program(*command.split(), "--help").code == 0

    def test_the_options_of_run_are_those_of_the_contract(self, program: Program) -> None:
        text = program("run", "--help").out
        for option in (
            "-i, --inventory", "-l, --limit", "-t, --tags", "--skip-tags", "-e, --extra-vars", "-C, --check", "-D, --diff",
            "--no-diff", "-f, --forks", "-v, --verbose", "--format", "-o, --output", "--list-hosts", "--list-resources",
            "-y, --yes", "--accept-no-way-back", "--allow-reboot", "--exit-zero-on-drift",
        ):  # fmt: skip
            assert option in text


class TestUsage:
    @pytest.mark.parametrize(
        "words",
        [
            ["--no-such-option"],
            ["lab", "no-such-command"],
            ["--forks", "0"],
            ["--forks", "many"],
            ["--format", "xml"],
            ["schema"],
        ],
    )
    def test_wrong_words_are_exit_1(self, program: Program, words: list[str]) -> None:
        ended = program(*words)
        assert ended.code == 1
        assert "[usage]" in ended.err
        assert ended.out == ""

    @pytest.mark.parametrize("word", ["plan", "serve"])
    def test_words_of_commands_are_no_playbooks(self, program: Program, word: str) -> None:
        program.write(word, "- name: x\n")
        ended = program("run", word)
        assert ended.code == 1
        assert f"./{word}" in ended.err

    def test_a_playbook_with_the_name_of_a_command_is_written_with_a_dot(self, fleet: Program) -> None:
        fleet.write("lint", (fleet.folder / "playbooks/registry.yml").read_text())
        ended = fleet("./lint", "--list-resources")
        assert ended.code == 0
        assert "RemoteRegistry" in ended.out or "Remote Registry" in ended.out

    def test_no_playbook(self, program: Program) -> None:
        ended = program("--check")
        assert ended.code == 1
        assert "playbooks/" in ended.err
        assert "Try: " in ended.err

    def test_no_inventory(self, fleet: Program) -> None:
        (fleet.folder / "inventory/hosts.yml").unlink()
        (fleet.folder / "inventory").rmdir()
        ended = fleet("--check")
        assert ended.code == 1
        assert "inventory/" in ended.err

    def test_a_playbook_that_is_not_there_names_its_neighbours(self, fleet: Program) -> None:
        ended = fleet("--check", "playbooks/registri.yml")
        assert ended.code == 1
        assert "registry.yml" in ended.err

    def test_a_limit_that_matches_nothing(self, fleet: Program) -> None:
        ended = fleet("--check", "--limit", "web*")
        assert ended.code == 1
        assert "web*" in ended.err

    def test_hosts_that_no_play_is_for(self, fleet: Program) -> None:
        fleet.write(
            "playbooks/registry.yml", "- name: x\n  hosts: web\n  resources: [{service: {name: X, running: true}}]\n"
        )
        ended = fleet("--check")
        assert ended.code == 1
        assert "no host" in ended.err

    def test_without_a_terminal_nothing_is_applied_unasked(self, fleet: Program) -> None:
        ended = fleet()
        assert ended.code == 1
        assert "--yes" in ended.err
        assert not (fleet.folder / ".converge").exists(), "no host was contacted"

    def test_an_output_file_that_cannot_be_made(self, fleet: Program) -> None:
        ended = fleet("--check", "-o", "no/such/folder/out.txt")
        assert ended.code == 1
        assert "no/such/folder/out.txt" in ended.err
        assert not (fleet.folder / ".converge").exists()

    def test_an_unreadable_playbook(self, fleet: Program) -> None:
        fleet.write("playbooks/other.yml", "")
        (fleet.folder / "playbooks/other.yml").write_bytes(b"\xff\xfe\x00")
        ended = fleet("--check")
        assert ended.code == 1
        assert "other.yml" in ended.err


class TestInputErrors:
    BAD = """\
- name: first
  hosts: all
  resources:
    - service: {name: X, runing: true}
    - no_such_kind: {name: Y}
    - registry_value: {key: 'HKLM\\SOFTWARE\\X', name: A, type: string, data: '{{ no_such_variable }}'}
"""

    def test_all_of_a_file_at_once_each_with_its_place(self, fleet: Program) -> None:
        fleet.write("playbooks/bad.yml", self.BAD)
        ended = fleet("--check")
        assert ended.code == 1
        for line in (4, 5, 6):
            assert f"playbooks/bad.yml:{line}:" in ended.err
        assert "running" in ended.err, "the nearest right spelling"
        assert "no host was contacted" in ended.err

    def test_as_json_it_is_the_same_document(self, fleet: Program) -> None:
        fleet.write("playbooks/bad.yml", self.BAD)
        ended = fleet("--check", "--format", "json")
        assert ended.code == 1
        document = ended.document()
        assert document["mode"] == "check"
        assert document["hosts"] == {}
        assert {error["line"] for error in document["errors"]} == {4, 5, 6}
        assert set(document["errors"][0]) == {"file", "line", "column", "message", "expected", "hint"}

    def test_playbooks_and_inventory_are_told_together(self, fleet: Program) -> None:
        fleet.write("playbooks/bad.yml", self.BAD)
        fleet.write("inventory/hosts.yml", "all:\n  hosts: [a, b]\n")
        ended = fleet("--check")
        assert "playbooks/bad.yml:4" in ended.err
        assert "inventory/hosts.yml" in ended.err

    @pytest.mark.parametrize(
        "words",
        [
            ["--forks", "x", "--format", "json"],
            ["--format=json", "--nope"],
            ["--format", "json"],
            ["plan", "--format", "json"],
        ],
    )
    def test_wrong_words_as_json_too(self, fleet: Program, words: list[str]) -> None:
        ended = fleet(*words)
        assert ended.code == 1
        document = ended.document()
        assert document["errors"][0]["message"]
        assert document["summary"]["ok"] == 0

    def test_json_may_be_asked_for_by_the_environment(self, fleet: Program) -> None:
        ended = fleet("--nope", env={"CONVERGE_FORMAT": "json"})
        assert ended.document()["errors"]


class TestLists:
    def test_hosts(self, fleet: Program) -> None:
        ended = fleet("--list-hosts", "-l", "mail01,mail03")
        assert ended.code == 0
        assert [line.split(":")[0] for line in ended.out.splitlines()] == ["mail01", "mail03"]
        assert not (fleet.folder / ".converge").exists()

    def test_resources(self, fleet: Program) -> None:
        ended = fleet("--list-resources")
        assert ended.code == 0
        assert "service: Remote Registry starts by itself and runs  [registry]" in ended.out

    def test_as_json(self, fleet: Program) -> None:
        assert list(fleet("--list-hosts", "--format", "json").document()["hosts"]) == ["mail01", "mail02", "mail03"]
        plays = fleet("--list-resources", "--format", "json").document()["plays"]
        assert plays[0]["resources"][0]["kind"] == "service"

    def test_the_environment_has_a_twin_of_every_option(self, fleet: Program) -> None:
        by_environment = {"CONVERGE_LIST_HOSTS": "1", "CONVERGE_LIMIT": "mail02"}
        assert fleet(env=by_environment).out.startswith("mail02: ")
        assert fleet("-l", "mail03", env=by_environment).out.startswith("mail03: "), "the command line wins"

    def test_several_inventories_in_the_environment(self, fleet: Program) -> None:
        fleet.write("more.yml", "all: {hosts: {web01: {ansible_connection: ssh}}}\n")
        inventories = os.pathsep.join(["inventory", "more.yml"])
        ended = fleet("--list-hosts", env={"CONVERGE_INVENTORY": inventories})
        assert [line.split(":")[0] for line in ended.out.splitlines()] == ["mail01", "mail02", "mail03", "web01"]


def test_a_playbook_that_is_not_there_is_looked_for_among_the_others(fleet: Program) -> None:
    ended = fleet("--check", "registri.yml")
    assert ended.code == 1
    assert "Try: did you mean playbooks/registry.yml?" in ended.err
    assert "playbooks holds registry.yml" in fleet("--check", "nosuch.yml").err


class TestLintAndSchema:
    def test_lint_finds_nothing_wrong(self, fleet: Program) -> None:
        ended = fleet("lint")
        assert ended.code == 0
        assert "no errors" in ended.out
        assert not (fleet.folder / ".converge").exists()

    def test_lint_finds_what_is_wrong(self, fleet: Program) -> None:
        fleet.write("playbooks/bad.yml", TestInputErrors.BAD)
        assert fleet("lint").code == 1
        assert len(json.loads(fleet("lint", "--format", "json").out)["errors"]) == 3

    def test_lint_without_an_inventory_checks_the_playbooks_alone(self, program: Program) -> None:
        text = PLAYBOOK.replace("name: RemoteRegistry,", "name: '{{ service_of_the_site }}',")
        path = program.write("a.yml", text)
        ended = program("lint", "a.yml")
        assert ended.code == 0, ended.err
        assert ended.out.count("warning: there is not an inventory") == 1
        assert "1 play, 1 entry: no errors" in ended.out
        (warning,) = program("lint", "a.yml", "--format", "json").document()["warnings"]
        assert "names of variables" in warning

        path.write_text(text.replace("running", "runing"))
        ended = program("lint", "a.yml")
        assert ended.code == 1
        assert "did you mean running?" in ended.err
        assert "unknown variable" not in ended.err

    def test_the_shipped_playbooks_have_no_errors(self, shipped: Program) -> None:
        assert shipped("lint").code == 0

    @pytest.mark.parametrize("what", ["playbook", "inventory", "result"])
    def test_schemas_are_json_schemas_with_a_version(self, program: Program, what: str) -> None:
        schema = program("schema", what).document()
        assert schema["$schema"].startswith("https://json-schema.org/")
        assert schema["$id"].startswith(f"urn:converge:schema:{what}:")
