"""The messages that can't be accepted yet, in their order."""
from __future__ import absolute_import

from kiel import arguments, exc
from kiel.callbacks import callback_failure
from kiel.clients.producing.accumulator import too_large
from kiel.clients.producing.batch import BATCH_OVERHEAD, failure
from kiel.clients.producing.pending_record import PendingRecord
from kiel.clients.producing.promise import Promise
from kiel.clients.producing.topic_lookups import TopicLookups
from kiel.events import settle


class PendingRecords(object):
    """
    Has each message wait for what it lacks, and appends it then: its topic is looked up, or there is no room yet.

    Messages keep the order in which they were given.

    :param client: the producer, as a `kiel.clients.client.Client`
    :param options: `kiel.clients.producing.options.Options`
    :param accumulator: the `kiel.clients.producing.accumulator.Accumulator`, which could not take them
    :param admission: the `kiel.clients.producing.admission.Admission`
    :param run: the producer's `kiel.clients.producing.append_run.AppendRun`
    """

    def __init__(self, client, options, accumulator, admission, run):
        self._limit = options.max_request_bytes
        self._accumulator = accumulator
        self._admission = admission
        self._run = run
        self._lookups = TopicLookups(client, accumulator.routes, self._place)

    def wait(self, pending):
        """Queue a message and return the Future of its `Delivery`."""
        pending.future = Promise()
        _check_arguments(pending)
        error = self._admission.refusal()
        if error is not None:
            settle(pending.future, error=failure(error, pending.topic))
        else:
            self._lookups.wait(pending)
        return pending.future

    def take_now(self, pending):
        """Append a message without waiting; return its `Delivery`, or raise what keeps it from that."""
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
            return self._accumulator.append(
                topic, pending.key, pending.label, pending.value, pending.timestamp, pending.partition, pending.size,
                admitted=True
            )
        raise failure(exc.UnknownTopicOrPartitionError("the topic is not known yet"), topic)

    def all(self):
        """Return those that wait, but for what was given up: a list of `PendingRecord`."""
        waiting = self._admission.waiting + self._lookups.waiting
        return [pending for pending in waiting if not pending.future.done()]

    def refuse(self, error):
        """Fail them all; return them."""
        left = self.all()
        self._admission.forget_waiting()
        for pending in left:
            settle(pending.future, error=failure(error, pending.topic, pending.partition))
        return left

    def lose(self, error):
        """Fail them all, with the loop that is closed, or in a process that was forked; return them."""
        left = self.refuse(error)
        self._lookups.forget()
        return left

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
            self._accumulator.start_sending()

    def _check(self, pending, route):
        """Raise what is wrong with a message; the partitioner chooses its partition, once."""
        if pending.size + BATCH_OVERHEAD > self._limit:
            raise too_large(pending.topic, pending.size, self._limit)
        if pending.partition is None and not self._accumulator.chance[pending.key is None]:
            pending.partition = self._accumulator.partitioner(pending.key, route.ids)
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
            delivery = self._accumulator.append(
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
        accumulator = self._accumulator
        if accumulator.unflushed >= accumulator.flush_at and accumulator.set_off():
            accumulator.sent(delivery, future)
        else:
            settle(future, delivery)


def _check_arguments(pending):
    """Raise ValueError for a topic or a partition that can't be."""
    arguments.text("topic", pending.topic)
    if pending.partition.__class__ is int and pending.partition < 0:
        raise ValueError("partition has to be a partition's id, not %d" % pending.partition)
