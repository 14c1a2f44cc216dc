"""The same inventories read by Ansible itself and by converge. What Ansible says is kept as data, so that it holds without it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from converge.inventory import Inventory, load

EXPECTED = Path(__file__).parent / "expected_by_ansible.json"
"""Rewritten from Ansible's own answers when CONVERGE_REWRITE_EXPECTED is set."""

ANSIBLE = os.environ.get("CONVERGE_ANSIBLE_INVENTORY") or shutil.which("ansible-inventory")
needs_ansible = pytest.mark.skipif(
    not ANSIBLE,
    reason="no ansible-inventory on PATH nor in CONVERGE_ANSIBLE_INVENTORY: only the kept answers are compared",
)

MAGIC = {
    "inventory_hostname",
    "inventory_hostname_short",
    "inventory_file",
    "inventory_dir",
    "group_names",
    "groups",
    "hostvars",
}

Case = dict[str, str]
"""Files by path. The sources are those given under CASES."""

INI = r"""
# a comment
; another
lonely
mail01:5985 note="a quoted # text" # a comment
web[01:03].example.com zone=a
[web]
web[01:03].example.com ansible_host=10.0.0.1 port=80 flag=True none=None quoted='True' mixed="it's" empty=
db-[a:c]
[db]
db-[a:c] list="[1, 'two', 3.0]" map="{'k': [1]}" path='C:\Windows\Temp' octal=0755 float=1e3 neg=-5 text=yes
[db:vars]
top = from db
literal = "quoted"   # trailing
number=1 # comment
words=a b # stays
backslash=C:\Program Files\x
listed=['a', "b"]
tupled=(1, 2)
hexed=0x10
complexed=1+2j
equals=a=b=c
[servers:children]
web
db  # comment
[servers:vars]
top=from servers
ansible_user=DOMAIN\admin
[all:vars]
top=from all
only_all=1
"""

YAML = r"""
all:
  vars: {top: all, yes_word: yes, off_word: Off, octal: 0755, hexed: 0x1F, base60: 1:30:20, clock: 09:30, float: 1.5,
         exp: 1e3, exp2: 1.0e+3, nothing: ~, empty: , under: 1_000, dotted: 1.2.3, version: 1.10, quoted: "yes", y: y,
         minus: -12, plus: +12, nine: 0o17, dot: ., word: ~x, signed: -.5, fraction: .5, binary: 0b101}
  hosts:
    alone:
    one.example.com: {top: host}
    "[fe80::1]:5986":
    web[1:3:2]:5985:
  children:
    west:
      vars: {top: west, common: west, ansible_group_priority: 10}
      hosts: {one.example.com: , two: {a: [1, {b: c}], text: "a\tb", block: null}}
      children:
        inner:
          hosts: two
          vars: {top: inner}
    east:
      vars: {top: east, common: east}
      hosts:
        one.example.com:
        three:
          block: |
            first
            second
          folded: >-
            one
            two
          anchored: &anchor {k: 1, l: 2}
          merged: {<<: *anchor, l: 3}
    empty:
ungrouped:
  hosts:
    alone:
"""

SCRIPT = """#!/usr/bin/env python3
import json, sys
if sys.argv[1] == "--list":
    print(json.dumps({
        "web": {"hosts": ["s1", "s2"], "vars": {"a": 1, "n": None}, "children": ["sub"]},
        "sub": ["s3"], "odd": {"x": 1}, "empty": {},
        "_meta": {"hostvars": {"s1": {"b": [1, 2]}, "unknown": {"c": 1}}}}))
"""
SCRIPT_HOST = """#!/usr/bin/env python3
import json, sys
if sys.argv[1] == "--list":
    print(json.dumps({"web": ["s1", "s2"], "all": {"vars": {"v": "w"}, "children": ["web"]}}))
elif sys.argv[2] == "s1":
    print(json.dumps({"name": sys.argv[2], "n": 1}))
"""

CASES: dict[str, tuple[Case, list[str], list[str]]] = {
    "ini": ({"hosts.ini": INI}, ["hosts.ini"], []),
    "ini without extension": ({"hosts": INI}, ["hosts"], []),
    "yaml": ({"hosts.yml": YAML}, ["hosts.yml"], []),
    "yaml without extension": ({"hosts": YAML}, ["hosts"], []),
    "json": (
        {"hosts.json": '{"all": {"hosts": {"a": {"v": 1.5}}, "children": {"g": {"hosts": {"a": null}}}}}'},
        ["hosts.json"],
        [],
    ),
    "script": ({"inventory.py": SCRIPT}, ["inventory.py"], []),
    "script asked for each host": ({"inventory.py": SCRIPT_HOST}, ["inventory.py"], []),
    "executable yaml": ({"hosts.yml": "all: {hosts: {a: {b: 1}}}", "executable": "hosts.yml"}, ["hosts.yml"], []),
    "host list": ({}, ["a,b.example.com:5985, 10.0.0.1"], []),
    "one host": ({}, ["a,"], []),
    "empty groups": ({"h.ini": "[a]\n[b:children]\na\n[c]\nx\n"}, ["h.ini"], []),
    "folder": (
        {
            "inv/10-b.ini": "[g]\nb v=ini\n",
            "inv/20-a.yml": "g: {hosts: {a: , b: {v: yaml}}, vars: {w: 1}}",
            "inv/Z.ini": "[g]\nz\n",
            "inv/ignored.cfg": "[g]\ncfg\n",
            "inv/ignored.ini~": "[g]\ntilde\n",
            "inv/ignored.bak": "[g]\nbak\n",
            "inv/ignored.orig": "[g]\norig\n",
            "inv/ignored.retry": "retry\n",
            "inv/ignored.pyc": "pyc\n",
            "inv/ignored.txt": "txt\n",
            "inv/ignored.md": "md\n",
            "inv/.hidden": "hidden\n",
            "inv/sub/more.ini": "[sub]\nmore\n",
            "inv/sub/group_vars/sub.yml": "not: read\n",
            "inv/group_vars/g.yml": "w: 2\nx: 3\n",
            "inv/host_vars/a.json": '{"h": true}',
        },
        ["inv"],
        [],
    ),
    "variables next to inventory and playbook": (
        {
            "inv/hosts.ini": "[child]\nh1 inline=inline both=inline\n[parent:children]\nchild\n[parent:vars]\np=inv-parent\n"
            "[child:vars]\np=inv-child\nq=inv-child\n[all:vars]\np=inv-all\n",
            "inv/group_vars/all.yml": "q: gv-all\nr: gv-all\ns: gv-all\n",
            "inv/group_vars/child.yml": "t: gv-child\nu: gv-child\n",
            "inv/group_vars/parent.yaml": "u: gv-parent\n",
            "inv/host_vars/h1.yml": "both: hv\nw: hv\n",
            "play/group_vars/all": "r: play-all\nt: play-all\n",
            "play/group_vars/parent.yml": "t: play-parent\nu: play-parent\n",
            "play/host_vars/h1/a.yml": "w: play-hv\nx: 1\n",
            "play/host_vars/h1/b": "x: 2\n",
            "play/host_vars/h1/c.txt": "x: 3\n",
            "play/host_vars/h1/.d.yml": "x: 4\n",
            "play/host_vars/h1/e.yml~": "x: 5\n",
            "play/host_vars/h1/deep/f.json": '{"y": 6}',
            "play/host_vars/h1/not.deep/g.yml": "y: 7\n",
        },
        ["inv/hosts.ini"],
        ["play"],
    ),
    "folder before file, yml before yaml": (
        {
            "hosts": "[g]\nh\n[k]\nh\n",
            "group_vars/g/one.yml": "v: folder\n",
            "group_vars/g.yml": "v: file\n",
            "group_vars/k.yaml": "w: yaml\n",
            "group_vars/k.yml": "w: yml\n",
        },
        ["hosts"],
        [],
    ),
    "two sources": (
        {
            "one/hosts.ini": "[g]\na v=1\n[g:vars]\ngv=1\n",
            "two/hosts.yml": "g: {hosts: {a: {v: 2}, b: }, vars: {gv: 2}}",
            "one/group_vars/g.yml": "f: one\n",
            "two/group_vars/g.yml": "f: two\n",
            "two/group_vars/all.yml": "f: all\n",
        },
        ["one/hosts.ini", "two/hosts.yml", "c,"],
        [],
    ),
    "priorities and depths": (
        {
            "h.yml": """
all:
  children:
    a: {hosts: {x: }, vars: {v: a, ansible_group_priority: 5, w: a}}
    b: {hosts: {x: }, vars: {v: b, w: b}}
    c: {children: {d: {hosts: {x: }, vars: {w: d}}}, vars: {v: c}}
"""
        },
        ["h.yml"],
        [],
    ),
    "diamond": (
        {
            "h.ini": "[d]\nh\n[b:children]\nd\n[c:children]\nd\n[a:children]\nb\nc\n[b:vars]\nv=b\n[c:vars]\nv=c\n[a:vars]\nv=a\nw=a\n"
        },
        ["h.ini"],
        [],
    ),
    "odd names": (
        {"h.ini": "web_-1\nunder_\n1.2.3.4:99\n[::1]:22\nfe80::2\nweb[1:2]x[a:b]\nx:y\n[my-group]\nh.i-j\n"},
        ["h.ini"],
        [],
    ),
}

PATTERNS = [
    "all", "*", "web", "web:db", "web,db", "web:&db", "servers:!web", "!web", "&web", "web*", "db-?", "db-[ab]",
    "~db-[ab]", "~web.*example", "~.*03", "web[0]", "web[-1]", "web[0:1]", "web[1:]", "web[0:0]", "web[5:9]",
    "servers[2:4]", "web*[0:1]", "lonely", "ungrouped", "lonely,mail01", "web:!web[0]", "all:!~db.*", "nothing",
    "web01.example.com:lonely", "mail01:db", "*.example.com", "servers:&web:!web02.example.com", "we?", "~we|lon",
    " web , db ", "db-a:db-b:!db-a", "ungr*", "al*",
]  # fmt: skip


def lay_out(root: Path, files: Case) -> None:
    for name, content in files.items():
        if name == "executable":
            continue
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        if content.startswith("#!") or files.get("executable") == name:
            path.chmod(0o755)


def read_by_converge(root: Path, sources: list[str], playbooks: list[str]) -> dict[str, object]:
    inventory = load(
        [source if "," in source else str(root / source) for source in sources],
        playbook_directories=[root / folder for folder in playbooks],
    )
    return {
        "hosts": sorted(inventory.hosts),
        "groups": {name: sorted(hosts) for name, hosts in inventory.groups.items()},
        "variables": {host: own(inventory, host) for host in sorted(inventory.hosts)},
    }


def own(inventory: Inventory, host: str) -> dict[str, object]:
    return {name: value for name, value in inventory.variables(host).items() if name not in MAGIC}


def ask_ansible(root: Path, arguments: list[str], program: str | None = ANSIBLE) -> str:
    assert program
    (root / "ansible.cfg").write_text("")
    environment = {
        **os.environ,
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True",
        "ANSIBLE_CONFIG": str(root / "ansible.cfg"),
        "ANSIBLE_DEPRECATION_WARNINGS": "False",
        "LC_ALL": "C.UTF-8",
    }
    done = subprocess.run([program, *arguments], cwd=root, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def read_by_ansible(root: Path, sources: list[str], playbooks: list[str]) -> dict[str, object]:
    options = [option for source in sources for option in ("-i", source)]
    options += [option for folder in playbooks for option in ("--playbook-dir", folder)]
    answer = json.loads(ask_ansible(root, [*options, "--list"]))
    variables = answer.pop("_meta")["hostvars"]
    names = {name for name in answer if name != "all"} | {"all", "ungrouped"}

    def members(group: str) -> set[str]:
        data = answer.get(group, {})
        return set(data.get("hosts", [])).union(*(members(child) for child in data.get("children", [])))

    groups = {name: sorted(members(name)) for name in names}
    return {
        "hosts": groups["all"],
        "groups": groups,
        "variables": {host: variables.get(host, {}) for host in groups["all"]},
    }


def kept() -> dict[str, object]:
    answers: dict[str, object] = json.loads(EXPECTED.read_text())
    return answers


def comparable(read: dict[str, object]) -> dict[str, object]:
    """Empty groups are left out: ansible-inventory does not list those that nothing contains."""
    groups = read["groups"]
    assert isinstance(groups, dict)
    return {**read, "groups": {name: hosts for name, hosts in sorted(groups.items()) if hosts}}


@pytest.mark.parametrize("name", CASES)
def test_hosts_groups_and_variables_are_those_that_ansible_reads(name: str, tmp_path: Path) -> None:
    files, sources, playbooks = CASES[name]
    lay_out(tmp_path, files)
    assert comparable(read_by_converge(tmp_path, sources, playbooks)) == kept()[name]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_chooses_the_hosts_that_ansible_chooses(pattern: str, tmp_path: Path) -> None:
    (tmp_path / "hosts.ini").write_text(INI)
    expected = kept()["patterns"]
    assert isinstance(expected, dict)
    assert list(load([str(tmp_path / "hosts.ini")]).select(pattern)) == expected[pattern]


@needs_ansible
def test_the_kept_answers_are_those_of_ansible(tmp_path: Path) -> None:
    answers: dict[str, object] = {}
    for number, (name, (files, sources, playbooks)) in enumerate(CASES.items()):
        root = tmp_path / str(number)
        root.mkdir()
        lay_out(root, files)
        answers[name] = comparable(read_by_ansible(root, sources, playbooks))
    answers["patterns"] = {pattern: chosen_by_ansible(tmp_path, pattern) for pattern in PATTERNS}
    if os.environ.get("CONVERGE_REWRITE_EXPECTED"):
        EXPECTED.write_text(json.dumps(answers, indent=1, sort_keys=True) + "\n")
    assert answers == kept()


def chosen_by_ansible(root: Path, pattern: str) -> list[str]:
    (root / "hosts.ini").write_text(INI)
    assert ANSIBLE
    program = str(Path(ANSIBLE).with_name("ansible"))
    shown = ask_ansible(root, ["-i", "hosts.ini", "--list-hosts", "--", pattern], program=program)
    return [line.strip() for line in shown.splitlines() if line.startswith("    ")]
