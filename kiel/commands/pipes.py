"""Whether anybody reads what a command writes: without a next message to write, a closed pipe would not be noticed."""
from __future__ import absolute_import

import os
import stat

from tornado import concurrent, ioloop

from kiel.events import settle


class Reader(object):
    """
    Whoever reads a pipe.

    :param stream: the file that is written to; of what is no pipe nobody knows when it is closed
    """

    def __init__(self, stream):
        #: a Future that is done once the other end is closed
        self.gone = concurrent.Future()
        self._number = None
        try:
            number = stream.fileno()
            piped = stat.S_ISFIFO(os.fstat(number).st_mode)
        except (EnvironmentError, ValueError, AttributeError):  # of a test, or closed
            return
        if piped:
            self._number = number
            # the writing end shows itself readable, with an error, when the other one is closed
            ioloop.IOLoop.current().add_handler(number, self._on_event, ioloop.IOLoop.READ)

    def _on_event(self, *_):
        self.release()
        settle(self.gone)

    def release(self):
        """Look no more."""
        if self._number is not None:
            ioloop.IOLoop.current().remove_handler(self._number)
            self._number = None


__all__ = ["Reader"]
