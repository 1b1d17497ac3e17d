"""A headless Chromium for tests, driven through chromedriver's HTTP interface and nothing else.

Debian has both (`apt-get install chromium chromium-driver`). Tests that need them take the fixture
`browser`, and are skipped with a reason where they are missing.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from typing import Any

__all__ = ["Browser", "missing"]

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of element references in the protocol
_START_SECONDS = 60.0
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1300,1000",
)


def missing() -> str | None:
    """Why there can be no browser here; None when there can."""
    names = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    if names:
        return f"{' and '.join(names)} not installed (Debian: chromium, chromium-driver)"
    return None


class Browser:
    """One browser window; a context."""

    def __enter__(self) -> Browser:
        self._folder = tempfile.TemporaryDirectory(prefix="ct-browser-", ignore_cleanup_errors=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._base = f"http://127.0.0.1:{port}"
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._driver = subprocess.Popen(
            ["chromedriver", f"--port={port}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            self._wait()
            self._begin()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._ask("DELETE", f"/session/{self._session}")
        finally:
            self._end()

    def _end(self) -> None:
        self._driver.terminate()
        self._driver.wait(30)
        self._folder.cleanup()

    def _wait(self) -> None:
        until = time.monotonic() + _START_SECONDS
        while True:
            try:
                if self._ask("GET", "/status")["ready"]:
                    return
            except OSError:
                if time.monotonic() > until or self._driver.poll() is not None:
                    raise
            time.sleep(0.05)

    def _begin(self) -> None:
        options = {
            "binary": shutil.which("chromium"),
            "args": [*_FLAGS, f"--user-data-dir={self._folder.name}"],
        }
        wanted = {"browserName": "chrome", "goog:chromeOptions": options}
        wanted["goog:loggingPrefs"] = {"browser": "ALL"}
        made = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = made["sessionId"]

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with self._opener.open(request, timeout=_START_SECONDS) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.read().decode()[:800]}") from None

    def _in_session(self, path: str, body: Any) -> Any:
        return self._ask("POST", f"/session/{self._session}{path}", body)

    # -- what tests do ---------------------------------------------------------------------------

    def open(self, address: str) -> None:
        """Go to an address and wait until it is loaded."""
        self._in_session("/url", {"url": address})

    def run(self, script: str, *arguments: Any) -> Any:
        """Run the body of a script function; what it returns."""
        return self._in_session("/execute/sync", {"script": script, "args": list(arguments)})

    def find(self, selector: str) -> dict[str, str]:
        """The first element of a CSS selector."""
        found = self._in_session("/element", {"using": "css selector", "value": selector})
        return {_ELEMENT: found[_ELEMENT]}

    def point_at(self, element: dict[str, str]) -> None:
        """Move the mouse there, as a hand does."""
        self.run("arguments[0].scrollIntoView({block: 'center', inline: 'center'})", element)
        move = {"type": "pointerMove", "duration": 0, "origin": element, "x": 0, "y": 0}
        mouse = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}}
        self._in_session("/actions", {"actions": [{**mouse, "actions": [move]}]})

    def press(self, key: str) -> None:
        """Press and release a key; the protocol's code points for special ones."""
        keys = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        self._in_session("/actions", {"actions": [{"type": "key", "id": "keys", "actions": keys}]})

    def complaints(self) -> list[str]:
        """What the browser's console says since the last time."""
        said = self._in_session("/se/log", {"type": "browser"})
        return [entry["message"] for entry in said]
