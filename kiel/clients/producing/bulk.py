"""Many messages in one call."""
from __future__ import absolute_import

import itertools
import time

import six
from six.moves import zip_longest
from tornado import gen

from kiel.clients.producing.batch import Batch
from kiel.callbacks import callback_failure
from kiel.clients.producing.delivery import Deliveries, Delivery

#: messages that are read at once: as they come, and where each goes through a serializer
READ, SERIALIZED = 4096, 256

_BYTES_ONLY = frozenset((bytes,))

#: stands for the message or the key that is missing where there are not as many of both
_NONE_LEFT = object()


class Bulk(object):
    """
    What `kiel.clients.producer.Producer.produce_many` does.

    :param accumulator: the `kiel.clients.producing.accumulator.Accumulator`
    :param pending: the `kiel.clients.producing.pending_records.PendingRecords`
    :param turn: the `kiel.fairness.Turn`
    :param one_by_one: the `kiel.clients.producing.one_by_one.OneByOne`
    :param labelled: the producer's `kiel.clients.producing.labelled_run.LabelledRun`
    :param on_refused: called with the error of a message that can't be accepted
    """

    def __init__(self, accumulator, pending, turn, one_by_one, labelled, on_refused):
        self._accumulator = accumulator
        self._pending = pending
        self._turn = turn
        self._one_by_one = one_by_one
        self._labelled = labelled
        self._on_refused = on_refused

    @gen.coroutine
    def produce(self, topic, messages, keys, partition, serializer):
        """Take many messages; return their `Deliveries` when there was room for all."""
        runs = self._one_by_one.key_maker is None  # it is asked for each message
        # whether messages without a key are alike
        plain = runs and (partition is not None or self._accumulator.chance[True])
        deliveries = Deliveries()
        turn = self._turn
        for some, some_keys, values in _read(serializer, messages, keys):
            if not (plain and some_keys is None and (values is some or set(map(type, values)) == _BYTES_ONLY)):
                yield self._take_each(topic, some, some_keys, values, partition, deliveries, runs)
                continue
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
        accumulator = self._accumulator
        if accumulator.unflushed >= accumulator.flush_at and accumulator.set_off():
            yield accumulator.flushed()
            yield deliveries.finished()
        raise gen.Return(deliveries)

    @gen.coroutine
    def _take_each(self, topic, messages, keys, values, partition, deliveries, runs):
        """Take messages one by one; the loop has its turn in between."""
        run = self._labelled
        for number, message in enumerate(messages):
            key = None if keys is None else keys[number]
            if message is _NONE_LEFT or key is _NONE_LEFT:
                raise ValueError("there are not as many keys as messages; %d were taken" % len(deliveries))
            if not number & 15 and self._turn.over(self._tick()):
                yield gen.moment
            if partition is None and topic == run.topic and run.since == self._turn.last:
                delivery = run.take(key, values[number], None)
                if delivery is not None:
                    deliveries.add(delivery.batch, delivery.index)
                    continue
            pending = self._take(topic, message, values[number], key, partition, deliveries, runs and key is not None)
            if pending is not None:
                yield self._wait(pending, deliveries)

    def _tick(self):
        now = time.time()
        if not self._turn.last <= now < self._turn.next:
            self._turn.tick(now)
        return now

    def _take(self, topic, message, value, key, partition, deliveries, runs=False):
        """Append one message; return the `PendingRecord` if it has to wait, else None."""
        if value.__class__ is _Unserializable:
            self._refused(topic, value.error, deliveries)
            return None
        try:
            delivery = self._one_by_one.append(topic, message, value, key, partition, None, None, runs)
        except BaseException as error:
            self._refused(topic, callback_failure(error), deliveries)
            return None
        if delivery.__class__ is not Delivery:
            return delivery
        deliveries.add(delivery.batch, delivery.index)
        return None

    @gen.coroutine
    def _wait(self, pending, deliveries):
        """Wait for what stands in a message's way."""
        try:
            delivery = yield self._pending.wait(pending)
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


def check(messages, keys):
    """
    Raise what is wrong with the messages and the keys of one call, as far as it can be told beforehand.

    :raises TypeError: for one message where many are expected, and for what can't be read one by one
    :raises ValueError: when there are not as many keys as messages
    """
    for name, many in (("messages", messages), ("keys", keys)):
        if many is None and many is keys:
            continue
        if isinstance(many, (bytes, bytearray, six.text_type, dict)) or not hasattr(many, "__iter__"):
            raise TypeError("%s has to be an iterable of them, not %s" % (name, type(many).__name__))
    if hasattr(messages, "__len__") and hasattr(keys, "__len__") and len(messages) != len(keys):
        raise ValueError("there are %d messages and %d keys" % (len(messages), len(keys)))


class _Unserializable(object):
    """Stands for a message that the serializer refused."""

    def __init__(self, error):
        self.error = error


def _read(serializer, messages, keys):
    """Read messages as they are asked for: generate lists of messages, of their keys (or None), and of their values."""
    source = iter(messages) if keys is None else zip_longest(messages, keys, fillvalue=_NONE_LEFT)
    while True:
        some, some_keys = list(itertools.islice(source, READ if serializer is bytes else SERIALIZED)), None
        if not some:
            return
        if keys is not None:
            some, some_keys = zip(*some)
        yield some, some_keys, _serialized(serializer, some)


def _serialized(serializer, messages):
    """Return what the serializer makes of messages."""
    if serializer is bytes and set(map(type, messages)) == _BYTES_ONLY:  # it would return the very same
        return messages
    values = []
    for message in messages:
        if message is _NONE_LEFT:
            break
        try:
            values.append(serializer(message))
        except BaseException as error:
            values.append(_Unserializable(callback_failure(error)))
    return values
