"""The site: every request is checked, answered from the store, and leaves with headers that let nothing foreign in."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from importlib.resources import files
from urllib.parse import urlsplit

from aiohttp import web

from converge import __version__
from converge.errors import ConvergeError, JournalUnavailable
from converge.model.listening import ServedNames
from converge.store.store import Store
from converge.web.access import COOKIE, Access
from converge.web.fleet import FleetView, fleet_of
from converge.web.look import Look, NotThere, Page
from converge.web.pages import NAV, PAGES
from converge.web.query import PageQuery, address
from converge.web.reading import Reading
from converge.web.words import templates

LARGEST_FORM = 4096  # bytes of the login form
FORM_PATIENCE = 10.0  # seconds for it to arrive
SLOWED = 1.0  # seconds that every wrong try takes
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "converge",
}
_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_SECTIONS = {"/host": "/hosts", "/run": "/runs"}


class Site:
    """Answers requests. `warn` hears of what went wrong here, in words that hold nothing of a request."""

    def __init__(self, reading: Reading, access: Access, names: ServedNames, *, warn: Callable[[str], None]) -> None:
        self._reading = reading
        self._access = access
        self._names = names
        self._warn = warn
        self._process = secrets.token_hex(8)
        self._statics = _statics()
        self._fleets = _Fleets()

    def application(self) -> web.Application:
        """The application that serves it."""
        made = web.Application(client_max_size=LARGEST_FORM)
        made.router.add_route("*", "/{path:.*}", self._answer)
        return made

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            response = await self._checked(request)
        except web.HTTPException as error:
            response = self._problem(request, error.status, error.reason or "")
        except Exception as error:  # noqa: BLE001  # the last line before aiohttp's own page, which would tell more
            self._warn(f"a bug in converge: {_where(error)}")
            response = self._problem(request, 500, "This page cannot be shown", why="It is a bug in converge.")
        response.headers.update(_HEADERS)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    async def _checked(self, request: web.Request) -> web.StreamResponse:
        if not self._names.answers_to(request.headers.get("Host", "")):
            return self._problem(
                request, 421, "This server is not known by that name",
                why="The page was asked for by a name that it does not answer to.",
                try_="use the address it printed when it started, or start it with --name",
            )  # fmt: skip
        path = request.path
        methods = ("GET", "HEAD", "POST") if path == "/login" else ("GET", "HEAD")
        if request.method not in methods:
            response = self._problem(request, 405, "This page is read-only")
            response.headers["Allow"] = ", ".join(methods)
            return response
        if path in self._statics:
            return self._static(request)
        if path == "/login":
            return await self._login(request)
        return await self._refused(request) or await self._page(request)

    async def _refused(self, request: web.Request) -> web.StreamResponse | None:
        """What one gets who may not look; None for everybody else."""
        if self._access.is_session(request.cookies.get(COOKIE, "")):
            return None
        if self._access.in_address and "token" in request.query:
            return await self._entered(request)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            refused = await self._tried(request, token.strip())
            if refused is None:
                return None
            refused.headers["WWW-Authenticate"] = 'Bearer realm="converge"'
            return refused
        if "text/html" in request.headers.get("Accept", ""):
            onward = {"Location": address("/login", {"next": request.path_qs} if request.path_qs != "/" else {})}
            return web.Response(status=303, headers=onward)
        response = self._problem(request, 401, "A token is needed", try_="send Authorization: Bearer TOKEN")
        response.headers["WWW-Authenticate"] = 'Bearer realm="converge"'
        return response

    async def _entered(self, request: web.Request) -> web.Response | None:
        """As `_refused`, of the address that was told; a browser goes on to the same page without the token in it."""
        refused = await self._tried(request, request.query["token"])
        if refused is not None or "text/html" not in request.headers.get("Accept", ""):
            return refused
        rest = {key: value for key, value in request.query.items() if key != "token"}
        response = web.Response(status=303, headers={"Location": address(_within(request.path), rest)})
        self._remember(response)
        return response

    def _remember(self, response: web.Response) -> None:
        response.set_cookie(
            COOKIE, self._access.session(), path="/", secure=True, httponly=True, samesite="Strict"
        )  # without an age: it ends with the browser

    async def _tried(self, request: web.Request, token: str) -> web.Response | None:
        """What one gets who gave a wrong token, or tries too often; None for the right one, whatever others tried before."""
        who = request.remote or ""
        if self._access.is_token(token):
            self._access.tries.succeeded(who)
            return None
        wait = self._access.tries.wait(who)
        if wait > 0:
            response = self._problem(request, 429, "Too many wrong tokens", why=f"Try again in {int(wait) + 1} s.")
            response.headers["Retry-After"] = str(int(wait) + 1)
            return response
        self._access.tries.failed(who)
        await asyncio.sleep(SLOWED)
        return self._problem(request, 401, "Wrong token")

    async def _login(self, request: web.Request) -> web.StreamResponse:
        onward = _within(request.query.get("next", ""))
        if request.method != "POST":
            return self._html("login.html", {"title": "Log in", "onward": onward, "wrong": ""}, request)
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            return self._problem(request, 403, "This form was sent by another site")
        form = await asyncio.wait_for(request.post(), FORM_PATIENCE)
        token, onward = form.get("token", ""), _within(str(form.get("next", "")))
        refused = await self._tried(request, token.strip() if isinstance(token, str) else "")
        if refused is not None:
            wrong = "Wrong token." if refused.status == 401 else "Too many wrong tokens: wait a while."
            response = self._html("login.html", {"title": "Log in", "onward": onward, "wrong": wrong}, request)
            response.set_status(refused.status)
            response.headers.update({key: refused.headers[key] for key in ("Retry-After",) if key in refused.headers})
            return response
        response = web.Response(status=303, headers={"Location": onward})
        self._remember(response)
        return response

    async def _page(self, request: web.Request) -> web.Response:
        known = PAGES.get(request.path)
        if known is None:
            return self._problem(request, 404, "Page not found")
        template, page = known
        query = PageQuery(request.path, {key: request.query[key] for key in request.query})
        try:
            version = await self._reading.version()
            etag = self._etag(request, version)
            if etag in request.headers.get("If-None-Match", ""):
                return web.Response(status=304, headers=self._caching(etag))
            look = partial(self._look, template, page, query=query, version=version)
            text = await self._reading.read(look)
        except NotThere as error:
            return self._problem(request, 404, error.what, try_=error.try_)
        except ConvergeError as error:
            return self._unavailable(request, error)
        return self._sent(request, text, headers=self._caching(etag))

    def _look(self, template: str, page: Page, store: Store, *, query: PageQuery, version: str) -> str:
        """In a thread: what the page says now."""
        now = datetime.now(UTC)
        look = Look(store, query, now, partial(self._fleets.of, store, version))
        context = {**page(look), "source": store.name.partition("?")[0], "query": query}
        return self._rendered(template, context, path=query.path, now=now)

    def _unavailable(self, request: web.Request, error: ConvergeError) -> web.Response:
        """The store is away. Whoever looks keeps looking: it may come back."""
        if not isinstance(error, JournalUnavailable):
            return self._problem(request, 503, error.what, why=error.why, try_=error.try_)
        missing = error.code == "no-store"
        response = self._problem(
            request, 503, "No runs yet" if missing else "The store cannot be read at the moment",
            why=error.what, try_=error.try_ if missing else "nothing: this page tries again by itself",
        )  # fmt: skip
        response.headers["Retry-After"] = "2"
        return response

    def _problem(self, request: web.Request, status: int, what: str, *, why: str = "", try_: str = "") -> web.Response:
        context = {"title": what, "what": what, "why": why, "try_": try_, "status": status}
        response = self._html("problem.html", context, request)
        response.set_status(status)
        return response

    def _html(self, template: str, context: Mapping[str, object], request: web.Request) -> web.Response:
        text = self._rendered(template, context, path=request.path, now=datetime.now(UTC))
        return self._sent(request, text, headers={})

    def _rendered(self, template: str, context: Mapping[str, object], *, path: str, now: datetime) -> str:
        shown = {
            **context, "now": now, "nav": NAV, "section": _SECTIONS.get(path, path), "version": __version__,
            "statics": {name: kept[2] for name, kept in self._statics.items()},
        }  # fmt: skip
        return templates().get_template(template).render(shown)

    def _sent(self, request: web.Request, text: str, *, headers: Mapping[str, str]) -> web.Response:
        body = text.encode("utf-8", "replace")
        response = web.Response(body=body, content_type="text/html", charset="utf-8", headers=headers)
        if request.method == "GET" and len(body) > 2000:
            response.enable_compression()
        return response

    def _static(self, request: web.Request) -> web.Response:
        kind, body, _ = self._statics[request.path]
        headers = {"Cache-Control": "public, max-age=31536000, immutable" if request.query_string else "no-cache"}
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)

    def _etag(self, request: web.Request, version: str) -> str:
        """What this page is at this state of the store. Ages are told to the minute, so it holds for a minute at most."""
        told = f"{self._process} {version} {request.path_qs} {int(time.time()) // 60}"
        return f'"{hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()[:32]}"'

    def _caching(self, etag: str) -> dict[str, str]:
        # What needs a token must not stay on the disk of whoever looked.
        return {"ETag": etag, "Cache-Control": "no-store"}


class _Fleets:
    """The fleet of the newest state of the store that was asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._version = ""
        self._fleet: FleetView | None = None

    def of(self, store: Store, version: str) -> FleetView:
        """The fleet of this state; made anew where it is another one than the last."""
        with self._lock:
            if self._fleet is None or self._version != version:
                self._fleet = fleet_of(store.overview.hosts())
                self._version = version
            return self._fleet


def _statics() -> dict[str, tuple[str, bytes, str]]:
    """Every file that is served as it is: its kind, content, and its address with a version. Nothing else is ever opened."""
    found = {}
    for item in files("converge.web").joinpath("static").iterdir():
        kind = _KINDS.get(os.path.splitext(item.name)[1])
        if kind is not None:
            body = item.read_bytes()
            path = f"/static/{item.name}"
            found[path] = (kind, body, f"{path}?{hashlib.sha256(body).hexdigest()[:12]}")
    return found


def _within(target: str) -> str:
    """A place on this site to go on to; the first page where it is none."""
    parts = urlsplit(target.replace("\\", "/"))
    plain = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if plain and not parts.netloc and not parts.scheme and parts.path in PAGES else "/"


def _where(error: Exception) -> str:
    """The kind of an error and its place in the program: its words could hold anything."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else "nowhere"
    return f"{type(error).__name__} at {place}"
