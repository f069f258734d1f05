"""
The numbers of clients by OpenTelemetry's conventions for messaging: ``pip install kiel[opentelemetry]``.

    consumer = clients.SingleConsumer(brokers, hooks=[kiel.metrics.opentelemetry.OpenTelemetryMetrics()])

Of the conventions (semantic conventions 1.44, "messaging") these are the metrics:
``messaging.client.operation.duration`` of the operations send, receive and commit, ``messaging.client.sent.messages``
and ``messaging.client.consumed.messages``. They have none for what `OpenTelemetryMetrics.watch` tells of a worker:
``kiel.worker.in_flight``, ``.waiting``, ``.oldest`` (seconds), ``.done``, ``.retried``, ``.dead``, ``.given_back``,
``.transactions``, ``.aborted``. The attribute ``error.type`` is Kafka's own name, such as
NOT_ENOUGH_REPLICAS. Where the application installed no SDK, they go nowhere.
"""
from __future__ import absolute_import

import functools
import weakref

from opentelemetry import metrics

from kiel import __version__
from kiel.metrics import COUNTER, TABLE, WORKER, consumer_of, name_of

#: the bounds that the conventions ask for, in seconds
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)

#: operation -> its type
TYPES = {"send": "send", "receive": "receive", "process": "process", "commit": "settle"}


def attributes(event, operation, topic=None, partition=None, error=None):
    """Return the attributes of a measurement."""
    found = {
        "messaging.system": "kafka", "messaging.operation.name": operation,
        "messaging.operation.type": TYPES[operation], "messaging.client.id": event.client_id or "",
    }
    group = getattr(event.client, "group_name", None)
    if group and operation != "send":
        found["messaging.consumer.group.name"] = group
    if topic is not None:
        found["messaging.destination.name"] = topic
    if partition is not None:
        found["messaging.destination.partition.id"] = str(partition)
    if error is not None:
        found["error.type"] = error_type(error)
    return found


def error_type(error):
    """Return an error as the conventions want it: Kafka's name of it, or that of the exception's class."""
    name = name_of(error)
    return name.upper() if name == getattr(error, "name", None) else name


class OpenTelemetryMetrics(object):
    """
    A hook that measures by OpenTelemetry.

    :param meter_provider: default: the application's
    """

    def __init__(self, meter_provider=None):
        meter = metrics.get_meter("kiel", __version__, meter_provider)
        options = dict(
            unit="s", description="Duration of messaging operation initiated by a producer or consumer client.")
        try:
            self._duration = meter.create_histogram(
                "messaging.client.operation.duration", explicit_bucket_boundaries_advisory=BOUNDS, **options)
        except TypeError:  # OpenTelemetry before 1.27 takes no advice
            self._duration = meter.create_histogram("messaging.client.operation.duration", **options)
        self._sent = meter.create_counter(
            "messaging.client.sent.messages", unit="{message}",
            description="Number of messages producer attempted to send to the broker.")
        self._consumed = meter.create_counter(
            "messaging.client.consumed.messages", unit="{message}",
            description="Number of messages that were delivered to the application.")
        self._meter = meter
        #: weak references to the workers of `watch`
        self._workers = []

    def watch(self, worker):
        """
        Measure a `kiel.worker.Worker`, too, whenever a reader asks. Return the worker.

        :raises TypeError: if it is not a worker
        """
        consumer_of(worker)
        if not self._workers:
            for name, key in WORKER.items():
                kind, unit, _, meaning, _ = TABLE[name]
                make = self._meter.create_observable_counter if kind == COUNTER else (
                    self._meter.create_observable_gauge)
                make("kiel.worker." + key, callbacks=[functools.partial(self._measured, key)],
                     unit="s" if unit == "seconds" else "{message}", description=meaning.replace("`", ""))
        self._workers.append(weakref.ref(worker))
        return worker

    def _measured(self, key, _options):
        """Return what there is to say of one number of all workers."""
        workers = [worker for worker in [reference() for reference in self._workers] if worker is not None]
        return [metrics.Observation(worker.numbers[key], {
            "messaging.system": "kafka", "messaging.client.id": worker.consumer._settings.client_id,
            "messaging.consumer.group.name": worker.consumer.group_name,
        }) for worker in workers if key in worker.numbers]

    def batch_written(self, event):
        """A batch of messages was sent."""
        found = attributes(event, "send", event.topic, event.partition)
        self._sent.add(event.records, found)
        self._duration.record(event.seconds, found)

    def batch_failed(self, event):
        """A batch of messages could not be sent."""
        found = attributes(event, "send", event.topic, event.partition, event.error)
        self._sent.add(event.records, found)
        self._duration.record(event.seconds, found)

    def records_handed_out(self, event):
        """Messages were handed out."""
        found = attributes(event, "receive", event.topic)
        self._consumed.add(event.records, found)
        self._duration.record(event.seconds, found)

    def committed(self, event):
        """Offsets were committed, or not."""
        error = next(iter(event.errors.values()), None)
        self._duration.record(event.seconds, attributes(event, "commit", error=error))
