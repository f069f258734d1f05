"""
Traces by OpenTelemetry's conventions for messaging: ``pip install kiel[opentelemetry]``.

    tracing = kiel.tracing.Tracing()
    producer = clients.Producer(brokers, hooks=[tracing])
    consumer = clients.GroupedConsumer(brokers, "work", hooks=[tracing])

    for record in (yield consumer.consume_records("colors")):
        with tracing.process(record):
            yield producer.produce("shades", shade_of(record.value))

``produce()`` begins a span ``send colors`` beneath the current one and hands its context on in the message's headers
(``traceparent``, ``tracestate``, ``baggage``); it ends when the brokers have the message. Messages that a consumer
hands out make a span ``receive colors`` with links to those contexts, `Tracing.process` one ``process colors`` with a
link to that of its message, and with its baggage. A commit makes a span, too.

It needs Tornado 6.1 or later, whose coroutines keep their context, and OpenTelemetry's API only; where the application
installed no SDK, nothing is traced. Attributes are those of the semantic conventions 1.44.
"""
from __future__ import absolute_import

import sys
import time

from opentelemetry import baggage, context, propagate, trace
from opentelemetry.propagators import textmap

from kiel import __version__, arguments, events
from kiel.clients.producing.delivery import BatchBarrier
from kiel.metrics.opentelemetry import TYPES, error_type

#: links of a span at most, as OpenTelemetry's SDK keeps them
MOST_LINKS = 128

#: the header that says which trace a message belongs to
TRACEPARENT = "traceparent"

_current = context.get_current


class Tracing(object):
    """
    A hook that traces what clients do: one object for one client or for several.

    What ``produce_many`` takes has no headers, so that its messages hand on no context; it makes one span.

    :param tracer_provider: default: the application's
    :param share: how many messages of a topic may share one span, when they are produced one after the other in the
        same context: fewer spans where there are very many messages. What they hand on is that span's context
    :param parents: whether the context of a message is the parent of the span in which it is processed, not a link
    :raises TypeError: for a ``share`` that is no number
    :raises ValueError: for one below 1
    """

    def __init__(self, tracer_provider=None, share=1, parents=False):
        self._tracer = trace.get_tracer("kiel", __version__, tracer_provider)
        self._share = arguments.integer("share", share, 1)
        self._parents = bool(parents)

    # -- producing --

    def made(self, event):
        """A client is made: a producer's messages are traced from now on."""
        client = event.client
        if hasattr(client, "produce"):
            Producing(self._tracer, client, self._share).wrap()

    # -- consuming --

    def records_handed_out(self, event):
        """Messages were handed out: see `kiel.hooks.METHODS`."""
        links, records = [], [message for message in event.messages[:MOST_LINKS] if hasattr(message, "headers")]
        for record in records:
            found = trace.get_current_span(extracted(record, context.Context())).get_span_context()
            if found.is_valid:
                links.append(trace.Link(found))
        now = time.time()
        found = attributes("receive", event.topic, event.client)
        found["messaging.batch.message_count"] = event.records
        partitions = list(event.partitions)
        if len(partitions) == 1:
            found["messaging.destination.partition.id"] = str(partitions[0])
        self._tracer.start_span(
            "receive %s" % event.topic, kind=trace.SpanKind.CLIENT, links=links, attributes=found,
            start_time=nanoseconds(now - event.seconds)
        ).end(nanoseconds(now))

    def committed(self, event):
        """Offsets were committed, or not: see `kiel.hooks.METHODS`."""
        if not event.seconds:  # with a transaction, which is its producer's
            return
        now = time.time()
        topics = set(topic for topic, _ in list(event.offsets) + list(event.errors))
        topic = topics.pop() if len(topics) == 1 else None
        span = self._tracer.start_span(
            "commit" if topic is None else "commit %s" % topic, kind=trace.SpanKind.CLIENT,
            attributes=attributes("commit", topic, event.client), start_time=nanoseconds(now - event.seconds)
        )
        for error in list(event.errors.values())[:1]:
            failed(span, error)
        span.end(nanoseconds(now))

    def process(self, record, consumer=None):
        """
        Return the span in which a message is processed, as a context: ``with tracing.process(record):``.

        Within, it is the current span, and the baggage of the message is there; what is produced belongs to it. An
        exception that leaves it is recorded. Coroutines may ``yield`` and ``await`` within.

        :param record: a `kiel.clients.Record`
        :param consumer: the consumer that it came from, for the attributes that name it
        """
        return Processing(self._tracer, record, consumer, self._parents)

    def processing(self, handler, consumer=None):
        """
        Return a function of a record that has the handler do its work within `process`.

        :param handler: a function of a record: a plain one, or one of any kind of coroutine
        """
        def traced(record):
            """Have the handler work within a span."""
            working = self.process(record, consumer)
            working.__enter__()
            try:
                result = handler(record)
                waits = hasattr(result, "__await__") or hasattr(result, "add_done_callback")
                if waits:
                    result = events.outcome_of(result)  # a coroutine's task begins in the context of now
            except BaseException:
                working.__exit__(*sys.exc_info())
                raise
            if waits:
                working.leave()
                result.add_done_callback(lambda _: working.end(exception_of(result)))
            else:
                working.__exit__(None, None, None)
            return result
        # not by `functools.wraps`, through whose `__wrapped__` a worker would find the handler alone
        traced.__name__ = getattr(handler, "__name__", type(handler).__name__)
        return traced


class Producing(object):
    """
    Traces one producer's messages.

    :param tracer: OpenTelemetry's
    :param producer: the `kiel.clients.producer.Producer`
    :param share: see `Tracing`
    """

    def __init__(self, tracer, producer, share):
        self._tracer = tracer
        self._producer = producer
        self._share = share
        self._produce = producer.produce
        self._produce_nowait = producer.produce_nowait
        self._produce_many = producer.produce_many
        #: topic -> the `Sending` that takes more messages
        self._open = {}

    def wrap(self):
        """Stand in the place of the producer's methods."""
        self._producer.produce = self.produce
        self._producer.produce_nowait = self.produce_nowait
        self._producer.produce_many = self.produce_many

    def produce(self, topic, message, key=None, partition=None, headers=None, timestamp=None, timeout=None):
        """See `kiel.clients.producer.Producer.produce`."""
        if headers is not None and headers.__class__ is not list:
            headers = listed(headers)
        sending = self._open.get(topic)
        if sending is None or sending.left <= 0 or sending.context is not _current() or has_context(headers):
            sending = self._sending(topic, message, key, headers)
        carried = sending.headers
        future = self._produce(
            topic, message, key, partition, carried if not headers else sending.added_to(headers), timestamp, timeout)
        if future.done():
            self._accepted(sending, future)
        else:
            sending.pending += 1
            future.add_done_callback(lambda _: self._accepted_late(sending, future))
        return future

    def produce_nowait(self, topic, message, key=None, partition=None, headers=None, timestamp=None):
        """See `kiel.clients.producer.Producer.produce_nowait`."""
        headers = headers if headers is None else listed(headers)
        sending = self._sending(topic, message, key, headers)
        try:
            delivery = self._produce_nowait(topic, message, key, partition, sending.added_to(headers), timestamp)
        except BaseException as error:
            sending.failed(error)
            raise
        sending.take(delivery)
        return delivery

    def produce_many(self, topic, messages, keys=None, partition=None):
        """See `kiel.clients.producer.Producer.produce_many`."""
        sending = Sending(self._tracer, self._producer, topic, None, None, trace.SpanKind.CLIENT)
        future = self._produce_many(topic, messages, keys, partition)
        sending.pending += 1

        def taken(_):
            error = exception_of(future)
            if error is not None:
                sending.done(error)
                return
            deliveries = future.result()
            sending.count = len(deliveries)
            events.ignore(deliveries.finished()).add_done_callback(lambda _: sending.done(next(
                (delivery.batch.leaf(delivery.index)[0].error for delivery in deliveries
                 if delivery.batch.leaf(delivery.index)[0].error is not None), None)))

        future.add_done_callback(taken)
        return future

    def _sending(self, topic, message, key, headers):
        """Return the `Sending` that a message belongs to."""
        if has_context(headers):  # somebody's own, which is not touched
            return Sending(self._tracer, self._producer, topic, message, key, trace.SpanKind.CLIENT, headers)
        if self._share == 1:
            return Sending(self._tracer, self._producer, topic, message, key)
        sending = self._open[topic] = Sending(self._tracer, self._producer, topic, None, None)
        sending.left = self._share
        return sending

    def _accepted(self, sending, future):
        """A message was taken, or not."""
        error = None if future._exception is None and not future.cancelled() else exception_of(future)
        if error is not None:
            sending.failed(error)
        else:
            sending.take(future.result())

    def _accepted_late(self, sending, future):
        sending.pending -= 1
        self._accepted(sending, future)


class Sending(object):
    """
    A span ``send``, of one message or of several, from being produced until the brokers have them.

    :param tracer: OpenTelemetry's
    :param producer: the `kiel.clients.producer.Producer`
    :param topic: the topic
    :param message: of the one message the value, as it was given; None for several
    :param key: the key of it
    :param kind: of the span
    :param own: headers with a context that the span is linked to
    """

    __slots__ = ("context", "count", "left", "pending", "ended", "headers", "_producer", "_span", "_recording",
                 "_batches", "_last", "_error")

    def __init__(self, tracer, producer, topic, message, key, kind=trace.SpanKind.PRODUCER, own=None):
        self.context = context.get_current()
        #: how many messages it has
        self.count = 0
        #: how many more may join it; 0 once it has ended
        self.left = 0
        #: how many batches, and messages that wait for room, are not done
        self.pending = 0
        self.ended = False
        self._producer = producer
        self._batches = set()
        #: the delivery that was taken last
        self._last = None
        #: why a message was not written; None while all are
        self._error = None
        links = [] if own is None else links_of(own)
        found = attributes("send", topic, producer)
        if key is not None:
            found["messaging.kafka.message.key"] = text_of(key)
        self._span = tracer.start_span("send %s" % topic, self.context, kind, found, links)
        self._recording = self._span.is_recording()
        #: what hands the context on
        self.headers = None
        if own is None:
            self.headers = injected(trace.set_span_in_context(self._span, self.context)) or None

    def added_to(self, headers):
        """Return a message's headers with the context to hand on."""
        if self.headers is None:
            return headers
        if not headers:
            return self.headers
        return headers + self.headers if headers.__class__ is list else headers

    def take(self, delivery):
        """A message was accepted."""
        self.count += 1
        self.left -= 1
        if not self._recording:
            return
        self._last = delivery
        batch = delivery.batch
        if batch not in self._batches:
            self._batches.add(batch)
            self._wait(batch)

    def _wait(self, batch):
        barrier = BatchBarrier(retrieves=False)
        self.pending += 1
        if batch.watch(barrier):
            barrier.future.add_done_callback(lambda _: self.done(barrier.error))
        else:
            self.done(batch.leaf(self._last.index)[0].error)

    def done(self, error=None):
        """A batch is written, or given up."""
        self.pending -= 1
        self._error = self._error or error
        if not self.pending:
            self._end()

    def failed(self, error):
        """A message was not accepted."""
        self._error = self._error or error
        if not self.pending:
            self._end()

    def _end(self):
        if self.ended:
            return
        self.ended = True
        self.left = 0
        if self._recording:
            if self._error is not None:
                failed(self._span, self._error)
            if self.count == 1 and self._last is not None:
                self._say_where()
            elif self.count != 1:
                self._span.set_attribute("messaging.batch.message_count", self.count)
        self._span.end()

    def _say_where(self):
        """Note the partition and the offset of the one message."""
        batch, index = self._last.batch.leaf(self._last.index)
        found = {"messaging.destination.partition.id": str(batch.partition)}
        if batch.done and batch.error is None and batch.offset >= 0:
            found["messaging.kafka.offset"] = batch.offset + index
        cluster = self._producer.cluster
        broker = cluster.conns.get(cluster.leaders.get(batch.topic, {}).get(batch.partition))
        if broker is not None:
            found["server.address"] = broker.host
            found["server.port"] = broker.port
        self._span.set_attributes(found)  # at once: each call of one by one costs as much as all of these


class Processing(object):
    """A span ``process`` as a context, see `Tracing.process`."""

    def __init__(self, tracer, record, consumer, parents):
        remote = extracted(record, context.Context())
        of_message = trace.get_current_span(remote).get_span_context()
        current = context.get_current()
        for name, value in baggage.get_all(remote).items():
            current = baggage.set_baggage(name, value, current)
        links = []
        if of_message.is_valid and parents:
            current = trace.set_span_in_context(trace.NonRecordingSpan(of_message), current)
        elif of_message.is_valid:
            links.append(trace.Link(of_message))
        found = attributes("process", record.topic, consumer)
        found["messaging.destination.partition.id"] = str(record.partition)
        found["messaging.kafka.offset"] = int(record.offset)
        if record.key is not None:
            found["messaging.kafka.message.key"] = text_of(record.key)
        if record.value is None:
            found["messaging.kafka.message.tombstone"] = True
        #: OpenTelemetry's span
        self.span = tracer.start_span("process %s" % record.topic, current, trace.SpanKind.CONSUMER, found, links)
        self._context = trace.set_span_in_context(self.span, current)
        self._token = None

    def __enter__(self):
        self._token = context.attach(self._context)
        return self.span

    def __exit__(self, kind, error, traceback):
        self.leave()
        self.end(error)

    def leave(self):
        """It is the current span no more, and goes on."""
        context.detach(self._token)

    def end(self, error=None):
        """It is over."""
        if error is not None:
            self.span.record_exception(error)
            failed(self.span, error)
        self.span.end()


class _Headers(textmap.Getter):
    """Reads a message's headers."""

    def get(self, carrier, key):
        """Return the values of a header as texts."""
        found = [value.decode("utf-8", "replace") for name, value in carrier if name == key and value is not None]
        return found or None

    def keys(self, carrier):
        """Return the names."""
        return [name for name, _ in carrier]


_getter = _Headers()


def extracted(record, into):
    """Return a context with what a message's headers hand on."""
    return propagate.extract(list(record.headers or ()), into, _getter)


def injected(from_context):
    """Return the headers that hand a context on: a list of (name, bytes)."""
    carrier = {}
    propagate.inject(carrier, from_context)
    return [(name, value.encode("utf-8")) for name, value in carrier.items()]


def listed(headers):
    """Return headers as a list; what are none as they are, which the producer refuses."""
    try:
        return list(headers.items() if hasattr(headers, "items") else headers)
    except TypeError:
        return headers


def has_context(headers):
    """Return whether a list of headers hands on a context already."""
    try:
        for pair in headers or ():
            if pair[0] == TRACEPARENT:
                return True
    except (TypeError, IndexError):  # the producer says what is wrong with them
        pass
    return False


def links_of(headers):
    """Return a link to the context in headers."""
    encoded = [(name, value if value is None or isinstance(value, bytes) else str(value).encode("utf-8"))
               for name, value in headers]
    found = trace.get_current_span(propagate.extract(encoded, context.Context(), _getter)).get_span_context()
    return [trace.Link(found)] if found.is_valid else []


def attributes(operation, topic, client):
    """Return the attributes of a span; ``client`` None for one that is not known."""
    found = {
        "messaging.system": "kafka", "messaging.operation.name": operation,
        "messaging.operation.type": TYPES[operation],
    }
    if topic is not None:
        found["messaging.destination.name"] = topic
    if client is not None:
        found["messaging.client.id"] = client._settings.client_id
        if client._settings.cluster_id is not None:
            found["messaging.kafka.cluster.id"] = client._settings.cluster_id
        group = getattr(client, "group_name", None)
        if group is not None:
            found["messaging.consumer.group.name"] = group
    return found


def failed(span, error):
    """Note an error on a span."""
    span.set_attribute("error.type", error_type(error))
    span.set_status(trace.Status(trace.StatusCode.ERROR, str(error)))


def exception_of(future):
    """
    Return what a Future has failed with, None for nothing.

    Its owner has not looked at it yet, and the log is to say so if nobody ever does: so this calls no ``exception()``.
    """
    if future.cancelled():
        return CancelledError("the call was cancelled")
    return future._exception


class CancelledError(Exception):
    """A call of ``produce()`` was cancelled."""


def text_of(key):
    """Return a key as an attribute."""
    return key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)


def nanoseconds(seconds):
    """Return a time since 1970 as OpenTelemetry has it."""
    return int(seconds * 1e9)
