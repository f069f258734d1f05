"""
The thread that a fake Kafka runs on, with an IOLoop of its own.

Not the test's loop: so what blocks can use it too, be it a blocking client, a subprocess that the test waits for or a
handler that blocks; and a test framework may replace its loop, or run none. All state is touched on this thread alone
and needs no locks; whoever wants something of it has it done there and waits.
"""
from __future__ import absolute_import

import logging
import sys
import threading

import six
from tornado import ioloop

log = logging.getLogger(__name__)


class LoopThread(object):
    """A thread with an IOLoop; it ends with the process, or by `stop`."""

    def __init__(self):
        self._loop = None
        self._thread = threading.Thread(target=self._run, name="kiel.testing.FakeKafka")
        self._thread.daemon = True
        ready = threading.Event()
        self._ready = ready
        self._thread.start()
        ready.wait()

    def _run(self):
        self._loop = ioloop.IOLoop(make_current=False)
        self._loop.add_callback(self._ready.set)
        self._loop.start()
        try:
            self._loop.close()
        except IOError as error:  # Tornado 4.5 and 5 on Python 2.7, when a thread is just waking the loop
            log.debug("the loop of a fake Kafka was not closed: %s", error)

    @property
    def ended(self):
        """Whether it was stopped."""
        return not self._thread.is_alive()

    def call(self, function, *args):
        """Call a function on the thread; return what it returns, or raise what it raises."""
        if threading.current_thread() is self._thread or self.ended:
            return function(*args)
        done = threading.Event()
        outcome = []

        def work():
            try:
                outcome.extend([function(*args), None])
            except BaseException:
                outcome.extend([None, sys.exc_info()])
            done.set()

        self._loop.add_callback(work)
        done.wait()
        if outcome[1] is not None:
            six.reraise(*outcome[1])
        return outcome[0]

    def every(self, seconds, function):
        """Call a function again and again."""
        def again():
            function()
            self._loop.call_later(seconds, again)
        self.call(again)

    def stop(self):
        """End the thread, once what is about to close has closed."""
        if not self.ended:
            self._loop.add_callback(self._loop.add_callback, self._loop.stop)
            self._thread.join()
