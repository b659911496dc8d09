# SPDX-License-Identifier: BSD-3-Clause
"""Headless Chromium, driven over two pipes by the DevTools protocol. No package is needed for that."""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time


def find():
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    """A browser with one page. events: what it has told of itself, as method and parameters."""

    def __init__(self):
        self._profile = tempfile.mkdtemp(prefix="wavecut-chromium-")
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        command = [find(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                   "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
                   f"--user-data-dir={self._profile}", "--remote-debugging-pipe", "about:blank"]

        def pipes():  # the browser reads 3 and writes 4
            low, high = os.dup(to_browser), os.dup(from_browser)
            os.dup2(low, 3)
            os.dup2(high, 4)
        self._process = subprocess.Popen(command, close_fds=False, preexec_fn=pipes, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self._buffer, self._number, self._session, self.events = b"", 0, None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def close(self):
        try:
            self._session = None
            self.call("Browser.close")
            self._process.wait(10)
        except Exception:
            self._process.kill()
            self._process.wait()
        os.close(self._in)
        os.close(self._out)
        shutil.rmtree(self._profile, ignore_errors=True)

    def _read(self, limit):
        """The next message, or None after `limit` seconds."""
        while b"\0" not in self._buffer:
            if not select.select([self._in], [], [], max(limit, 0))[0]:
                return None
            data = os.read(self._in, 1 << 20)
            if not data:
                raise RuntimeError("chromium has ended")
            self._buffer += data
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def _wait(self, wanted, limit=60):
        end = time.monotonic() + limit
        while True:
            message = self._read(end - time.monotonic())
            if message is None:
                raise TimeoutError(f"chromium did not answer within {limit} s")
            if "method" in message:
                self.events.append((message["method"], message["params"]))
            if wanted(message):
                return message

    def call(self, method, **parameters):
        self._number += 1
        number, text = self._number, {"id": self._number, "method": method, "params": parameters}
        if self._session:
            text["sessionId"] = self._session
        data = json.dumps(text).encode() + b"\0"
        while data:
            data = data[os.write(self._out, data):]
        answer = self._wait(lambda message: message.get("id") == number)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def open(self, path, width, scheme, height=800):
        """Shows a file in a window of so many pixels, in the colours for "light" or "dark"."""
        self.events.clear()
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=f"file://{os.path.abspath(path)}")
        if not any(method == "Page.loadEventFired" for method, _ in self.events):
            self._wait(lambda message: message.get("method") == "Page.loadEventFired")

    def evaluate(self, expression):
        """The value of an expression of JavaScript (of DevTools: the page itself may run none)."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def screenshot(self, path, height):
        """Writes a PNG of the page, down to so many pixels."""
        size = self.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True,
                           clip={"x": 0, "y": 0, "width": size[0], "height": min(size[1], height), "scale": 1})
        with open(path, "wb") as file:
            file.write(base64.b64decode(answer["data"]))
