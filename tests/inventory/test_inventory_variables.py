"""Variables: rendered lazily, locked where they cannot be read, known by their origin."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from converge.errors import InputErrors
from converge.inventory import Inventory, Locked

Loader = Callable[..., Inventory]

RENDERED: list[tuple[str, object]] = [
    ("{{ number }}", 5),
    ("{{ list }}", [1, "5"]),
    ("{{ map }}", {"k": "five is 5"}),
    ("{{ number }} ", "5 "),
    ("{{ number }}{{ number }}", "55"),
    ("{{ '5' }}", "5"),
    ("{{ number | string }}", "5"),
    ("{{ 5 }}", 5),
    ("{{ true }}", True),
    ("{{ [1, 'x'] }}", [1, "x"]),
    ("{{ none }}", None),
    ("{{ 5 }}{{ 6 }}", "56"),
    ("{{ yes_no | bool }}", True),
    ("{{ number == 5 }}", True),
    ("{{ nothing }}", None),
    ("{{ map.k | upper }}", "FIVE IS 5"),
    ("{{ missing | default(7) }}", 7),
    ("{{ 'a' if number > 3 else 'b' }}", "a"),
    ("{{ inventory_hostname }}", "h1.example.com"),
    ("{{ inventory_hostname_short }}", "h1"),
    ("{{ group_names }}", ["g"]),
    ("{{ groups['g'] | length }}", 2),
    ("{{ hostvars['h2'].number }}", 6),
    ("{{ hostvars['h2']['inherited'] }}", "h2-6"),
    ("{{ inherited }}", "h1.example.com-5"),
    ("{% if number %}yes{% endif %}", "yes"),
    ("{{ (number > 3) | ternary('big', 'small') }}", "big"),
    ("{{ lookup('env', 'CONVERGE_TEST_WORD') }}", "word"),
    ("{{ lookup('ansible.builtin.env', 'CONVERGE_TEST_NONE') }}", ""),
    ("{{ lookup('env', 'CONVERGE_TEST_NONE') | default('other', true) }}", "other"),
    ("{{ q('env', 'CONVERGE_TEST_WORD') }}", ["word"]),
    ("C:\\{{ number }}\\x", "C:\\5\\x"),
]

FILE = r"""
g:
  vars: {inherited: '{{ inventory_hostname }}-{{ number }}'}
  hosts:
    h1.example.com:
      number: 5
      list: [1, '{{ number | string }}']
      map: {k: 'five is {{ number }}'}
      yes_no: 'yes'
      nothing: null
      tested: TESTED
    h2: {number: 6}
"""


@pytest.mark.parametrize(("template", "value"), RENDERED)
def test_a_template_is_rendered_and_keeps_its_type(
    read: Loader, monkeypatch: pytest.MonkeyPatch, template: str, value: object
) -> None:
    monkeypatch.setenv("CONVERGE_TEST_WORD", "word")
    monkeypatch.delenv("CONVERGE_TEST_NONE", raising=False)
    quoted = "'" + template.replace("'", "''") + "'"
    inventory = read({"h.yml": FILE.replace("TESTED", quoted)})
    assert inventory.variables("h1.example.com")["tested"] == value
    assert inventory.origin("h1.example.com", "tested") == "h.yml:11"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ nubmer }}", "'nubmer' is undefined"),
        ("{{ map.q.r }}", "no attribute 'q'"),
        ("{{ 1 + }}", "mistake in the template"),
        ("{% if %}", "mistake in the template"),
        ("{{ tested }}", "refers to itself: tested > tested"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ ''.__class__ }}", "unsafe"),
        ("{{ 'x' * 1000000000 }}", "grows beyond"),
        ("{{ 9 ** 9 ** 9 }}", "the power is too large"),
        ("{{ range(1000000000) }}", "OverflowError"),
        ("{{ hostvars['h3'] }}", "no attribute 'h3'"),
    ],
)
def test_a_template_that_cannot_be_rendered_names_variable_and_file(read: Loader, template: str, message: str) -> None:
    quoted = "'" + template.replace("'", "''") + "'"
    variables = read({"h.yml": FILE.replace("TESTED", quoted)}).variables("h1.example.com")
    assert variables["number"] == 5
    with pytest.raises(InputErrors) as caught:
        variables["tested"]
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.column) == ("h.yml", 11, 7)
    assert "variable tested" in problem.message
    assert message in problem.message
    assert problem.hint == ("did you mean number?" if "nubmer" in template else "")


def test_variables_that_refer_to_each_other_are_told_as_a_chain(read: Loader) -> None:
    inventory = read({"h.yml": "all: {vars: {a: '{{ b }}', b: '{{ c }}', c: '{{ a }}'}, hosts: {h: }}"})
    with pytest.raises(InputErrors, match="a > b > c > a"):
        inventory.variables("h")["a"]
    inventory = read({"h.yml": "all: {hosts: {h: {x: '{{ hostvars.i.x }}'}, i: {x: '{{ hostvars.h.x }}'}}}"})
    with pytest.raises(InputErrors, match="more than 50 steps"):
        inventory.variables("h")["x"]


def test_a_long_chain_of_variables_is_refused_and_a_short_one_is_not(read: Loader) -> None:
    chain = ", ".join(f"v{n}: '{{{{ v{n + 1} }}}}'" for n in range(200))
    variables = read({"h.yml": f"all: {{vars: {{{chain}, v200: end}}, hosts: {{h: }}}}"}).variables("h")
    assert variables["v170"] == "end"
    with pytest.raises(InputErrors, match="more than 50 steps"):
        read({"h.yml": f"all: {{vars: {{{chain}, v200: end}}, hosts: {{h: }}}}"}).variables("h")["v0"]


VAULT = "$ANSIBLE_VAULT;1.1;AES256\n6231\n"
LOCKED = """
all:
  vars:
    secret: !vault |
      $ANSIBLE_VAULT;1.1;AES256
      6231
    indirect: '{{ secret }}'
    joined: 'x{{ secret }}'
    nested: {open: 1, closed: !vault abc}
    taken: '{{ nested.closed | default("none") }}'
    listed: '{{ [nested.open, secret] }}'
    looked_up: "{{ lookup('file', '/etc/shadow') }}"
    filtered: '{{ 1 | community_filter }}'
    open: free
  hosts: {h: }
"""


def test_what_cannot_be_read_is_locked_and_disturbs_nothing_else(read: Loader) -> None:
    variables = read({"h.yml": LOCKED}).variables("h")
    assert variables["open"] == "free"
    for name in ("secret", "indirect", "joined", "taken", "listed", "looked_up", "filtered"):
        assert isinstance(variables[name], Locked), name
    nested = variables["nested"]
    assert isinstance(nested, dict)
    assert nested["open"] == 1
    assert isinstance(nested["closed"], Locked)
    secret = variables["indirect"]
    assert isinstance(secret, Locked)
    assert secret.why == "encrypted with Ansible Vault, h.yml:4"


def test_an_encrypted_file_locks_what_it_may_set(read: Loader) -> None:
    inventory = read(
        {
            "h.ini": "h ansible_password='{{ vault_password }}'\n",
            "group_vars/all/vault.yml": VAULT,
            "group_vars/all/open.yml": "x: 1\n",
        }
    )
    assert inventory.variables("h")["x"] == 1
    password = inventory.variables("h")["ansible_password"]
    assert isinstance(password, Locked)
    assert "group_vars/all/vault.yml" in password.why
    assert [problem.file for problem in inventory.warnings] == ["group_vars/all/vault.yml"]


def test_an_encrypted_inventory_is_an_error(read: Loader) -> None:
    with pytest.raises(InputErrors, match="encrypted with Ansible Vault"):
        read({"h.yml": VAULT})


def test_unsafe_texts_keep_their_braces(read: Loader) -> None:
    variables = read({"h.yml": "all: {hosts: {h: {u: !unsafe '{{ x }}', v: '{{ u }}'}}}"}).variables("h")
    assert variables["u"] == "{{ x }}"
    assert type(variables["u"]) is str


def test_extra_variables_are_the_strongest(read: Loader) -> None:
    inventory = read({"h.ini": "h v=host\n", "host_vars/h.yml": "v: file\n"}, extra={"v": "extra", "w": "{{ v }}!"})
    assert inventory.variables("h")["w"] == "extra!"
    assert inventory.origin("h", "v") == "--extra-vars"


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("inline", "h.ini:2"),
        ("group", "h.ini:4"),
        ("in_folder", "group_vars/web/x.yml:2"),
        ("beside", "play/host_vars/h.yml:1"),
        ("nowhere", None),
        ("inventory_hostname", None),
    ],
)
def test_the_origin_of_a_value_is_known(read: Loader, name: str, place: str | None) -> None:
    inventory = read(
        {
            "h.ini": "[web]\nh inline=1 beside=1\n[web:vars]\ngroup=1\nin_folder=1\n",
            "group_vars/web/x.yml": "# x\nin_folder: 2\n",
            "play/host_vars/h.yml": "beside: 3\n",
        },
        playbooks=("play",),
    )
    assert inventory.origin("h", name) == place


def test_variables_behave_as_a_mapping(read: Loader) -> None:
    variables = read({"h.ini": "h a=1\n[all:vars]\nb=2\n"}).variables("h")
    assert {"a", "b", "inventory_hostname", "groups"} <= set(variables)
    assert len(variables) == len(set(variables))
    assert "c" not in variables
    assert variables.get("c", 9) == 9
    with pytest.raises(KeyError):
        variables["c"]


def test_a_value_with_too_many_items_is_refused(read: Loader) -> None:
    rows = ", ".join("'{{ 1 }}'" for _ in range(1001))
    text = (
        f"all:\n  vars:\n    row: &r [{rows}]\n    table: [{', '.join('*r' for _ in range(101))}]\n  hosts: {{h: }}\n"
    )
    variables = read({"h.yml": text}).variables("h")
    assert variables["row"] == [1] * 1001
    with pytest.raises(InputErrors, match="too large or too deeply nested"):
        variables["table"]
