"""What every client has: a cluster, one round of requests (`Client.send`), and rounds until done (`Client.attempt`)."""
from __future__ import absolute_import

import logging
import operator
import os

from tornado import concurrent, gen, ioloop

from kiel import arguments, events, exc, metrics
from kiel.clients import block, finding, health, names
from kiel.clients.rounds import Rounds
from kiel.clients.view import View, refuse_taken
from kiel.cluster import Cluster
from kiel.events import outcome_of
from kiel.retry import monotonic
from kiel.settings import Settings
from kiel.telemetry import names as told, push

log = logging.getLogger(__name__)

#: seconds that `Client.close` waits for a `connect` that it came in between of
GIVING_UP = 1.0


class Client(object):
    """
    The base of producers and consumers.

    Clients may be made before any IOLoop runs; `connect` captures the loop that is current then.

    :param brokers: bootstrap hosts: a list of "host:port", or one string with commas
    :param client_id: the name that brokers log and set quotas for
    :param connect_timeout: seconds for dialling, TLS and login together
    :param request_timeout: seconds for an answer, on top of the wait that a request itself asks for
    :param metadata_max_age: seconds after which metadata is asked again without any error
    :param ssl: what `kiel.ssl` makes, an `ssl.SSLContext`, or ``True`` for the system's authorities
    :param sasl: a mechanism of `kiel.sasl`, or one of the application's own
    :param proxy: the way to the brokers, ``"socks5://user:password@host:1080"`` or ``"http://..."``
    :param retry: the `kiel.retry.Backoff` of everything that is tried again; where it is given, `connect` waits by it,
        too
    :param hooks: a list of objects that are told what the client does, see `kiel.hooks`
    :param allow_auto_create_topics: whether the first use of a topic may create it, where the brokers do that
    :param enable_metrics_push: whether the cluster is told the client's numbers where it has subscribed to them
        (KIP-714)
    """

    #: what kind of client brokers are told of, see `kiel.telemetry.names`
    _told_as = told.ADMIN

    settings = View(operator.attrgetter("_settings"))

    def __new__(cls, *args, **kwargs):
        """Refuse names that are none of its arguments before Python asks for those that are missing."""
        names.check(cls, kwargs, _kinds())
        return super(Client, cls).__new__(cls)

    def __init__(self, brokers, client_id="kiel", connect_timeout=10, request_timeout=30, metadata_max_age=300,
                 ssl=None, sasl=None, retry=None, proxy=None, allow_auto_create_topics=True, hooks=None,
                 enable_metrics_push=True, **unknown):
        if unknown:
            raise names.refusal(type(self), sorted(unknown), _kinds())
        refuse_taken(self)
        self._settings = Settings(
            client_id=client_id, connect_timeout=connect_timeout, request_timeout=request_timeout, ssl=ssl, sasl=sasl,
            proxy=proxy, retry=retry, hooks=hooks
        )
        if self._settings.hooks is not None:
            self._settings.hooks.bind(self)
            self._settings.hooks.tell("made")
        self.cluster = Cluster(brokers, self._settings, metadata_max_age, bool(allow_auto_create_topics))
        self.cluster.unclosed.kind = type(self).__name__
        #: the `kiel.telemetry.push.Telemetry`
        self._telemetry = push.Telemetry(self, self._told_as)
        if arguments.boolean("enable_metrics_push", enable_metrics_push):
            self.cluster.listeners.append(self._telemetry.look)
        #: `send` and `attempt`
        self._rounds = Rounds(self)
        #: what went wrong last
        self._trouble = health.Trouble()
        #: set by a handler of answers: metadata is out of date and is asked for at the end of the round
        self.heal_cluster = False
        #: True from the beginning of `close` on
        self.closing = False
        #: the loop that `connect` ran on
        self.io_loop = None
        #: the process that this was made in, or that called `connect` last
        self._pid = os.getpid()
        #: whether `connect` waits for brokers that are not up yet, without being told for how long
        self._waits = retry is not None
        #: the Futures of the work of `connect` and of `close`; None while that is not under way
        self._connecting = None
        self._ending = None
        #: done when a `connect` that is under way is to end
        self._called_off = None
        #: the Future of a `connect` that a call began, since the loop of the last one is closed; None for none
        self._moving = None

    def __repr__(self):
        cluster = getattr(self, "cluster", None)
        brokers = "?" if cluster is None else ",".join(cluster.bootstrap_hosts)
        return "<%s>" % " ".join([type(self).__name__, brokers] + self._described())

    def _described(self):
        """Return what else `repr` tells: texts."""
        if getattr(self, "_ending", None) is not None:
            return ["closing"]
        if getattr(self, "closing", False):
            return ["closed"]
        connecting = getattr(self, "_connecting", None)
        if connecting is None:
            return ["not connected"]
        if not connecting.done():
            return ["connecting"]
        return ["connected" if not connecting.cancelled() and connecting.exception() is None else "not connected"]

    def connect(self, timeout=None):
        """
        Find the cluster; return a Future.

        A second call does no harm. While the client closes, this waits for that; `close` ends it. A call that is
        cancelled goes on: `close` undoes it, another `connect` waits for it.

        Each bootstrap host is asked once. A client that was given a ``retry`` asks them again as that says, as long as
        none answers; so does one without when there is a ``timeout``.

        :param timeout: seconds for finding the cluster; where the ``retry`` given ends sooner, that counts
        :raises kiel.exc.NoBrokersError: when no bootstrap host answers
        :raises kiel.exc.AuthenticationError: when a login or a certificate is not accepted; that is not tried again
        :raises kiel.exc.ClosedError: when the client is closed meanwhile, or connected on another IOLoop
        :raises TypeError: if ``timeout`` is not a number
        :raises ValueError: for one below 0
        """
        refuse_taken(self)
        return events.detached(self._connect_once(timeout))

    @gen.coroutine
    def _connect_once(self, timeout):
        """Connect when nothing else is under way, once for all who call that meanwhile."""
        if timeout is not None:
            timeout = arguments.seconds("timeout", timeout)
        self._look_around()
        while self._ending is not None and not self._ending.done():
            yield events.finished(self._ending)
        if self._connecting is None or self._connecting.done():
            self._connecting = events.ignore(self._open_client(timeout))
        yield self._connecting

    def _look_around(self):
        """
        Begin anew where the process was forked since the last `connect`, or its IOLoop is closed.

        :raises kiel.exc.ClosedError: where that loop is another one that may still run
        """
        loop = self.io_loop
        if loop is None or (loop is ioloop.IOLoop.current() and self._pid == os.getpid()):
            return
        if self._pid != os.getpid() or events.is_closed(loop):
            self._begin_anew()
        elif not self.closing or self._ending is not None:
            raise self._made_elsewhere()

    def _refuse_forked(self):
        """
        Refuse to use connections that are another process's.

        :raises kiel.exc.ClosedError: in a process that was forked after `connect`
        """
        if self._pid != os.getpid() and self.io_loop is not None:
            raise exc.ClosedError("the process was forked after connect(): call connect() in this one, too")

    def _come_here(self):
        """
        See to it that connections are those of the loop that runs here.

        Where the loop of `connect` is closed, the client begins anew on this one. Return the Future of that while it is
        under way; None where there is nothing to wait for.

        :raises kiel.exc.ClosedError: where that loop is another one that may still run, or none runs here; and in a
            process that was forked after `connect`
        """
        self._refuse_forked()
        loop = self.io_loop
        if loop is not None and not self.closing and events.is_elsewhere(loop):
            if not events.is_closed(loop):
                raise self._made_elsewhere()
            if events.running_loop() is None:
                raise exc.ClosedError("this %s belongs to another IOLoop, which is closed: call it on one that runs"
                                      % type(self).__name__)
            log.info("The IOLoop of this %s is closed: it reconnects on another", type(self).__name__)
            moving = events.ignore(self._move())
            self._moving = None if moving.done() else moving
            return moving
        return self._moving

    @gen.coroutine
    def _move(self):
        """Connect anew; where that fails, the next call tries again."""
        closed = self.io_loop
        try:
            yield self.connect()
        except Exception:
            if not self.closing:
                self.io_loop = closed
            raise
        finally:
            self._moving = None

    def _made_elsewhere(self):
        """Return the error of a call on another loop than that of `connect`, which may still run."""
        return exc.ClosedError("this %s belongs to another IOLoop, which is not closed: use it there, or close() it "
                               "there first, or make one for each loop" % type(self).__name__)

    def _begin_anew(self):
        """Forget all that belongs to a process that this one was forked from, or to a loop that is closed."""
        self._pid = os.getpid()
        self.io_loop = self._connecting = self._ending = self._moving = None
        self._telemetry.forget()
        self.cluster.forget()

    @gen.coroutine
    def _open_client(self, timeout=None):
        """The work of `connect`; a kind of client that does more has its own."""
        self._pid = self.cluster.unclosed.pid = os.getpid()
        self.io_loop = ioloop.IOLoop.current()
        self.closing = False
        self._called_off = concurrent.Future()
        yield finding.find(self.cluster, self._settings.retry, self._waits, timeout, self._called_off)
        self._check_open()

    def _check_open(self):
        """Raise what ends a `connect` that `close` came in between of."""
        if self.closing:
            raise exc.ClosedError("the %s was closed while it connected" % type(self).__name__)

    def close(self):
        """
        End what is under way (`wind_down`), then every connection; return a Future.

        It may be called in whatever state the client is, and again. A `connect` under way ends with
        `kiel.exc.ClosedError`. Where the IOLoop of `connect` is closed, connections are dropped without a word.

        :raises kiel.exc.ClosedError: on another IOLoop than that of `connect`, which may still run
        """
        if self.io_loop is not None:
            if self._pid != os.getpid() or events.is_closed(self.io_loop):
                self._begin_anew()
                self.io_loop = ioloop.IOLoop.current()  # it counts as connected here, and is closed now
            elif events.is_elsewhere(self.io_loop):
                refused = concurrent.Future()
                refused.set_exception(self._made_elsewhere())
                return refused
        if self._ending is None or self._ending.done():
            connecting, self._connecting = self._connecting, None
            self._ending = self._end_client(connecting)
        return events.detached(self._ending)

    @gen.coroutine
    def _end_client(self, connecting):
        """The work of `close`."""
        try:
            self.closing = True
            if connecting is not None and not connecting.done():
                events.settle(self._called_off)
            yield self._end_connections()
            if connecting is not None and not connecting.done():
                yield events.first(connecting, gen.sleep(GIVING_UP))
        finally:
            self._ending = None  # also after a KeyboardInterrupt, which leaves a coroutine's Future as it is

    @gen.coroutine
    def _end_connections(self):
        """What `close` does but for calling off `connect`."""
        try:
            yield self.wind_down()
            yield self._telemetry.close()
            yield self.cluster.drain()
        finally:
            self.cluster.stop()
        yield self.cluster.settle()
        # the connections' read loops end in the next turns; a program that stops its loop now would leave them half-way
        for _ in range(3):
            yield gen.moment

    # -- as a block --

    def __aenter__(self):
        """Connect. A block that is not entered, since that failed or was cancelled, leaves nothing open."""
        return block.entered(self)

    def __aexit__(self, kind, error, trace):
        """Close; what ended the block goes on."""
        return self._exit(kind is None)

    @gen.coroutine
    def _exit(self, clean):
        """
        The work of `__aexit__`.

        :param clean: whether the block came to its end, rather than being left by an exception
        """
        yield outcome_of(self.close())

    def metrics(self):
        """
        Return the client's numbers as a plain dict, fit for JSON: ``kiel.metrics.TABLE`` says what there is.

        How the client is at the moment is always there; what it has done, where a `kiel.metrics.Metrics` is among its
        hooks. It costs no request.
        """
        return metrics.report(self)

    def _gauges(self):
        """Return how the client is, for `kiel.metrics`: {name: {label values: number}}."""
        lanes = [lane for broker in self.cluster.conns.values() for lane in broker.lanes.values()]
        since = self.cluster.down_since
        return {
            "connections": {(): sum(lane.ready for lane in lanes)},
            "outage_seconds": {(): 0.0 if since is None else max(0.0, monotonic() - since)},
        }

    def health(self):
        """
        Return how this client is, as a dict of plain values that may go out as JSON.

        - ``connected``: whether `connect` has succeeded and `close` was not called
        - ``ready``: whether it is connected and nothing is wrong at present
        - ``ended``: whether it has failed for good, so that only another client, or process, can help
        - ``error``: the last error, as text: that no broker can be reached, or what a kind of client notes; None while
          all is well. The first answer without an error ends it.
        - ``error_since``: for how many seconds something has been wrong; None while nothing is

        It costs no request, and answers from what is known.
        """
        return self._report_health()

    def _report_health(self, ended=False):
        """Return what is in the `health` of every client."""
        connecting = self._connecting
        connected = not self.closing and connecting is not None and connecting.done() and not connecting.exception()
        return health.report(self._trouble, self.cluster.outage, connected, ended)

    def wind_down(self):
        """What a kind of client does before its connections close; return a Future."""
        raise NotImplementedError

    def send(self, request_by_broker, handler=None):
        """
        Send one request to each of several brokers: one round, nothing is tried again.

        Answers go, in the order in which they come, to ``handler.handle_<api>_response(response)``, which may return a
        Future or be a coroutine. Return ``{broker id: the handler's result}``; a broker whose request failed is left
        out. The first exception of a handler is raised when all answers have been handled.

        :param request_by_broker: ``{broker id: request}``
        :param handler: the object whose methods take the answers; default: the client itself
        :raises kiel.exc.UnhandledResponseError: when there is no handler for an api; nothing is sent then
        """
        return self._rounds.send(request_by_broker, handler or self)

    def attempt(self, keys, round, deadline=None, plan=None, coordinator=None, closing=False):
        """
        Repeat a round until every key has a result: the only retry loop of kiel's requests.

        ``round(wanted)`` gives, plainly or as a Future, ``{key: value or KielError}`` for the keys still wanted. A key
        that is missing there, or whose error is retriable, stays wanted: the error's ``cure`` is run, and after the
        delay that `kiel.retry.Backoff` gives, the next round begins.

        Gives ``{key: value or KielError}`` with all keys; at the deadline, each unfinished key has its last error.

        :param deadline: seconds; default: that of the plan
        :param plan: a `kiel.retry.Backoff`; default: the client's ``retry``
        :param coordinator: the `kiel.clients.grouping.coordinator.GroupCoordinator` to lose where an error says so
        :param closing: whether to go on trying while the client closes, as with the last commit
        :raises kiel.exc.ClosedError: on another IOLoop than that of `connect`, where that may still run, and in a
            process forked since
        """
        return self._rounds.attempt(keys, round, deadline, plan, coordinator, closing)

    def lose_coordinator(self):
        """Forget the group's coordinator, where a client has one; it is looked up at the next need."""


def _kinds(cls=Client):
    """Return the classes of clients that there are."""
    found = [cls] if cls is not Client else []
    for kind in cls.__subclasses__():
        found.extend(_kinds(kind))
    return [kind for kind in found if kind.__module__.startswith("kiel.") and not kind.__name__.startswith("Base")]
