"""The conversation with the cluster about a client's numbers: what is wanted, and then those, time and again."""
from __future__ import absolute_import

import base64
import collections
import logging
import random
import time
import weakref

from tornado import gen

from kiel import __version__, compression, events, exc
from kiel.hooks import Hooks
from kiel.protocol import get_telemetry_subscriptions as subscriptions, push_telemetry
from kiel.telemetry.counts import Counts
from kiel.telemetry.names import Snapshot
from kiel.telemetry.otlp import CUMULATIVE, DELTA, metrics_data

log = logging.getLogger(__name__)

#: the id of a client that the cluster has not given one yet
NO_ID = b"\0" * 16

#: what stands for all names
ANY = "*"

#: seconds until the cluster is asked again where it does not say
INTERVAL = 300.0

#: seconds after which the next broker is asked, when one could not be
PAUSE = 5.0

#: seconds that `Telemetry.close` may take for the last numbers
LAST = 0.5

#: no broker that takes numbers is known; the conversation is going on; it has ended for good
IDLE, ACTIVE, OVER = "idle", "active", "over"

#: what follows upon an error, as in Java's client: when the cluster is asked anew what it wants
AT_ONCE, LATER, NEVER = "at once", "later", "never"

#: Kafka's name of an error -> that. All other errors count as `LATER` where they are retriable, else as `NEVER`.
REACTIONS = {
    "unknown_subscription_id": AT_ONCE,
    "unsupported_compression_type": AT_ONCE,
    "telemetry_too_large": LATER,
    "throttling_quota_exceeded": LATER,
    "invalid_request": NEVER,
    "invalid_record": NEVER,
    "unsupported_version": NEVER,
}

#: What is wanted. ``names`` are the beginnings of names, ``codecs`` numbers of `kiel.constants` or 0, ``interval`` is
#: in seconds, ``room`` in bytes.
Subscription = collections.namedtuple("Subscription", ("number", "codecs", "interval", "room", "delta", "names"))


class Telemetry(object):
    """
    Tells the cluster the numbers of one client (KIP-714), if it wants to know them.

    Where no broker takes numbers, nothing is done, and nothing is counted where nobody subscribes. Whatever goes wrong
    is on the log, and does the client no harm. It does not keep the client alive.

    :param client: a `kiel.clients.client.Client`
    :param kind: a kind of client, of `kiel.telemetry.names`
    """

    def __init__(self, client, kind):
        self._client = weakref.ref(client)
        self._kind = kind
        self._settings = client._settings
        #: broker id -> `kiel.broker.Broker`
        self._conns = client.cluster.conns
        self._state = IDLE
        #: changes when a conversation ends: what it is still waiting for is of no interest then
        self._term = 0
        #: the id that the cluster gave this client
        self._id = NO_ID
        #: the `Subscription`; None where the cluster has to be asked
        self._subscription = None
        #: seconds between two pushes, or questions, as the cluster named them last
        self._interval = INTERVAL
        #: the broker that was asked last
        self._broker = None
        #: (loop, timer) of the next step; the Future of the one under way
        self._timer = self._step = None
        #: codecs that were refused
        self._refused = set()
        #: the most bytes that were not too many, where some were
        self._room = None
        #: the `kiel.telemetry.counts.Counts`, while there is something to count for
        self._counts = None
        #: how many connections had been opened before that
        self._uncounted = 0
        #: when the client was made, when counting began, and when numbers were taken last: seconds since 1970
        self._made = self._begun = time.time()
        self._pushed = None
        #: the totals then
        self._before = {}

    @property
    def instance_id(self):
        """The id by which the cluster knows the client, as Kafka writes it; None before it has one."""
        if self._id == NO_ID:
            return None
        return base64.urlsafe_b64encode(self._id).decode("ascii").rstrip("=")

    # -- its life --

    def look(self):
        """Metadata came: begin if there is a broker that takes numbers."""
        client = self._client()
        if self._state == IDLE and client is not None and not client.closing and self._pick() is not None:
            self._state = ACTIVE
            self._count(client)  # from the beginning on, for those who want to know
            self._go_on()

    @gen.coroutine
    def close(self):
        """Tell the last numbers, within `LAST` seconds, and end; return a Future. It never fails."""
        self._cancel()
        try:
            if self._subscription is not None and self._state == ACTIVE:
                yield events.first(events.ignore(self._say_last()), gen.sleep(LAST))
        finally:
            self._end(IDLE)
            self._id = NO_ID  # brokers take no more of one that has said its last

    def forget(self):
        """Begin anew: the connections are another process's, or their loop is closed."""
        self._timer = self._step = None  # of a loop that does not turn
        self._end(IDLE)
        self._id = NO_ID

    def _end(self, state):
        """End the conversation."""
        self._cancel()
        self._term += 1
        self._state = state
        self._subscription = self._broker = None
        self._stop_counting()

    def _cancel(self):
        if self._timer is not None:
            loop, handle = self._timer
            self._timer = None
            loop.remove_timeout(handle)

    def _wait(self, seconds):
        """Go on after some time."""
        client = self._client()
        if client is not None:
            self._cancel()
            # weakly: the timer must not keep what the application has dropped
            self._timer = (client.io_loop, client.io_loop.call_later(seconds, events.weakly(self._go_on)))

    def _go_on(self):
        self._timer = None
        self._step = events.ignore(self._take_step())

    @gen.coroutine
    def _take_step(self):
        """Ask what is wanted, or push it, and see to what comes next."""
        term = self._term
        wait = PAUSE
        try:
            wait = yield (self._ask() if self._subscription is None else self._push())
        except exc.UnsupportedVersionError as error:
            log.debug("No metrics are pushed: %s", error)
        except exc.KielError as error:
            log.debug("Metrics could not be pushed: %s", error)
            self._broker = None
        except Exception:
            wait = None
            log.exception("Metrics are no longer pushed; the client carries on")
        if term != self._term:
            return
        if wait is None:
            self._end(OVER)
        else:
            self._wait(wait)

    @gen.coroutine
    def _say_last(self):
        """Push once more, after what is under way."""
        try:
            if self._step is not None and not self._step.done():
                yield events.finished(self._step)
            broker = self._pick()
            if self._subscription is not None and broker is not None and broker.is_open(subscriptions.api_name):
                yield self._push(terminating=True)
        except Exception as error:
            log.debug("The final metrics could not be pushed: %s", error)

    # -- the two questions --

    def _pick(self):
        """Return the broker that was asked last, if it is there, or another that takes numbers; None without any."""
        if self._takes_numbers(self._broker):
            return self._broker
        able = [broker for broker in self._conns.values() if self._takes_numbers(broker)]
        return random.choice(able) if able else None

    def _takes_numbers(self, broker):
        return broker is not None and not broker.closing and all(
            broker.supports(api, 0) for api in (subscriptions.api_name, push_telemetry.api_name))

    @gen.coroutine
    def _send(self, request):
        """Send a request to the broker of the conversation. Return the answer."""
        broker = self._broker = self._pick()
        if broker is None:
            raise exc.NoBrokersError("no broker accepts metrics at the moment")
        raise gen.Return((yield broker.send(request)))

    @gen.coroutine
    def _ask(self):
        """Ask what is wanted. Return the seconds until the next step; None for never."""
        term = self._term
        response = yield self._send(subscriptions.GetTelemetrySubscriptionsRequest(client_instance_id=self._id))
        if term != self._term:
            return
        if response.error_code:
            # whatever the error, to ask at once again is of no use; and an answer with one names no interval
            raise gen.Return(None if self._reacts(response) == NEVER else self._interval)
        interval = self._interval = response.push_interval / 1000.0 if response.push_interval > 0 else INTERVAL
        if response.client_instance_id != NO_ID:
            self._id = response.client_instance_id
        client = self._client()
        if client is None or not response.requested_metrics:
            self._stop_counting()
            raise gen.Return(interval)
        self._count(client)
        self._subscription = Subscription(
            response.subscription_id, tuple(response.accepted_compression_types), interval,
            response.telemetry_max_bytes, response.delta_temporality,
            # brokers have a "*" for all, the KIP an empty beginning
            tuple("" if name == ANY else name for name in response.requested_metrics))
        log.info("The cluster subscribes to this client's metrics (%s) every %g s; it knows the client as %s",
                 ", ".join(response.requested_metrics) or "all", interval, self.instance_id,
                 extra=dict(client=self._settings.client_id))
        # as the KIP wants it: clients that begin together do not push together
        raise gen.Return(interval * random.uniform(0.5, 1.5))

    @gen.coroutine
    def _push(self, terminating=False):
        """Push the numbers. Return the seconds until the next step; None for never."""
        term, client, subscription = self._term, self._client(), self._subscription
        if client is None:
            return
        windows, seconds = self._counts.take()
        counts = self._counts
        taken = False
        try:
            now = time.time()
            points, totals = self._numbers(client, windows, seconds)
            codec, data = self._encode(client, points, totals, now)
            client = None
            response = yield self._send(push_telemetry.PushTelemetryRequest(
                client_instance_id=self._id, subscription_id=subscription.number, terminating=terminating,
                compression_type=codec, metrics=data))
            taken = not response.error_code
        finally:
            if not taken:
                counts.put_back(windows, seconds)
        if term != self._term:
            return
        if taken:
            self._before.update(totals)
            self._pushed = now
            raise gen.Return(subscription.interval)
        reaction = self._reacts(response, codec, len(data))
        self._subscription = None
        raise gen.Return({AT_ONCE: 0.0, LATER: subscription.interval, NEVER: None}[reaction])

    def _reacts(self, response, codec=0, size=None):
        """See to an error. Return what follows upon it."""
        error = exc.for_code(response.error_code, api=response.api)
        reaction = REACTIONS.get(error.name, LATER if error.retriable else NEVER)
        if error.name == "unsupported_compression_type":
            self._refused.add(codec)
        elif error.name == "telemetry_too_large" and size is not None:
            self._room = size // 2
        log.log(logging.WARNING if reaction == NEVER else logging.INFO, "The cluster refused this client's metrics: "
                "%s%s", error, "; they are no longer pushed" if reaction == NEVER else "",
                extra=dict(client=self._settings.client_id))
        return reaction

    # -- the numbers --

    def _count(self, client):
        """Count what the client does, from now on."""
        if self._counts is not None:
            return
        self._counts = Counts()
        self._begun, self._pushed, self._before = time.time(), None, {}
        self._uncounted = self._settings.opened
        hooks = self._settings.hooks
        if hooks is None:
            hooks = self._settings.hooks = Hooks([])
            hooks.bind(client)
            self._observe(hooks)
        hooks.add(self._counts)

    def _stop_counting(self):
        """Nobody wants to know: what nobody listens to costs nothing."""
        counts, self._counts = self._counts, None
        if counts is not None and not self._settings.hooks.remove(counts):
            self._settings.hooks = None
            self._observe(None)

    def _observe(self, hooks):
        for broker in self._conns.values():
            for lane in broker.lanes.values():
                lane.observe(hooks)

    def _numbers(self, client, windows, seconds):
        """Return the points of `kiel.telemetry.names.Snapshot.points` that the cluster subscribed to."""
        numbers = self._counts.collect(client)
        opened = self._uncounted + sum(numbers["connects"].values() if "connects" in numbers else ())
        snapshot = Snapshot(self._kind, numbers, windows, seconds, opened, self._counts.retried)
        delta = self._subscription.delta
        starts = {None: self._begun, "opened": self._made}
        if delta and self._pushed is not None:
            starts = {None: self._pushed}
        points, totals = snapshot.points(self._before, starts, delta)
        return [point for point in points if point.name.startswith(self._subscription.names)], totals

    def _encode(self, client, points, totals, now):
        """
        Return the numbers as (codec, bytes), in the room that the brokers have for them.

        What has no room is left out, and taken out of the totals: it is told when it has.
        """
        temporality = DELTA if self._subscription.delta else CUMULATIVE
        room = min(self._subscription.room or float("inf"), self._room or float("inf"))
        codec = self._codec()
        kept = points
        while True:
            data = metrics_data(resource_of(client), ("kiel", __version__), kept, now, temporality)
            data = compression.compress(codec, data) if codec else data
            if len(data) <= room or not kept:
                break
            kept = kept[:min(len(kept) - 1, int(len(kept) * room // len(data)))]
        for point in points[len(kept):]:
            totals.pop((point.name, point.values), None)
        if len(kept) < len(points):
            log.info("Of %d metrics, %d are pushed: the cluster accepts at most %d bytes", len(points), len(kept), room,
                     extra=dict(client=self._settings.client_id))
        return codec, data if kept else b""

    def _codec(self):
        """Return the first codec that the brokers take and that is there; 0 for none, which they always take."""
        for codec in self._subscription.codecs:
            if codec == 0 or (codec not in self._refused and codec in compression.codecs
                              and compression.codecs[codec].available):
                return codec
        return 0


def resource_of(client):
    """Return what the numbers are about, by the names that the KIP has for it."""
    group = getattr(client, "group_name", None)
    membership = client._group_protocol.membership if group else None
    found = {
        "client_rack": getattr(client, "rack_id", None),
        "group_id": group,
        "group_instance_id": membership and membership.instance_id,
        "group_member_id": group and client.allocator.identity[0],
        "transactional_id": getattr(client, "transactional_id", None),
    }
    return dict((name, value) for name, value in found.items() if value)
