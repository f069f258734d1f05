"""
Notices when an IOLoop is blocked, and names the handler that blocks it.

The watchdog runs on another thread's loop, and has the watched loop answer a call now and then. Where no answer comes,
it looks at the stack of that loop's thread, which Python shows to any other thread.
"""
from __future__ import absolute_import

import logging
import os
import sys
import traceback

from six.moves import _thread

from kiel import events
from kiel.retry import monotonic

log = logging.getLogger(__name__)

#: packages whose frames are not a handler's
FRAMEWORK = ("tornado", "asyncio", "kiel")

#: functions of those packages in which a loop runs: what they call is a handler, what called them is not
LOOPS = ("start", "run_forever", "_run_once", "run_until_complete")

#: seconds within which one handler is named only once
QUIET_TIME = 60.0

#: seconds between two checks where no slow callback is to be named
IDLE_PERIOD = 1.0


class LoopWatchdog(object):
    """
    Checks from another loop's thread that a loop still turns.

    :param io_loop: the IOLoop watched
    :param slow_callback: seconds without a turn after which the handler that blocks it is named in a warning, or None
    :param period: the longest time between two checks, in seconds
    :param about: text that the warnings begin with
    """

    def __init__(self, io_loop, slow_callback, period=IDLE_PERIOD, about="kiel"):
        self.io_loop = io_loop
        self.slow_callback = slow_callback
        self.period = min(period, slow_callback / 4.0) if slow_callback else period
        self.about = about
        #: called after every check with the seconds by which it came late; 0 where it was in time
        self.on_check = None
        #: of the lines in the log, see `kiel.fields`
        self.fields = {}
        #: called with the culprit and the seconds of a blockage that is over
        self.on_turning = lambda culprit, seconds: None
        #: "file:line (function)" of the handler that was named during this blockage; None while the loop turns
        self.culprit = None
        #: the loop on which the checks run, and the timer and `monotonic` time of the next one
        self._own_loop = None
        self._timer = None
        self._due = None
        #: `monotonic` time and number of the last question to the watched loop
        self._asked = None
        self._number = 0
        #: (number of the question, time, thread); written on the watched loop, in one step
        self._answer = (0, monotonic(), _thread.get_ident())
        #: culprit -> (when it was named last, how often it was not named since)
        self._named = {}

    @property
    def blocked(self):
        """Seconds for which the loop has not turned, at least; 0.0 while it turns."""
        if self._asked is None or self._answer[0] == self._number:
            return 0.0
        return monotonic() - self._asked

    @property
    def closed(self):
        """Whether the watched loop was closed."""
        return events.is_closed(self.io_loop)

    def start(self, own_loop):
        """Begin to check; ``own_loop`` is the IOLoop of the calling thread."""
        self._own_loop = own_loop
        self._ask()
        self._schedule()

    def stop(self):
        """Check no more."""
        if self._timer is not None:
            self._own_loop.remove_timeout(self._timer)
            self._timer = None

    def _ask(self):
        """Have the watched loop answer."""
        self._asked = monotonic()
        self._number += 1
        events.call_on_loop(self.io_loop, self._on_turn, self._number)

    def _on_turn(self, number):
        """Run on the watched loop: it turns."""
        self._answer = (number, monotonic(), _thread.get_ident())

    def _schedule(self):
        """Set the time of the next check."""
        delay = self.period
        if self.slow_callback and self.culprit is None and self.blocked:
            delay = max(0.0, min(delay, self.slow_callback - self.blocked))
        self._due = monotonic() + delay
        self._timer = self._own_loop.call_later(delay, self._check)

    def _check(self):
        """Check whether the loop has turned, and ask again if it has."""
        late = monotonic() - self._due
        if late <= max(0.25, self.period):
            late = 0.0
        number, when, _ = self._answer
        if number == self._number:
            if self.culprit is not None:
                log.info("%s: the IOLoop runs again; %s blocked it for %.1f s", self.about, self.culprit,
                         when - self._asked, extra=self.fields)
                self.on_turning(self.culprit, when - self._asked)
                self.culprit = None
            self._ask()
        elif late:
            # this thread did not run either: the process was paused, the machine is overloaded, or C code kept the
            # interpreter's lock. Whoever is on the stack now need not be to blame.
            log.info("%s: the IOLoop watchdog thread did not run for %.1f s", self.about, late)
            self._asked = monotonic()
        elif self.slow_callback and self.culprit is None and self.blocked >= self.slow_callback:
            self._name_culprit()
        try:
            if self.on_check is not None:
                self.on_check(late)
        finally:
            if self._timer is not None:
                self._schedule()

    def _name_culprit(self):
        """Warn of the handler that blocks the loop: once per blockage, and not again within `QUIET_TIME`."""
        self.culprit, stack = blocked_by(self._answer[2])
        now = monotonic()
        last, untold = self._named.get(self.culprit, (None, 0))
        if last is not None and now - last < QUIET_TIME:
            self._named[self.culprit] = (last, untold + 1)
            return
        if len(self._named) > 100:
            self._named.clear()
        self._named[self.culprit] = (now, 0)
        again = " (%d times more since the last warning)" % untold if untold else ""
        log.warning(
            "%s: the IOLoop has been blocked for more than %.1f s by %s%s. Its stack, innermost last:\n%s",
            self.about, now - self._asked, self.culprit, again, stack.rstrip(), extra=self.fields
        )


def blocked_by(ident):
    """
    Return what runs in a thread: ``("file:line (function)", stack as text)``; lines of code, but no values.

    Named is the innermost frame called by the loop that is neither Tornado's, asyncio's nor kiel's own; a frame of the
    application rather than one of a library that it called.
    """
    frame = sys._current_frames().get(ident)
    if frame is None:
        return "a thread that has ended", ""
    try:
        stack = "".join(traceback.format_stack(frame))
        return name_of(frames_of(frame)), stack
    finally:
        # a frame that is kept keeps the handler's variables alive
        del frame


def frames_of(frame):
    """Return the frames from the innermost out to the loop's own, as (module, file, line, function)."""
    found = []
    while frame is not None:
        module = frame.f_globals.get("__name__") or ""
        code = frame.f_code
        found.append((module, code.co_filename, frame.f_lineno, code.co_name))
        if _is_framework(module) and code.co_name in LOOPS:
            break
        frame = frame.f_back
    return found


def name_of(frames):
    """Return the text for the frame that is to be named."""
    handlers = [frame for frame in frames if not _is_framework(frame[0])]
    application = [frame for frame in handlers if not _is_library(frame[1])]
    _, path, line, function = (application or handlers or frames)[0]
    return "%s:%s (%s)" % (path, line, function)


def _is_framework(module):
    """Return whether a module is one of those that run handlers."""
    return module.split(".")[0] in FRAMEWORK


def _is_library(path):
    """Return whether a file belongs to Python or to an installed package."""
    path = os.path.abspath(path)
    return path.startswith(_LIBRARY) or any(
        os.sep + place + os.sep in path for place in ("site-packages", "dist-packages")
    )


_LIBRARY = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
