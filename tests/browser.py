"""A headless Chromium, driven by its own DevTools protocol over Tornado's WebSocket: no driver, no other package."""
from __future__ import absolute_import

import base64
import json
import os
import shutil
import subprocess
import tempfile

from tornado import gen, websocket

from kiel.retry import monotonic

from tests import needs

#: seconds that anything may take
PATIENCE = 60

#: as root, without a display, and without the browser's own traffic
OPTIONS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
           "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-extensions",
           "--remote-debugging-port=0"]


class Browser(object):
    """
    One page of a Chromium of its own; a context manager.

    Without Chromium the test is skipped, and fails with ``KIEL_STRICT=1``.
    """

    def __init__(self):
        path = needs.program("chromium")
        self.home = tempfile.mkdtemp(prefix="chromium-")
        self._log = os.path.join(self.home, "stderr")
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(
                [path] + OPTIONS + ["--user-data-dir=" + self.home, "about:blank"], stdout=log, stderr=log)
        self._socket = self._session = None
        self._asked = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    @gen.coroutine
    def open(self, url, width=1180, height=860):
        """Opens the page."""
        place = os.path.join(self.home, "DevToolsActivePort")  # written when it listens
        end = monotonic() + PATIENCE
        while not (os.path.exists(place) and _text_of(place).count("\n")):
            assert self.process.poll() is None and monotonic() < end, _text_of(self._log)
            yield gen.sleep(0.02)
        port, path = _text_of(place).split()
        self._socket = yield websocket.websocket_connect(
            "ws://127.0.0.1:%s%s" % (port, path), max_message_size=1 << 26)
        target = yield self.call("Target.createTarget", url="about:blank")
        session = yield self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = session["sessionId"]
        yield self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                        mobile=False)
        yield self.call("Page.navigate", url=url)
        yield self.until("location.href == %s && document.readyState == 'complete'" % json.dumps(url))

    @gen.coroutine
    def call(self, method, **parameters):
        """Sends one command; gives its answer. Events are not asked for, and left unread."""
        self._asked += 1
        command = {"id": self._asked, "method": method, "params": parameters}
        if self._session is not None:
            command["sessionId"] = self._session
        yield self._socket.write_message(json.dumps(command))
        while True:
            text = yield self._socket.read_message()
            assert text is not None, "chromium is gone"
            answer = json.loads(text)
            if answer.get("id") == self._asked:
                assert "error" not in answer, answer["error"]
                raise gen.Return(answer["result"])

    @gen.coroutine
    def value(self, expression):
        """Gives what an expression of JavaScript is on the page; what it throws fails the test."""
        answer = yield self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        raise gen.Return(answer["result"].get("value"))

    @gen.coroutine
    def until(self, expression, seconds=PATIENCE):
        """Waits until an expression holds on the page; gives its value."""
        end = monotonic() + seconds
        while True:
            value = yield self.value(expression)
            if value:
                raise gen.Return(value)
            if monotonic() > end:
                shown = yield self.value("document.body.innerText")
                raise AssertionError("never %s in %s" % (expression, shown))
            yield gen.sleep(0.05)

    @gen.coroutine
    def click(self, selector):
        """Presses the mouse's button where an element is seen."""
        place = yield self.value(
            "(() => { const box = document.querySelector(%s).getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2]; })()" % json.dumps(selector))
        for kind in ("mousePressed", "mouseReleased"):
            yield self.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    @gen.coroutine
    def picture(self):
        """Gives what is seen, as a PNG."""
        answer = yield self.call("Page.captureScreenshot", format="png")
        raise gen.Return(base64.b64decode(answer["data"]))


def _text_of(path):
    with open(path) as source:
        return source.read()
