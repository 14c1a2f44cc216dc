"""What a user is told about mistakes in plays: the place, what was expected, the nearest right spelling."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from converge.errors import InputProblem

Texts = Callable[[str], str]
Problems = Callable[..., tuple[InputProblem, ...]]

IN_PLAY: list[tuple[str, int, int, str]] = [
    ("resorces: []", 3, 3, "did you mean resources"),
    ("tasks: []\nresources: []", 3, 3, "known from Ansible: use resources"),
    ("pre_tasks: []\nresources: []", 3, 3, "known from Ansible"),
    ("roles: []\nresources: []", 3, 3, "known from Ansible"),
    ("gather_facts: no\nresources: []", 3, 3, "known from Ansible: leave it out"),
    ("serial: 1\nresources: []", 3, 3, "use `batch` of the play, or --batch"),
    ("become: yes\nresources: []", 3, 3, "ansible_user"),
    ("order: sorted\nresources: []", 3, 10, "known from Ansible: the order of hosts"),
    ("service: {name: x}\nresources: []", 3, 3, "put service under resources"),
    ("order: 1.5\nresources: []", 3, 10, "a whole number"),
    ("vars: []\nresources: []", 3, 3, "vars takes a mapping"),
    ("vars: {item: 1}\nresources: []", 3, 10, "meaning of its own"),
    ("vars: {facts: 1}\nresources: []", 3, 10, "meaning of its own"),
    ("vars: {a-b: 1}\nresources: []", 3, 10, "letters, digits and underscores"),
    ("vars: {a: '{{ b }}', b: '{{ a }}'}\nresources: []", 3, 10, "a -> b -> a"),
    ("vars: {a: '{{ a }}'}\nresources: []", 3, 10, "a -> a"),
    ("vars: {a: 1}\ndiscover: {a: [{value: x}]}\nresources: []", 4, 14, "both under vars and under discover"),
    ("discover: {a: []}\nresources: []", 3, 14, "no candidate"),
    ("discover: {a: [{registry_valu: {}}]}\nresources: []", 3, 19, "did you mean registry_value"),
    ("discover: {a: [{service_directory: {name: x}}]}\nresources: []", 3, 19, "containing is missing"),
    ("discover: {a: [{value: '{{ b }}'}], b: [{value: x}]}\nresources: []", 3, 26, "unknown variable b"),
    ("applies_when: [{that: {servce: {name: x}}, else: y}]\nresources: []", 3, 25, "did you mean service"),
    ("applies_when: [{that: {service: {nme: x}}, else: y}]\nresources: []", 3, 36, "did you mean name"),
    ("applies_when: {that: {service: {name: x}}}\nresources: []", 3, 3, "else is missing"),
    ("applies_when: [{that: {expr: 'a = 1'}, else: y}]\nresources: []", 3, 32, "not right"),
    ("applies_when: [{that: {any: [{file: {path: x}}]}, else: y}]\nresources: []", 3, 46, "is not a full path"),
    ("symptoms: {events: [{source: x, ids: [1], within: soon}]}\nresources: []", 3, 53, "not a duration"),
    ("handlers: [{restart_service: {name: x}}]\nresources: []", 3, 14, "name is missing"),
    ("handlers: [{name: a, service: {name: x, running: true}}]\nresources: []", 3, 24, "cannot be a handler"),
    ("handlers: [{name: a, loop: [1], command: {name: x, argv: [y], creates: 'C:\\x'}}]\nresources: []", 3, 24, "loop"),
    (
        "handlers: [{name: a, restart_service: {name: x}}, {name: a, restart_service: {name: y}}]\nresources: []",
        3,
        60,
        "two handlers are called a",
    ),
    ("tags: 5\nresources: []", 3, 9, "a text or a list"),
]

IN_ENTRY: list[tuple[str, int, str]] = [
    ("{}", 5, "the entry has no kind"),
    ("7", 5, "takes a mapping, not 7"),
    ("{win_regedit: {path: x}}", 6, "use registry_value"),
    ("{ansible.windows.win_service: {name: x}}", 6, "use service"),
    ("{win_copy: {}}", 6, "use file"),
    ("{win_command: x}", 6, "use command"),
    ("{win_shell: x}", 6, "PowerShell is never used"),
    ("{win_reboot: {}}", 6, "restart_computer"),
    ("{win_feature: {name: x}}", 6, "use component"),
    ("{win_firewall: {name: x}}", 6, "known from Ansible: there is no kind"),
    ("{community.windows.win_scheduled_task: {}}", 6, "there is no kind"),
    ("{block: []}", 6, "known from Ansible"),
    ("{service: {name: x, running: true}, register: y}", 41, "known from Ansible"),
    ("{service: {name: x, running: true}, ignore_errors: yes}", 41, "known from Ansible"),
    ("{service: {name: x, running: true}, no_log: yes}", 41, "use sensitive"),
    ("{service: {name: x, running: true}, with_items: [1]}", 41, "use loop"),
    ("{servce: {name: x}}", 6, "did you mean service"),
    ("{service: {name: x, running: true}, file: {path: 'C:\\x'}}", 41, "one kind"),
    ("{service: x}", 15, "service takes a mapping, not a text"),
    ("{service: {name: 5, running: true}}", 22, "put it in quotes"),
    ("{service: {name: x, state: started}}", 25, "use running"),
    ("{service: {name: x, runing: true}}", 25, "did you mean running"),
    ("{service: {name: x, running: maybe}}", 34, "true or false"),
    ("{service: {name: x, start_mode: auto}}", 37, "use automatic"),
    ("{service: {name: x, start_mode: automtic}}", 37, "did you mean automatic"),
    ("{service: {running: true}}", 15, "name is missing"),
    ("{registry_value: {path: 'HKLM\\a'}}", 23, "use key"),
    ("{registry_value: {key: 'HKXX\\a', name: v, type: string, data: x}}", 28, "does not begin with a hive"),
    ("{registry_value: {key: 'HKLM\\a', name: v, type: expandstring, data: x}}", 53, "use expand_string"),
    ("{registry_value: {key: 'HKLM\\a', name: v, type: dword, data: -1}}", 22, "no dword"),
    ("{registry_value: {key: 'HKLM\\a', name: v, type: dword, data: 1, state: present}}", 69, "use ensure"),
    ("{file: {path: relative}}", 19, "is not a full path"),
    ("{file: {dest: 'C:\\x'}}", 13, "use path"),
    ("{file: {path: 'C:\\x', sizze: 1}}", 27, "did you mean size"),
    ("{file: {path: '{{ nme }}\\x'}}", 19, "unknown variable nme"),
    ("{file: {path: '{{ nme \\x'}}", 19, "not right"),
    ("{file: {path: '{{ facts.os.bild }}'}}", 19, "did you mean build"),
    ("{file: {path: '{{ facts.build }}'}}", 19, "did you mean facts.os.build"),
    ("{file: {path: '{{ ansible_hostname }}'}}", 19, "facts.host.name"),
    ("{file: {path: '{{ item }}'}}", 19, "add loop"),
    ("{file: {path: 'C:\\x', size: '{{ a b }}'}}", 33, "not right"),
    ("{file: {path: 'C:\\{{ item }}'}, loop: abc}", 43, "loop takes a list"),
    ("{file: {path: 'C:\\{{ item }}'}, loop: '{{ itm }}'}", 43, "did you mean item"),
    ("{service: {name: x, running: true}, when: '{{ a }}'}", 47, "leave out the braces"),
    ("{service: {name: x, running: true}, when: a ==}", 47, "not right"),
    ("{service: {name: x, running: true}, when: [1]}", 48, "bare expression"),
    ("{service: {name: x, running: true}, notify: h}", 49, "no handler is called h"),
    ("{service: {name: x, running: true}, requires: h}", 51, "no earlier entry is called h"),
    ("{service: {name: x, running: true}, sensitive: perhaps}", 52, "true or false"),
    ("{restart_service: {name: x}}", 6, "put it under handlers"),
    ("{procedure: {name: x, done_when: {expr: true}, steps: []}}", 59, "steps takes a list of entries"),
    ("{procedure: {name: x, done_when: {expr: true}, steps: [{servce: {}}]}}", 61, "did you mean service"),
    ("{procedure: {name: x, done_when: {expr: true}, steps: [{service: {nam: a}}]}}", 71, "did you mean name"),
    ("{procedure: {name: x, done_when: {expr: z}, steps: [{service: {name: a, running: true}}]}}", 45, "variable z"),
    ("{procedure: {name: x, steps: [{service: {name: a, running: true}}]}}", 17, "done_when is missing"),
    ("{procedure: {name: x, done_when: {expr: true}, steps: [{restart_service: {name: a}}]}}", 61, "cannot be a step"),
]


@pytest.mark.parametrize(("body", "line", "column", "words"), IN_PLAY)
def test_mistakes_in_a_play(
    play_text: Texts, problems_in: Problems, body: str, line: int, column: int, words: str
) -> None:
    problems = problems_in(play_text(body))
    assert any((item.line, item.column) == (line, column) and words in str(item) for item in problems), problems


@pytest.mark.parametrize(("entry", "column", "words"), IN_ENTRY)
def test_mistakes_in_an_entry(play_text: Texts, problems_in: Problems, entry: str, column: int, words: str) -> None:
    problems = problems_in(play_text(f"resources:\n- {entry}"))
    assert any((item.line, item.column) == (4, column) and words in str(item) for item in problems), problems


def test_one_mistake_is_told_once(play_text: Texts, problems_in: Problems) -> None:
    for body in (
        "resources: [{service: {name: x, runing: true, running: true}}]",
        "vars: {a: '{{ b }}'}\nresources: []",
        "discover: {a: [{value: '{{ b }}'}]}\nresources: []",
        "applies_when: [{that: {any: [{file: {path: x}}]}, else: y}]\nresources: []",
        "resources: [{win_regedit: {path: x}}]",
    ):
        assert len(problems_in(play_text(body))) == 1, body


@pytest.mark.parametrize(
    "text",
    [
        "- {name: a, hosts: b, tasks: []}",
        "- import_playbook: other.yml",
        "- {name: a, hosts: b, resources: [{registry_value: {path: x, name: a, type: string, data: b}}]}",
    ],
)
def test_beside_a_key_known_from_ansible_nothing_is_missing(problems_in: Problems, text: str) -> None:
    (problem,) = problems_in(text)
    assert "known from Ansible" in problem.hint


def test_a_key_that_only_looks_known_does_not_hide_what_is_missing(problems_in: Problems) -> None:
    messages = [problem.message for problem in problems_in("- {name: a, hosts: b, resorces: []}")]
    assert sorted(messages) == ["resources is missing in play", "unknown key resorces"]


def test_a_word_in_capitals_is_told_with_the_values(play_text: Texts, problems_in: Problems) -> None:
    (problem,) = problems_in(
        play_text(r"resources: [{registry_value: {key: HKLM\SOFTWARE\X, name: a, type: DWORD, data: 1}}]")
    )
    assert problem.message == "type cannot be 'DWORD'"
    assert problem.expected == "'string', 'expand_string', 'multi_string', 'dword', 'qword' or 'binary'"
    assert problem.hint == "did you mean dword?"


@pytest.mark.parametrize(
    ("text", "line", "message", "expected"),
    [
        ("- name: a\n  hosts: [a, b\n", 2, "the list that begins with [ here is not closed", "] at its end"),
        ("- name: a\n  hosts: [a, b\n  resources: []\n", 2, "the list that begins with [ here is not closed", "]"),
        ("- name: a\n  vars: {a: b\n", 2, "the mapping that begins with { here is not closed", "} at its end"),
        ("- name: a\n  hosts: [a, b}\n", 2, "a comma or ] is missing before this", "a comma before the next item"),
        ("- name: 'a\n  hosts: b\n", 1, "the text that begins with a quote here is not closed", "quote at its end"),
    ],
)
def test_what_is_left_open_is_told_where_it_begins(
    problems_in: Problems, text: str, line: int, message: str, expected: str
) -> None:
    (problem,) = problems_in(text)
    assert (problem.line, problem.message) == (line, message)
    assert expected in problem.expected


def test_everything_wrong_is_told_at_once(play_text: Texts, problems_in: Problems) -> None:
    body = """
    vars: {a: '{{ nowhere }}'}
    resources:
      - service: {name: x, runing: true}
      - file: {path: relative}
      - win_copy: {}
      - service: {name: y, running: true}
        notify: nobody
    """
    lines = {item.line for item in problems_in(play_text(body))}
    assert lines == {3, 5, 6, 7, 9}


def test_a_resource_declared_twice_is_told_where_both_stand(play_text: Texts, problems_in: Problems) -> None:
    body = """
    resources:
      - service: {name: W3SVC, running: true}
      - service: {name: w3svc, start_mode: manual}
    """
    (problem,) = problems_in(play_text(body))
    assert (problem.line, problem.hint) == (5, "the other is in line 4; leave one of them")


def test_what_depends_on_the_host_is_left_for_later(play_text: Texts, problems_in: Problems) -> None:
    body = r"""
    vars: {n: 1}
    resources:
      - registry_value: {key: '{{ k }}', name: v, type: '{{ t }}', data: '{{ n }}'}
      - file: {path: '{{ k }}\x', size: '{{ n }}'}
      - service: {name: W3SVC, running: '{{ n == 1 }}'}
        when: k == 'x'
      - service: {name: w3svc, running: false}
        when: k != 'x'
      - requirement: {name: r, that: {file: {path: '{{ k }}', size: '{{ n }}'}}}
    """
    assert problems_in(play_text(body), known={"k", "t"}) == ()


def test_a_variable_of_the_inventory_must_be_known(play_text: Texts, problems_in: Problems) -> None:
    text = play_text("resources: [{service: {name: '{{ site_service }}', running: true}}]")
    (problem,) = problems_in(text, known={"site_services"})
    assert problem.message == "unknown variable site_service"
    assert problem.hint == "did you mean site_services?"
    assert problems_in(text, known={"site_service"}) == ()


def test_what_may_be_missing_need_not_be_known(play_text: Texts, problems_in: Problems) -> None:
    body = "vars: {a: \"{{ b | default('x') }}\", c: '{{ d is defined }}'}\nresources: []"
    assert problems_in(play_text(body)) == ()


def test_requires_names_an_earlier_entry(play_text: Texts, problems_in: Problems) -> None:
    body = """
    resources:
      - {name: one, service: {name: a, running: true}, requires: two}
      - {name: two, service: {name: b, running: true}, requires: [one]}
    """
    (problem,) = problems_in(play_text(body))
    assert (problem.line, problem.hint) == (4, "it does not stand before: move it up")


def test_so_many_problems_are_not_all_listed(play_text: Texts, problems_in: Problems) -> None:
    entries = "\n".join(f"  - service: {{name: s{n}, runing: true}}" for n in range(1000))
    problems = problems_in(play_text(f"resources:\n{entries}"))
    assert 300 <= len(problems) <= 301
    assert "more problems than these 300" in problems[-1].message


def test_the_values_of_a_sensitive_entry_are_not_quoted(play_text: Texts, problems_in: Problems) -> None:
    body = """
    resources:
      - registry_value: {key: 'HKLM\\a', name: v, type: hunter2, data: hunter2, ensure: hunter2}
        sensitive: true
    """
    problems = problems_in(play_text(body))
    assert problems
    assert all("hunter2" not in str(problem) for problem in problems)
