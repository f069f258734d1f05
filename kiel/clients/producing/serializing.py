"""What a serializer may return beside bytes and text: something to wait for, or a question about the topic."""
from __future__ import absolute_import

from kiel import arguments
from kiel.callbacks import callback_failure
from kiel.events import ignore, outcome_of, settle


class Unserialized(object):
    """
    What a serializer returns that has to know the topic, or adds headers to its messages.

    :param serialize: called with ``(topic, message)``; returns bytes, text, None or a `Serialized`, or something to
        wait for that has one of these as its result
    :param message: as it was given to the producer
    """

    __slots__ = ("serialize", "message")

    def __init__(self, serialize, message):
        self.serialize = serialize
        self.message = message


class Serialized(object):
    """
    A serialized message with headers of the serializer's own, which come behind those that it was produced with.

    :param value: bytes, text or None
    :param headers: ``(name, value)`` pairs
    """

    __slots__ = ("value", "headers")

    def __init__(self, value, headers):
        self.value = value
        self.headers = headers


def waits(value):
    """Return whether a callback of the application returned something to wait for: a Future or a coroutine."""
    return hasattr(value, "add_done_callback") or hasattr(value, "__await__")


def made(value, topic, headers):
    """
    Return what a serializer returned as ``(value, headers, future)``.

    :param value: what it returned
    :param headers: those that the message was produced with
    :return: with the future None, the value is bytes or None and the headers are all there are; else it is what has to
        be waited for, with an outcome that `resolved` takes
    :raises TypeError: for a value that is neither bytes nor text nor None
    """
    if value.__class__ is Unserialized:
        value = value.serialize(topic, value.message)
    if waits(value):
        future = ignore(outcome_of(value))
        if not future.done():
            return None, headers, future
        value = future.result()
    value, headers = resolved(value, headers)
    return value, headers, None


def resolved(value, headers):
    """Return what a serializer made in the end as ``(value, headers)``, its own behind those that were there."""
    if value.__class__ is Serialized:
        if value.headers:
            headers = list(headers.items() if hasattr(headers, "items") else headers or ()) + list(value.headers)
        value = value.value
    return arguments.made("serializer", value), headers


def watch(pending, future, label, ready):
    """
    Complete a message when its serializer is done; fail it where that failed.

    :param pending: the `kiel.clients.producing.pending_record.PendingRecord`
    :param future: what its serializer returned
    :param label: called with the result, returns value, key and headers as they are written, and the size
    :param ready: called when the message is complete, or has failed
    """
    def done(_):
        """The serializer has ended."""
        pending.serializing = False
        try:
            pending.value, pending.label, pending.size = label(future.result())
        except BaseException as error:
            if pending.future is not None:
                settle(pending.future, error=callback_failure(error))
        ready()

    pending.serializing = True
    future.add_done_callback(done)
