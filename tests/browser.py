"""A headless Chromium, driven through its debugging pipe: no driver, no server and no library are needed.

The protocol is Chromium's DevTools protocol: JSON messages that end in a null byte, written to the browser's file
descriptor 3 and read from its descriptor 4 (`--remote-debugging-pipe`).
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PATIENCE_S = 60.0


def chromium() -> str | None:
    """The program, or None where there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One page in one Chromium.

    Attributes:
        problems: messages of the console that are warnings or errors, and uncaught exceptions.
        requests: the addresses of everything that was asked for.
    """

    def __init__(self, program: str, folder: Path) -> None:
        """folder: where the browser may write."""
        self.problems: list[str] = []
        self.requests: list[str] = []
        self._waiting: dict[int, dict] = {}
        self._next = 0
        self._rest = b""
        theirs_in, self._write_to = os.pipe()
        self._read_from, theirs_out = os.pipe()
        # The shell puts the two pipes where the browser looks for them.
        start = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
        options = (
            *("--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu"),
            *("--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"),
            *("--hide-scrollbars", f"--user-data-dir={folder / 'profile'}"),
        )
        self._process = subprocess.Popen(
            ["bash", "-c", start, program, *options],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._session: str | None = None
        self._loaded = False
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call(
            "Browser.setDownloadBehavior", behavior="deny"
        )  # the tests read what is given out

    def call(self, method: str, **parameters: object) -> dict:
        """The answer to a command of the protocol; RuntimeError where it says that it failed."""
        self._next += 1
        message = {"id": self._next, "method": method, "params": parameters}
        if self._session is not None and not method.startswith(("Target.", "Browser.")):
            message["sessionId"] = self._session
        os.write(self._write_to, json.dumps(message).encode() + b"\0")
        number = self._next
        self._until(lambda: number in self._waiting)
        answer = self._waiting.pop(number)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def open(self, file: Path, width: int = 1280, height: int = 900) -> float:
        """Open a file of this machine; the seconds until it is loaded and drawn."""
        self.problems.clear()
        self.requests.clear()
        self.resize(width, height)
        self._loaded = False
        start = time.monotonic()
        self.call("Page.navigate", url=file.as_uri())
        self._until(lambda: self._loaded)
        self.settle()
        return time.monotonic() - start

    def resize(self, width: int, height: int) -> None:
        """Give the page a window of so many pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )

    def settle(self) -> None:
        """Wait until what was asked for is drawn: two frames."""
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def run(self, script: str) -> object:
        """The value of an expression of JavaScript, or of the promise that it gives."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"]["description"])
        return answer["result"].get("value")

    def show_all(self) -> None:
        """Make the window as high as the page, so that everything is drawn."""
        for _ in range(3):  # what is drawn makes it higher
            height = self.run("document.documentElement.scrollHeight")
            width = self.run("innerWidth")
            self.resize(width, height)
            self.settle()

    def hover(self, selector: str, x: float = 0.5, y: float = 0.5) -> None:
        """Move the pointer to a place in the first element that fits, given as shares of its size."""
        box = self.run(
            f"(() => {{ const box = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            "return [box.left, box.top, box.width, box.height]; })()"
        )
        left, top, width, height = box
        self._x, self._y = left + x * width, top + y * height
        self.call("Input.dispatchMouseEvent", **{"type": "mouseMoved", "x": self._x, "y": self._y})
        self.settle()

    def click(self) -> None:
        """Click where the pointer is."""
        for kind in ("mousePressed", "mouseReleased"):
            self.call(
                "Input.dispatchMouseEvent",
                **{"type": kind, "x": self._x, "y": self._y, "button": "left", "clickCount": 1},
            )
        self.settle()

    def press(self, key: str) -> None:
        """Press and release a key that is named as in JavaScript."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key)
        self.settle()

    def screenshot(self, file: Path) -> None:
        """Write what the window shows as PNG."""
        answer = self.call("Page.captureScreenshot", format="png")
        file.write_bytes(base64.b64decode(answer["data"]))

    def close(self) -> None:
        """End the browser."""
        os.close(self._write_to)
        os.close(self._read_from)
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _until(self, is_done) -> None:
        """Read messages until `is_done`; TimeoutError after `PATIENCE_S`."""
        end_s = time.monotonic() + PATIENCE_S
        while not is_done():
            ready, _, _ = select.select([self._read_from], [], [], max(0, end_s - time.monotonic()))
            if not ready:
                raise TimeoutError("the browser does not answer")
            chunk = os.read(self._read_from, 1 << 20)
            if not chunk:
                raise RuntimeError("the browser has ended")
            *messages, self._rest = (self._rest + chunk).split(b"\0")
            for message in messages:
                self._take(json.loads(message))

    def _take(self, message: dict) -> None:
        if "id" in message:
            self._waiting[message["id"]] = message
            return
        method, values = message["method"], message["params"]
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(values["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and values["type"] in ("error", "warning"):
            self.problems.append(json.dumps(values["args"]))
        elif method == "Log.entryAdded" and values["entry"]["level"] in ("error", "warning"):
            self.problems.append(values["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(values["request"]["url"])
