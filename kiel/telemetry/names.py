"""
What is told of a client, by the names that KIP-714 and Java's own clients have for it.

Names are those of `TABLE` after ``org.apache.kafka.`` and the kind of client. Numbers that only grow are sums, all
others gauges; times are in milliseconds, as Java's are.
"""
from __future__ import absolute_import

import collections

from kiel.telemetry.otlp import Point

PREFIX = "org.apache.kafka."

PRODUCER, CONSUMER, ADMIN = "producer.", "consumer.", "admin.client."
ALL = (PRODUCER, CONSUMER, ADMIN)

#: how a number is had of what was counted: see `Snapshot`
TOTAL, RATE, GAUGE, AVERAGE, MOST = "total", "rate", "gauge", "average", "most"

#: name -> (kinds of client, how, of what, unit, attributes, meaning); "of what" is a name of `kiel.metrics.TABLE`, a
#: window of `kiel.telemetry.counts.Counts`, or a method of `Snapshot`. Those that the KIP requires come first: where
#: not all has room, the last are left out.
TABLE = collections.OrderedDict((row[0], row[1:]) for row in (
    ("connection.creation.total", ALL, TOTAL, "opened", "", (), "connections that were opened"),
    ("connection.creation.rate", ALL, RATE, "opened", "", (), "those of a second"),
    ("node.request.latency.avg", ALL, AVERAGE, "request", "ms", ("node_id",),
     "from a request's being asked for to its answer"),
    ("node.request.latency.max", ALL, MOST, "request", "ms", ("node_id",), "the longest"),
    ("produce.throttle.time.avg", (PRODUCER,), AVERAGE, "throttle", "ms", (),
     "that a broker held requests to produce back, over a quota"),
    ("produce.throttle.time.max", (PRODUCER,), MOST, "throttle", "ms", (), "the longest"),
    ("record.queue.time.avg", (PRODUCER,), AVERAGE, "queue", "ms", (),
     "that batches waited before they were sent"),
    ("record.queue.time.max", (PRODUCER,), MOST, "queue", "ms", (), "the longest"),
    ("poll.idle.ratio.avg", (CONSUMER,), GAUGE, "idle", "", (),
     "the part of the time that calls of ``consume`` took, 0 to 1"),
    ("coordinator.commit.latency.avg", (CONSUMER,), AVERAGE, "commit", "ms", (), "of a commit"),
    ("coordinator.commit.latency.max", (CONSUMER,), MOST, "commit", "ms", (), "the longest"),
    ("coordinator.assigned.partitions", (CONSUMER,), GAUGE, "assigned_partitions", "", (),
     "partitions that the member owns"),
    ("coordinator.rebalance.latency.avg", (CONSUMER,), AVERAGE, "rebalance", "ms", (),
     "of a change of the member's partitions"),
    ("coordinator.rebalance.latency.max", (CONSUMER,), MOST, "rebalance", "ms", (), "the longest"),
    ("coordinator.rebalance.latency.total", (CONSUMER,), TOTAL, "rebalanced", "ms", (), "of all"),
    ("fetch.manager.fetch.latency.avg", (CONSUMER,), AVERAGE, "fetch", "ms", (), "of a fetch"),
    ("fetch.manager.fetch.latency.max", (CONSUMER,), MOST, "fetch", "ms", (), "the longest"),
    ("request.total", ALL, TOTAL, "requests", "", (), "requests that were sent"),
    ("outgoing.byte.total", ALL, TOTAL, "request_bytes", "bytes", (), "of them"),
    ("response.total", ALL, TOTAL, "responses", "", (), "answers that came"),
    ("incoming.byte.total", ALL, TOTAL, "response_bytes", "bytes", (), "of them"),
    ("connection.count", ALL, GAUGE, "connections", "", (), "connections that are open"),
    ("request.latency.avg", (PRODUCER,), AVERAGE, "produce", "ms", (), "of a request to produce"),
    ("request.latency.max", (PRODUCER,), MOST, "produce", "ms", (), "the longest"),
    ("record.send.total", (PRODUCER,), TOTAL, "sent_records", "", (), "messages that brokers have taken"),
    ("record.error.total", (PRODUCER,), TOTAL, "failed_records", "", (), "messages that were given up"),
    ("record.retry.total", (PRODUCER,), TOTAL, "retried", "", (), "messages that were sent again"),
    ("fetch.manager.fetch.total", (CONSUMER,), TOTAL, "fetches", "", (), "fetches"),
    ("fetch.manager.records.consumed.total", (CONSUMER,), TOTAL, "consumed_records", "", (),
     "messages that were handed out"),
    ("fetch.manager.bytes.consumed.total", (CONSUMER,), TOTAL, "fetched_bytes", "bytes", (),
     "of messages that were fetched, as on the wire"),
    ("fetch.manager.records.lag.max", (CONSUMER,), GAUGE, "largest_lag", "", (),
     "messages behind the end of the log, in the partition where it is most"),
    ("coordinator.commit.total", (CONSUMER,), TOTAL, "commits", "", (), "commits that went through"),
    ("coordinator.rebalance.total", (CONSUMER,), TOTAL, "rebalances", "", (),
     "changes of the member's partitions"),
    ("topic.record.send.total", (PRODUCER,), TOTAL, "sent_records", "", ("topic",), "messages that brokers have taken"),
    ("topic.byte.total", (PRODUCER,), TOTAL, "sent_compressed_bytes", "bytes", ("topic",), "of them, as sent"),
    ("topic.record.error.total", (PRODUCER,), TOTAL, "failed_records", "", ("topic",), "messages that were given up"),
    ("fetch.manager.records.lag", (CONSUMER,), GAUGE, "lag", "", ("topic", "partition"),
     "messages behind the end of the log"),
))


class Snapshot(object):
    """
    What a client's numbers are at one moment.

    :param kind: `PRODUCER`, `CONSUMER` or `ADMIN`
    :param numbers: what `kiel.metrics.Metrics.collect` returns
    :param windows: {(name, label): `kiel.telemetry.counts.Window`} of the time since the last push
    :param seconds: that these are of
    :param opened: how many connections were opened
    :param retried: how many messages were sent again
    """

    def __init__(self, kind, numbers, windows, seconds, opened, retried):
        self._kind = kind
        self._numbers = dict(numbers, opened={(): opened}, retried={(): retried})
        self._numbers["rebalanced"] = _sums(self._numbers.get("rebalance_seconds"), 1000.0)
        self._numbers["fetches"] = _counts(self._numbers.get("fetch_bytes"))
        lags = self._numbers.get("lag", {}).values()
        self._numbers["largest_lag"] = {(): max(lags)} if lags else {}
        self._windows = windows
        self._seconds = seconds
        poll = windows.get(("poll", None))
        self._numbers["idle"] = {} if poll is None else {(): min(1.0, poll.sum / seconds)}

    def points(self, before, starts, delta):
        """
        Return ``(points, totals)``: what there is to tell, the most important first, and all that was counted so far,
        by name and label values.

        :param before: the totals of the last push; `{}` for none
        :param starts: since when totals are counted, by what they are of; None is for all others
        :param delta: whether totals are told as what came since the last push
        """
        points, totals = [], {}
        for name, (kinds, how, source, unit, labels, _) in TABLE.items():
            name = PREFIX + self._kind + name
            if self._kind not in kinds:
                continue
            for values, value in sorted(self._values(how, source, labels).items()):
                if how in (TOTAL, RATE):
                    totals[name, values] = value
                    value -= before.get((name, values), 0) if delta or how == RATE else 0
                if how == RATE:
                    value /= self._seconds
                start = starts.get(source, starts[None]) if how == TOTAL else None
                points.append(Point(name, unit, labels, values, value, start))
        return points, totals

    def _values(self, how, source, labels):
        """Return {label values: number}."""
        if how in (AVERAGE, MOST):
            return dict((() if label is None else (label,), 1000.0 * (
                        window.most if how == MOST else window.sum / max(1, window.count)))
                        for (name, label), window in self._windows.items() if name == source)
        found = self._numbers.get(source, {})
        if labels or how == GAUGE:
            return dict((tuple(str(value) for value in values), number) for values, number in found.items())
        return {(): sum(found.values())}


def _sums(histograms, factor):
    return dict((labels, histogram.sum * factor) for labels, histogram in (histograms or {}).items())


def _counts(histograms):
    return dict((labels, sum(histogram.counts)) for labels, histogram in (histograms or {}).items())
