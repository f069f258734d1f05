"""What a handler returns where a worker works exactly once: messages that are produced with its message's offset."""
from __future__ import absolute_import

import collections

import six

from kiel import arguments
from kiel.clients.producing.message import labelled


class Output(collections.namedtuple("Output", "topic message key partition headers timestamp")):
    """
    A message that a handler has produced in the transaction that commits the offset of the one it was called with.

    The arguments are those of `kiel.clients.Producer.produce`; ``message`` goes through the producer's serializer.
    """

    __slots__ = ()

    def __new__(cls, topic, message, key=None, partition=None, headers=None, timestamp=None):
        return super(Output, cls).__new__(cls, topic, message, key, partition, headers, timestamp)


def refuse(result):
    """
    Look at what a handler returned where nothing is produced: anything but an `Output` is of no interest.

    :raises TypeError: for what the application means to be produced
    """
    if isinstance(result, Output) or (isinstance(result, (list, tuple)) and result and isinstance(result[0], Output)):
        raise TypeError("the handler returned a kiel.worker.Output, but the worker has no producer: give it "
                        "producer=clients.Producer(..., transactional_id=...)")


class Serialized(object):
    """
    Makes bytes of what handlers return: what can't be written is their message's failure, not the transaction's.

    :param serializer: the producer's
    :param key_maker: the producer's
    """

    def __init__(self, serializer, key_maker):
        self._serializer = serializer
        self._key_maker = key_maker

    def __call__(self, result):
        """
        Return a list of `Output` objects whose messages are bytes, or None.

        :param result: of a handler: None, an `Output`, or several in whatever can be gone through
        :raises TypeError: for anything else, and for what can't be produced
        :raises ValueError: for a partition that can't be
        """
        if result is None:
            return None
        if isinstance(result, Output):
            return [self._one(result)]
        if isinstance(result, (bytes, six.text_type, dict)) or not hasattr(result, "__iter__"):
            raise _no_output(result)
        return [self._one(output) for output in result] or None

    def _one(self, output):
        if not isinstance(output, Output):
            raise _no_output(output)
        value = self._serializer(output.message)
        if isinstance(value, six.text_type):
            value = value.encode("utf-8")
        elif not isinstance(value, bytes) and value is not None:
            raise TypeError("the serializer has to return text, bytes or None, not %r" % (value,))
        key = self._key_maker(output.message) if output.key is None else output.key
        labelled(key, value, output.headers)
        partition = output.partition
        return output._replace(
            topic=arguments.text("topic", output.topic), message=value, key=key,
            partition=None if partition is None else arguments.integer("partition", partition, 0),
            timestamp=None if output.timestamp is None else arguments.milliseconds("timestamp", output.timestamp))


def _no_output(found):
    return TypeError("where the worker has a producer, a handler returns kiel.worker.Output objects or None, not %r"
                     % (found,))
