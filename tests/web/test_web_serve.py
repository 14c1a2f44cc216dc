"""The live page as a server: what it answers, what it refuses, and what becomes of it when its store goes away."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from tests.cli.cli_program import INVENTORY, PLAYBOOK, Program
from tests.web.serving import BOUND, ENDS_WITHIN, HOSTILE, LARGE, PAGES, Served, fill, found, serving

from converge.model.recorded import Drift, Intention, Outlook
from converge.store.store import Store, Where
from converge.web.enforcement import standings
from converge.web.server import MOST_OF_ONE_PEER

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fleet of hostile names and values, enforced by a hostile policy."""
    made = tmp_path_factory.mktemp("hostile")
    fill(made / ".converge", HOSTILE)
    fill(made / ".converge", ["large"], runs=0)
    now = datetime.now(UTC)
    with Store.open(Where(made / ".converge")) as store:
        run = store.runs.begin("2026-11-28T000000Z-ffff", mode="check", playbooks=["p.yml"], user="u", version="1")
        run.host(found("large", 1, data=LARGE))
        run.flush()
        outlook = Outlook("<b>group", "enforce", "4be1c0", "<i>me\u202e", now, now + timedelta(hours=1), "an error <b>")
        store.intentions.announce(outlook)
        address = "registry_value:HKLM\\'; rm -rf / #<b>"
        store.intentions.replace(
            "<b>group", [Intention("<b>group", host, address, "quarantined", None, "<i>left") for host in HOSTILE]
        )
        store.enforcement.keep("<b>group", [Drift(host, address, now, None, 3, now) for host in HOSTILE])
    return made


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    with serving(Program(folder)) as server:
        yield server
        assert server.errors == []


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def every_page(served: Served) -> list[str]:
    hosts = [f"/host?name={quote(host)}" for host in (*HOSTILE, "large")]
    run = "/run?id=2026-11-02T000000Z-0001"
    return [
        *PAGES,
        *hosts,
        run,
        f"{run}&name={quote(HOSTILE[1])}",
        "/drift?show=all",
        "/run?id=2026-11-28T000000Z-ffff",
    ]


class TestPages:
    def test_what_hosts_sent_is_text_and_nothing_else(self, served: Served) -> None:
        for path in every_page(served):
            elements = Elements()
            text = served.page(path)
            elements.feed(text)
            names = {name for name, _ in elements.found}
            assert not names & {"img", "b><i", "iframe", "object", "embed", "base", "style"}, path
            assert [attributes for name, attributes in elements.found if name == "script"] == [
                {"src": attributes["src"], "defer": None} for name, attributes in elements.found if name == "script"
            ]
            for name, attributes in elements.found:
                assert not any(key.startswith("on") or key == "style" for key in attributes), (path, name, attributes)
                assert (attributes.get("href") or "/").startswith(("/", "#")), attributes
            assert not any(sign in text for sign in ("\u202e", "\u2066", "\x1b", "\0", "49{")), path

    def test_each_page_tells_what_it_is_for(self, served: Served) -> None:
        assert "15</strong> hosts" in served.page("/")
        assert "because &lt;/td&gt;&lt;b&gt;" in served.page("/changes")
        assert "nul\\0 esc\\x1b[2J line\\nend" in served.page("/hosts")
        assert "\\u202egpj.exe\\u2066" in served.page("/hosts")
        assert "Too large to store" in served.page("/host?name=large")
        assert "in progress" in served.page("/runs")
        enforcement = served.page("/enforcement")
        assert "&lt;i&gt;left" in enforcement
        assert "changed back or repair failed 3 times" in enforcement
        assert "converge enforce --release" in enforcement

    def test_a_finding_is_told_once_for_hosts_that_differ_by_their_name_alone(self, served: Served) -> None:
        text = served.page("/changes?status=unreachable")
        assert text.count("<details") == 1
        assert text.count("Try: converge doctor ") == 1  # of the first of them: no placeholder

    def test_values_of_any_size_make_pages_of_a_bounded_size(self, served: Served) -> None:
        for path in every_page(served):
            assert len(served.page(path)) < 200_000, path

    def test_filters_are_in_the_address(self, served: Served) -> None:
        count = "<strong>{}</strong> of 15 hosts"
        assert count.format(1) in served.page("/hosts?q=GPJ")
        assert count.format(4) in served.page("/hosts?status=failed")
        assert count.format(0) in served.page("/hosts?age=never&q=large")
        assert count.format(15) in served.page("/hosts?playbook=&status=nonsense&page=-1&sort=x")
        assert count.format(14) in served.page("/hosts?playbook=p%3Cb%3E.yml")
        backwards = served.page("/hosts?sort=-host&page=99999")
        assert backwards.index("__proto__") < backwards.index("&lt;script&gt;") or "aria-sort" in backwards
        assert 'aria-sort="descending"' in backwards
        assert 'value="&#34;&gt;&lt;img"' in served.page(f"/hosts?q={quote(chr(34))}%3E%3Cimg")

    def test_looking_writes_nothing(self, folder: Path, served: Served) -> None:
        digest = hashlib.sha256((folder / ".converge/converge.db").read_bytes()).hexdigest()
        for path in every_page(served):
            served.page(path)
        assert hashlib.sha256((folder / ".converge/converge.db").read_bytes()).hexdigest() == digest


def test_what_enforcement_will_do_next_is_told_with_why_it_does_not_now(tmp_path: Path) -> None:
    program = Program(tmp_path)
    program.write("playbooks/registry.yml", PLAYBOOK)
    program.write("inventory/hosts.yml", INVENTORY)
    program.write("policy.yml", "version: 1\ngroups:\n  all: {mode: enforce, cadence: 5m, grace: 1h}\n")
    ended = program("enforce", "--policy", "policy.yml", "--once")
    assert ended.code == 2, ended.err
    with serving(program) as server:
        page = server.page("/enforcement")
        assert "in the grace period" in page
        assert "Not running. What was planned" in page
        assert page.count("service:RemoteRegistry") >= 2
        assert "service:RemoteRegistry" in server.page("/enforcement?reason=grace&q=mail01")
        assert "Nothing matches" in server.page("/enforcement?q=mail03")
        assert "earliest repair" in server.page("/host?name=mail01")


def test_a_long_round_is_told_from_a_daemon_that_is_gone(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    hour = timedelta(hours=1)
    with Store.open(Where(tmp_path)) as store:
        for group, owner in (("long", "one"), ("waiting", "one"), ("gone", "two"), ("over", "")):
            store.enforcement.begin(group, now - 4 * hour)
            store.intentions.announce(Outlook(group, "enforce", "1", owner, now - 3 * hour, now - hour))
        store.intentions.announce(Outlook("due", "enforce", "1", "two", now, now + hour))
        store.enforcement.begin("long", now - hour)
        told = {each.outlook.group: each.state for each in standings(store, now)}
        assert told == {"long": "going", "waiting": "enforcing", "gone": "late", "over": "ended", "due": "enforcing"}
        later = {each.outlook.group: each.state for each in standings(store, now + 5 * hour)}
        assert later == {"long": "late", "waiting": "late", "gone": "late", "over": "ended", "due": "late"}


def test_a_run_that_was_broken_off_is_told_from_one_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(Where(tmp_path / ".converge")) as store:
        store.runs.begin("r2", mode="check", playbooks=[], user="", version="").host(found("a", 1))
        monkeypatch.setattr("converge.store.recording.now_text", lambda: "2020-01-01T00:00:00+00:00")
        store.runs.begin("r1", mode="check", playbooks=[], user="", version="")
    with serving(Program(tmp_path)) as server:
        assert "interrupted" in server.page("/run?id=r1")
        assert "in progress" in server.page("/run?id=r2")
        assert "so far" in server.page("/run?id=r2")


class TestRequests:
    @pytest.mark.parametrize("path", [*PAGES, "/static/app.css", "/static/app.js", "/nowhere", "/host?name=nobody"])
    def test_every_answer_carries_the_policy(self, served: Served, path: str) -> None:
        answer = served.ask(path)
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["server"] == "converge"
        head = served.ask(path, method="HEAD")
        assert (head.status, head.body) == (answer.status, b"")
        assert head.headers["content-security-policy"] == POLICY

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
    @pytest.mark.parametrize("path", ["/", "/runs", "/static/app.js"])
    def test_it_is_only_to_be_read(self, served: Served, method: str, path: str) -> None:
        answer = served.ask(path, method=method, body="x=1")
        assert answer.status == 405
        assert answer.headers["allow"] == "GET, HEAD"

    @pytest.mark.parametrize(
        "host", ["evil.example", "evil.example:8620", "127.0.0.1.evil.example", "[::2]", "localhost.evil", "", "a b"]
    )
    def test_it_does_not_answer_to_other_names(self, served: Served, host: str) -> None:
        answer = served.ask("/", Host=host)
        assert answer.status in (400, 421)
        assert b"</strong> hosts" not in answer.body

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8620", "LOCALHOST", "[::1]:1"])
    def test_it_answers_to_its_own(self, served: Served, host: str) -> None:
        assert served.ask("/", Host=host).status == 200

    @pytest.mark.parametrize(
        "path",
        ["/static/../site.py", "/static/%2e%2e/site.py", "/static/..%2fsite.py", "/static/", "/static/app.js/", "//etc/passwd",
         "/static/%00app.js", "/templates/base.html", "/%ff%fe", "/host", "/host?name=%00%ff", "/run?id=../../x", "/run",
         "/metrics", "/static/app.js%00.html"],
    )  # fmt: skip
    def test_nothing_else_is_there(self, served: Served, path: str) -> None:
        answer = served.ask(path)
        assert answer.status == 404
        assert b"Traceback" not in answer.body
        assert b"import" not in answer.body

    @pytest.mark.parametrize(
        "sent",
        [
            b"GET /?" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"b" * 100_000 + b"\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,
            b"GET / HTTP/9.9\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
        ],
        ids=["long query", "long header", "TLS to HTTP", "a version that is none", "no Host", "two lengths"],
    )
    def test_requests_that_are_none_are_refused_and_the_next_is_answered(self, served: Served, sent: bytes) -> None:
        found = served.raw(sent)
        assert b" 200 " not in found.split(b"\r\n")[0]
        assert b"Traceback" not in found
        assert served.ask("/").status == 200
        assert served.errors == []

    def test_many_values_and_odd_ones_in_a_query_are_no_trouble(self, served: Served) -> None:
        for query in (
            "&".join(f"q={n}" for n in range(500)),
            "page=" + "9" * 500,
            "q=%ed%a0%80",
            "q=%00",
            "status[]=x",
            "path=/x",
        ):
            assert served.ask(f"/hosts?{query}").status == 200
            assert served.ask(f"/enforcement?{query}").status == 200

    def test_a_page_that_is_as_it_was_is_not_sent_again(self, tmp_path: Path) -> None:
        fill(tmp_path / ".converge", ["a"], runs=1)
        with serving(Program(tmp_path)) as server:
            tag = server.ask("/hosts").headers["etag"]
            again = server.ask("/hosts", If_None_Match=tag)
            if again.status != 304:  # the minute turned between the two
                again = server.ask("/hosts", If_None_Match=again.headers["etag"])
            assert (again.status, again.body) == (304, b"")
            assert server.ask("/hosts?q=a", If_None_Match=tag).status == 200
            fill(tmp_path / ".converge", ["b"], runs=0)
            with Store.open(Where(tmp_path / ".converge")) as store:
                store.runs.begin("2027", mode="check", playbooks=[], user="", version="")
            assert server.ask("/hosts", If_None_Match=again.headers["etag"]).status == 200


class TestStoresThatAreAway:
    def test_before_anything_was_run_it_says_so_and_then_shows_it(self, tmp_path: Path) -> None:
        with serving(Program(tmp_path)) as server:
            answer = server.ask("/")
            assert answer.status == 503
            assert "No runs yet" in answer.text
            assert "converge --check" in answer.text
            assert not (tmp_path / ".converge").exists()
            fill(tmp_path / ".converge", ["a", "b"], runs=1)
            assert "<strong>2</strong> hosts" in server.page("/")
            shutil.rmtree(tmp_path / ".converge")
            assert server.ask("/").status == 503
            fill(tmp_path / ".converge", ["a", "b", "c"], runs=1)
            assert "<strong>3</strong> hosts" in server.page("/")
            assert server.errors == []

    def test_a_store_that_somebody_has_to_himself_is_told_soon_and_shown_afterwards(self, tmp_path: Path) -> None:
        fill(tmp_path / ".converge", ["a"], runs=1)
        holder = sqlite3.connect(tmp_path / ".converge/converge.db", isolation_level=None)
        holder.execute("PRAGMA locking_mode=EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        with serving(Program(tmp_path)) as server:
            answer = server.ask("/")
            assert answer.status == 503
            assert "cannot be read at the moment" in answer.text
            holder.close()
            assert "<strong>1</strong> host" in server.page("/")

    @pytest.mark.parametrize("content", [b"", b"not a database" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
    def test_a_store_that_is_none_is_told_without_a_traceback(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / ".converge").mkdir()
        (tmp_path / ".converge/converge.db").write_bytes(content)
        with serving(Program(tmp_path)) as server:
            answer = server.ask("/hosts")
            assert answer.status == 503
            assert "Traceback" not in answer.text
            assert server.errors == []

    def test_a_server_of_postgresql(self, tmp_path: Path, postgresql_url: str) -> None:
        with Store.open(Where(tmp_path, url=postgresql_url)) as store:
            run = store.runs.begin("r1", mode="check", playbooks=["p.yml"], user="u", version="1")
            for number, host in enumerate(("a", "b", "c")):
                run.host(found(host, number))
            run.end(2)
            program = Program(tmp_path, {"CONVERGE_STORE": postgresql_url})
            with serving(program) as server:
                for path in (*PAGES, "/host?name=a", "/run?id=r1"):
                    server.page(path)
                assert server.ask("/host?name=%00").status == 404
                tag = server.ask("/runs").headers["etag"]
                store.runs.begin("r2", mode="check", playbooks=[], user="", version="")
                assert server.ask("/runs", If_None_Match=tag).status == 200
        with serving(
            Program(tmp_path, {"CONVERGE_STORE": "postgresql://u:s3cret@127.0.0.1:1/x?password=s3cret"})
        ) as server:
            answer = server.ask("/")
            assert answer.status == 503
            assert "s3cret" not in answer.text

    def test_a_store_that_is_no_url_is_told_before_anything_is_served(self, tmp_path: Path) -> None:
        ended = Program(tmp_path)("serve", "--listen", "127.0.0.1:0", "--store", "nonsense://x")
        assert ended.code == 1
        assert "--store is not a store" in ended.err


class TestStartAndEnd:
    def test_a_port_in_use_is_one_clear_error(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            ended = Program(tmp_path)("serve", "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
        assert ended.code == 1
        assert "cannot be opened: Address already in use" in ended.err
        assert "Try: another one" in ended.err
        assert ended.out == ""

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_ends_it_at_once_whoever_is_connected(self, tmp_path: Path, number: int) -> None:
        fill(tmp_path / ".converge", ["a"], runs=1)
        with serving(Program(tmp_path)) as server, socket.create_connection(("127.0.0.1", server.port)) as idle:
            idle.sendall(b"GET / HTTP/1.1\r\nHost: local")
            assert server.ask("/").status == 200
            os.kill(server.process.pid, number)
            assert server.process.wait(timeout=ENDS_WITHIN) == 0
            assert server.errors == []

    def test_only_so_many_are_connected_at_once(self, tmp_path: Path) -> None:
        fill(tmp_path / ".converge", ["a"], runs=1)
        with serving(Program(tmp_path)) as server:
            lines = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(MOST_OF_ONE_PEER)]
            with socket.create_connection(("127.0.0.1", server.port), timeout=BOUND) as one_more:
                assert _received(one_more, 1) == b""
            assert _answers(server.port, "127.0.0.2"), "one peer keeps nobody else out"
            for line in lines:
                line.close()
            assert _answers(server.port, "127.0.0.1"), "once the server has seen that the others are gone"

    def test_who_says_nothing_is_hung_up_on(self, served: Served) -> None:
        with socket.create_connection(("127.0.0.1", served.port), timeout=BOUND) as silent:
            silent.sendall(b"GET / HTTP/1.1\r\nHo")
            assert silent.recv(1000).startswith((b"", b"HTTP/1.1 408"))
        assert served.ask("/").status == 200


def _answers(port: int, peer: str) -> bool:
    """Whether the server comes to answer this peer: where it is too busy to read what was asked, it hangs up on who seems silent."""
    deadline = time.monotonic() + BOUND
    while time.monotonic() < deadline:
        with socket.create_connection(("127.0.0.1", port), BOUND, (peer, 0)) as line:
            asked = b"GET /static/app.css HTTP/1.0\r\nHost: localhost\r\n\r\n"
            if _received(line, 12, asked=asked) == b"HTTP/1.0 200":
                return True
    return False


def _received(line: socket.socket, size: int, *, asked: bytes = b"") -> bytes:
    """What the server says; nothing where it hangs up, with or without a reset."""
    try:
        line.sendall(asked)
        return line.recv(size)
    except (ConnectionResetError, BrokenPipeError):
        return b""


@pytest.mark.parametrize("path", [*PAGES, "/hosts?q=web1&sort=-seen", "/host?name=web0001.corp.example"])
def test_five_thousand_hosts_are_answered_with_less_than_a_second_of_cpu(large: Served, path: str) -> None:
    """Once it has read what changed."""
    assert len(large.page(path)) < 150_000
    began = cpu_seconds(large.process.pid)
    large.page(path)
    assert cpu_seconds(large.process.pid) - began < 1


def cpu_seconds(process: int) -> float:
    """What a process has used so far; nothing where the system does not show it."""
    try:
        used = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    except OSError:
        return 0.0
    return sum(map(int, used)) / os.sysconf("SC_CLK_TCK")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = tmp_path_factory.mktemp("large")
    fill(made / ".converge", [f"web{number:04}.corp.example" for number in range(5000)], runs=4)
    with serving(Program(made)) as server:
        yield server


def test_a_list_is_gone_through_page_by_page(large: Served) -> None:
    found: set[str] = set()
    for page in range(1, 51):
        text = large.page(f"/hosts?{urlencode({'sort': 'host', 'page': page})}")
        assert f"Page {page} of 50" in text
        found |= {part.split("&")[0].split('"')[0] for part in text.split("/host?name=")[1:]}
    assert len(found) == 5000


def test_a_filter_of_a_run_finds_what_its_summary_counts(tmp_path: Path) -> None:
    program = Program(tmp_path)
    program.write("playbooks/registry.yml", PLAYBOOK)
    program.write("inventory/hosts.yml", INVENTORY)
    runs = [program("--check", "--format", "json").document()["run"] for _ in range(2)]
    with serving(program) as server:
        newest = server.page(f"/run?id={runs[1]}&status=ok")
        assert "1 host was in order, as before" in newest
        assert "mail03" in newest
        assert "mail01" not in newest
        assert "No host fits" not in newest
        assert "mail03" not in server.page(f"/run?id={runs[1]}&status=drift")
        assert "mail01" in server.page(f"/run?id={runs[1]}&status=drift")
        assert "mail03" in server.page(f"/run?id={runs[0]}&status=ok")


def test_a_run_that_only_would_undo_is_told_as_such(tmp_path: Path) -> None:
    program = Program(tmp_path)
    program.write("playbooks/registry.yml", PLAYBOOK)
    program.write("inventory/hosts.yml", INVENTORY)
    made = program("--yes", "--format", "json").document()["run"]
    looked = program("undo", made, "--check", "--format", "json").document()
    assert looked["mode"] == "undo-check"
    with serving(program) as server:
        page = server.page(f"/run?id={looked['run']}&status=would-undo")
        assert "would undo" in page
        assert "mail01" in page
        assert "would change" not in page
        assert looked["run"] in server.page("/runs?mode=undo-check")
        assert looked["run"] not in server.page("/runs?mode=undo")
