"""What a person reads: values, groups, errors, hosts, totals."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from converge.model.change import Change, HostResult, Json, Problem, Status, WayBack
from converge.report.groups import Groups
from converge.report.sink import PlainSink
from converge.report.text import TextOptions, TextReport
from converge.report.values import LONGEST_LINE, MOST_LINES, difference

CHANGE = Change(
    address="registry_value:HKLM\\SOFTWARE\\X\\Path",
    key={"kind": "registry_value", "key": "HKLM\\SOFTWARE\\X", "name": "Path"},
    name="X knows its folder",
    play="SMTP",
    status=Status.CHANGED,
    before={"type": "string", "data": "C:\\old"},
    after={"type": "expand_string", "data": "D:\\new"},
    actions=({"action": "SetRegistryValue"},),
)


def told(*results: HostResult, options: TextOptions | None = None, warnings: dict[str, str] | None = None) -> str:
    out = io.StringIO()
    report = TextReport(PlainSink(out), options or TextOptions(), warnings=warnings)
    for result in results:
        report.host(result)
    report.end()
    return out.getvalue()


def changed(host: str, *changes: Change) -> HostResult:
    return HostResult(host, Status.CHANGED, changes or (CHANGE,), round_trips=7, seconds=0.5)


class TestValues:
    @pytest.mark.parametrize(
        ("before", "after", "lines"),
        [
            (None, {"type": "dword", "data": 4294967295}, ["+ dword 4294967295 (0xffffffff)"]),
            ({"type": "dword", "data": 1}, {"type": "dword", "data": 2}, ["- dword 1 (0x1)", "+ dword 2 (0x2)"]),
            (
                None,
                {"type": "qword", "data": "18446744073709551615"},
                ["+ qword 18446744073709551615 (0xffffffffffffffff)"],
            ),
            ({"type": "string", "data": "1"}, {"type": "dword", "data": 1}, ["- string 1", "+ dword 1 (0x1)"]),
            ({"type": "string", "data": ""}, None, ['- string ""']),
            (None, {"type": "string", "data": " x"}, ['+ string " x"']),
            (None, {"type": "binary", "data": "00ff"}, ["+ binary 00 ff"]),
            (None, {"type": "binary", "data": ""}, ["+ binary 0 bytes"]),
            (
                {"type": "multi_string", "data": ["Ldapsvc", "Nntpsvc"]},
                {"type": "multi_string", "data": ["Ldapsvc", "Smtpsvc", "Nntpsvc"]},
                ["- multi_string 2 entries", "+ multi_string 3 entries", "    Ldapsvc", "+   Smtpsvc", "    Nntpsvc"],
            ),
            (
                {"size": 1000, "version": "1.0"},
                {"size": 345360, "version": "1.0"},
                ["- size: 1,000 bytes", "+ size: 345,360 bytes"],
            ),
            (
                {"running": False, "start_mode": "manual"},
                {"running": True, "start_mode": "manual"},
                ["- running: no", "+ running: yes"],
            ),
            ({"refused": {"code": "5", "text": "denied"}}, None, ["- could not be read: denied (5)"]),
            (
                {"sensitive": "ab12"},
                {"sensitive": "cd34"},
                ["- (sensitive, digest ab12)", "+ (sensitive, digest cd34)"],
            ),
            (
                {"type": "expand_string", "data": None, "expanded": "C:\\W"},
                {"type": "expand_string", "data": "%W%"},
                ["- expand_string (its raw data could not be read, it expands to C:\\W)", "+ expand_string %W%"],
            ),
            (
                {"values": [{"type": "string", "data": "C:\\a.dll", "key": "HKLM\\X", "name": ""}]},
                {"values": [{"type": "string", "data": "D:\\a.dll", "key": "HKLM\\X", "name": ""}]},
                ["- values: HKLM\\X\\(default): string C:\\a.dll", "+ values: HKLM\\X\\(default): string D:\\a.dll"],
            ),
            (None, None, []),
            (None, {}, ["+ present"]),
            ({}, None, ["- present"]),
        ],
    )
    def test_both_ends_are_shown(self, before: Json, after: Json, lines: list[str]) -> None:
        shown = [f"{mark} {text}" for mark, text in difference(before, after)]
        assert shown == lines

    def test_far_neighbours_in_a_list_are_left_out(self) -> None:
        entries = [f"entry{n}" for n in range(20)]
        lines = difference(
            {"type": "multi_string", "data": entries}, {"type": "multi_string", "data": [*entries, "new"]}
        )
        assert [text.strip() for mark, text in lines if mark == " "] == ["...", "entry18", "entry19"]
        assert ("+", "  new") in lines

    def test_huge_values_are_cut_with_their_size(self) -> None:
        ((_, text),) = difference(None, {"type": "string", "data": "x" * 100_000})
        assert len(text) < LONGEST_LINE + 100
        assert "100,000 characters" in text
        lines = difference(None, {"type": "multi_string", "data": ["y"] * 50_000})
        assert len(lines) <= MOST_LINES + 1
        assert "more lines" in lines[-1][1]

    @pytest.mark.parametrize(
        "value", [[], [1, [2]], {"a": {"b": [1]}}, "text", 5, True, {"type": "none", "data": None}]
    )
    def test_any_shape_has_words(self, value: Json) -> None:
        assert isinstance(difference(None, value), list)


class TestGroups:
    def test_hosts_with_the_same_changes_are_told_once(self) -> None:
        text = told(*(changed(f"web{n:02}") for n in range(1, 41)))
        assert "web[01-40] (40 hosts)" in text
        assert text.count("C:\\old") == 1
        assert text.count("web17 ") == 1, "one line per host at the end"
        assert "40 hosts: 40 would change" in text

    def test_cost_does_not_tell_hosts_apart(self) -> None:
        assert "(2 hosts)" in told(changed("a1"), replace(changed("a2"), seconds=9.0, round_trips=1))

    def test_a_different_value_is_another_group(self) -> None:
        other = replace(CHANGE, before={"type": "string", "data": "E:\\"})
        text = told(changed("web01"), changed("web02", other), changed("web03"))
        assert "web[01,03] (2 hosts)" in text
        assert "\nweb02\n" in text

    @pytest.mark.parametrize(
        "what",
        [
            "http://{address}:{port}/wsman does not accept Administrator",
            "{name} does not accept Administrator",
            "nothing answers at {address}:{port}",
        ],
    )
    def test_problems_that_differ_by_host_address_and_port_are_told_once(self, what: str) -> None:
        def refused(number: int) -> HostResult:
            words = what.format(address=f"10.0.0.{number}", port=50000 + number, name=f"mail0{number}")
            problem = Problem("login-refused", words, "wrong password", "correct it")
            return HostResult(f"mail0{number}", Status.UNREACHABLE, error=problem)

        text = told(*(refused(number) for number in range(1, 9)))
        assert "mail[01-08] (8 hosts)" in text
        assert text.count("Try: correct it") == 1
        as_of_one = what.format(address="10.0.0.1", port=50001, name="mail01")
        assert f"  mail01 (the others alike): {as_of_one} [login-refused]" in text
        assert "HOST" not in text
        assert f"  mail01: {as_of_one} [login-refused]" in told(refused(1))

    def test_problems_that_differ_by_more_are_told_apart(self) -> None:
        results = [
            HostResult(host, Status.UNREACHABLE, error=Problem("unreachable", what))
            for host, what in (
                ("a1", "http://a1:5985/wsman does not accept Jo"),
                ("a2", "http://a2:5985/wsman does not accept Jim"),
                ("a3", "https://a3:5986/wsman does not accept Jo"),
            )
        ]
        assert "(2 hosts)" not in told(*results)

    def test_beyond_a_number_of_groups_hosts_are_told_at_once(self) -> None:
        groups = Groups(most=2)
        results = [changed(f"h{n}", replace(CHANGE, name=str(n))) for n in range(4)]
        given = [groups.add(result) for result in results]
        assert [group.hosts if group else None for group in given] == [None, None, ["h2"], ["h3"]]
        assert groups.add(replace(results[0], host="h9")) is None
        assert len(groups.all()) == 2

    def test_hosts_in_order_have_only_their_line(self) -> None:
        text = told(HostResult("db1", Status.OK, (replace(CHANGE, status=Status.OK),)))
        assert text.splitlines() == ["db1  ok             1 ok", "", "1 host: 1 ok"]


class TestChanges:
    def test_a_change_with_its_play_name_and_both_ends(self) -> None:
        lines = [line.strip() for line in told(changed("web01")).splitlines()]
        assert lines[:5] == [
            "web01",
            "SMTP",
            "~ X knows its folder  (registry_value:HKLM\\SOFTWARE\\X\\Path)",
            "- string C:\\old",
            "+ expand_string D:\\new",
        ]

    def test_no_diff_leaves_the_values_out(self) -> None:
        text = told(changed("web01"), options=TextOptions(diff=False))
        assert "registry_value:HKLM" in text
        assert "C:\\old" not in text

    def test_an_address_that_is_too_long_for_the_line_has_its_own(self) -> None:
        far = "registry_value:HKLM\\SOFTWARE\\" + "X" * 60
        lines = told(changed("web01", replace(CHANGE, address=far))).splitlines()
        at = lines.index("    ~ X knows its folder")
        assert lines[at + 1] == f"        ({far})"

    @pytest.mark.parametrize(
        ("before", "after", "symbol"),
        [(None, {"a": 1}, "+"), ({"a": 1}, None, "-"), ({"a": 1}, {"a": 2}, "~"), (None, None, ">")],
    )
    def test_what_kind_of_change_it_is(self, before: Json, after: Json, symbol: str) -> None:
        assert f"    {symbol} X knows its folder" in told(changed("web01", replace(CHANGE, before=before, after=after)))

    def test_no_way_back_is_said(self) -> None:
        text = told(changed("web01", replace(CHANGE, way_back=WayBack("none", "the metabase is lost"))))
        assert "way back: none (the metabase is lost)" in text
        assert "way back" not in told(changed("web01"))

    def test_notes_steps_and_reasons_are_shown(self) -> None:
        step = replace(CHANGE, address="component:smtp", name="remove SMTP", before=None, after=None)
        procedure = replace(CHANGE, steps=(step,), notes=("one reference is left alone",), reason="decided after setup")
        text = told(changed("web01", procedure))
        assert "note: one reference is left alone" in text
        assert "decided after setup" in text
        assert "        > remove SMTP  (component:smtp)" in text

    def test_an_error_says_what_why_and_what_to_try_and_names_host_and_resource(self) -> None:
        problem = Problem(
            "action-refused", "StartService returned 2, access denied", "It may read only.", "grant START"
        )
        failed = replace(
            CHANGE, address="service:SMTPSVC", status=Status.FAILED, error=problem, before=None, after=None
        )
        lines = [line.strip() for line in told(HostResult("mail01", Status.FAILED, (failed,))).splitlines()]
        at = lines.index("mail01 service:SMTPSVC: StartService returned 2, access denied [action-refused]")
        assert lines[at + 1 : at + 3] == ["It may read only.", "Try: grant START"]

    def test_a_skipped_play_says_why(self) -> None:
        skipped = replace(
            CHANGE, key={"kind": "play", "name": "SMTP"}, status=Status.SKIPPED, reason="SMTP is not installed"
        )
        text = told(HostResult("web01", Status.SKIPPED, (skipped,)))
        assert "skipped: SMTP: SMTP is not installed" in text

    def test_the_warning_of_a_play_stands_with_its_changes_only(self) -> None:
        warnings = {"SMTP": "not fully regression tested"}
        assert "warning: not fully regression tested" in told(changed("web01"), warnings=warnings)
        assert "warning" not in told(changed("web01", replace(CHANGE, play="other")), warnings=warnings)

    def test_verbose_tells_costs_actions_and_what_is_in_order(self) -> None:
        fine = replace(CHANGE, address="service:W3SVC", status=Status.OK)
        quiet, verbose = (
            told(changed("web01", CHANGE, fine)),
            told(changed("web01", CHANGE, fine), options=TextOptions(verbose=1)),
        )
        assert "service:W3SVC" not in quiet
        assert "round trips" not in quiet
        assert "service:W3SVC" in verbose
        assert "7 round trips, 0.50 s" in verbose
        assert "by: SetRegistryValue" in verbose

    def test_after_apply_a_change_was_made(self) -> None:
        text = told(changed("web01"), options=TextOptions(would=False))
        assert "1 host: 1 changed" in text
        assert "would" not in text

    def test_hostile_text_stays_text(self) -> None:
        bad = "\x1b[2J\u202e\n[red]"
        change = replace(CHANGE, name=bad, before={"type": "string", "data": bad}, reason=bad, notes=(bad,), play=bad)
        text = told(HostResult(bad, Status.CHANGED, (change,), error=Problem("c", bad, bad, bad)))
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "[red]" in text
