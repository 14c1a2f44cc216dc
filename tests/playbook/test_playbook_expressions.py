"""Expressions: they keep types, see what they should, and are a sandbox of bounded size."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converge.errors import InputErrors
from converge.model.play import Play, Scope
from converge.model.secret import Locked, Secret

OnePlay = Callable[..., Play]
ScopeOf = Callable[..., Scope]
LISTED = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


def value_of(one_play: OnePlay, scope_of: ScopeOf, template: str, **host: object) -> object:
    quoted = template.replace("'", "''")
    return scope_of(one_play(f"vars: {{result: '{quoted}'}}\nresources: []", known=set(host)), **host)["result"]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(value=LISTED)
def test_an_expression_by_itself_keeps_the_type(one_play: OnePlay, scope_of: ScopeOf, value: object) -> None:
    for template in ("{{ x }}", "{{ x if true else 0 }}"):
        found = value_of(one_play, scope_of, template, x=value)
        assert found == value
        assert type(found) is type(value)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(value=st.integers() | st.text(max_size=30))
def test_an_expression_inside_a_text_makes_a_text(one_play: OnePlay, scope_of: ScopeOf, value: object) -> None:
    assert value_of(one_play, scope_of, "a{{ x }}b", x=value) == f"a{value}b"


@pytest.mark.parametrize(
    ("template", "value"),
    [
        (r"{{ dir | win_basename }}", "Inetsrv"),
        (r"{{ dir | win_dirname }}", r"D:\Program Files"),
        (r"{{ dir | lower }}\x", r"d:\program files\inetsrv\x"),
        ("{{ names | join(', ') }}", "a, B"),
        ("{{ names | map('upper') }}", ["A", "B"]),
        ("{{ names | select('in', ['B']) | list }}", ["B"]),
        ("{{ names[1] ~ names | length }}", "B2"),
        ("{{ missing | default('x') }}", "x"),
        ("{{ missing is defined }}", False),
        ("{{ '7' | int + 1 }}", 8),
        ("{{ 'yes' | bool }}", True),
        ("{{ table.items }}", "entry"),
        ("{{ table['a b'].c }}", 1),
        ("{{ table.keys() | sort }}", ["a b", "items"]),
        ("{{ facts.os.build >= 3790 and not facts.host.clustered }}", True),
        ("{{ facts['os']['version'] }}", "5.2.3790"),
        ("{{ dir.split('\\\\')[0] }}", "D:"),
        ("{{ dir | replace('D:', 'E:') }}", r"E:\Program Files\Inetsrv"),
        ("{{ 'automatic' if names else none }}", "automatic"),
        ("{{ none if names else 1 }}", None),
        ("{{ {'a': [1, '2']} }}", {"a": [1, "2"]}),
        ("{{ '00' * 3 }}", "000000"),
        ("{{ 2 * [1, 'a'] }}", [1, "a", 1, "a"]),
        ("{{ ('ab' * 524288) | length }}", 2**20),
        ("100% {a} {%b%} {#c#}", "100% {a} {%b%} {#c#}"),
    ],
)
def test_what_expressions_can_do(one_play: OnePlay, scope_of: ScopeOf, template: str, value: object) -> None:
    host = {"dir": r"D:\Program Files\Inetsrv", "names": ["a", "B"], "table": {"items": "entry", "a b": {"c": 1}}}
    assert value_of(one_play, scope_of, template, **host) == value


@pytest.mark.parametrize(
    "template",
    [
        "{{ x.__class__ }}", "{{ x['__class__'] }}", "{{ ''.__class__.__mro__ }}", "{{ x.format }}",
        "{{ x | attr('__class__') }}", "{{ x.encode() }}", "{{ self }}", "{{ self.__init__ }}", "{{ lookup('file', 'x') }}",
        "{{ range(9) }}", "{{ cycler }}", "{{ lipsum() }}", "{{ namespace() }}", "{{ x.upper.__self__ }}",
        "{% for a in x %}{% endfor %}", "{% set a = 1 %}", "{% include 'x' %}", "{{ x | map('attr', '__class__') | list }}",
        "{{ [].append(1) }}", "{{ {}.update({}) }}", "{{ x | pprint }}", "{{ x | tojson }}", "{{ x() }}", "{{ 1 / 0 }}",
        "{{ 'a' + 1 }}", "{{ none ~ y.z }}", "{{ x.missing }}", "{{ x[99] }}", "{{ 'b' | int }}", "{{ [1] | join(2) }}",
        "{{ '%s' % x }}", "a{{ none }}", "{{ x |  }}", "{{ }}", "{{", "{{ x | map('nonsense') | list }}",
    ],
)  # fmt: skip
def test_what_expressions_cannot_do(one_play: OnePlay, scope_of: ScopeOf, template: str) -> None:
    with pytest.raises(InputErrors) as caught:
        value_of(one_play, scope_of, template, x="text")
    assert all(problem.line == 3 for problem in caught.value.problems)


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'a' * 10 ** 9 }}", "{{ [0] * 10 ** 9 }}", "{{ 9 ** 9 ** 9 }}", "{{ ('a' * 99999) * 99999 }}",
        "{{ 'x' | replace('x', 'y' * 90000) | replace('y', 'z' * 90000) }}", "{{ " + "(" * 500 + "1" + ")" * 500 + " }}",
        "{{ " + "[" * 200 + "]" * 200 + " }}", "{{ 1" + " + 1" * 2000 + " }}", "{{ '%099999999d' % 1 }}",
        "{{ x" + " | lower" * 500 + " }}", "{{ big * big }}", "{{ [[0] * 9999] * 9999 }}",
        "{{ 'ab' * 524289 }}", "{{ big * 2 }}", "{{ ['x' * 99999] * 99999 }}", "{{ {} * 2 }}", "{{ 'a' * 1.5 }}",
        "{{ [[0] * 9999] * 2 == [[0] * 9999] * 2 }}",
        "{{ " + "not " * 3000 + "x }}", "{{ -" + "-" * 3000 + "1 }}",
    ],
)  # fmt: skip
def test_no_expression_takes_all_memory_or_time(one_play: OnePlay, scope_of: ScopeOf, template: str) -> None:
    begun = time.process_time()
    with pytest.raises(InputErrors):
        value_of(one_play, scope_of, template, x="text", big=["x" * 1000] * 1000)
    assert time.process_time() - begun < 5


def test_variables_that_double_each_other_are_bounded(one_play: OnePlay, scope_of: ScopeOf) -> None:
    lines = ["v0: abcdefgh", *(f"v{n}: '{{{{ v{n - 1} ~ v{n - 1} }}}}'" for n in range(1, 60))]
    play = one_play("vars:\n" + "\n".join(f"  {line}" for line in lines) + "\nresources: []")
    assert len(str(scope_of(play)["v10"])) == 8 * 2**10
    with pytest.raises(InputErrors, match="grows beyond"):
        scope_of(play)["v59"]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(inner=st.text(alphabet="x.[]()'|+*-~<>=!{}% andotrifels0129,:\\_", max_size=40))
def test_any_expression_has_a_value_or_is_told(one_play: OnePlay, scope_of: ScopeOf, inner: str) -> None:
    with suppress(InputErrors):
        value_of(one_play, scope_of, "{{ " + inner + " }}", x=["text", 1, {"x": None}])


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ("true", True), ("false", False), ("'yes' == 'yes'", True), ("flag", True), ("not flag", False), ("off_word", False),
        ("names", True), ("[]", False), ("empty", False), ("facts.os.build < 2600", False), ("[true, false]", False),
        ("[true, flag]", True), ("0", False), ("none_value", False), ("yes", True),
    ],
)  # fmt: skip
def test_when_is_a_bare_expression_or_a_list_of_which_all_hold(
    one_play: OnePlay, scope_of: ScopeOf, when: str, holds: bool
) -> None:
    host: dict[str, object] = {"flag": True, "off_word": "no", "names": ["a"], "empty": [], "none_value": None}
    play = one_play(f"resources: [{{service: {{name: x, running: true}}, when: {_in_yaml(when)}}}]", known=set(host))
    assert play.entries[0].when(scope_of(play, **host)) is holds


def _in_yaml(when: str) -> str:
    return when if re.fullmatch(r"\[(?!\]).*\]|[a-z]+", when) else '"' + when + '"'


def test_a_text_is_neither_true_nor_false(one_play: OnePlay, scope_of: ScopeOf) -> None:
    play = one_play("resources: [{service: {name: x, running: true}, when: a}]", known={"a"})
    with pytest.raises(InputErrors, match="not to true or false"):
        play.entries[0].when(scope_of(play, a="perhaps"))


def test_variables_are_layered_and_worked_out_when_used(one_play: OnePlay) -> None:
    play = one_play(
        r"""
        vars: {a: play, b: '{{ a }}-{{ c }}', unused: '{{ broken.x }}'}
        discover: {c: [{value: x}]}
        resources: []
        """,
        known={"broken"},
    )
    assert play.scope({}, {}, {"c": "found"})["b"] == "play-found"
    assert play.scope({"a": "host"}, {}, {"c": "found"})["b"] == "host-found"
    assert play.scope({"a": "host", "c": "given"}, {}, {"c": "found"})["b"] == "host-given"
    assert "unused" in play.scope({}, {}, {})
    with pytest.raises(InputErrors, match="broken has no value for this host"):
        play.scope({}, {}, {})["unused"]


def test_values_of_the_inventory_are_not_read_as_expressions(one_play: OnePlay, scope_of: ScopeOf) -> None:
    play = one_play("vars: {b: '<{{ a }}>'}\nresources: []", known={"a"})
    assert scope_of(play, a="{{ facts }}")["b"] == "<{{ facts }}>"


def test_a_locked_value_says_why_when_it_is_used(one_play: OnePlay, scope_of: ScopeOf) -> None:
    play = one_play("vars: {a: '{{ x }}', b: '{{ t.p }}', c: '{{ t.u }}', d: '{{ l[0] }}'}\nresources: []", known="xtl")
    locked = Locked("encrypted with Ansible Vault")
    scope = scope_of(play, x=locked, t={"u": "user", "p": locked}, l=[locked])
    assert scope["c"] == "user"
    for name in "abd":
        with pytest.raises(InputErrors, match="encrypted with Ansible Vault"):
            scope[name]


def test_secrets_are_revealed_to_expressions_only(one_play: OnePlay, scope_of: ScopeOf) -> None:
    play = one_play("vars: {a: 'x{{ s }}', b: '{{ t.p | upper }}'}\nresources: []", known={"s", "t"})
    scope = scope_of(play, s=Secret("hunter2"), t={"p": Secret("hunter3")})
    assert (scope["a"], scope["b"]) == ("xhunter2", "HUNTER3")
    assert "hunter" not in repr(scope)
