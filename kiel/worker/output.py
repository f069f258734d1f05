"""What a handler returns where a worker works exactly once: messages that are produced with its message's offset."""
from __future__ import absolute_import

import collections

import six
from tornado import gen

from kiel import arguments
from kiel.clients.producing import serializing
from kiel.clients.producing.message import labelled


_Fields = collections.namedtuple("Output", "topic message key partition headers timestamp")
_Fields.__new__.__defaults__ = (None,) * 4


class Output(_Fields):
    """
    A message that a handler has produced in the transaction that commits the offset of the one it was called with.

    The arguments are those of `kiel.clients.Producer.produce`; ``message`` goes through the producer's serializer.
    """

    __slots__ = ()


def refuse(result):
    """
    Look at what a handler returned where nothing is produced: anything but an `Output` is of no interest.

    :raises TypeError: for what the application means to be produced
    """
    if isinstance(result, Output) or (isinstance(result, (list, tuple)) and result and isinstance(result[0], Output)):
        raise TypeError("the handler returned a kiel.worker.Output, but the worker has no producer: give it "
                        "producer=clients.Producer(..., transactional_id=...)")


class Outputs(object):
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
        Return a list of `Output` objects whose messages are bytes, or None for none; or a Future of it.

        :param result: of a handler: None, an `Output`, or several in whatever can be gone through
        :raises TypeError: for anything else, and if it can't be produced
        :raises ValueError: for a partition that can't be
        """
        if result is None:
            return None
        if isinstance(result, Output):
            result = [result]
        elif isinstance(result, (bytes, six.text_type, dict)) or not hasattr(result, "__iter__"):
            raise _no_output(result)
        begun = [self._begin(output) for output in result]
        if any(future is not None for _, future in begun):
            return self._waited(begun)
        return [output for output, _ in begun] or None

    def _begin(self, output):
        """Return an output that can be written, and None; or what is known of it, and what has to be waited for."""
        if not isinstance(output, Output):
            raise _no_output(output)
        topic, partition, stamp = output.topic, output.partition, output.timestamp
        output = output._replace(
            topic=arguments.text("topic", topic),
            key=self._key_maker(output.message) if output.key is None else output.key,
            partition=None if partition is None else arguments.integer("partition", partition, 0),
            timestamp=None if stamp is None else arguments.milliseconds("timestamp", stamp))
        value, headers, future = serializing.made(self._serializer(output.message), output.topic, output.headers)
        return (_whole(output, value, headers), None) if future is None else (output, future)

    @gen.coroutine
    def _waited(self, begun):
        """Wait for the serializers."""
        outputs = []
        for output, future in begun:
            if future is not None:
                value, headers = serializing.resolved((yield future), output.headers)
                output = _whole(output, value, headers)
            outputs.append(output)
        raise gen.Return(outputs)


def _whole(output, value, headers):
    """Return an output that is serialized."""
    labelled(output.key, value, headers)
    return output._replace(message=value, headers=headers)


def _no_output(found):
    return TypeError("where the worker has a producer, a handler returns kiel.worker.Output objects or None, not %r"
                     % (found,))
