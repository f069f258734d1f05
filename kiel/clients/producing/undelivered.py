"""What was produced and is not delivered: waited for, given up, or lost."""
from __future__ import absolute_import

import collections
import datetime
import logging

from tornado import gen

from kiel import events, exc
from kiel.clients.producing.delivery import BatchBarrier
from kiel.protocol.messages import Message
from kiel.retry import monotonic

log = logging.getLogger("kiel.clients.producer")


class Undelivered(object):
    """
    All messages of a producer that are not delivered yet.

    `flush` waits for them, `end` gives up those that can't be delivered in time, and `lose` those of a loop that is
    closed.

    :param sender: the `kiel.clients.producing.sender.Sender`, which has those that are accepted
    :param accumulator: the `kiel.clients.producing.accumulator.Accumulator`
    :param pending: the `kiel.clients.producing.pending_records.PendingRecords`: those that are not
    :param own_flush: what an application's subclass has in the place of ``flush``, None where it has nothing
    """

    def __init__(self, sender, accumulator, pending, own_flush=None):
        #: what `end` had to give up: ``{(topic, partition id): number of messages}``
        self.given_up = {}
        self._lost = {}  # the same, of what was lost with the loop that was closed
        self._sender = sender
        self._accumulator = accumulator
        self._pending = pending
        self._own_flush = own_flush

    # -- a look at them --

    @property
    def unsent_count(self):
        """The number of messages that have not been sent, or have to be sent again."""
        return sum(queue.unsent for queue in self._sender.active) + len(self._pending.all())

    def count(self, topic):
        """Return the number of messages of a topic."""
        return (sum(len(batch) for batch in self._sender.batches() if batch.topic == topic) +
                len([pending for pending in self._pending.all() if pending.topic == topic]))

    def unsent(self):
        """Return a copy of those that wait to be sent, ``{topic: [Message]}``."""
        unsent = collections.defaultdict(list)
        for queue in self._sender.active:
            for batch in queue.waiting:
                unsent[queue.topic].extend(_view(batch))
        return unsent

    def sent(self):
        """Return a copy of what is under way, ``{correlation id: {topic: {partition id: [Message]}}}``."""
        sent = collections.defaultdict(lambda: collections.defaultdict(dict))
        for correlation_id, in_flight in self._sender.sent.items():
            for queue, batch in in_flight.batches:
                sent[correlation_id][queue.topic][queue.partition] = _view(batch)
        return sent

    # -- waiting for them --

    @gen.coroutine
    def flush(self, timeout=None):
        """
        Send them, and wait until it is known what became of them; see `kiel.clients.producer.Producer.flush`.

        :param timeout: seconds
        """
        work = self._flush()
        if timeout is None:
            yield work
            return
        try:
            yield gen.with_timeout(datetime.timedelta(seconds=timeout), work, quiet_exceptions=exc.KielError)
        except gen.TimeoutError:
            raise exc.DeliveryTimeoutError("not all messages were acknowledged within %g s" % timeout)

    @gen.coroutine
    def _flush(self):
        error = None
        waiting = [pending.future for pending in self._pending.all()]
        for futures in (waiting, ()):
            barrier = self._accumulator.watch(BatchBarrier())
            self._accumulator.start_sending(urgent=True)
            if barrier.left:
                yield barrier.future
            error = error or barrier.error
            for future in futures:
                # the caller of produce() may cancel it, and a coroutine that yields what is cancelled never ends
                yield events.finished(future)
                if not future.cancelled():
                    error = error or future.exception()
            if not futures:
                break
        if error is not None:
            raise error

    def tell_lost(self):
        """
        Say once what was lost with a loop.

        :raises kiel.exc.ClosedError: where that was anything
        """
        if self._lost:
            lost, self._lost = self._lost, {}
            raise exc.ClosedError("the IOLoop was closed before %d messages were delivered" % sum(lost.values()))

    # -- ending without them --

    @gen.coroutine
    def drop(self, error):
        """
        Fail the messages that are not accepted yet, and wait until nothing is under way any more.

        Whoever calls this knows that messages are not delivered: that is not logged.
        """
        self._pending.refuse(error)
        batches = self._sender.batches()
        barrier = self._accumulator.watch(BatchBarrier(retrieves=False))
        self._accumulator.start_sending(urgent=True)
        if barrier.left:
            yield barrier.future
        for batch in batches:
            batch.retrieve_error()

    @gen.coroutine
    def end(self, patience):
        """
        Deliver what is possible, and give up the rest.

        :param patience: seconds
        """
        try:
            if self._own_flush is not None:
                begun = monotonic()
                yield events.within(patience, self._own_flush())
                patience = max(0.0, patience - (monotonic() - begun))
            yield self.flush(patience)
        except (exc.KielError, gen.TimeoutError) as error:
            log.info("While closing: %s", error)
        except Exception:
            log.exception("flush() failed while closing")
        error = exc.ClosedError("the producer was closed before the message was delivered")
        # those first that are not accepted yet: they must not slip in as room comes
        pending = self._pending.refuse(error)
        self.given_up = self._sender.stop(error)
        self._give_up(collections.Counter((one.topic, one.partition) for one in pending))
        if self.given_up:
            log.error("Closed with undelivered messages: %s", _listed(self.given_up))

    def end_lost(self):
        """Return all that was given up, also with a loop."""
        lost, self._lost = self._lost, {}
        self._give_up(lost)
        return self.given_up

    def _give_up(self, counts):
        for place, count in counts.items():
            self.given_up[place] = self.given_up.get(place, 0) + count

    def lose(self, error, counts):
        """
        Fail them all: they belong to a loop that is closed, or to the process that this one was forked from.

        :param counts: whether they are lost, and `tell_lost` is to say so; in a forked process they are not
        """
        batches = self._sender.batches()
        pending = self._pending.lose(error)
        self._sender.abandon(error)
        for batch in batches:
            batch.retrieve_error()
        lost = collections.Counter((one.topic, one.partition) for one in pending)
        for batch in batches:
            lost[batch.topic, batch.partition] += len(batch)
        self._lost = dict(lost) if counts else {}


def told(queues, waiting):
    """
    Return the number of messages that are not delivered, and a text about them, without having the producer.

    :param queues: the `kiel.clients.producing.partition_queue.PartitionQueue` objects that hold anything: a set
    :param waiting: what waits for room: the `kiel.clients.producing.admission.Admission`'s own queue
    """
    left = dict(((queue.topic, queue.partition), sum(len(batch) for batch in queue.batches if not batch.done))
                for queue in queues)
    count = sum(left.values()) + len(waiting)
    return count, "%d message%s not delivered (%s)" % (
        count, "" if count == 1 else "s", _listed(dict(item for item in left.items() if item[1])) or "no room")


def _view(batch):
    """Return a batch's messages as kiel 0.9 showed them."""
    records = batch.records
    keys = list(records.keys or ())
    keys += [None] * (len(records.values) - len(keys))  # those of a run have none yet
    return [Message(magic=0, attributes=0, key=key, value=value) for key, value in zip(keys, records.values)]


def _listed(counts):
    """Return ``{(topic, partition id): number of messages}`` as a text."""
    return ", ".join("%d for %s:%s" % (count, topic, partition)
                     for (topic, partition), count in sorted(counts.items(), key=str))
