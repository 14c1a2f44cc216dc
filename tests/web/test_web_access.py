"""Who may look at the live page: the token, the session, TLS, and where it may listen at all."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.cli.cli_program import Program
from tests.web.serving import BOUND, PAGES, Served, fill, serving

from converge.model.listening import ServedNames
from converge.model.secret import Secret
from converge.web.access import COOKIE, FREE_TRIES, LONGEST_WAIT, MOST_ADDRESSES, SESSION, Access

TOKEN = "a-token-of-some-length-4711"
WRONG = "another-token-of-some-length"


def certificate(folder: Path, *names: str) -> tuple[str, str]:
    """A certificate of its own authority for these names, and its key, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fleet")])
    known: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    known.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(known), critical=False).sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(folder / "cert.pem"), str(folder / "key.pem")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    made = Program(tmp_path_factory.mktemp("access"), {"CONVERGE_SERVE_TOKEN": TOKEN})
    fill(made.folder / ".converge", ["web01"], runs=1)
    return made


@pytest.fixture
def served(program: Program) -> Iterator[Served]:
    with serving(program) as server:
        yield server
        assert TOKEN not in "".join(server.errors)


class TestToken:
    def test_without_it_nothing_of_the_fleet_is_told(self, served: Served) -> None:
        for path in (*PAGES, "/host?name=web01", "/nowhere", "/login/", f"/?token={TOKEN}"):
            answer = served.ask(path)
            assert answer.status == 401, path
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert "web01" not in answer.text
        sent_on = served.ask("/hosts?q=a&status=ok", Accept="text/html")
        assert sent_on.status == 303
        assert sent_on.headers["location"] == "/login?next=" + quote("/hosts?q=a&status=ok", safe="")

    def test_it_is_given_in_a_header(self, served: Served) -> None:
        assert "web01" in served.ask("/hosts", Authorization=f"Bearer {TOKEN}").text
        assert served.ask("/hosts", Authorization=f"bearer {TOKEN} ").status == 200
        for wrong in (f"Basic {TOKEN}", TOKEN, "Bearer", f"Bearer {TOKEN[:-1]}"):
            assert served.ask("/hosts", Authorization=wrong).status == 401

    def test_logging_in_opens_a_session_and_leads_on(self, served: Served) -> None:
        form = served.ask("/login?next=/hosts%3Fq%3Dweb", Accept="text/html").text
        assert 'value="/hosts?q=web"' in form
        assert 'type="password"' in form
        answer = served.ask("/login", method="POST", body=f"token={TOKEN}&next={quote('/hosts?q=web')}")
        assert (answer.status, answer.headers["location"]) == (303, "/hosts?q=web")
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith(f"{COOKIE}=")
        assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
        assert "Domain" not in cookie
        assert TOKEN not in cookie
        session = cookie.split(";")[0]
        page = served.ask("/hosts", Cookie=session)
        assert page.status == 200
        assert page.headers["cache-control"] == "no-store"
        assert TOKEN not in page.text
        other = "1" if session.endswith("0") else "0"
        assert served.ask("/hosts", Cookie=session[:-1] + other).status == 401

    @pytest.mark.parametrize(
        "target",
        [
            "//evil.example",
            "https://evil.example/",
            "/\\evil.example",
            "\\\\evil",
            "javascript:alert(1)",
            "/login",
            "/\t/x",
            "x",
        ],
    )
    def test_it_leads_on_to_nowhere_else(self, served: Served, target: str) -> None:
        answer = served.ask("/login", method="POST", body=f"token={TOKEN}&next={quote(target, safe='')}")
        assert answer.headers["location"] == "/"

    def test_wrong_tries_are_slowed_and_a_session_goes_on(self, served: Served) -> None:
        session = served.ask("/login", method="POST", body=f"token={TOKEN}").headers["set-cookie"].split(";")[0]
        statuses = [served.ask("/login", method="POST", body=f"token={WRONG}").status for _ in range(FREE_TRIES + 1)]
        assert statuses == [401] * FREE_TRIES + [429]
        refused = served.ask("/hosts", Authorization=f"Bearer {WRONG}")
        assert refused.status == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert served.ask("/hosts", Cookie=session).status == 200
        for _ in range(2):  # the right token is never locked out by wrong ones
            assert served.ask("/hosts", Authorization=f"Bearer {TOKEN}").status == 200
            assert served.ask("/login", method="POST", body=f"token={TOKEN}").status == 303
            assert served.ask("/hosts", Authorization=f"Bearer {WRONG}").status in (401, 429)
        assert WRONG not in "".join(served.errors)

    def test_a_form_of_another_site_or_none_is_refused(self, served: Served) -> None:
        sent = served.ask("/login", method="POST", body=f"token={TOKEN}", Sec_Fetch_Site="cross-site")
        assert sent.status == 403
        assert "set-cookie" not in sent.headers
        assert served.ask("/login", method="POST", body="token=" + "x" * 100_000).status == 413
        assert served.ask("/login", method="POST", body="").status == 401
        assert served.ask("/login", method="PUT", body="").status == 405


class TestMadeToken:
    """Without a token of the user's own one is made, and the address that is printed holds it."""

    @pytest.fixture
    def entry(self, tmp_path: Path) -> Iterator[tuple[Served, str, str]]:
        fill(tmp_path / ".converge", ["web01"], runs=1)
        process = Program(tmp_path).started("serve", "--listen", "127.0.0.1:0")
        assert process.stdout is not None
        try:
            printed = process.stdout.readline().split()[0]
            yield Served(process, printed), printed, parse_qs(urlsplit(printed).query)["token"][0]
        finally:
            process.terminate()
            out, err = process.communicate(timeout=BOUND)
            assert process.returncode == 0, out + err

    def test_nobody_looks_without_it(self, entry: tuple[Served, str, str]) -> None:
        served, _, token = entry
        assert len(token) >= 40
        for path in (*PAGES, "/host?name=web01", "/?token=", f"/?token={token[:-1]}"):
            answer = served.ask(path)
            assert answer.status in (401, 429), path
            assert "web01" not in answer.text
        assert "web01" in served.ask(f"/hosts?token={token}").text, "however many wrong ones came before"
        assert served.ask("/hosts", Authorization=f"Bearer {token}").status == 200

    def test_a_browser_goes_on_without_it_in_the_address(self, entry: tuple[Served, str, str]) -> None:
        served, _, token = entry
        answer = served.ask(f"/hosts?q=web&token={token}", Accept="text/html")
        assert (answer.status, answer.headers["location"]) == (303, "/hosts?q=web")
        session = answer.headers["set-cookie"].split(";")[0]
        assert "web01" in served.ask("/hosts", Cookie=session, Accept="text/html").text
        assert token not in answer.headers["set-cookie"] + served.ask("/", Cookie=session).text

    def test_it_is_another_each_time(self, entry: tuple[Served, str, str], tmp_path: Path) -> None:
        process = Program(tmp_path).started("serve", "--listen", "127.0.0.1:0")
        try:
            assert process.stdout is not None
            assert entry[2] not in process.stdout.readline()
        finally:
            process.terminate()
            process.communicate(timeout=BOUND)


class TestRules:
    def test_each_wrong_try_makes_the_next_wait_longer_up_to_a_bound(self) -> None:
        now = [0.0]
        tries = Access(Secret(TOKEN), clock=lambda: now[0]).tries
        waits = []
        for _ in range(15):
            tries.failed("a")
            waits.append(tries.wait("a"))
        assert waits[: FREE_TRIES + 2] == [0.0] * (FREE_TRIES - 1) + [2.0, 4.0, 8.0]
        assert waits[-1] == LONGEST_WAIT
        assert tries.wait("b") == 0
        for number in range(MOST_ADDRESSES):
            tries.failed(f"other {number}")
        assert tries.wait("a") == 0  # forgotten: memory is bounded
        tries.failed("b")
        tries.succeeded("b")
        assert tries.wait("b") == 0

    def test_a_session_ends_and_is_of_one_process(self) -> None:
        now = [1_000_000.0]
        access = Access(Secret(TOKEN), clock=lambda: now[0])
        session = access.session()
        assert access.is_session(session)
        assert not Access(Secret(TOKEN), clock=lambda: now[0]).is_session(session)
        until, _, signature = session.partition(".")
        for forged in (
            "",
            ".",
            until,
            f"{int(until) + 1}.{signature}",
            f"{until}.",
            f".{signature}",
            "\udcff.x",
            "é.é",
        ):
            assert not access.is_session(forged)
        now[0] += SESSION
        assert not access.is_session(session)

    @pytest.mark.parametrize(
        ("host", "known"),
        [
            ("fleet.example:8620", True), ("FLEET.example.", True), ("web.pages.example", True), ("[::1]:8620", True),
            ("a.b.pages.example", False), ("pages.example", False), ("fleet.example.evil", False), ("", False),
            ("[::1", False), ("*.pages.example", True), (":8620", False), ("example", False),
        ],
    )  # fmt: skip
    def test_names(self, host: str, known: bool) -> None:
        names = ServedNames(frozenset({"fleet.example", "*.pages.example", "::1"}))
        assert names.answers_to(host) is known


class TestBeyondLoopback:
    @pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", "192.0.2.1:8620", "fleet.example:8620"])
    def test_it_needs_a_token_and_tls(self, tmp_path: Path, listen: str) -> None:
        cert, key = certificate(tmp_path)
        none = Program(tmp_path)("serve", "--listen", listen)
        only_tls = Program(tmp_path)("serve", "--listen", listen, "--tls-cert", cert, "--tls-key", key)
        only_token = Program(tmp_path, {"CONVERGE_SERVE_TOKEN": TOKEN})("serve", "--listen", listen)
        for ended, missing in ((none, "a token"), (none, "TLS"), (only_tls, "a token"), (only_token, "TLS")):
            assert ended.code == 1
            assert "is not loopback: there it needs" in ended.err
            assert missing in ended.err.splitlines()[0]
        assert "TLS" not in only_tls.err.splitlines()[0]

    @pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")  # which is what it is refused for
    def test_with_both_it_serves_by_the_names_of_its_certificate(self, tmp_path: Path) -> None:
        cert, key = certificate(tmp_path, "fleet.example", "*.pages.example")
        fill(tmp_path / ".converge", ["web01"], runs=1)
        (tmp_path / "token").write_text(f"{TOKEN}\n")
        (tmp_path / "token").chmod(0o600)
        words = (
            "--listen",
            "0.0.0.0:0",
            "--tls-cert",
            cert,
            "--tls-key",
            key,
            "--token-file",
            "token",
            "--name",
            "proxy",
        )
        with serving(Program(tmp_path), *words) as server:
            assert server.address.startswith("https://0.0.0.0:")
            for name in ("fleet.example", "a.pages.example:8620", "proxy", "127.0.0.1"):
                assert server.ask("/hosts", Host=name, Authorization=f"Bearer {TOKEN}").status == 200
            assert server.ask("/hosts", Host="evil.example", Authorization=f"Bearer {TOKEN}").status == 421
            assert server.ask("/hosts").status == 401
            assert b"200" not in server.raw(b"GET / HTTP/1.1\r\nHost: fleet.example\r\n\r\n")
            old = ssl._create_unverified_context()
            old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            old.set_ciphers("ALL:@SECLEVEL=0")
            old.maximum_version = ssl.TLSVersion.TLSv1_1
            with socket.create_connection(("127.0.0.1", server.port), timeout=5) as line, pytest.raises(ssl.SSLError):
                old.wrap_socket(line)
            assert server.ask("/hosts", Host="proxy", Authorization=f"Bearer {TOKEN}").status == 200
            assert TOKEN not in "".join(server.errors)
            assert "Traceback" not in "".join(server.errors)

    def test_what_is_wrong_is_told_without_the_token(self, tmp_path: Path) -> None:
        cert, key = certificate(tmp_path)
        (tmp_path / "open").write_text(TOKEN)
        (tmp_path / "open").chmod(0o644)
        (tmp_path / "text").write_text("no certificate")
        short = Program(tmp_path, {"CONVERGE_SERVE_TOKEN": "s3cret"})
        program = Program(tmp_path)
        for ended, words in (
            (program("serve", "--token-file", "open"), "everybody may read"),
            (program("serve", "--token-file", "nowhere"), "cannot be read"),
            (program("serve", "--tls-cert", cert), "belong together"),
            (program("serve", "--tls-cert", "text", "--tls-key", key), "TLS cannot be served"),
            (program("serve", "--tls-cert", "nowhere", "--tls-key", key), "TLS cannot be served"),
            (program("serve", "--listen", "8620"), "not an address to listen on"),
            (program("serve", "--listen", "127.0.0.1:99999"), "not an address to listen on"),
            (short("serve"), "20 to 1000 printable ASCII characters"),
        ):
            assert ended.code == 1
            assert words in ended.err
            assert "Traceback" not in ended.err
            assert TOKEN not in ended.err
            assert "s3cret" not in ended.err
