"""Many messages in one call."""
from __future__ import absolute_import

import itertools
import time

from six.moves import zip
from tornado import gen

from kiel.clients.producing.batch import Batch
from kiel.clients.producing.delivery import Deliveries, Delivery

#: messages that are read at once: as they come, and where each goes through a serializer
READ, SERIALIZED = 4096, 256

_BYTES_ONLY = frozenset((bytes,))


class Bulk(object):
    """
    What `kiel.clients.producer.Producer.produce_many` does.

    :param accumulator: the `kiel.clients.producing.accumulator.Accumulator`
    :param turn: the `kiel.fairness.Turn`
    :param append: takes one serialized message, as `kiel.clients.producer.Producer` does
    :param on_refused: called with the error of a message that can't be accepted
    """

    def __init__(self, accumulator, turn, append, on_refused):
        self._accumulator = accumulator
        self._turn = turn
        self._append = append
        self._on_refused = on_refused

    @gen.coroutine
    def produce(self, topic, messages, keys, partition, serializer, plain):
        """
        Take many messages; return their `Deliveries` when there was room for all.

        :param plain: whether messages without a key are alike, so that they may follow one another in a run
        """
        deliveries = Deliveries()
        turn = self._turn
        source = iter(messages) if keys is None else zip(messages, keys)
        while True:
            some = list(itertools.islice(source, READ if serializer is bytes else SERIALIZED))
            if not some:
                break
            values = _serialized(serializer, some if keys is None else [message for message, _ in some])
            if plain and keys is None and (values is some or set(map(type, values)) == _BYTES_ONLY):
                while values:
                    now = self._tick()
                    batch, taken = self._accumulator.extend(topic, values, partition)
                    if taken:
                        deliveries.add(batch, len(batch) - taken, taken)
                    else:
                        taken = 1
                        pending = self._take(topic, None, values[0], None, partition, deliveries)
                        if pending is not None:
                            yield self._wait(pending, deliveries)
                    if turn.over(now):
                        yield gen.moment
                    values = values[taken:]
                continue
            for number, message in enumerate(some):
                key = None
                if keys is not None:
                    message, key = message
                if not number & 15:
                    now = self._tick()
                    if turn.over(now):
                        yield gen.moment
                pending = self._take(topic, message, values[number], key, partition, deliveries)
                if pending is not None:
                    yield self._wait(pending, deliveries)
        accumulator = self._accumulator
        if accumulator.unflushed >= accumulator.flush_at and accumulator.start_sending():
            yield deliveries.finished()
        raise gen.Return(deliveries)

    def _tick(self):
        now = time.time()
        if not self._turn.last <= now < self._turn.next:
            self._turn.tick(now)
        return now

    def _take(self, topic, message, value, key, partition, deliveries):
        """Append one message; return the `PendingRecord` if it has to wait, else None."""
        if value.__class__ is _Unserializable:
            self._refused(topic, value.error, deliveries)
            return None
        try:
            delivery = self._append(topic, message, value, key, partition, None, None, False)
        except Exception as error:
            self._refused(topic, error, deliveries)
            return None
        if delivery.__class__ is not Delivery:
            return delivery
        deliveries.add(delivery.batch, delivery.index)
        return None

    @gen.coroutine
    def _wait(self, pending, deliveries):
        """Wait for what stands in a message's way."""
        try:
            delivery = yield self._accumulator.wait(pending)
        except Exception as error:
            self._refused(pending.topic, error, deliveries)
        else:
            deliveries.add(delivery.batch, delivery.index)

    def _refused(self, topic, error, deliveries):
        """A message can't be accepted: its delivery says so."""
        batch = Batch(topic, getattr(error, "partition", None))
        batch.records.add(None, -1)
        batch.finish(error)
        deliveries.add(batch, 0)
        self._on_refused(error)


class _Unserializable(object):
    """Stands for a message that the serializer refused."""

    def __init__(self, error):
        self.error = error


def _serialized(serializer, messages):
    """Return what the serializer makes of messages."""
    if serializer is bytes and set(map(type, messages)) == _BYTES_ONLY:  # it would return the very same
        return messages
    values = []
    for message in messages:
        try:
            values.append(serializer(message))
        except Exception as error:
            values.append(_Unserializable(error))
    return values
