"""What answers that have to wait for something wait for."""
from __future__ import absolute_import

from tornado import concurrent, ioloop

from kiel.events import settle


class Signal(object):
    """Something that happens again and again."""

    def __init__(self):
        self._waiting = set()

    def wait(self, seconds):
        """Return a Future that is done when it happens, or after so many seconds."""
        future = concurrent.Future()
        loop = ioloop.IOLoop.current()
        timer = loop.call_later(seconds, settle, future)
        self._waiting.add(future)

        def over(_):
            loop.remove_timeout(timer)
            self._waiting.discard(future)

        future.add_done_callback(over)
        return future

    def happen(self):
        """Let all who wait go on."""
        for future in list(self._waiting):
            settle(future)
