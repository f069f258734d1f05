"""
Metrics of clients.

`Metrics` is a hook (`kiel.hooks`) that counts what a client does. ``client.metrics()`` returns what it has counted, and
the client's gauges, as a plain dict; `TABLE` lists all of them. `kiel.metrics.prometheus` and
`kiel.metrics.opentelemetry` export them.
"""
from __future__ import absolute_import

import collections
import functools
import weakref

from kiel.metrics.histogram import Histogram
from kiel.metrics.numbers import Asked, Numbers, Sent  # noqa: F401
from kiel.metrics.partitions import MOST_AT_WORK  # noqa: F401
from kiel.metrics.table import (  # noqa: F401
    BYTES, COUNTER, GAUGE, HISTOGRAM, PEAK, RECORDS, SECONDS, SHARE, TABLE, WAITING, WORKER
)


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
        Also report the numbers of a `kiel.worker.Worker`, together with those of its consumer. Return the worker.

        :raises TypeError: if it is not a worker
        :raises ValueError: if this object is not among the hooks of its consumer
        """
        consumer = consumer_of(worker)
        hooks = consumer._settings.hooks
        if hooks is None or self not in hooks.listeners:
            raise ValueError("the worker's consumer has to have this Metrics object among its hooks: hooks=[metrics]")
        self.of(consumer)  # it counts as one that has done something
        self._workers.append(weakref.ref(worker, self._workers.remove))
        return worker

    @property
    def clients(self):
        """The clients that have caused an event and still exist: a list."""
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
            numbers.partitions.handed((event.topic, partition), handed, hasattr(event.client, "group_name"))

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
            numbers.partitions.commit(key, offset)

    def rebalance_ended(self, event):
        """Counted."""
        numbers = self.of(event.client)
        numbers.add("rebalances")
        numbers.observe("rebalance_seconds", event.seconds)
        for moved in ("assigned", "revoked", "lost"):
            numbers.add("partitions_" + moved, (), sum(map(len, getattr(event, moved).values())))
        numbers.partitions.forget(event.revoked)
        numbers.partitions.forget(event.lost)

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

        Counters and histograms without labels are there from the beginning, as zero.
        """
        numbers = self.of(client)
        gauges = client._gauges()
        numbers.partitions.state(gauges)
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
    Return a client's metrics as a plain dict, fit for JSON: what the first `Metrics` among its hooks has counted, and
    the client's gauges.

    Without a `Metrics` only the gauges are there. Where `TABLE` names labels, a value is a dict by the first,
    of dicts by the second; a histogram is what `Histogram.plain` returns.
    """
    hooks = client._settings.hooks
    for listener in () if hooks is None else hooks.listeners:
        if isinstance(listener, Metrics):
            found = listener.collect(client)
            break
    else:
        found = client._gauges()
    return dict((name, _nested(values)) for name, values in found.items())


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

    :raises TypeError: if it is not one
    """
    if isinstance(worker, type) or not hasattr(worker, "numbers") or not hasattr(worker, "consumer"):
        raise TypeError("watch() takes a kiel.worker.Worker, not %r" % (worker,))
    return worker.consumer
