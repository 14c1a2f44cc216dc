"""A browser that tests steer: opens pages, presses keys, evaluates, listens for complaints; over the DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse

BOUND = 120.0  # seconds for anything a page is waited for
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage", "--no-first-run",
    "--remote-debugging-port=0", "--ignore-certificate-errors",
)  # fmt: skip


@contextmanager
def browser(program: str, profile: Path) -> Iterator[int]:
    """The port of a running browser."""
    port_file = profile / "DevToolsActivePort"
    port_file.unlink(missing_ok=True)
    process = subprocess.Popen(
        [program, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + BOUND
        while not (port_file.exists() and port_file.read_text().strip()):
            assert time.monotonic() < deadline, "the browser did not come up"
            time.sleep(0.05)
        yield int(port_file.read_text().split()[0])
    finally:
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=15)


@dataclass
class Tab:
    """One tab. `complaints` are what the page's console and its security policy said."""

    socket: ClientWebSocketResponse
    complaints: list[str] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _waiting: dict[int, asyncio.Future[Any]] = field(default_factory=dict)

    async def listen(self) -> None:
        async for message in self.socket:
            told = json.loads(message.data)
            if "id" in told:
                answer = self._waiting.pop(told["id"], None)
                if answer is not None and not answer.done():
                    answer.set_result(told)
            elif told["method"] == "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(told["params"]["exceptionDetails"])[:500])
            elif told["method"] == "Log.entryAdded" and told["params"]["entry"]["level"] == "error":
                self.complaints.append(told["params"]["entry"]["text"])

    async def send(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        await self.socket.send_json({"id": number, "method": method, "params": params})
        told = await asyncio.wait_for(self._waiting[number], BOUND)
        assert "error" not in told, told
        return told["result"]

    async def evaluate(self, program: str) -> Any:
        told = await self.send("Runtime.evaluate", expression=program, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    async def until(self, program: str) -> Any:
        """Wait until this is true in the page."""
        deadline = time.monotonic() + BOUND
        while True:
            try:
                value = await self.evaluate(program)
            except AssertionError:  # the page was just being left
                value = None
            if value:
                return value
            assert time.monotonic() < deadline, f"never: {program}\n{await self.evaluate('document.body.innerText')}"
            await asyncio.sleep(0.05)

    async def complained(self, words: str, *, times: int) -> None:
        """Wait until the page has complained so often with these words."""
        deadline = time.monotonic() + BOUND
        while sum(words in each for each in self.complaints) < times:
            assert time.monotonic() < deadline, self.complaints
            await asyncio.sleep(0.05)

    async def open(self, address: str) -> None:
        await self.send("Page.navigate", url=address)
        await self.until(f"location.href === {json.dumps(address)} && document.readyState === 'complete'")

    async def width(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.send("Emulation.setEmulatedMedia", features=[scheme])

    async def press(self, key: str, *, code: int, shift: bool = False) -> None:
        told: dict[str, Any] = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        if key == "Enter":
            told["text"] = "\r"
        await self.send("Input.dispatchKeyEvent", type="keyDown", **told)
        await self.send("Input.dispatchKeyEvent", type="keyUp", **told)

    async def tab(self) -> None:
        await self.press("Tab", code=9)

    async def enter(self) -> None:
        await self.press("Enter", code=13)

    async def write(self, text: str) -> None:
        await self.send("Input.insertText", text=text)

    async def picture(self, path: Path, *, whole: bool = False) -> None:
        told = await self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(told["data"]))


@asynccontextmanager
async def tab(port: int) -> AsyncIterator[Tab]:
    """A new tab of the browser at this port, without anything that other tabs keep."""
    async with ClientSession() as session:
        async with session.put(f"http://127.0.0.1:{port}/json/new?about:blank") as answer:
            target = await answer.json(content_type=None)
        async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
            made = Tab(socket)
            listener = asyncio.create_task(made.listen())
            try:
                for domain in ("Page", "Runtime", "Log", "Network"):
                    await made.send(f"{domain}.enable")
                await made.send("Network.clearBrowserCookies")
                yield made
            finally:
                listener.cancel()
                async with session.put(f"http://127.0.0.1:{port}/json/close/{target['id']}"):
                    pass
