"""What the hooks of a client hear of one connection: see `kiel.hooks`."""
from __future__ import absolute_import

from kiel.retry import monotonic


class Observer(object):
    """
    Notes when each request of a connection was sent, and tells the hooks.

    :param hooks: has ``tell`` and ``pass_on``, as `kiel.hooks.Hooks` does
    :param conn: has ``broker_id``, ``host`` and ``port``
    """

    def __init__(self, hooks, conn):
        self._hooks = hooks
        self._broker_id = conn.broker_id
        self._host = conn.host
        self._port = conn.port
        #: when it was dialled, and from when on it took requests (`kiel.retry.monotonic`)
        self._begun = monotonic()
        self._opened = None
        #: correlation id -> `Sent`
        self._sent = {}

    @classmethod
    def of(cls, conn, hooks, ready=False):
        """
        Return the observer of a connection; None where nobody listens.

        :param ready: whether it takes requests already
        """
        if hooks is None:
            return None
        observer = cls(hooks, conn)
        observer._opened = monotonic() if ready else None
        return observer

    def _tell(self, name, **values):
        self._hooks.tell(name, broker_id=self._broker_id, host=self._host, port=self._port, **values)

    def dials(self):
        """The connection is being opened."""
        self._begun = monotonic()

    def opened(self):
        """The connection takes requests."""
        self._opened = monotonic()
        self._tell("connected", seconds=self._opened - self._begun)

    def ended(self, error, pending):
        """
        The connection has ended.

        :param error: why; None where the client closed it
        :param pending: how many requests fail
        """
        self._sent.clear()
        now = monotonic()
        if self._opened is not None:
            self._tell("disconnected", seconds=now - self._opened, error=error, pending=pending)
        elif error is not None:
            self._tell("connect_failed", seconds=now - self._begun, error=error)

    def authenticated(self, mechanism, lifetime):
        """A login was accepted."""
        self._tell("authenticated", mechanism=mechanism, lifetime=lifetime)

    def throttled(self, api, seconds):
        """The broker asked for a pause, or has made one."""
        self._tell("throttled", api=api, seconds=seconds)

    def sends(self, request, version, size):
        """
        A request is about to be written. Return its `Sent`, which `sent` takes when the socket has it.

        :param size: bytes
        """
        sent = Sent(request.asked, version, size)
        request.asked = None
        if request.expects_response:
            self._sent[request.correlation_id] = sent
        return sent

    def sent(self, request, sent):
        """A request was handed to the socket."""
        self._hooks.pass_on("request_sent", {
            "broker_id": self._broker_id, "host": self._host, "port": self._port, "api": request.api,
            "version": sent.version, "correlation_id": request.correlation_id, "bytes": sent.size,
            "queued": sent.queued,
        })

    def answered(self, request, correlation_id, size, reading):
        """
        An answer was read.

        :param size: bytes
        :param reading: when its first bytes came, where they did not all come at once; else 0
        """
        sent = self._sent.pop(correlation_id, None)
        if sent is None:
            return
        now = monotonic()
        reading = now - reading if reading else 0.0
        self._hooks.pass_on("request_answered", {
            "broker_id": self._broker_id, "host": self._host, "port": self._port, "api": request.api,
            "version": sent.version, "correlation_id": correlation_id, "bytes": size, "queued": sent.queued,
            "writing": max(0.0, sent.written - sent.begun), "at_broker": max(0.0, now - reading - sent.written),
            "reading": reading, "seconds": now - sent.begun + sent.queued,
        })


class Sent(object):
    """
    A request under way: when what became of it. Stands where a `kiel.stream.Stream` takes a Future, to hear when the
    last byte is written.
    """

    __slots__ = ("version", "size", "queued", "begun", "written")

    def __init__(self, asked, version, size):
        self.version = version
        self.size = size
        self.begun = self.written = monotonic()
        self.queued = 0.0 if asked is None else self.begun - asked

    def done(self):
        """Nobody waits for it, so it may not fail either."""
        return True

    def set_result(self, _):
        """The last byte is written."""
        self.written = monotonic()
