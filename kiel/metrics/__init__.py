"""
What a client does, in numbers.

`Metrics` is one of a client's hooks (`kiel.hooks`), and counts. ``client.metrics()`` returns what it counted, and how
the client is at the moment, as a plain dict; `TABLE` says what there is. `kiel.metrics.prometheus` and
`kiel.metrics.opentelemetry` bring the numbers to whoever collects them.
"""
from __future__ import absolute_import

import bisect
import collections
import functools
import time
import weakref

from kiel.retry import monotonic

#: counts, and never goes back while the client lives
COUNTER = "counter"
#: as it is now; of several clients together it is the sum, or, of a `PEAK`, the largest
GAUGE, PEAK = "gauge", "peak"
#: how many were how large
HISTOGRAM = "histogram"

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
RECORDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
BYTES = tuple(1024 * 4 ** power for power in range(9))
SHARE = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)

#: name -> (kind, unit, labels, meaning, the bounds of a histogram). A broker is its id, or "bootstrap".
TABLE = collections.OrderedDict((row[0], row[1:]) for row in (
    ("connections", GAUGE, "", (), "connections that are open", None),
    ("outage_seconds", PEAK, "seconds", (), "for how long no broker has answered; 0 while one does", None),
    ("connects", COUNTER, "", ("broker",), "connections that were opened", None),
    ("connect_failures", COUNTER, "", ("broker",), "connections that could not be opened", None),
    ("connections_lost", COUNTER, "", ("broker",), "connections that ended otherwise than by the client", None),
    ("logins", COUNTER, "", ("mechanism",), "logins that were accepted", None),
    ("requests", COUNTER, "", ("broker", "api"), "requests that were sent", None),
    ("request_bytes", COUNTER, "bytes", ("broker", "api"), "of the requests", None),
    ("responses", COUNTER, "", ("broker", "api"), "answers that came", None),
    ("response_bytes", COUNTER, "bytes", ("broker", "api"), "of the answers", None),
    ("request_seconds", HISTOGRAM, "seconds", ("api",), "from a request's being asked for to its answer", SECONDS),
    ("broker_seconds", HISTOGRAM, "seconds", ("broker",),
     "from a request's last byte to its answer's first, but for fetches and joins, which wait", SECONDS),
    ("queue_seconds", HISTOGRAM, "seconds", ("api",),
     "that requests waited in the client: for a connection, a login, a pause", SECONDS),
    ("throttle_seconds", COUNTER, "seconds", ("broker",), "that a broker had the client wait, over a quota", None),
    ("metadata_refreshes", COUNTER, "", (), "metadata that came", None),
    ("errors", COUNTER, "", ("error",), "errors that were seen to, by Kafka's or the exception's name", None),
    ("buffer_bytes", GAUGE, "bytes", (),
     "of messages in the client: a producer's that are not acknowledged, a consumer's that are not handed out", None),
    ("buffer_limit_bytes", GAUGE, "bytes", (), "that may be there: ``buffer_bytes=``", None),
    ("waiting_records", GAUGE, "records", (), "of a producer that are not sent yet, or have to be sent again", None),
    ("sent_records", COUNTER, "records", ("topic",), "that brokers have taken", None),
    ("sent_batches", COUNTER, "", ("topic",), "batches of them", None),
    ("sent_bytes", COUNTER, "bytes", ("topic",), "of them before compression", None),
    ("sent_compressed_bytes", COUNTER, "bytes", ("topic",), "of them as they were sent", None),
    ("retries", COUNTER, "", ("topic",), "batches that failed and were sent again", None),
    ("failed_records", COUNTER, "records", ("topic",), "that were given up", None),
    ("batch_records", HISTOGRAM, "records", (), "of a batch", RECORDS),
    ("batch_fill", HISTOGRAM, "", (), "the part of a batch's room that was used, 0 to 1", SHARE),
    ("delivery_seconds", HISTOGRAM, "seconds", (),
     "from the coming of a batch's first message to its acknowledgement", SECONDS),
    ("fetched_bytes", COUNTER, "bytes", ("broker",), "of messages that were fetched, as on the wire", None),
    ("fetch_bytes", HISTOGRAM, "bytes", (), "of messages that one fetch brought", BYTES),
    ("consumed_records", COUNTER, "records", ("topic",), "that were handed out", None),
    ("lag", PEAK, "records", ("topic", "partition"), "behind the end of the log, as of the last answer", None),
    ("lag_seconds", PEAK, "seconds", ("topic", "partition"),
     "how old the batch is that was handed out last; 0 at the end of the log", None),
    ("at_work_seconds", PEAK, "seconds", (),
     "since the oldest messages were handed out whose offsets are not committed; 0 for none", None),
    ("commits", COUNTER, "", (), "commits that went through, in part at least", None),
    ("commit_failures", COUNTER, "", (), "commits of which something failed", None),
    ("commit_seconds", HISTOGRAM, "seconds", (), "of a commit", SECONDS),
    ("assigned_partitions", GAUGE, "", (), "partitions that the member owns", None),
    ("members", PEAK, "", (),
     "members of the group, where this one knows: in ZooKeeper, and a classic group's leader", None),
    ("heartbeat_age_seconds", PEAK, "seconds", (), "since the coordinator last took the member for alive", None),
    ("rebalances", COUNTER, "", (), "changes of the member's partitions", None),
    ("rebalance_seconds", HISTOGRAM, "seconds", (), "of such a change, with the last commit and callbacks", SECONDS),
    ("partitions_assigned", COUNTER, "", (), "partitions that came", None),
    ("partitions_revoked", COUNTER, "", (), "partitions that went", None),
    ("partitions_lost", COUNTER, "", (), "partitions that went without having been asked for", None),
    ("late_heartbeats", COUNTER, "", (), "heartbeats answered after more than two intervals", None),
    ("loop_blocked", COUNTER, "", (), "callbacks that blocked the IOLoop for longer than ``slow_callback``", None),
    ("loop_blocked_seconds", COUNTER, "seconds", (), "for which they did", None),
    ("worker_in_flight", GAUGE, "messages", (), "that a worker's handler has, or ``dead_letters`` are about to", None),
    ("worker_waiting", GAUGE, "messages", (), "that it has taken ahead, or that rest between two attempts", None),
    ("worker_oldest_seconds", PEAK, "seconds", (),
     "for which the message has been at work that has been so for longest; 0 for none", None),
    ("worker_done", COUNTER, "messages", (), "that are done", None),
    ("worker_retried", COUNTER, "", (), "attempts after a message's first", None),
    ("worker_dead", COUNTER, "messages", (), "that were given to ``dead_letters``", None),
    ("worker_given_back", COUNTER, "messages", (), "that were left to their partition's next owner", None),
    ("worker_transactions", COUNTER, "", (), "transactions that were committed, with a ``producer``", None),
    ("worker_aborted", COUNTER, "", (), "transactions that were aborted", None),
))

#: those of a `kiel.worker.Worker` that `Metrics.watch` was given -> their names in its ``numbers``
WORKER = collections.OrderedDict((name, {"worker_oldest_seconds": "oldest"}.get(name, name[len("worker_"):]))
                                 for name in TABLE if name.startswith("worker_"))

#: apis whose answers wait for something, so that they say nothing of a broker's speed
WAITING = frozenset(("fetch", "join_group", "sync_group"))

#: entries that are kept of messages at work in one partition; of more, the newest are one
MOST_AT_WORK = 1000


class Histogram(object):
    """
    How many values lie up to each bound, and their sum.

    :param bounds: rising
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds):
        self.bounds = bounds
        #: how many lie within each bound and above the one before; the last, above all
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0

    def add(self, value):
        """Count a value."""
        self.counts[bisect.bisect_left(self.bounds, value)] += 1
        self.sum += value

    def include(self, other):
        """Count what another one has counted, of the same bounds."""
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts)]
        self.sum += other.sum

    @property
    def cumulative(self):
        """``(bound, how many lie up to it)``, the last bound being infinity."""
        total, found = 0, []
        for bound, count in zip(self.bounds + (float("inf"),), self.counts):
            total += count
            found.append((bound, total))
        return found

    def plain(self):
        """Return ``{"count": ..., "sum": ..., "buckets": {bound as text: how many lie up to it}}``."""
        found = self.cumulative
        return {"count": found[-1][1], "sum": self.sum,
                "buckets": dict(("%g" % bound, count) for bound, count in found)}


class Asked(object):
    """What was counted of one api's requests to one broker: in one place, since there are so many of them."""

    __slots__ = ("requests", "bytes", "responses", "response_bytes", "queued", "seconds", "at_broker")

    def __init__(self):
        self.requests = self.bytes = self.responses = self.response_bytes = 0
        self.queued = Histogram(SECONDS)
        self.seconds = Histogram(SECONDS)
        self.at_broker = Histogram(SECONDS)


class Sent(object):
    """What was counted of the batches of one topic, likewise."""

    __slots__ = ("batches", "records", "bytes", "compressed", "sizes", "fill", "seconds")

    def __init__(self):
        self.batches = self.records = self.bytes = self.compressed = 0
        self.sizes = Histogram(RECORDS)
        self.fill = Histogram(SHARE)
        self.seconds = Histogram(SECONDS)


class Numbers(object):
    """What was counted of one client."""

    def __init__(self):
        #: (broker id, api) -> `Asked`
        self.asked = {}
        #: topic -> `Sent`
        self.sent = {}
        #: name -> {label values: number or `Histogram`}
        self.counted = dict((name, {}) for name, row in TABLE.items()
                            if row[0] in (COUNTER, HISTOGRAM) and name not in WORKER)
        #: (topic, partition) -> the newest time stamp that was handed out, in milliseconds
        self.newest = {}
        #: (topic, partition) -> the offset that was committed last
        self.committed = {}
        #: (topic, partition) -> [next offset, since when], of what was handed out and is not committed, oldest first
        self.at_work = {}

    def add(self, name, labels=(), number=1):
        """Count."""
        found = self.counted[name]
        found[labels] = found.get(labels, 0) + number

    def observe(self, name, value, labels=()):
        """Count a value of a histogram."""
        found = self.counted[name]
        histogram = found.get(labels)
        if histogram is None:
            histogram = found[labels] = Histogram(TABLE[name][4])
        histogram.add(value)

    def asked_of(self, event):
        """Return the `Asked` of a request."""
        key = event.broker_id, event.api
        found = self.asked.get(key)
        if found is None:
            found = self.asked[key] = Asked()
        return found

    def totals(self):
        """Return all that was counted: {name: {label values: number or `Histogram`}}."""
        found = dict((name, dict(values)) for name, values in self.counted.items())
        for (broker_id, api), asked in self.asked.items():
            broker = "bootstrap" if broker_id is None else str(broker_id)
            for name, number in (("requests", asked.requests), ("request_bytes", asked.bytes),
                                 ("responses", asked.responses), ("response_bytes", asked.response_bytes)):
                found[name][broker, api] = number
            _include(found["queue_seconds"], (api,), asked.queued)
            _include(found["request_seconds"], (api,), asked.seconds)
            if api not in WAITING:
                _include(found["broker_seconds"], (broker,), asked.at_broker)
        for topic, sent in self.sent.items():
            for name, number in (("sent_records", sent.records), ("sent_batches", sent.batches),
                                 ("sent_bytes", sent.bytes), ("sent_compressed_bytes", sent.compressed)):
                found[name][topic,] = number
            for name, histogram in (("batch_records", sent.sizes), ("batch_fill", sent.fill),
                                    ("delivery_seconds", sent.seconds)):
                _include(found[name], (), histogram)
        return found

    def handed(self, key, handed, to_commit):
        """Messages of a partition were handed out, whose offsets are to be committed, or not."""
        if handed.newest >= 0:
            self.newest[key] = handed.newest
        if to_commit and self.committed.get(key, -1) < handed.next:
            entries = self.at_work.setdefault(key, collections.deque())
            if len(entries) >= MOST_AT_WORK:
                entries[-1][0] = handed.next
            else:
                entries.append([handed.next, monotonic()])

    def commit(self, key, offset):
        """An offset was committed."""
        self.committed[key] = offset
        entries = self.at_work.get(key, ())
        while entries and entries[0][0] <= offset:
            entries.popleft()

    def forget(self, topics):
        """Partitions went."""
        for topic, partitions in topics.items():
            for partition in partitions:
                for book in (self.newest, self.committed, self.at_work):
                    book.pop((topic, partition), None)

    def state(self, gauges):
        """Add what follows from both to a client's gauges: {name: {label values: number}}."""
        now = time.time()
        gauges["lag_seconds"] = dict(
            (key, max(0.0, now - self.newest[key] / 1000.0) if lag else 0.0)
            for key, lag in gauges.get("lag", {}).items() if key in self.newest
        )
        if "assigned_partitions" in gauges:
            begun = [entries[0][1] for entries in self.at_work.values() if entries]
            gauges["at_work_seconds"] = {(): max(0.0, monotonic() - min(begun)) if begun else 0.0}


class Metrics(object):
    """
    Counts what clients do: one object for one client, or for all of an application's.

    ``clients.Producer(brokers, hooks=[Metrics()])``
    """

    def __init__(self):
        #: id of a client -> its `Numbers`, and a weak reference to it, which removes both when it goes
        self._numbers = {}
        self._clients = {}
        #: weak references to the workers of `watch`
        self._workers = []

    def watch(self, worker):
        """
        Tell the numbers of a `kiel.worker.Worker`, too, with those of its consumer. Return the worker.

        :raises TypeError: for what is no worker
        :raises ValueError: where this is not among the hooks of its consumer
        """
        consumer = consumer_of(worker)
        hooks = consumer._settings.hooks
        if hooks is None or self not in hooks.listeners:
            raise ValueError("the consumer of the worker has to have this among its hooks: hooks=[metrics]")
        self.of(consumer)  # it counts as one that has done something
        self._workers.append(weakref.ref(worker, self._workers.remove))
        return worker

    @property
    def clients(self):
        """The clients that have done anything yet and are not dropped: a list."""
        found = [reference() for reference in list(self._clients.values())]
        return [client for client in found if client is not None]

    def of(self, client):
        """Return the `Numbers` of a client."""
        key = id(client)
        found = self._numbers.get(key)
        if found is None:
            found = Numbers()
            if client is not None:  # it was dropped meanwhile, then
                self._numbers[key] = found
                self._clients[key] = weakref.ref(client, functools.partial(_forget, self._numbers, self._clients, key))
        return found

    # -- the hooks --

    def connected(self, event):
        """See `kiel.hooks.METHODS`, here and below."""
        self.of(event.client).add("connects", (broker_of(event),))

    def connect_failed(self, event):
        """Counted."""
        self.of(event.client).add("connect_failures", (broker_of(event),))

    def disconnected(self, event):
        """Counted where the client did not close it."""
        if event.error is not None:
            self.of(event.client).add("connections_lost", (broker_of(event),))

    def authenticated(self, event):
        """Counted."""
        self.of(event.client).add("logins", (event.mechanism,))

    def request_sent(self, event):
        """Counted."""
        asked = self.of(event.client).asked_of(event)
        asked.requests += 1
        asked.bytes += event.bytes
        asked.queued.add(event.queued)

    def request_answered(self, event):
        """Counted."""
        asked = self.of(event.client).asked_of(event)
        asked.responses += 1
        asked.response_bytes += event.bytes
        asked.seconds.add(event.seconds)
        asked.at_broker.add(event.at_broker)

    def throttled(self, event):
        """Counted."""
        self.of(event.client).add("throttle_seconds", (broker_of(event),), event.seconds)

    def metadata_refreshed(self, event):
        """Counted."""
        self.of(event.client).add("metadata_refreshes")

    def batch_written(self, event):
        """Counted."""
        topics = self.of(event.client).sent
        sent = topics.get(event.topic)
        if sent is None:
            sent = topics[event.topic] = Sent()
        sent.batches += 1
        sent.records += event.records
        sent.bytes += event.bytes
        sent.compressed += event.compressed
        sent.sizes.add(event.records)
        sent.fill.add(event.fill)
        sent.seconds.add(event.seconds)

    def batch_retried(self, event):
        """Counted."""
        self.of(event.client).add("retries", (event.topic,))

    def batch_failed(self, event):
        """Counted."""
        self.of(event.client).add("failed_records", (event.topic,), event.records)

    def fetch_answered(self, event):
        """Counted."""
        numbers = self.of(event.client)
        numbers.add("fetched_bytes", (str(event.broker_id),), event.bytes)
        numbers.observe("fetch_bytes", event.bytes)

    def records_handed_out(self, event):
        """Counted."""
        numbers = self.of(event.client)
        numbers.add("consumed_records", (event.topic,), event.records)
        for partition, handed in event.partitions.items():
            numbers.handed((event.topic, partition), handed, hasattr(event.client, "group_name"))

    def committed(self, event):
        """Counted."""
        numbers = self.of(event.client)
        if event.offsets:
            numbers.add("commits")
        if event.errors:
            numbers.add("commit_failures")
        if event.seconds:
            numbers.observe("commit_seconds", event.seconds)
        for key, offset in event.offsets.items():
            numbers.commit(key, offset)

    def rebalance_ended(self, event):
        """Counted."""
        numbers = self.of(event.client)
        numbers.add("rebalances")
        numbers.observe("rebalance_seconds", event.seconds)
        for moved in ("assigned", "revoked", "lost"):
            numbers.add("partitions_" + moved, (), sum(map(len, getattr(event, moved).values())))
        numbers.forget(event.revoked)
        numbers.forget(event.lost)

    def heartbeat_late(self, event):
        """Counted."""
        self.of(event.client).add("late_heartbeats")

    def loop_blocked(self, event):
        """Counted."""
        numbers = self.of(event.client)
        numbers.add("loop_blocked")
        numbers.add("loop_blocked_seconds", (), event.seconds)

    def error(self, event):
        """Counted."""
        self.of(event.client).add("errors", (name_of(event.error),))

    # -- the numbers --

    def collect(self, client):
        """
        Return all numbers of a client: ``{name: {label values: number or Histogram}}``.

        Of counters and histograms without labels there is one from the beginning on.
        """
        numbers = self.of(client)
        gauges = client._gauges()
        numbers.state(gauges)
        for worker in [reference() for reference in list(self._workers)]:
            if worker is not None and worker.consumer is client:
                found = worker.numbers
                gauges.update((name, {(): found[key]}) for name, key in WORKER.items() if key in found)
        counted = numbers.totals()
        found = collections.OrderedDict()
        for name, (kind, _, labels, _, bounds) in TABLE.items():
            values = counted[name] if name in counted else gauges.get(name, {})
            if not values and not labels and name in counted:
                values = {(): 0 if bounds is None else Histogram(bounds)}
            if values:
                found[name] = values
        return found


def report(client):
    """
    Return a client's numbers as a plain dict, fit for JSON: what the first `Metrics` among its hooks counted, and how
    the client is.

    Without a `Metrics` only the latter is there. Where `TABLE` names labels, a value is a dict by the first of them, of
    dicts by the second; a histogram is what `Histogram.plain` returns.
    """
    hooks = client._settings.hooks
    for listener in () if hooks is None else hooks.listeners:
        if isinstance(listener, Metrics):
            found = listener.collect(client)
            break
    else:
        found = client._gauges()
    return dict((name, _nested(values)) for name, values in found.items())


def _include(values, labels, histogram):
    """Add a histogram to what else has these labels, without changing either."""
    if labels in values:
        whole = Histogram(histogram.bounds)
        whole.include(values[labels])
        whole.include(histogram)
        histogram = whole
    values[labels] = histogram


def _forget(numbers, clients, key, _):
    """A client is gone."""
    numbers.pop(key, None)
    clients.pop(key, None)


def _nested(values):
    """Return {label values: number} as dicts in dicts."""
    out = {}
    for labels, value in values.items():
        value = value.plain() if isinstance(value, Histogram) else value
        if not labels:
            return value
        inner = out
        for label in labels[:-1]:
            inner = inner.setdefault(str(label), {})
        inner[str(labels[-1])] = value
    return out


def broker_of(event):
    """Return a broker as a label."""
    return "bootstrap" if event.broker_id is None else str(event.broker_id)


def name_of(error):
    """Return an error as a label: Kafka's name of it, or that of its class."""
    return getattr(error, "name", None) or type(error).__name__


def consumer_of(worker):
    """
    Return the consumer of a `kiel.worker.Worker`.

    :raises TypeError: for what is none
    """
    if isinstance(worker, type) or not hasattr(worker, "numbers") or not hasattr(worker, "consumer"):
        raise TypeError("watch() takes a kiel.worker.Worker, not %r" % (worker,))
    return worker.consumer
