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

from opentelemetry import context, trace

from kiel import __version__, arguments, events
from kiel.tracing.processing import Processing
from kiel.tracing.producing import Producing
from kiel.tracing.propagation import extracted
from kiel.tracing.spans import CancelledError, attributes, exception_of, failed, nanoseconds  # noqa: F401

#: links of a span at most, as OpenTelemetry's SDK keeps them
MOST_LINKS = 128


class Tracing(object):
    """
    A hook that traces what clients do: one object for one client or for several.

    What ``produce_many`` takes has no headers, so that its messages hand on no context; it makes one span.

    :param tracer_provider: default: the application's
    :param share: how many messages of a topic may share one span, when they are produced one after the other in the
        same context: fewer spans where there are very many messages. What they hand on is that span's context
    :param parents: whether the context of a message is the parent of the span in which it is processed, not a link
    :raises TypeError: if ``share`` is not a number
    :raises ValueError: if it is below 1
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
