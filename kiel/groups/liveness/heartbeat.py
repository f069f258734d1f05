"""
Keeps a group member alive while the application's IOLoop is blocked.

A member that is silent for the session's time loses its partitions, so signs of life may not depend on a loop that any
handler can hold up. The heart beats on a thread of its own (`kiel.groups.liveness.heartbeat_thread.Pulse`), with its
own loop and its own connection to the coordinator; what it is told and what it tells crosses by `kiel.events` alone,
and by the plain attributes named here.
"""
from __future__ import absolute_import

import threading

from tornado import concurrent

from kiel import events
from kiel.groups.liveness.heartbeat_thread import Pulse
from kiel.retry import monotonic


class Heart(object):
    """
    Signs of life of one member, of whichever protocol.

    All methods are called on the application's loop and return at once; ``on_answer`` and ``on_left`` are called on
    it. Functions given as ``follow`` and ``leave`` run on the heart's thread: they have to be pure.

    :param settings: `kiel.settings.Settings` for the heart's connections
    :param io_loop: the application's IOLoop
    :param group: name of the group, to look its coordinator up and for the log
    :param interval: seconds from one beat to the next
    :param slow_callback: seconds without a turn of the application's loop after which the handler that holds it is
        named in a warning; None or 0: never
    :param max_poll_interval: seconds without progress after which the member leaves by itself; None or 0: never
    """

    def __init__(self, settings, io_loop, group, interval, slow_callback=1, max_poll_interval=None):
        self.settings = settings
        self.io_loop = io_loop
        self.group = group
        #: seconds from one beat to the next; may be set at any time, and counts from the next beat on
        self.interval = interval
        self.slow_callback = slow_callback or None
        self.max_poll_interval = max_poll_interval or None
        #: called with (request, response or KielError) after every beat, in their order
        self.on_answer = None
        #: called after the member left by itself, for want of progress
        self.on_left = None
        #: True from the moment the heart decides to leave by itself, until `start`; set on the heart's thread, before
        #: the request goes out: nothing may be handed out or committed any more
        self.left = False
        #: True from the moment ``follow`` gave no next request, until `start`, `beat` or `say`; set on the heart's
        #: thread, so it is true before `on_answer` can tell of it
        self.ended = False
        #: `kiel.retry.monotonic` time of the last answer that took the member for alive; None before the first
        self.last_beat = None
        #: `kiel.retry.monotonic` time of the last `progress`
        self.last_progress = monotonic()
        #: set by the consumer: whether the application has to do something next, such as to call `consume`
        self.working = False
        #: number of the last `start`
        self.term = 0
        #: held for the moment in which the member starts, or is found to have made no progress: never both
        self.lock = threading.Lock()
        self._pulse = None
        self._stopped = None

    def start(self, address, others, first, follow, leave):
        """
        Begins to beat; may be called again at any time, to begin anew.

        :param address: (host, port) of the coordinator
        :param others: (host, port) of known brokers, to look the coordinator up when it has moved
        :param first: the request to send at once; None to wait one interval, and then send ``follow(None, None)``
        :param follow: (request, response) -> the next request, or None to beat no more; pure. It is not asked after
            errors that are worth another try: then the same request goes out again
        :param leave: () -> the request that leaves the group, or None to leave without a word; pure
        """
        with self.lock:
            self.term += 1
            self.left = False
            self.ended = False
            self.last_progress = monotonic()
        if self._pulse is None:
            self._pulse = Pulse(self)
            self._pulse.start()
        self._pulse.call(self._pulse.begin, self.term, address, tuple(others), first, follow, leave)

    def beat(self, request, follow, leave):
        """
        Goes on with other requests, such as those of a new generation: the first of them one interval from now.

        :param request: the first; None to beat no more until `say`, `beat` or `start`
        """
        self.ended = False
        if self._pulse is not None:
            self._pulse.call(self._pulse.turn_to, self.term, request, follow, leave)

    def say(self, request):
        """
        Sends this at once, or when the beat that is under way has been answered; then goes on with ``follow``.

        :param request: a request, or a pure function of the last (request, response) that makes one when it is its
            turn to be sent; both are None before the first answer
        """
        self.ended = False
        if self._pulse is not None:
            self._pulse.call(self._pulse.say, self.term, request)

    def progress(self):
        """Tells that the application asked for more; cheap enough for every `consume`."""
        self.last_progress = monotonic()

    def stop(self):
        """Ends the thread without a word to the coordinator; gives a Future. May be called in any state, and twice."""
        pulse, self._pulse = self._pulse, None
        if pulse is not None:
            self._stopped = pulse.done
            pulse.call(pulse.end)
        elif self._stopped is None:
            self._stopped = concurrent.Future()
            self._stopped.set_result(None)
        return self._stopped

    # -- called on the heart's thread --

    def tell_answer(self, pulse, term, request, answer):
        """Has `on_answer` called on the application's loop, unless it has turned to something else by then."""
        events.call_on_loop(self.io_loop, self._tell, pulse, term, "on_answer", request, answer)

    def tell_left(self, pulse, term):
        """Has `on_left` called on the application's loop."""
        events.call_on_loop(self.io_loop, self._tell, pulse, term, "on_left")

    def _tell(self, pulse, term, name, *args):
        """Runs on the application's loop."""
        hook = getattr(self, name)
        if self._pulse is pulse and self.term == term and hook is not None:
            hook(*args)
