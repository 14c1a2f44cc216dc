"""What a user is told about mistakes: all at once, each with file, line, column, what was expected and a hint."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from converge.errors import InputErrors, InputProblem, UsageError
from converge.inventory import Inventory

Loader = Callable[..., Inventory]


def problems_of(read: Loader, files: dict[str, str | bytes], *sources: str) -> tuple[InputProblem, ...]:
    with pytest.raises(InputErrors) as caught:
        read(files, *sources)
    return caught.value.problems


YAML_MISTAKES: list[tuple[str, tuple[int, int], str, str]] = [
    ("all:\n  hots:\n    a:\n", (2, 3), "unknown key hots in group all", "did you mean hosts?"),
    ("all:\n  childrens: {g: }\n", (2, 3), "unknown key childrens", "did you mean children?"),
    ("all:\n  hosts:\n    - a\n", (3, 5), "hosts of group all must be a mapping", "`name:` instead of `- name`"),
    ("all:\n  vars: x\n", (2, 9), "vars of group all must be a mapping", ""),
    ("all:\n  children: {g: 5}\n", (2, 17), "group g must be a mapping", ""),
    ("all:\n  hosts: {a: 1.2.3.4}\n", (2, 14), "variables of host a must be a mapping", ""),
    ("all:\n  hosts: {10: }\n", (2, 11), "10 is not a name of a host", 'quote it: "10"'),
    ("all:\n  vars: {1: x}\n", (2, 10), "1 is not a name of a variable", ""),
    ("all:\n  hosts:\n    a:\n      v: 1\n      v: 2\n", (5, 7), "the key v stands here twice", "in line 4"),
    ("all:\n  vars: {x: {y: 1, y: 2}}\n", (2, 20), "the key y stands here twice", "in line 2"),
    ("all:\n\thosts: {}\n", (2, 1), "a tab stands where", ""),
    ("all:\n  vars: {a: b: c}\n", (2, 14), "", ""),
    ("all:\n  vars:\n    a: b: c\n", (3, 9), "mapping values are not allowed", "needs quotes"),
    ("all: {vars: {a: !foo x}}\n", (1, 17), "tag !foo is not known", ""),
    ("- a\n- b\n", (1, 1), "is not an inventory", ""),
    ("all:\n---\nall:\n", (2, 1), "a second document", ""),
    ("plugin: amazon.aws.aws_ec2\n", (1, 1), "inventory plugin amazon.aws.aws_ec2", "ansible-inventory -i"),
    ("all: {vars: {ansible_group_priority: high}}\n", (1, 14), "not a number", ""),
    ("all: {hosts: {'web[5:1]': }}\n", (1, 15), "runs backwards", ""),
    ("all: {children: {a: {children: {b: {children: {a: }}}}}}\n", (1, 48), "contain each other: a > b > a", ""),
    ("all: {children: {a: {children: {a: }}}}\n", (1, 33), "contain each other: a > a", ""),
    ("x: {children: {all: }}\n", (1, 16), "contain each other", ""),
    ("all: {vars: {x: {<<: 1}}}\n", (1, 22), "takes a mapping", ""),
    ("all: {vars: {ansible_port: many}}\n", (1, 14), "ansible_port is wrong", ""),
    ("all: {vars: {ansible_winrm_transport: [ntml]}}\n", (1, 14), "ansible_winrm_transport is wrong", ""),
    ("all: {vars: {converge_pasword_env: X}}\n", (1, 14), "unknown variable", "did you mean converge_password_env?"),
]


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"), YAML_MISTAKES, ids=[case[0][:40] for case in YAML_MISTAKES]
)
def test_a_mistake_in_yaml_is_told_with_its_place(
    read: Loader, text: str, place: tuple[int, int], message: str, hint: str
) -> None:
    problem, *others = problems_of(read, {"hosts.yml": text})
    assert (problem.file, problem.line, problem.column) == ("hosts.yml", *place)
    assert message in problem.message
    assert hint in problem.hint
    assert not others


INI_MISTAKES: list[tuple[str, tuple[int, int], str, str]] = [
    ("[web]\na\n  b c=1 d\n", (3, 9), "is not a variable of a host", "name=value"),
    ("a b = c\n", (1, 3), "is not a variable of a host", "without blanks"),
    ("[web:var]\nx=1\n", (1, 1), "section of unknown type var", "did you mean vars?"),
    ("[web:vars]\nx=1\n", (1, 1), "undeclared group web", ""),
    ("[web]\na\n[all:children]\nwbe\n", (4, 1), "undeclared group wbe", "did you mean web?"),
    ("[web]\na\n[web:vars]\nnothing\n", (4, 1), "is not a variable", ""),
    ("[web]\na\n[web:vars]\nx=1\nx=2\n", (5, 1), "duplicate key x", ""),
    ("a x=1 x=2\n", (1, 7), "duplicate key x", ""),
    ("a x='1\n", (1, 1), "no closing quotation", "close every quote"),
    ("[a b]\n", (1, 1), "is not a section", ""),
    ("web[1:\n", (1, 1), "not closed", ""),
    ("host:\n", (1, 1), "ends in a colon", ""),
    ("[a:children]\nb\n[b:children]\na\n", (4, 1), "contain each other: a > b > a", ""),
    ("a ansible_port=70000\n", (1, 3), "ansible_port is wrong", ""),
    ("---\nall\n", (1, 1), "starts a YAML file", ".yml"),
]


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"), INI_MISTAKES, ids=[case[0][:40] for case in INI_MISTAKES]
)
def test_a_mistake_in_ini_is_told_with_its_place(
    read: Loader, text: str, place: tuple[int, int], message: str, hint: str
) -> None:
    problem, *others = problems_of(read, {"hosts.ini": text})
    assert (problem.file, problem.line, problem.column) == ("hosts.ini", *place)
    assert message in problem.message
    assert hint in problem.hint
    assert not others


def test_mistakes_of_all_files_are_told_at_once(read: Loader) -> None:
    files = {
        "inv/a.yml": "all:\n  hots: {}\n  hosts: {h: {ansible_port: x}}\n  children: {g: 1}\n",
        "inv/b.ini": "[x:vars]\n",
        "inv/group_vars/all.yml": "a: 1\na: 2\n",
        "inv/host_vars/h.yml": "- 1\n",
    }
    places = [(problem.file, problem.line) for problem in problems_of(read, dict(files), "inv", "missing.yml")]
    assert places == [
        ("inv/a.yml", 2),
        ("inv/a.yml", 3),
        ("inv/a.yml", 4),
        ("inv/b.ini", 1),
        ("inv/group_vars/all.yml", 2),
        ("inv/host_vars/h.yml", 1),
        ("missing.yml", 0),
    ]


def test_a_mistake_that_many_hosts_share_is_told_once(read: Loader) -> None:
    files: dict[str, str | bytes] = {
        "h.yml": "all: {hosts: {'h[1:50]': {ansible_port: x, converge_pasword_env: X}}}",
        "group_vars/all.yml": "ansible_winrm_scheme: x\n",
    }
    assert len(problems_of(read, files)) == 3
    with pytest.raises(InputErrors) as caught:
        read({"h.ini": "h\n", "group_vars/all.yml": "a: 1\na: 2\n"}, playbooks=(".",))
    assert [problem.line for problem in caught.value.problems] == [2]


def test_thousands_of_mistakes_are_not_all_listed(read: Loader) -> None:
    problems = problems_of(read, {"h.ini": "a b\n" * 3000})
    assert len(problems) == 301
    assert problems[-1].message == "there may be more problems than these 300"


def test_a_missing_source_says_how_to_name_a_host(read: Loader) -> None:
    (problem,) = problems_of(read, {"x": ""}, "web01")
    assert "end it with a comma: web01," in problem.hint


@pytest.mark.parametrize("name", ["hosts", "hosts.ini", "hosts.yml", "hosts.json"])
@pytest.mark.parametrize("content", [b"", b"\n\n", b"# only a comment\n", b"\xef\xbb\xbf"])
def test_an_empty_inventory_has_no_hosts(read: Loader, name: str, content: bytes) -> None:
    assert read({name: content}).hosts == ()


def test_a_byte_order_mark_and_windows_line_ends_are_read_over(read: Loader) -> None:
    assert read({"h.ini": b"\xef\xbb\xbf[web]\r\na x=1\r\n"}).variables("a")["x"] == 1
    assert read({"h.yml": b"\xef\xbb\xbfall:\r\n  hosts:\r\n    a: {x: y}\r\n"}).variables("a")["x"] == "y"


def test_bytes_that_are_not_utf8_are_told_with_their_place(read: Loader) -> None:
    (problem,) = problems_of(read, {"h.ini": b"[web]\n\xc3\xa4b\xe9 x=1\n"})
    assert (problem.line, problem.column) == (2, 3)
    assert "0xe9 is not UTF-8" in problem.message
    (problem,) = problems_of(read, {"h.yml": "all:\n".encode("utf-16")})
    assert "UTF-16" in problem.message
    assert read({"h.ini": b"; caf\xe9\nweb\n# caf\xe9\n"}).hosts == ("web",)


def test_an_ini_file_without_extension_is_not_judged_as_yaml(read: Loader) -> None:
    (problem,) = problems_of(read, {"hosts": "[web]\na b\n"})
    assert problem.line == 2
    (problem,) = problems_of(read, {"hosts": "all:\n  hosts:\n    a: b: c\n"})
    assert "mapping values" in problem.message


def test_what_ansible_only_warns_of_is_a_warning(read: Loader) -> None:
    inventory = read(
        {
            "h.yml": "version: 1\nall:\n  stray: {x: 1}\n  hosts: {a: }\n  vars:\n    ansible_winrm_tranport: ntlm\n"
            "    ansible_winrm_kinit_mode: manual\n    converge_zzz: 1\n    ansible_hsot: x\n    ansible_become: yes\n"
        }
    )
    assert inventory.hosts == ("a",)
    told = {problem.line: problem for problem in inventory.warnings}
    assert sorted(told) == [1, 3, 6, 7, 8, 9]
    assert told[6].hint == "did you mean ansible_winrm_transport?"
    assert told[9].hint == "did you mean ansible_host?"


def test_a_password_never_stands_in_an_error(read: Loader) -> None:
    with pytest.raises(InputErrors) as caught:
        read({"h.yml": "all: {hosts: {a: {ansible_password: [hunter2, hunter3]}}}"})
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize(
    "template", ["{{ [1][p] }}", "{{ {}[p] }}", "{{ ''[p] }}", "{{ p / 2 }}", "{{ [][p | length * 1000] }}"]
)
def test_a_password_never_stands_in_the_error_of_a_template(read: Loader, template: str) -> None:
    inventory = read({"h.yml": f'all: {{hosts: {{a: {{p: hunter2, ansible_password: "{template}"}}}}}}'})
    with pytest.raises(InputErrors) as caught:
        inventory.settings("a")
    assert "variable ansible_password" in str(caught.value)
    assert "hunter" not in str(caught.value)
    assert "7000" not in str(caught.value)


SCRIPTS = {
    "no JSON": ("echo hello", "not JSON"),
    "a list": ("echo '[]'", "wrote a list"),
    "exit code": ("echo oops >&2; exit 3", "exit code 3: oops"),
    "bad hosts": ("""echo '{"g": {"hosts": "a"}}'""", "hosts of g is a text"),
    "bad group": ("""echo '{"g": 1, "_meta": {"hostvars": {}}}'""", "group of g is a number"),
    "bad meta": ("""echo '{"g": ["a"], "_meta": {"hostvars": []}}'""", "hostvars of _meta is a list"),
    "bad host": ("""case $1 in --list) echo '{"g": ["a"]}';; *) echo '[1]';; esac""", "--host a: wrote a list"),
    "duplicate": ("""echo '{"g": {}, "g": {}}'""", "duplicate key g"),
    "loop": (
        """echo '{"a": {"children": ["b"]}, "b": {"children": ["a"]}, "_meta": {"hostvars": {}}}'""",
        "contain each",
    ),
    "deep": ('python3 -c "print(\'{\\"a\\":\' * 100000)"', "not JSON"),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_failing_script_is_told(read: Loader, name: str) -> None:
    body, message = SCRIPTS[name]
    problem, *others = problems_of(read, {"inv.sh": f"#!/bin/sh\n{body}\n"})
    assert message in problem.message
    assert problem.file == "inv.sh"
    assert not others


@pytest.mark.parametrize("leader", ["exec sleep 60", "exit 0"])
def test_a_script_that_hangs_is_ended_with_its_children(
    read: Loader, monkeypatch: pytest.MonkeyPatch, leader: str
) -> None:
    monkeypatch.setattr("converge.inventory.script_source.LIST_SECONDS", 0.5)
    start = time.monotonic()
    (problem,) = problems_of(read, {"inv.sh": f"#!/bin/sh\nsleep 60 &\necho $! > child\n{leader}\n"})
    assert "did not end within 0.5 s" in problem.message
    while is_running(int(Path("child").read_text())):
        assert time.monotonic() - start < 50, "less than the sixty that they would sleep"
        time.sleep(0.02)


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_script_that_writes_without_end_is_stopped(read: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("converge.inventory.script_source.MAX_BYTES", 100_000)
    (problem,) = problems_of(read, {"inv.sh": "#!/bin/sh\nexec cat /dev/zero\n"})
    assert "wrote more than 100000 bytes" in problem.message


def test_values_of_a_script_that_ansible_marks_keep_their_marks(read: Loader) -> None:
    answer = {
        "g": ["a"],
        "_meta": {
            "hostvars": {"a": {"v": {"__ansible_vault": "$ANSIBLE_VAULT;1.1"}, "u": {"__ansible_unsafe": "{{ x }}"}}}
        },
    }
    variables = read({"inv.sh": f"#!/bin/sh\necho '{json.dumps(answer)}'\n"}).variables("a")
    assert repr(variables["v"]).startswith("Locked(encrypted")
    assert variables["u"] == "{{ x }}"


def test_a_limit_that_matches_nothing_says_what_may_have_been_meant(read: Loader) -> None:
    inventory = read({"h.ini": "[webservers]\nweb01\nweb02\n"})
    assert inventory.limit("webservers:!web02") == ("web01",)
    with pytest.raises(UsageError) as caught:
        inventory.limit("webserver")
    assert caught.value.try_ == "did you mean webservers?"
    with pytest.raises(UsageError):
        inventory.limit("web01:!web01")
    with pytest.raises(UsageError):
        inventory.limit("")


@pytest.mark.parametrize("pattern", ["web01,wbe02", "webservers:!wbe02", "web01,nope*", "web01,web0[1:2]"])
def test_a_part_of_a_limit_that_names_nothing_is_refused_like_the_whole(read: Loader, pattern: str) -> None:
    inventory = read({"h.ini": "[webservers]\nweb01\nweb02\n[none_yet]\n"})
    with pytest.raises(UsageError, match="matches no host"):
        inventory.limit(pattern)
    assert inventory.limit("web01,none_yet,!old*") == ("web01",)


def test_a_limit_may_stand_in_a_file(read: Loader) -> None:
    inventory = read({"h.ini": "a\nb\nc\n", "limit.txt": "\ufeffa\r\n\nb\n", "bytes": b"\xff"})
    assert inventory.limit("@limit.txt") == ("a", "b")
    assert inventory.limit("c,@limit.txt,!a") == ("c", "b")
    for wrong in ("@missing", "@bytes", "@."):
        with pytest.raises(UsageError):
            inventory.limit(wrong)
