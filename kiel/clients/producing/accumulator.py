"""Where a producer's messages are collected into batches, one queue of batches for each partition."""
from __future__ import absolute_import

import random

from tornado import concurrent

from kiel import exc
from kiel.clients.producing.batch import BATCH_OVERHEAD, failure
from kiel.clients.producing.delivery import BatchBarrier, Delivery
from kiel.clients.producing.partition_queue import UNTOLD
from kiel.clients.producing.pending_record import PendingRecord
from kiel.clients.producing.routes import FULL, Routes
from kiel.events import settle
from kiel.partitioners import given_keys, murmur2, murmur2_hash, random_partition

_NEVER = float("inf")

_new = object.__new__


class Accumulator(object):
    """
    Puts messages into the batches of their partitions.

    There is one way in, `append`, and one faster way for plain messages that follow one another, which is the
    `kiel.clients.producing.append_run.AppendRun` that `append` begins. What can't be accepted yet goes to
    `kiel.clients.producing.pending_records.PendingRecords`.

    :param cluster: the `kiel.cluster.Cluster`
    :param options: `kiel.clients.producing.options.Options`
    :param sender: the `kiel.clients.producing.sender.Sender` that takes the batches to the brokers
    :param admission: the `kiel.clients.producing.admission.Admission`
    :param run: the producer's `kiel.clients.producing.append_run.AppendRun`
    :param turn: the producer's `kiel.fairness.Turn`
    :param watch: the producer's `kiel.clients.producing.topic_watch.TopicWatch`
    :param flush: the application's own ``flush``, which is called instead of sending when a batch is full; or None
    """

    def __init__(self, cluster, options, sender, admission, run, turn, watch, flush=None):
        #: chooses partitions; how follows from it: `go_by`
        self.partitioner = given_keys
        #: whether chance decides, batch by batch, on messages with a key, and on those without
        self.chance = (False, True)
        #: whether `murmur2` decides on keys, and whether only on those that were given, not on those that were made
        self.hashes = self.only_given = True
        #: the number of messages that set off sending, and how many came since it was last set off
        self.flush_at = _NEVER
        self.unflushed = 0
        self._options = options
        self._sender = sender
        self._admission = admission
        self._run = run
        self._turn = turn
        self._flush = flush
        self._flushed = None  # the Future of the last call of `flush`, until somebody waits for it
        #: the `kiel.clients.producing.routes.Routes`
        self.routes = Routes(cluster, sender.queue, watch)
        self._known = self.routes.known  # topic -> Route

    # -- the way in --

    def append(self, topic, key, label, value, stamp, partition, size, runs=False, admitted=False):
        """
        Put a message into a batch; return its `Delivery`, or the `PendingRecord` that has to wait.

        Parameters are those of `PendingRecord`, and:

        :param runs: whether a run may begin with it, which takes the time stamp of the turn
        :param admitted: whether the `Admission` has let it in already

        :raises kiel.exc.MessageSizeTooLargeError: when no request could hold it
        """
        run = self._run
        if run.is_open:
            run.end()
        route = self._known.get(topic)
        admission = self._admission
        # `may_accept`, but for a message that is larger than the whole buffer: such a one may wait a little
        fits = admission.is_open and admission.buffered + size <= admission.buffer_bytes
        if route is None or not (admitted or fits):
            return PendingRecord(topic, key, label, value, stamp, partition, size)
        queue, batch = None, route.chosen
        named = partition
        if partition is None and not self.chance[key is None]:
            partition = self._choose(key, route)
        if partition is not None:
            queue = route.queues.get(partition)
            if queue is None:
                return PendingRecord(topic, key, label, value, stamp, partition, size)
            batch = queue.open or FULL
        if not batch.has_room(size):
            queue, batch = self._open_batch(route, queue, size)
        records = batch.records
        index = len(records.values)
        records.values.append(value)
        if stamp != records.stamp:
            records.date(index, stamp)
        if label is not None or records.keys is not None:
            records.label(index, label)
        batch.size += size
        admission.buffered += size
        self.unflushed += 1
        if not index and queue.state in UNTOLD:
            self._sender.added(queue)
        delivery = _new(Delivery)  # half the time of its constructor
        delivery.batch = batch
        delivery.index = index
        if runs and self.unflushed < self.flush_at:
            self._begin_run(route, batch, label is not None, named, partition, value, stamp)
        return delivery

    def flush_each(self, batch_size):
        """Have so many messages set off sending; with 0, 1 or None each does."""
        each = not batch_size or batch_size <= 1
        self._run.end()
        # where a subclass has a flush() of its own, that is what sends
        self._sender.prompt = each and self._flush is None
        # with each message sent by itself, and nobody waiting for it, no number of messages sets off sending
        if each:
            self.flush_at = 1 if self._options.linger is None else _NEVER
        else:
            self.flush_at = batch_size

    def go_by(self, partitioner):
        """Choose partitions by another partitioner from now on."""
        self._run.end()
        self.partitioner = partitioner
        self.only_given = partitioner is given_keys
        self.hashes = self.only_given or partitioner is murmur2
        by_chance = partitioner is random_partition
        self.chance = (by_chance, by_chance or self.hashes)

    def _choose(self, key, route):
        """Return the partition that the key decides on, or the application's partitioner."""
        if self.hashes:
            if key.__class__ is not bytes:
                return murmur2(key, route.ids)
            ids = route.ids
            return ids[(murmur2_hash(key) & 0x7fffffff) % len(ids)]
        partition = self.partitioner(key, route.ids)
        if partition is None:
            raise TypeError("the partitioner returned None, which is not a partition's id")
        self._run.end()  # it may have produced something itself
        return partition

    def _begin_run(self, route, batch, labelled, named, partition, value, stamp):
        """
        Let messages like the one that was just appended follow it, unless that was the last before sending.

        :param labelled: whether it has a key or headers
        :param named: the partition that the caller named, or None
        """
        messages = self.flush_at - self.unflushed - 1
        if messages <= 0 or not batch.limit or stamp != self._turn.ms:
            return
        if labelled:
            if named is None and (self.hashes or self.chance[False]):
                self._run.begin_labelled(batch.topic, route, self.hashes, self._turn, self._admission.room, messages)
        elif value is not None and named is partition:
            self._run.begin(batch, partition, self._turn, len(value), self._admission.room, messages)

    def extend(self, topic, values, partition):
        """
        Append many values at once, where `append` has opened a batch and there is room; return the batch and how many.

        They have neither keys nor headers, the time stamp of the turn, and the partition that is named or that chance
        decides on.
        """
        if self._run.is_open:
            self._run.end()
        route = self._known.get(topic)
        if route is None or not self._admission.may_accept(1):
            return None, 0
        if partition is None:
            batch = route.chosen
        else:
            batch = route.queues[partition].open if partition in route.queues else None
        if batch is None or not batch.limit:
            return None, 0
        return batch, self._run.extend(batch, self._turn, values, self._admission.room)

    def count_run(self, messages, size):
        """Messages of the run were appended."""
        self._admission.buffered += size
        self.unflushed += messages

    def _open_batch(self, route, queue, size):
        """
        Return a batch that takes a message of that size, and its queue.

        :param queue: None where chance decides; it stays with a partition for as long as a batch is open there
        """
        if queue is None:
            if route.chosen.limit:
                queue = route.queues[route.chosen.partition]
            else:
                queue = route.led[int(random.random() * len(route.led))]  # `choice`, at a third of its price
            batch = route.chosen = self._batch_of(queue, size)
        else:
            batch = self._batch_of(queue, size)
        return queue, batch

    def _batch_of(self, queue, size):
        """Return the open batch of a queue, or a new one when that is full, which sets off sending."""
        batch = queue.open
        if batch is not None and batch.has_room(size):
            return batch
        if size + BATCH_OVERHEAD > self._options.max_request_bytes:
            raise too_large(queue.topic, size, self._options.max_request_bytes)
        if batch is not None:
            # before there is a new one, which must not be sent empty
            queue.close_open()
            self._sender.filled(queue)
            self.start_sending()
        return self._sender.begin(queue)

    # -- sending off --

    def start_sending(self, urgent=False):
        """
        Send all that is there.

        :param urgent: also what would go with more that comes, while others are under way
        """
        if self._run.is_open:
            self._run.end()
        self.unflushed = 0
        self._sender.release(urgent)

    def set_off(self):
        """
        So many messages have come that they are sent; return whether the caller whose message was the last has to wait.
        """
        if self._flush is None:
            self.start_sending()
        else:
            self.unflushed = 0
            self._flushed = self._flush()
        return self._options.linger is None

    def sent(self, delivery, future=None):
        """
        Return a Future of the delivery, done when what was just sent is through; it fails if the message did.

        :param future: the Future to use
        """
        batch, index = delivery.batch, delivery.index
        if self._flushed is not None:
            flushed, self._flushed = self._flushed, None
            return self._sent_by_hook(flushed, delivery, future or concurrent.Future())
        if self._sender.prompt:
            return batch.wait(index, delivery, future)
        barrier = self.watch(BatchBarrier(retrieves=False))
        if not barrier.left:
            return batch.wait(index, delivery, future)
        if future is None:
            future = concurrent.Future()
        barrier.future.add_done_callback(lambda _: batch.wait(index, delivery, future))
        return future

    def flushed(self):
        """Return a Future of the overridden ``flush`` that `set_off` called; one that is done where there is none."""
        flushed, self._flushed = self._flushed, None
        if flushed is None:
            flushed = concurrent.Future()
            flushed.set_result(None)
        return flushed

    def _sent_by_hook(self, flushed, delivery, future):
        """`sent` after an overridden ``flush``, whose error is the caller's."""
        def done(_):
            error = None if flushed.cancelled() else flushed.exception()
            if error is None:
                delivery.batch.wait(delivery.index, delivery, future)
            else:
                settle(future, error=error)

        flushed.add_done_callback(done)
        return future

    def watch(self, barrier):
        """Let a barrier wait for all batches that are not done; return it."""
        for batch in self._sender.batches():
            batch.watch(barrier)
        return barrier

    # -- metadata --

    def learn(self, topic):
        """Take over what metadata says of a topic."""
        self.routes.learn(topic)

    def refresh(self):
        """Metadata came."""
        self._run.end()
        self.routes.refresh()


def too_large(topic, size, limit):
    """Return the error of a message that no request could hold."""
    error = exc.MessageSizeTooLargeError(
        "topic %s: the message takes %d bytes, a request no more than max_request_bytes=%d" % (topic, size, limit)
    )
    error.size, error.limit = size, limit
    return failure(error, topic)
