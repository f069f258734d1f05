"""
Keeps a group member alive while the application's IOLoop is blocked.

A member that is silent for its session's time loses its partitions, so heartbeats may not depend on a loop that any
handler can hold up. They are sent by a thread of their own (`kiel.groups.liveness.heartbeat_thread.HeartbeatThread`),
with its own loop and its own connection to the coordinator. The two threads share one
`kiel.groups.liveness.states.Liveness`; everything else crosses by `kiel.events`.
"""
from __future__ import absolute_import

from tornado import concurrent

from kiel.groups.liveness.heartbeat_thread import HeartbeatThread
from kiel.groups.liveness.states import IDLE, Liveness
from kiel.retry import monotonic


class Heartbeat(object):
    """
    The heartbeat of one member, of either protocol.

    All methods are called on the application's loop and return at once; ``on_answer`` and ``on_left`` are called on
    it. The functions given as ``follow`` and ``leave`` run on the heartbeat thread: they have to be pure, and must not
    refer to the consumer. The thread holds this object by a weak reference only: when the application has dropped its
    consumer, the member leaves the group.

    :param settings: `kiel.settings.Settings` of the connections
    :param io_loop: the application's IOLoop
    :param group: name of the group, to look its coordinator up and for the log
    :param interval: seconds from one heartbeat to the next
    :param slow_callback: seconds without a turn of the application's loop after which the handler that blocks it is
        named in a warning; None or 0: never
    :param max_poll_interval: seconds without progress after which the member leaves by itself; None or 0: never
    """

    def __init__(self, settings, io_loop, group, interval, slow_callback=1, max_poll_interval=None):
        self.settings = settings
        self.io_loop = io_loop
        self.group = group
        self.slow_callback = slow_callback or None
        self.max_poll_interval = max_poll_interval or None
        #: what both threads know
        self.liveness = Liveness(interval)
        #: called with (request, response or KielError) after every answer, in their order
        self.on_answer = None
        #: called after the member left by itself
        self.on_left = None
        #: the `HeartbeatThread`; None before `start` and after `stop`
        self._thread = None
        #: the Future of the last `stop`
        self._stopped = None

    @property
    def interval(self):
        """Seconds from one heartbeat to the next; may be set at any time, and counts from the next one on."""
        return self.liveness.interval

    @interval.setter
    def interval(self, seconds):
        self.liveness.interval = seconds

    @property
    def left(self):
        """
        True from the moment that the member decides to leave by itself, until `start`.

        It is so before the request goes out: nothing may be handed out or committed any more.
        """
        return self.liveness.left

    @property
    def ended(self):
        """True from the moment that no next request followed upon an answer, until `start`, `beat` or `say`."""
        return self.liveness.state == IDLE and self.liveness.term > 0

    @property
    def last_beat(self):
        """`kiel.retry.monotonic` time of the last answer that took the member for alive; None before the first."""
        return self.liveness.last_beat

    @property
    def last_progress(self):
        """`kiel.retry.monotonic` time of the last `progress`."""
        return self.liveness.last_progress

    @property
    def working(self):
        """Set by the consumer: whether the application has to do something next, such as to call `consume`."""
        return self.liveness.working

    @working.setter
    def working(self, working):
        self.liveness.working = working

    def start(self, address, others, first, follow, leave):
        """
        Begin to send heartbeats; may be called again at any time, to begin anew.

        :param address: (host, port) of the coordinator
        :param others: (host, port) of known brokers, to look the coordinator up when it has moved
        :param first: the request to send at once; None to wait one interval, and then send ``follow(None, None)``
        :param follow: (request, response) -> the next request, or None to send no more; pure. It is not asked after
            errors that are worth another try: then the same request goes out again
        :param leave: () -> the request that leaves the group, or None to leave without a word; pure
        """
        term = self.liveness.start()
        if self._thread is None:
            self._thread = HeartbeatThread(self)
            self._thread.start()
        self._thread.call(self._thread.begin, term, address, tuple(others), first, follow, leave)

    def beat(self, request, follow, leave):
        """
        Go on with other requests, such as those of a new generation: the first of them one interval from now.

        :param request: the first; None to send no more until `say`, `beat` or `start`
        """
        self.liveness.change("end" if request is None else "say")
        if self._thread is not None:
            self._thread.call(self._thread.continue_with, self.liveness.term, request, follow, leave)

    def say(self, request):
        """
        Send this at once, or as soon as the request that is under way was answered; then go on with ``follow``.

        :param request: a request, or a pure function of the last (request, response) that makes one when it is its
            turn to be sent; both are None before the first answer
        """
        self.liveness.change("say")
        if self._thread is not None:
            self._thread.call(self._thread.say, self.liveness.term, request)

    def progress(self):
        """Note that the application asked for more; cheap enough for every `consume`."""
        self.liveness.last_progress = monotonic()

    def stop(self):
        """End the thread without a word to the coordinator. Return a Future. May be called in any state, and twice."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stopped = thread.done
            thread.call(thread.close)
        elif self._stopped is None:
            self._stopped = concurrent.Future()
            self._stopped.set_result(None)
        return self._stopped

    def receive(self, thread, term, hook, *args):
        """Call a hook for the heartbeat thread, unless this heartbeat has begun anew or was stopped since."""
        callback = self.on_answer if hook == "on_answer" else self.on_left
        if self._thread is thread and self.liveness.term == term and callback is not None:
            callback(*args)
