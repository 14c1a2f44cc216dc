"""Plays as apply walks through them: what they declare for a host, and what they say when they cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from converge.errors import InputErrors, Undecided
from converge.model.answer import Absent, Answer, Answers, Found, Refused
from converge.model.facts import DirectoryFacts, FileFacts, OperatingSystemFacts, ServiceFacts, ServiceState, StartMode
from converge.model.play import Declared, Finder, Play, Scope
from converge.model.query import AnyQuery, Directory, File, OperatingSystem, RegistryValue, Service
from converge.model.registry import RegistryData, RegistryType
from converge.model.resource import KINDS, ProcedureResource
from converge.model.secret import Secret
from converge.playbook import load, select_entries
from converge.windows.registry import parse_path

OnePlay = Callable[..., Play]
ScopeOf = Callable[..., Scope]
Declare = Callable[..., list[Declared]]
SHIPPED = sorted((Path(__file__).parents[2] / "playbooks").glob("*.yml"))


def test_a_play_says_what_it_is(one_play: OnePlay) -> None:
    play = one_play(
        """
        article: Q1
        order: 7
        tags: [mail, 'a,b']
        warning: careful
        symptoms:
          events: [{log: System, source: SCM, ids: [7000, 7023], within: 30 days, message: SMTP}]
          dialogs: [Extension could not be loaded]
        handlers:
          - name: restart
            restart_service: {name: W3SVC}
        resources:
          - name: web runs
            service: {name: W3SVC, running: true}
            tags: web
            notify: [restart]
            sensitive: true
          - service: {name: SMTPSVC, running: true}
            requires: web runs
        """
    )
    first, second = play.entries
    assert (play.name, play.hosts, play.article, play.order, play.warning) == ("p", "all", "Q1", 7, "careful")
    assert (first.name, first.kind, first.notify, first.sensitive) == ("web runs", "service", ("restart",), True)
    assert first.tags == {"mail", "a", "b", "web"}
    assert (second.name, second.requires) == ("service:SMTPSVC", ("web runs",))
    assert (first.position.line, second.position.line) == (14, 19)
    assert [handler.name for handler in play.handlers] == ["restart"]
    assert play.symptoms.events[0].within == timedelta(days=30)
    assert play.symptoms.events[0].ids == (7000, 7023)
    assert play.symptoms.dialogs == ("Extension could not be loaded",)


def test_hosts_may_be_a_list_of_patterns(plays_of: Callable[..., tuple[Play, ...]]) -> None:
    (play,) = plays_of("- {name: p, hosts: [web, '!old'], resources: []}")
    assert play.hosts == "web,!old"


def test_plays_are_sorted_by_order_then_by_file_name(tmp_path: Path) -> None:
    for name, order in (("b.yml", 20), ("a.yml", 20), ("c.yml", 10), ("d.yml", None)):
        line = f", order: {order}" if order else ""
        text = f"- {{name: '{name} 1', hosts: all, resources: []{line}}}\n- {{name: '{name} 2', hosts: all, resources: []{line}}}"
        (tmp_path / name).write_text(text)
    plays = load(sorted(tmp_path.glob("*.yml"), reverse=True), kinds=KINDS)
    assert [play.name[0] for play in plays] == ["c", "c", "a", "a", "b", "b", "d", "d"]
    assert [play.name[-1] for play in plays] == ["1", "2"] * 4


def test_a_loop_declares_one_resource_for_each_item(one_play: OnePlay, declared: Declare) -> None:
    play = one_play(
        r"""
        vars: {files: [a.dll, b.dll, c.dll], target: 'D:\x'}
        resources:
          - name: files lie there
            file: {path: '{{ target }}\{{ item }}', copy_from: '%SystemRoot%\{{ item }}'}
            loop: '{{ files }}'
            when: [item != 'b.dll', target]
          - name: '{{ item.name }} runs'
            service: {name: '{{ item.name }}', running: '{{ item.running }}'}
            loop: [{name: W3SVC, running: yes}, {name: '{{ facts.host.name }}', running: false}]
        """.replace(", target]", ", target != '']")
    )
    found = declared(play)
    assert [item.name for item in found] == [
        "files lie there (a.dll)", "files lie there (c.dll)", "W3SVC runs", "MAIL01 runs",
    ]  # fmt: skip
    assert [item.resource.address for item in found] == [
        r"file:D:\x\a.dll", r"file:D:\x\c.dll", "service:W3SVC", "service:MAIL01",
    ]  # fmt: skip
    assert found[3].resource.model_dump()["running"] is False


def test_a_loop_over_nothing_declares_nothing(one_play: OnePlay, declared: Declare) -> None:
    body = r"resources: [{file: {path: 'C:\{{ item }}'}, loop: '{{ files }}'}]"
    assert declared(one_play(body, known={"files"}), files=[]) == []


@pytest.mark.parametrize("files", ["a.dll", {"a": 1}, None, 5, ["x"] * 10_001])
def test_a_loop_takes_a_list_of_bounded_length(one_play: OnePlay, declared: Declare, files: object) -> None:
    play = one_play(r"resources: [{file: {path: 'C:\{{ item }}'}, loop: '{{ files }}'}]", known={"files"})
    with pytest.raises(InputErrors, match="loop"):
        declared(play, files=files)


def test_a_rendered_body_is_checked_at_the_place_of_the_field(one_play: OnePlay, declared: Declare) -> None:
    play = one_play(
        r"""
        resources:
          - registry_value:
              key: '{{ k }}'
              name: v
              type: dword
              data: 1
          - service:
              name: W3SVC
              running: '{{ r }}'
        """,
        known={"k", "r"},
    )
    assert len(declared(play, k=r"HKLM\SOFTWARE\a", r=True)) == 2
    with pytest.raises(InputErrors) as caught:
        declared(play, k="SOFTWARE", r=True)
    (problem,) = caught.value.problems
    assert (problem.line, problem.column) == (5, 14)
    assert "does not begin with a hive" in problem.message
    with pytest.raises(InputErrors) as caught:
        declared(play, k=r"HKLM\SOFTWARE\a", r="maybe")
    (problem,) = caught.value.problems
    assert (problem.line, problem.expected) == (11, "true or false")
    assert "'maybe'" in problem.message


def test_a_constant_resource_is_checked_once_for_all_hosts(one_play: OnePlay, scope_of: ScopeOf) -> None:
    (entry,) = one_play("resources: [{service: {name: W3SVC, running: true}}]").entries
    play = one_play("resources: [{service: {name: W3SVC, running: true}}]")
    (entry,) = play.entries
    assert entry.declare(scope_of(play, a=1))[0].resource is entry.declare(scope_of(play, a=2))[0].resource


def test_a_procedure_expands_the_loops_and_conditions_of_its_steps(one_play: OnePlay, declared: Declare) -> None:
    play = one_play(
        r"""
        vars: {parts: [iis_www, iis_smtp], point: 'C:\fix', by_hand: false}
        resources:
          - procedure:
              name: again
              needs:
                - {file: {path: '{{ point }}\a.inf', size: '{{ [1, 2] }}'}}
                - {expr: parts | length == 2}
              done_when: {all: [{service: {name: SMTPSVC, running: true}}, {expr: not by_hand}]}
              steps:
                - name: remove
                  component: {name: '{{ item }}', ensure: absent}
                  loop: '{{ parts }}'
                - name: by hand
                  when: by_hand
                  operator_step: {name: x, instructions: do it, done_when: {expr: true}}
                - component: {name: iis_smtp, ensure: present, source: '{{ point }}'}
        """
    )
    ((procedure, ),) = ([item.resource for item in declared(play)],)  # fmt: skip
    assert isinstance(procedure, ProcedureResource)
    assert [step.name for step in procedure.ordered_steps] == [
        "remove (iis_www)", "remove (iis_smtp)", "component:iis_smtp",
    ]  # fmt: skip
    assert procedure.ordered_steps[0].resource.address == "component:iis_www"
    assert procedure.preconditions[1].holds(Answers({})) is True
    assert "again" in procedure.address
    assert len(declared(play, by_hand=True)[0].resource.model_dump()["steps"]) == 4


def test_an_expression_in_a_condition_is_worked_out(one_play: OnePlay, scope_of: ScopeOf) -> None:
    play = one_play(
        """
        applies_when:
          - that: {any: [{expr: site == 'x'}, {not: {expr: "site in ['y', 'z']"}}]}
            else: 'not at {{ site }}'
        resources: []
        """,
        known={"site"},
    )
    (rule,) = play.applies_when
    assert rule.that(scope_of(play, site="x")).holds(Answers({})) is True
    assert rule.that(scope_of(play, site="y")).holds(Answers({})) is False
    assert rule.otherwise(scope_of(play, site="y")) == "not at y"


def test_a_secret_in_a_resource_makes_it_sensitive(one_play: OnePlay, declared: Declare) -> None:
    play = one_play(
        r"""
        vars: {derived: 'pre-{{ secret }}'}
        resources:
          - registry_value: {key: 'HKLM\SOFTWARE\a', name: a, type: string, data: '{{ derived }}'}
          - registry_value: {key: 'HKLM\SOFTWARE\a', name: b, type: string, data: '{{ open }}'}
          - registry_value: {key: 'HKLM\SOFTWARE\a', name: '{{ item }}', type: string, data: x}
            loop: [c]
        """,
        known={"secret", "open"},
    )
    found = declared(play, secret=Secret("hunter2"), open="x")
    assert [item.sensitive for item in found] == [True, False, False]
    assert found[0].resource.model_dump()["data"] == "pre-hunter2"


@pytest.mark.parametrize(
    "body",
    [
        "resources: [{name: 'uses {{ secret }}', service: {name: x, running: true}}]",
        r"resources: [{file: {path: 'C:\{{ secret }}'}}]",
        r"resources: [{registry_value: {key: 'HKLM\a\{{ secret }}', name: v, type: string, data: x}}]",
        r"resources: [{registry_value: {key: 'HKLM\a', name: '{{ item }}', type: string, data: x}, loop: ['{{ secret }}']}]",
    ],
)
def test_a_secret_is_not_shown_in_names(one_play: OnePlay, declared: Declare, body: str) -> None:
    with pytest.raises(InputErrors) as caught:
        declared(one_play(body, known={"secret"}), secret=Secret("hunter2"))
    assert "secret would be shown" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_secret_is_not_quoted_by_errors_or_reasons(one_play: OnePlay, scope_of: ScopeOf, declared: Declare) -> None:
    body = r"resources: [{registry_value: {key: 'HKLM\a', name: v, type: dword, data: '{{ secret }}'}}]"
    with pytest.raises(InputErrors) as caught:
        declared(one_play(body, known={"secret"}), secret=Secret("hunter2"))
    assert "hunter2" not in str(caught.value)
    play = one_play("applies_when: [{that: {expr: true}, else: '{{ secret }}'}]\nresources: []", known={"secret"})
    with pytest.raises(InputErrors, match="secret would be shown"):
        play.applies_when[0].otherwise(scope_of(play, secret=Secret("hunter2")))


def test_files_brought_from_here_lie_beside_the_playbook(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "x.txt").write_text("hello")
    playbook = tmp_path / "sub" / "p.yml"
    playbook.write_text(r"[{name: p, hosts: all, resources: [{file: {path: 'C:\x.txt', source: x.txt}}]}]")
    (play,) = load([playbook], kinds=KINDS)
    assert play.entries[0].declare({})[0].resource.address == r"file:C:\x.txt"


SERVICE = ServiceFacts(
    "W3SVC", "Web", ServiceState.RUNNING, StartMode.AUTOMATIC, r'"D:\Program Files\Inetsrv\inetinfo.exe" -k'
)
WINDOWS = OperatingSystemFacts(
    caption="",
    version="5.0.2195",
    build=2195,
    service_pack=4,
    product_type="server",
    architecture="x86",
    language=1033,
    system_root=r"C:\WINNT",
    host_name="MAIL01",
    domain="",
    now=datetime(2003, 6, 1, tzinfo=UTC),
    environment={"Site": "D:\\Site\\"},
)
KEY = parse_path(r"HKLM\SOFTWARE\Microsoft\InetStp")
NOT_SAID: Answer[object] = Refused("5", "access denied")


def found(finder: Finder, known: Mapping[AnyQuery, Answer[object]]) -> str | None:
    """Ask as apply does: until nothing new is asked, then find. What is not known is absent."""
    answers: dict[AnyQuery, Answer[object]] = {}
    for _ in range(5):
        new = [query for query in finder.queries(Answers(answers)) if query not in answers]
        if not new:
            break
        answers |= {query: known.get(query, Absent()) for query in new}
    return finder.find(Answers(answers))


def finder_of(one_play: OnePlay, scope_of: ScopeOf, candidate: str) -> Finder:
    play = one_play(f"vars: {{svc: W3SVC}}\ndiscover: {{d: [{candidate}]}}\nresources: []")
    return play.discover[0].candidates[0](scope_of(play))


@pytest.mark.parametrize(
    ("candidate", "known", "value"),
    [
        (
            "service_directory: {name: '{{ svc }}', containing: Inetinfo.exe}",
            {Service("w3svc"): Found(SERVICE), File(r"D:\Program Files\Inetsrv\Inetinfo.exe"): Found(FileFacts("", 1))},
            r"D:\Program Files\Inetsrv",
        ),
        ("service_directory: {name: W3SVC, containing: Inetinfo.exe}", {Service("W3SVC"): Found(SERVICE)}, None),
        ("service_directory: {name: W3SVC, containing: Inetinfo.exe}", {}, None),
        (
            "registry_value: {key: 'HKLM\\SOFTWARE\\Microsoft\\InetStp', name: InstallPath}",
            {RegistryValue(KEY, "InstallPath"): Found(RegistryData(RegistryType.STRING, "D:\\Inetsrv\\"))},
            r"D:\Inetsrv",
        ),
        (
            "registry_value: {key: 'HKLM\\SOFTWARE\\Microsoft\\InetStp', name: InstallPath}",
            {
                RegistryValue(KEY, "InstallPath"): Found(RegistryData(RegistryType.EXPAND_STRING, r"%SystemRoot%\x")),
                OperatingSystem(): Found(WINDOWS),
            },
            r"C:\WINNT\x",
        ),
        ("registry_value: {key: 'HKLM\\SOFTWARE\\Microsoft\\InetStp', name: InstallPath}", {}, None),
        ("directory: 'D:\\x\\'", {Directory(r"D:\x"): Found(DirectoryFacts("D:\\x"))}, r"D:\x"),
        ("directory: 'D:\\x'", {}, None),
        ("file: 'D:\\x\\y.exe'", {File(r"D:\x\y.exe"): Found(FileFacts("", 1))}, r"D:\x"),
        ("file: 'D:\\x\\y.exe'", {}, None),
        ("value: '%Site%\\'", {OperatingSystem(): Found(WINDOWS)}, r"D:\Site"),
        ("value: 'plain text'", {}, "plain text"),
    ],
)
def test_candidates_of_a_discovery(
    one_play: OnePlay, scope_of: ScopeOf, candidate: str, known: dict[AnyQuery, Answer[object]], value: str | None
) -> None:
    finder = finder_of(one_play, scope_of, f"{{{candidate}}}")
    assert found(finder, known) == value
    assert finder.describe()


@pytest.mark.parametrize(
    ("candidate", "known"),
    [
        ("service_directory: {name: W3SVC, containing: Inetinfo.exe}", {Service("W3SVC"): NOT_SAID}),
        (
            "service_directory: {name: W3SVC, containing: Inetinfo.exe}",
            {Service("W3SVC"): Found(SERVICE), File(r"D:\Program Files\Inetsrv\Inetinfo.exe"): NOT_SAID},
        ),
        (
            "registry_value: {key: 'HKLM\\SOFTWARE\\Microsoft\\InetStp', name: InstallPath}",
            {RegistryValue(KEY, "InstallPath"): NOT_SAID},
        ),
        (
            "registry_value: {key: 'HKLM\\SOFTWARE\\Microsoft\\InetStp', name: InstallPath}",
            {RegistryValue(KEY, "InstallPath"): Found(RegistryData(RegistryType.DWORD, 1))},
        ),
        ("directory: 'D:\\x'", {Directory(r"D:\x"): NOT_SAID}),
        ("file: '%NoSuch%\\y.exe'", {OperatingSystem(): Found(WINDOWS)}),
    ],
)
def test_a_refusal_is_never_taken_for_an_absence(
    one_play: OnePlay, scope_of: ScopeOf, candidate: str, known: dict[AnyQuery, Answer[object]]
) -> None:
    with pytest.raises(Undecided):
        found(finder_of(one_play, scope_of, f"{{{candidate}}}"), known)


@pytest.mark.parametrize(
    ("tags", "skip", "chosen"),
    [
        ([], [], "plain a ab always"),
        (["all"], [], "plain a ab always"),
        (["a"], [], "a ab always"),
        (["b"], [], "ab always"),
        (["never"], [], "never always"),
        (["n"], [], "never always"),
        (["tagged"], [], "a ab always"),
        (["untagged"], [], "plain always"),
        ([], ["a"], "plain always"),
        ([], ["always"], "plain a ab"),
        ([], ["tagged"], "plain"),
        ([], ["untagged"], "a ab always"),
        ([], ["all"], "always"),
        (["a"], ["b"], "a always"),
    ],
)
def test_tags_choose_as_in_ansible(one_play: OnePlay, tags: list[str], skip: list[str], chosen: str) -> None:
    play = one_play(
        """
        resources:
          - {name: plain, service: {name: s1, running: true}}
          - {name: a, service: {name: s2, running: true}, tags: a}
          - {name: ab, service: {name: s3, running: true}, tags: 'a, b', requires: [plain, a]}
          - {name: never, service: {name: s4, running: true}, tags: [never, n]}
          - {name: always, service: {name: s5, running: true}, tags: always}
        """
    )
    selected = select_entries(play, tags=tags, skip_tags=skip)
    assert (
        " ".join(entry.name for entry in sorted(selected.entries, key=lambda e: chosen.split().index(e.name))) == chosen
    )
    names = {entry.name for entry in selected.entries}
    assert all(set(entry.requires) <= names for entry in selected.entries)


def test_the_shipped_playbooks_load() -> None:
    plays = load(SHIPPED, kinds=KINDS)
    assert [play.order for play in plays] == sorted(play.order for play in plays)
    assert {play.article for play in plays} == {"Q245208", "Q197303", "Q277770", "Q324332", "Q312395"}
