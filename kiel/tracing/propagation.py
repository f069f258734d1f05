"""Contexts in the headers of messages: written by whoever produces, read by whoever consumes."""
from __future__ import absolute_import

from opentelemetry import context, propagate, trace
from opentelemetry.propagators import textmap

#: the header that says which trace a message belongs to
TRACEPARENT = "traceparent"


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
