"""The span ``process`` of a message that a consumer has handed out."""
from __future__ import absolute_import

from opentelemetry import baggage, context, trace

from kiel.tracing.propagation import extracted
from kiel.tracing.spans import attributes, failed, text_of


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
        """Make the span no longer the current one, without ending it."""
        context.detach(self._token)

    def end(self, error=None):
        """End the span, with an error or without."""
        if error is not None:
            self.span.record_exception(error)
            failed(self.span, error)
        self.span.end()
