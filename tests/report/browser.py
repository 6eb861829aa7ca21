"""Chromium without a window, spoken to through its DevTools protocol."""

import asyncio
import base64
import json
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp

from tests.patience import HANGS

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-port=0"),
)


def chromium() -> str | None:
    """Where the browser is; None where none is installed."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class Tab:
    """One page of a browser.

    Attributes:
        complaints: Errors and warnings that the page has had so far.
        requests: Addresses that it has asked for, its own aside.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._calls = 0

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._calls += 1
        call = self._calls
        await self.socket.send_json({"id": call, "method": method, "params": parameters})
        while True:
            message = json.loads((await self.socket.receive(timeout=HANGS)).data)
            if message.get("id") == call:
                assert "error" not in message, message
                return message["result"]
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        method, parameters = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.complaints.append(str(details.get("exception", details).get("description")))
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning"):
            self.complaints.append(str([each.get("value") for each in parameters["args"]]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.complaints.append(parameters["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])

    async def evaluate(self, expression: str) -> Any:
        """What JavaScript comes to, promises waited for."""
        answer = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Wait until JavaScript comes to something true."""
        end = time.monotonic() + HANGS
        while not (value := await self.evaluate(expression)):
            assert time.monotonic() < end, f"never true: {expression}"
            await asyncio.sleep(0.05)
        return value

    async def show(self, page: Path, width: int = 1280, dark: bool = False) -> None:
        """Open a file in a window of some width and wait until its charts are drawn."""
        for domain in ("Runtime", "Log", "Page", "Network"):
            await self.call(f"{domain}.enable")
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        await self.call("Emulation.setDeviceMetricsOverride", **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])
        await self.call("Page.navigate", url=page.resolve().as_uri())
        await self.until("document.documentElement?.dataset.drawn")

    async def picture(self, path: Path) -> None:
        """Take a screenshot of the whole page."""
        shot = await self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))


@asynccontextmanager
async def open_tab() -> AsyncIterator[Tab]:
    program = chromium()
    assert program is not None
    with TemporaryDirectory() as profile:
        process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            port = await _port(Path(profile) / "DevToolsActivePort", process)
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                    [address] = [
                        each["webSocketDebuggerUrl"]
                        for each in await answer.json()
                        if each["type"] == "page"
                    ]
                async with session.ws_connect(address, max_msg_size=0) as socket:
                    yield Tab(socket)
        finally:
            process.kill()
            process.wait()
            # Processes of the browser may still write to its profile.
            shutil.rmtree(profile, ignore_errors=True)
            Path(profile).mkdir(exist_ok=True)


async def _port(path: Path, process: subprocess.Popen[bytes]) -> str:
    end = time.monotonic() + HANGS
    while not path.exists() or not path.read_text():
        assert process.poll() is None, "the browser has ended"
        assert time.monotonic() < end, "the browser does not answer"
        await asyncio.sleep(0.05)
    return path.read_text().splitlines()[0]
