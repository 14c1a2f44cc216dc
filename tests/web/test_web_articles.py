"""The live page and the report over what the shipped playbooks really do: every link of every page leads somewhere."""

from __future__ import annotations

import html
import re
import shutil
from pathlib import Path

from tests.cli.cli_program import Program
from tests.web.serving import serving

ROOT = Path(__file__).parents[2]
HOSTS = "axp01,hub01,mail01,mail05,news01,node2b,old01,sbs01,www01,www08"
MOST = 150  # pages


def test_every_link_of_every_page_leads_to_a_page(tmp_path: Path) -> None:
    program = Program(tmp_path)
    for name in ("playbooks", "inventory"):
        shutil.copytree(ROOT / name, tmp_path / name)
    assert program("--check", "-l", HOSTS).code == 2
    applied = program("--yes", "--accept-no-way-back", "-l", HOSTS)
    assert applied.code == 2, applied.err
    with serving(program) as server:
        waiting, seen, pages = ["/"], {"/"}, {}
        while waiting and len(seen) < MOST:
            path = waiting.pop(0)
            pages[path] = server.page(path)
            for link in re.findall(r'<a [^>]*href="([^"#]+)', pages[path]):
                address = html.unescape(link)
                if address.startswith("/") and address not in seen:
                    seen.add(address)
                    waiting.append(address)
    assert sum("host?name=" in path for path in pages) >= len(HOSTS.split(","))
    assert any('<span class="same">' in page for page in pages.values())  # lines that stay, beside those that differ
