"""How a producer takes many messages in one call."""
from __future__ import absolute_import

import itertools
import time

from six.moves import map, zip
from tornado import gen

from kiel.clients import freight
from kiel.clients.delivery import Deliveries
from kiel.clients.intake import FULL, Incoming, closed, labelled, refused
from kiel.clients.outbox import BATCH_OVERHEAD, MOST_RECORDS, RECORD_OVERHEAD, record_size
from kiel.clients.transactional import Transactional
from kiel.partitioners import random_partition, to_bytes

#: messages that `Many._take_run` takes at once, at most: as they come, and where each goes through a serializer
RUN, SERIALIZED_RUN = 1024, 256

#: a run of so many messages or fewer is not taken apart
FEW = 16

BYTES_ONLY = frozenset((bytes,))

#: `Many._take` stopped to let the loop have its turn
TURN = object()


class Many(Transactional):
    """The part of a `kiel.clients.producer.Producer` that takes messages by the many."""

    @gen.coroutine
    def produce_many(self, topic, messages, keys=None, partition=None):
        """
        Takes many messages; gives a Future of their `kiel.clients.delivery.Deliveries`, when there
        was room for all.

        Cheaper than a call for each. A message that can't be accepted does not keep the others from
        it: its delivery holds the error. Without ``linger``, when the messages fill a batch, this
        waits until all are through.

        :param messages: an iterable of any length, read as room comes
        :param keys: their keys, as many as there are messages; default: what the ``key_maker``
            gives
        :raises kiel.exc.ClosedError: when the producer is closing before any message was taken
        """
        if self.closing:
            raise closed(topic)
        deliveries = Deliveries()
        source = iter(messages) if keys is None else zip(messages, keys)
        most = RUN if self.serializer is bytes else SERIALIZED_RUN
        while True:
            run = list(itertools.islice(source, most))
            if not run:
                break
            values = self._plain(run, partition) if keys is None else None
            if values is None:
                yield self._take_all(iter(run), keys is not None, topic, partition, deliveries)
            while values:
                taken = self._take_run(topic, values, partition, deliveries)
                if not taken:  # what stands in the way is to be waited for
                    self._turn.tick(time.time())
                    size = record_size(None, values[0], None)
                    yield self._take_later(
                        Incoming(topic, None, None, values[0], self._turn.ms, partition, size), deliveries)
                    taken = 1
                elif self._turn.over(time.time()):
                    yield gen.moment
                values = values[taken:]
        if self._filled >= self._fuse and self._set_off():
            yield deliveries.whole()
        raise gen.Return(deliveries)

    @gen.coroutine
    def _take_all(self, source, keyed, topic, partition, deliveries):
        """Takes messages one by one, and waits for what stands in the way."""
        while True:
            message = self._take(source, keyed, topic, partition, deliveries)
            if message is None:
                break
            if message is TURN:
                yield gen.moment
                continue
            yield self._take_later(message, deliveries)

    @gen.coroutine
    def _take_later(self, message, deliveries):
        """Waits for what stands in a message's way."""
        try:
            delivery = yield self._later(message)
        except Exception as error:
            self._refused(message.topic, error, deliveries)
        else:
            deliveries.add(delivery.batch, delivery.index, 1)

    def _take(self, source, keyed, topic, partition, deliveries):
        """
        Takes messages as long as nothing stands in the way.

        Gives None at their end, `TURN` when the loop is due its turn, or a `Incoming` that has to
        wait.
        """
        serializer, key_maker, partitioner = self.serializer, self.key_maker, self.partitioner
        turn = self._turn
        current = stop = None  # the batch that the run of messages lies in
        start = end = 0  # and where in there
        count = -1
        for message in source:
            try:
                key = None
                if keyed:
                    message, key = message
                value = serializer(message)
                if type(value) is not bytes:
                    value = to_bytes(value)
                if key is None and key_maker is not None:
                    key = key_maker(message)
                count += 1
                if not count & 15:
                    now = time.time()
                    if not turn.last <= now < turn.next:
                        turn.tick(now)
                        if turn.over(now):
                            stop = TURN
                label, size = labelled(key, value, None)
                route = self._routes.get(topic)
                if route is None or self.buffered + size > self._limit:
                    stop = Incoming(topic, key, label, value, turn.ms, partition, size)
                    break
                if partition is None and partitioner is random_partition:
                    outbox, batch = self._by_chance(route, size)
                else:
                    chosen = partitioner(key, route.ids) if partition is None else partition
                    outbox = route.outboxes.get(chosen)
                    if outbox is None:
                        stop = Incoming(topic, key, label, value, turn.ms, chosen, size)
                        break
                    batch = self._batch_for(outbox, size)
            except Exception as error:
                deliveries.add(current, start, end - start)
                start = end
                self._refused(topic, error, deliveries)
                continue
            index = len(batch.records)
            if batch is not current or index != end:
                deliveries.add(current, start, end - start)
                current = batch
                start = end = index
            end += 1
            batch.records.add(value, turn.ms, label)
            self._count(outbox, batch, 1, size)
            if stop is not None:
                break
        deliveries.add(current, start, end - start)
        return stop

    def _plain(self, messages, partition):
        """
        A run of messages as values that `_take_run` can take, ``None`` when they have to be taken one by one.
        """
        if self.key_maker is not None or (partition is None and self.partitioner is not random_partition):
            return None
        values = messages
        if self.serializer is not bytes:  # which would give back the very same
            try:
                values = list(map(self.serializer, messages))
            except Exception:
                return None
        return values if set(map(type, values)) == BYTES_ONLY else None

    def _take_run(self, topic, values, partition, deliveries):
        """
        Takes messages without keys into one batch, at a fraction of the price of `_take`.

        Gives how many: all, or as many as there is room for in the open batch or in the buffer. When that is none, or
        something else stands in the way, `_later` knows.
        """
        route = self._routes.get(topic)
        room = self._limit - self.buffered
        if route is None or room <= 0 or (partition is not None and partition not in route.outboxes):
            return 0
        count = len(values)
        size = sum(map(len, values)) + count * RECORD_OVERHEAD
        batch = route.chosen if partition is None else route.outboxes[partition].open or FULL
        fits = size <= min(room, freight.most_bytes(self) - BATCH_OVERHEAD)
        whole = not batch.limit or batch.size + size <= batch.limit and len(batch) + count <= MOST_RECORDS
        if count > FEW and not (fits and whole):
            return self._take_run(topic, values[:count // 2], partition, deliveries)
        if not fits:
            return 0
        if partition is None:
            outbox, batch = self._by_chance(route, size, count)
        else:
            outbox = route.outboxes[partition]
            batch = self._batch_for(outbox, size, count)
        index = len(batch.records)
        self._turn.tick(time.time())
        batch.records.extend(values, self._turn.ms)
        deliveries.add(batch, index, count)
        self._count(outbox, batch, count, size)
        return count

    def _refused(self, topic, error, deliveries):
        """A message can't be accepted: its delivery says so, and a transaction can't be committed without it."""
        deliveries.add(refused(topic, error), 0, 1)
        self.identity.spoil(error)
        self.gate()
