"""What is said of a span: attributes by the semantic conventions, errors, and times."""
from __future__ import absolute_import

from opentelemetry import trace

from kiel.metrics.opentelemetry import TYPES, error_type


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
