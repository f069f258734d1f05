"""Where a producer's messages are collected into batches, one queue of batches for each partition."""
from __future__ import absolute_import

import random

from tornado import concurrent, gen

from kiel import arguments, exc
from kiel.clients.producing.batch import BATCH_OVERHEAD, MOST_RECORDS, failure
from kiel.callbacks import callback_failure
from kiel.clients.producing.delivery import BatchBarrier, Delivery
from kiel.clients.producing.partition_queue import UNTOLD
from kiel.clients.producing.pending_record import PendingRecord
from kiel.clients.producing.routes import FULL, Routes
from kiel.clients.producing.topic_lookups import TopicLookups
from kiel.events import Promise, settle
from kiel.partitioners import given_keys, murmur2, murmur2_hash, random_partition

_NEVER = float("inf")

_new = object.__new__


class Accumulator(object):
    """
    Puts messages into the batches of their partitions.

    There is one way in, `append`, and one faster way for plain messages that follow one another, which is the
    `kiel.clients.producing.append_run.AppendRun` that `append` begins. Messages keep the order in which they were
    given, also those that `wait` until their topic is known or there is room.

    :param client: the producer, as a `kiel.clients.client.Client`
    :param options: `kiel.clients.producing.options.Options`
    :param sender: the `kiel.clients.producing.sender.Sender` that takes the batches to the brokers
    :param admission: the `kiel.clients.producing.admission.Admission`
    :param run: the producer's `kiel.clients.producing.append_run.AppendRun`
    :param turn: the producer's `kiel.fairness.Turn`
    :param watch: the producer's `kiel.clients.producing.topic_watch.TopicWatch`
    :param flush: the application's own ``flush``, which is called instead of sending when a batch is full; or None
    """

    def __init__(self, client, options, sender, admission, run, turn, watch, flush=None):
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
        self._routes = Routes(client.cluster, sender.queue, watch)
        self._known = self._routes.known  # topic -> Route
        self._lookups = TopicLookups(client, self._routes, self._place)

    # -- the way in --

    def append(self, topic, key, label, value, stamp, partition, size, runs=False, admitted=False):
        """
        Put a message into a batch; return its `Delivery`, or a `PendingRecord` to be passed to `wait`.

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
        records = batch.records
        index = len(records.values)
        if batch.size + size > batch.limit or index >= MOST_RECORDS:
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
        if runs and stamp == self._turn.ms:
            self._begin_run(route, batch, label is not None, named, partition, value)
        return delivery

    def go_by(self, partitioner):
        """Choose partitions by another partitioner from now on."""
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
            raise TypeError("the partitioner returned None, which is no partition's id")
        self._run.end()  # it may have produced something itself
        return partition

    def _begin_run(self, route, batch, labelled, named, partition, value):
        """
        Let messages like the one that was just appended follow it, unless that was the last before sending.

        :param labelled: whether it has a key or headers
        :param named: the partition that the caller named, or None
        """
        messages = self.flush_at - self.unflushed - 1
        if messages <= 0 or not batch.limit:
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
                queue = random.choice(route.led)
            batch = route.chosen = self._batch_of(queue, size)
        else:
            batch = self._batch_of(queue, size)
        return queue, batch

    def _batch_of(self, queue, size):
        """Return the open batch of a queue, or a new one when that is full, which sets off sending."""
        batch = queue.open
        if batch is not None:
            if batch.size + size <= batch.limit and len(batch.records.values) < MOST_RECORDS:
                return batch
        if size + BATCH_OVERHEAD > self._options.max_request_bytes:
            raise too_large(queue.topic, size, self._options.max_request_bytes)
        if batch is not None:
            # before there is a new one, which must not be sent empty
            queue.close_open()
            self._sender.filled(queue)
            self.start_sending()
        return self._sender.begin(queue)

    # -- messages that can't be accepted at once --

    def wait(self, pending):
        """Queue a message that `append` could not take and return the Future of its `Delivery`."""
        pending.future = Promise()
        _check_arguments(pending)
        error = self._admission.refusal()
        if error is not None:
            settle(pending.future, error=failure(error, pending.topic))
        else:
            self._lookups.wait(pending)
        return pending.future

    def append_now(self, pending):
        """Append a message that `append` could not take, without waiting; return its `Delivery`."""
        topic = pending.topic
        _check_arguments(pending)
        error = self._admission.refusal()
        if error is not None:
            raise failure(error, topic)
        if pending.serializing:
            raise failure(exc.BufferFullError(
                "the serializer waits for something, such as a schema: produce() would wait for that"), topic)
        route = self._lookups.route(topic)
        if route is not None:
            self._check(pending, route)
            if not self._admission.may_accept(pending.size):
                raise failure(exc.BufferFullError("%d of %d bytes wait to be delivered" % (
                    self._admission.buffered, self._admission.buffer_bytes
                )), topic)
            return self.append(
                topic, pending.key, pending.label, pending.value, pending.timestamp, pending.partition, pending.size,
                admitted=True
            )
        raise failure(exc.UnknownTopicOrPartitionError("the topic is not known yet"), topic)

    def _place(self, pending, route):
        """Accept a message whose topic is known, or let it wait for room."""
        try:
            self._check(pending, route)
        except BaseException as error:
            settle(pending.future, error=callback_failure(error))
            return
        self._run.end()
        if self._admission.may_accept(pending.size) and not pending.serializing:
            self._let_in(pending)
        else:
            self._admission.wait(pending, self._let_in)
            self.start_sending()

    def _check(self, pending, route):
        """Raise what is wrong with a message; the partitioner chooses its partition, once."""
        limit = self._options.max_request_bytes
        if pending.size + BATCH_OVERHEAD > limit:
            raise too_large(pending.topic, pending.size, limit)
        if pending.partition is None and not self.chance[pending.key is None]:
            pending.partition = self.partitioner(pending.key, route.ids)
        if pending.partition is not None and pending.partition not in route.queues:
            arguments.refuse_coroutine("partitioner", pending.partition)
            error = exc.UnknownTopicOrPartitionError(
                "topic %s has the partitions %s, not %r" % (pending.topic, route.ids, pending.partition)
            )
            error.retriable = False  # the brokers were asked just now
            raise failure(error, pending.topic, pending.partition)

    def _let_in(self, pending):
        """Accept a message that waited, and resolve its Future."""
        future = pending.future
        if future.done():  # given up
            return
        try:
            delivery = self.append(
                pending.topic, pending.key, pending.label, pending.value, pending.timestamp, pending.partition,
                pending.size, admitted=True
            )
        except BaseException as error:
            settle(future, error=callback_failure(error))
            return
        if delivery.__class__ is PendingRecord:  # the topic has gone while the message waited for room
            self._lookups.wait(pending)
            return
        pending.accepted = True
        if self.unflushed >= self.flush_at and self.set_off():
            self.sent(delivery, future)
        else:
            settle(future, delivery)

    @property
    def pending(self):
        """The messages that wait for their topic or for room: a list of `PendingRecord`."""
        waiting = self._admission.waiting + self._lookups.waiting
        return [pending for pending in waiting if not pending.future.done()]  # but for those that were given up

    def undelivered(self, topic):
        """Return the number of messages of a topic that are not delivered yet."""
        return (sum(len(batch) for batch in self._sender.batches() if batch.topic == topic) +
                len([pending for pending in self.pending if pending.topic == topic]))

    def refuse_pending(self, error):
        """Fail the messages that are not accepted yet; return them."""
        left = self.pending
        self._admission.forget_waiting()
        for pending in left:
            settle(pending.future, error=failure(error, pending.topic, pending.partition))
        return left

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

    @gen.coroutine
    def flush(self):
        """
        Send all that was produced so far, and wait until it is known what became of it.

        :raises kiel.exc.KielError: the first error that kept a message from being written
        """
        error = None
        waiting = [pending.future for pending in self.pending]
        for futures in (waiting, ()):
            barrier = self.watch(BatchBarrier())
            self.start_sending(urgent=True)
            if barrier.left:
                yield barrier.future
            error = error or barrier.error
            for future in futures:
                # the caller of produce() may cancel it, and a coroutine that yields what is cancelled never ends
                yield _ended(future)
                if not future.cancelled():
                    error = error or future.exception()
            if not futures:
                break
        if error is not None:
            raise error

    @gen.coroutine
    def drop(self, error):
        """
        Fail the messages that are not accepted yet, and wait until nothing is under way any more.

        Whoever calls this knows that messages are not delivered: that is not logged.
        """
        self.refuse_pending(error)
        batches = self._sender.batches()
        barrier = self.watch(BatchBarrier(retrieves=False))
        self.start_sending(urgent=True)
        if barrier.left:
            yield barrier.future
        for batch in batches:
            batch.retrieve_error()

    # -- metadata --

    def learn(self, topic):
        """Take over what metadata says of a topic."""
        self._routes.learn(topic)

    def refresh(self):
        """Metadata came."""
        self._run.end()
        self._routes.refresh()


def _ended(future):
    """Return a Future that is done when the other one is, however that ends."""
    ended = concurrent.Future()
    future.add_done_callback(lambda _: settle(ended))
    return ended


def _check_arguments(pending):
    """Raise ValueError for a topic or a partition that can't be."""
    arguments.text("topic", pending.topic)
    if pending.partition.__class__ is int and pending.partition < 0:
        raise ValueError("partition has to be a partition's id, not %d" % pending.partition)


def too_large(topic, size, limit):
    """Return the error of a message that no request could hold."""
    error = exc.MessageSizeTooLargeError(
        "topic %s: the message takes %d bytes, a request no more than max_request_bytes=%d" % (topic, size, limit)
    )
    error.size, error.limit = size, limit
    return failure(error, topic)
