"""The spans ``send`` of a producer, from ``produce()`` to the acknowledgement."""
from __future__ import absolute_import

from opentelemetry import context, trace

from kiel import events
from kiel.clients.producing.delivery import BatchBarrier
from kiel.tracing.propagation import has_context, injected, links_of, listed
from kiel.tracing.spans import attributes, exception_of, failed, text_of

_current = context.get_current


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
