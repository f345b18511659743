"""A tab of a real browser that a test drives as a person would: over Chromium's pipe, with nothing between."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.browser import FLAGS, require

PATIENCE = 20.0  # seconds
KEYS = {
    "ArrowDown": 40,
    "ArrowUp": 38,
    "ArrowLeft": 37,
    "ArrowRight": 39,
    "Enter": 13,
    "Escape": 27,
    "Tab": 9,
    "/": 191,
}


class Tab:
    """One page, and what went wrong in it."""

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read = write, read
        self._rest, self._number, self._session = b"", 0, ""
        self.troubles: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the DevTools protocol."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self._note(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: dict[str, Any] = answer["result"]
        return result

    def _next(self) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE
        while b"\0" not in self._rest:
            assert select.select([self._read], [], [], max(0.0, until - time.monotonic()))[0], "the browser is silent"
            got = os.read(self._read, 1 << 20)
            assert got, "the browser is gone"
            self._rest += got
        text, _, self._rest = self._rest.partition(b"\0")
        answer: dict[str, Any] = json.loads(text)
        return answer

    def _note(self, event: dict[str, Any]) -> None:
        told = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            details = told["exceptionDetails"]
            self.troubles.append(details.get("exception", {}).get("description") or details["text"])
        elif event.get("method") == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.troubles.append(f"{told['entry']['source']}: {told['entry']['text']} {told['entry'].get('url', '')}")
        elif event.get("method") == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.troubles.append(str(told["args"]))

    def run(self, expression: str) -> Any:
        """What a JavaScript expression, or the promise that it gives, comes to in the page."""
        got = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in got, got["exceptionDetails"]
        return got["result"].get("value")

    def until(self, expression: str) -> Any:
        """Wait until an expression is true in the page; what it came to."""
        return self.run(
            f"new Promise((good, bad) => {{ const end = performance.now() + {PATIENCE * 900};"
            f" const look = () => {{ const got = ({expression}); if (got) good(got);"
            " else if (performance.now() > end) bad(new Error('in vain')); else setTimeout(look, 20); }; look(); })"
        )

    def go(self, url: str) -> None:
        """Open an address anew, also where only what follows its # differs."""
        self.call("Page.navigate", url="about:blank")
        self.until("location.href === 'about:blank' && document.readyState === 'complete'")
        self.troubles.clear()
        if url != "about:blank":
            self.call("Page.navigate", url=url)
            self.until("location.href !== 'about:blank' && document.readyState === 'complete'")

    def size(self, width: int, height: int = 900) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def dark(self, on: bool) -> None:
        scheme = "dark" if on else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def click(self, selector: str) -> None:
        """With the mouse, in the middle of the first element: what covers it gets the click."""
        at = self.run(
            f"(() => {{ const it = document.querySelector({json.dumps(selector)});"
            " it.scrollIntoView({block: 'center', inline: 'center'}); const box = it.getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], button="left", clickCount=1)

    def press(self, *keys: str) -> None:
        for key in keys:
            code = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
            text = {"Enter": "\r", "/": "/"}.get(key)
            self.call("Input.dispatchKeyEvent", type="keyDown", **code, **({"text": text} if text else {}))
            self.call("Input.dispatchKeyEvent", type="keyUp", **code)

    def write(self, text: str) -> None:
        """Into what has the focus."""
        self.call("Input.insertText", text=text)

    def picture(self, file: Path, *, whole: bool = True) -> None:
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        file.write_bytes(base64.b64decode(data))


@contextmanager
def opened() -> Iterator[Tab]:
    """A browser with an empty profile and one tab, gone at the end."""
    program = require()
    ours, its_out = os.pipe()
    its_in, to = os.pipe()
    profile = tempfile.mkdtemp(prefix="tab-")
    # Chromium takes commands from file 3 and answers on file 4.
    command = ["bash", "-c", f'exec 3<&{its_in} 4>&{its_out}; exec "$@"', "tab", program, *FLAGS]
    process = subprocess.Popen(
        [*command, "--remote-debugging-pipe", f"--user-data-dir={profile}"],
        pass_fds=(its_in, its_out),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(its_in)
    os.close(its_out)
    try:
        yield Tab(to, ours)
    finally:
        os.close(to)  # it ends with its pipe
        os.close(ours)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(profile, ignore_errors=True)
