"""What was counted of one client, by the names of `kiel.metrics.table.TABLE`."""
from __future__ import absolute_import

from kiel.metrics.histogram import Histogram
from kiel.metrics.partitions import Partitions
from kiel.metrics.table import COUNTER, HISTOGRAM, RECORDS, SECONDS, SHARE, TABLE, WAITING, WORKER


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
        #: what a consumer has handed out of each partition, and committed
        self.partitions = Partitions()

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


def _include(values, labels, histogram):
    """Add a histogram to the one that has these labels already, as a new one."""
    if labels in values:
        whole = Histogram(histogram.bounds)
        whole.include(values[labels])
        whole.include(histogram)
        histogram = whole
    values[labels] = histogram
