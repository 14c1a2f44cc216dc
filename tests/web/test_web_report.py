"""The page about the fleet, written from a store and opened in a browser, with names and values made to break it."""

from __future__ import annotations

import asyncio
import json
import re
import struct
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.cli.cli_program import Program
from tests.web.chromium import Chromium
from tests.web.tabs import tab

from converge.model.change import Change, HostResult, Problem, Status
from converge.store.store import Store, Where

HOSTILE = (
    "<script>document.title='broken'</script>.example",
    "\"><img src=x onerror=document.title='broken'>",
    "x' onmouseover='document.title=1",
    "</script><script>document.title='broken'//",
    "\u202egpj.exe",
    "web\x1b[2J\n01",
    "__proto__",
    "constructor",
    "a" * 300,
    "דואר01",
)


def result(host: str, kind: int) -> HostResult:
    def change(status: Status) -> Change:
        address = f"registry_value:HKLM\\{host[:30]}<i>{kind}"
        return Change(address, {"kind": "registry_value"}, "a name", "a play", status, reason="because </td><b>")

    if kind % 4 == 1:
        return HostResult(host, Status.CHANGED, (change(Status.CHANGED),))
    if kind % 4 == 2:
        return HostResult(host, Status.UNREACHABLE, error=Problem("unreachable", "no answer <b>"))
    return HostResult(host, Status.OK, (change(Status.OK),))


def fill(folder: Path, hosts: list[str], *, runs: int) -> None:
    with Store.open(Where(folder)) as store:
        for number in range(runs):
            name = f"202611{number + 1:02}T000000Z-{number:04x}"
            run = store.runs.begin(name, mode="check", playbooks=["p.yml"], user="<u>", version="1")
            for place, host in enumerate(hosts):
                run.host(result(host, place + number))
            run.end(2)


class Elements(HTMLParser):
    """Every element of a page with its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a small fleet of hostile names, and a real run's journal."""
    folder = tmp_path_factory.mktemp("hostile")
    fill(folder / ".converge", list(HOSTILE), runs=5)
    ended = Program(folder)("report", "-o", "fleet.html")
    assert ended.code == 0, ended.err
    return folder / "fleet.html"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of 5,000 hosts."""
    folder = tmp_path_factory.mktemp("large")
    fill(folder / ".converge", [f"web{number:04}.corp.example" for number in range(5000)], runs=6)
    ended = Program(folder)("report", "-o", "fleet.html")
    assert ended.code == 0, ended.err
    return folder / "fleet.html"


def test_the_page_asks_for_nothing_and_lets_nothing_in(page: Path) -> None:
    elements = Elements()
    elements.feed(page.read_text(encoding="utf-8"))
    assert not {name for name, _ in elements.found} & {"link", "img", "iframe", "object", "embed", "base", "audio", "video"}
    for _, attributes in elements.found:
        assert not any(name.startswith("on") or name in ("src", "style", "action") for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")
    policy = next(attributes["content"] for name, attributes in elements.found if "http-equiv" in attributes)
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert sum(name == "script" for name, _ in elements.found) == 1


def test_hostile_names_break_nothing_in_a_browser(page: Path, chromium: Chromium) -> None:
    opened = chromium.dom(f"file://{page}#/hosts")
    assert "<title>10 hosts · converge</title>" in opened.dom
    assert "Refused to" not in opened.log
    assert "Uncaught" not in opened.log
    assert '<p class="lead" id="count" data-said=""><strong>10</strong> of 10 hosts' in opened.dom
    assert "\u202e" not in opened.dom
    assert "&lt;script&gt;document.title=" in opened.dom


@pytest.mark.parametrize("host", ["__proto__", HOSTILE[0]])
def test_a_link_tells_one_hosts_story(page: Path, chromium: Chromium, host: str) -> None:
    opened = chromium.dom(f"file://{page}#/host?name={quote(host, safe='')}")
    story = opened.dom[opened.dom.index('id="past"') : opened.dom.index("<template")]
    assert story.count("2026") >= 3
    assert "<strong>no answer &lt;b&gt;</strong> <code>unreachable</code>" in story
    assert "<img" not in story


def test_a_filter_is_kept_in_the_address(large: Path, chromium: Chromium) -> None:
    opened = chromium.dom(f"file://{large}#/hosts?q=web00&status=unreachable")
    assert "<strong>25</strong> of 5,000 hosts" in opened.dom
    assert len(re.findall(r'<tr data-key="[^"]*" data-status="[^"]*" data-finding="[^"]*" data-past="[^"]*">', opened.dom)) == 25


def test_five_thousand_hosts_open_with_less_than_two_seconds_of_cpu(large: Path, steered: int) -> None:
    """Read, filtered and laid out, by the time that the page's own thread was at work."""

    async def scenario() -> float:
        async with tab(steered) as page:
            await page.send("Performance.enable", timeDomain="threadTicks")
            await page.open(f"file://{large}#/hosts")
            assert await page.evaluate("document.body.offsetHeight") > 5000
            told = await page.send("Performance.getMetrics")
            return float({each["name"]: each["value"] for each in told["metrics"]}["TaskDuration"])

    assert 0 < asyncio.run(scenario()) < 2


def with_program(page: Path, program: str, copy: Path) -> Path:
    """A copy of a page with one program more, which its own policy would not let in."""
    content = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text(encoding="utf-8"))
    copy.write_text(content.replace("</html>", f"<script>{program}</script></html>"), encoding="utf-8")
    return copy


@pytest.mark.parametrize("width", [500, 1280])
def test_nothing_stands_out_of_the_page(page: Path, chromium: Chromium, tmp_path: Path, width: int) -> None:
    program = "document.title = document.documentElement.scrollWidth - document.documentElement.clientWidth;"
    told = with_program(page, program, tmp_path / "told.html")
    assert "<title>0</title>" in chromium.dom(f"file://{told}", width=width).dom
    picture = chromium.picture(f"file://{page}", tmp_path / "page.png", width=width)
    assert struct.unpack(">I", picture[16:20])[0] == width


def test_nothing_stands_out_on_a_phone(page: Path, chromium: Chromium, tmp_path: Path) -> None:
    """360 pixels wide, which no window of this browser is: in a frame, which tells how much wider it would like to be."""
    program = "parent.postMessage(document.documentElement.scrollWidth - innerWidth, '*');"
    told = with_program(page, program, tmp_path / "told.html")
    around = tmp_path / "phone.html"
    around.write_text(
        "<!DOCTYPE html><title>-</title><script>onmessage = (event) => { document.title = event.data; };</script>"
        f"<iframe src='file://{told}' style='border:0;width:360px;height:800px'></iframe>"
    )
    assert "<title>0</title>" in chromium.dom(f"file://{around}").dom


def test_a_page_of_thousands_of_findings_names_the_largest_groups(large: Path) -> None:
    content = large.read_text(encoding="utf-8")
    groups = content[content.index('data-path="/changes"') : content.index('data-path="/hosts"')]
    assert groups.count("<details") == 50
    assert "and 1,201 more groups" in groups
    assert len(content) < 8_000_000


def test_everything_is_reached_by_keyboard(page: Path, chromium: Chromium, tmp_path: Path) -> None:
    """Every link, field and fold takes the focus; a page that was gone to has it."""
    program = """
      const missed = [...document.querySelectorAll("a, input, select, summary")].filter((each) => {
        if (!each.checkVisibility()) return false;
        each.focus(); return document.activeElement !== each; });
      const link = document.querySelector("tr[data-past] a");
      link.click();
      window.addEventListener("hashchange", () => {
        const shown = document.querySelector(".page:not([hidden])").dataset.path;
        document.title = [missed.length, document.activeElement.id, shown].join(" "); });
    """
    told = with_program(page, program, tmp_path / "told.html")
    assert "<title>0 main /host</title>" in chromium.dom(f"file://{told}#/hosts").dom


def test_a_page_may_be_made_while_a_run_is_under_way(tmp_path: Path) -> None:
    with Store.open(Where(tmp_path / ".converge")) as store:
        run = store.runs.begin("20261101T000000Z-0001", mode="check", playbooks=["p.yml"], user="u", version="1")
        for place, host in enumerate(("web01", "web02")):
            run.host(result(host, place))
        ended = Program(tmp_path)("report", "-o", "fleet.html")
        assert ended.code == 0, ended.err
    page = (tmp_path / "fleet.html").read_text()
    assert re.search("<title>[012] hosts?", page)  # as many as were written by then
    assert "20261101T000000Z-0001" in page or "2026-11-01 00:00" in page


def test_the_journal_of_a_run_that_changed_something_is_told(fleet_folder: Program, chromium: Chromium) -> None:
    assert fleet_folder("--yes").code == 0
    assert fleet_folder("--check").code == 0
    assert fleet_folder("report", "-o", "fleet.html").code == 0
    opened = chromium.dom(f"file://{fleet_folder.folder / 'fleet.html'}")
    journal = opened.dom[opened.dom.index('<h2 id="journal">') : opened.dom.index('data-path="/host"')]
    assert "mail01" in journal
    assert '<span class="outcome">done</span> <bdi>StartService' in journal
    assert "mail03" not in journal
    assert fleet_folder("report", "-o", "other.html", "--run", "no-such-run").code == 1
    assert not (fleet_folder.folder / "other.html").exists()


@pytest.fixture
def fleet_folder(tmp_path: Path) -> Program:
    from tests.cli.cli_program import INVENTORY, PLAYBOOK

    program = Program(tmp_path)
    program.write("playbooks/registry.yml", PLAYBOOK)
    program.write("inventory/hosts.yml", INVENTORY)
    return program


def test_an_empty_store_gives_a_page_that_says_so(tmp_path: Path) -> None:
    program = Program(tmp_path)
    assert program("report", "-o", "fleet.html").code == 0
    assert "No host is remembered yet" in (tmp_path / "fleet.html").read_text()


def test_the_same_as_one_document(page: Path) -> None:
    ended = Program(page.parent)("report", "--format", "json")
    assert ended.code == 0, ended.err
    document = json.loads(ended.out)
    assert set(document) == {"converge", "schema", "made", "hosts", "runs"}
    assert set(document["hosts"]) == set(HOSTILE)
    assert [run["run"][:8] for run in document["runs"]] == [f"2026110{number}" for number in range(5, 0, -1)]
    assert document["hosts"]["__proto__"]["error"]["code"] == "unreachable"
    assert document["hosts"]["__proto__"]["mode"] == "check"
