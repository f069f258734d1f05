"""Exactly once: what handlers returned is produced, and the offsets are committed, in one transaction."""
from __future__ import absolute_import

import itertools
import logging

from tornado import gen

from kiel import events, exc
from kiel.callbacks import safe_text
from kiel.clients.grouping.assignment import names_of
from kiel.clients.producing.producer_state import ABORTING, BROKEN, COMMITTING, FATAL, OPEN
from kiel.retry import Backoff
from kiel.worker.output import Outputs

log = logging.getLogger(__name__)

#: the pauses while the end of a transaction is not known
PATIENCE = Backoff(first=0.1, most=2.0, deadline=None)

#: what a transaction may fail with though the next may do, beside what is retriable: partitions went, brokers were away
#: for too long, or the numbers have to begin anew
PASSING = (
    exc.NotOwnedError, exc.DeliveryTimeoutError, exc.OutOfOrderSequenceNumberError, exc.UnknownProducerIdError,
    exc.InvalidProducerIdMappingError,
)


class Transactions(object):
    """
    Commits what is done in transactions, each of what is done by then of all partitions.

    What was returned for a message stays here until a transaction with it is committed, so one that fails is made again
    without calling a handler again; that of partitions that go is dropped, and their next owner makes it anew.

    :param producer: a `kiel.clients.Producer` with a ``transactional_id``; this has it for itself
    :param consumer: the `kiel.clients.grouped.GroupedConsumer`
    :param window: the `kiel.worker.window.Window` that messages are counted in until they are committed
    :param most: messages whose results go into one transaction
    :param delay: seconds from a message being done to its transaction's beginning
    """

    def __init__(self, producer, consumer, window, most, delay):
        self.producer = producer
        self.consumer = consumer
        self.most = most
        self.delay = delay
        #: makes what is produced of what a handler returned
        self.outputs = Outputs(producer.serializer, producer.key_maker)
        #: how many transactions were committed, and aborted
        self.counts = {"transactions": 0, "aborted": 0}
        self._window = window
        # a handler's result is bytes already, and what goes to the dead letters is not to be changed
        producer.serializer, producer.key_maker = as_it_is, None

    @property
    def pressing(self):
        """Whether there is enough for a transaction."""
        return self._window.held >= self.most

    @gen.coroutine
    def connect(self):
        """
        Connect the producer, which ends what an earlier one with its id has left open.

        :raises kiel.exc.UnsupportedVersionError: by brokers that take offsets of a member that lost its partitions
        """
        yield self.producer.connect()
        for broker in self.producer.cluster.conns.values():
            if broker.is_open("txn_offset_commit") and not broker.reaches("txn_offset_commit", 3):
                raise exc.UnsupportedVersionError("a worker with a producer needs Kafka 2.5 or later, which refuses "
                                                  "the offsets of a member that has lost its partitions")

    def close(self, seconds):
        """Close the producer, within some time; return a Future."""
        return self.producer.close(timeout=seconds)

    @gen.coroutine
    def commit(self, parts):
        """
        Commit all that is due, in as many transactions as it takes.

        Return the error that kept one from being committed, where it may pass; None for none.

        :param parts: ``{(topic, partition): kiel.worker.part.Part}`` of this member, as it changes
        :raises kiel.exc.KielError: an error that does not pass, such as that of a message that no broker takes
        """
        while True:
            jobs, taken = self._next(parts.values())
            if not taken:
                raise gen.Return(None)
            error = yield self._transact(jobs, taken, parts)
            if error is not None:
                raise gen.Return(error)
            for part, offset in taken:
                part.committed = offset
                while part.ready and part.ready[0].offset < offset:
                    self._window.release(part.ready.popleft())

    def _next(self, parts):
        """Return the jobs of the next transaction, and how far it brings which partitions: ``[(part, offset)]``."""
        jobs, taken = [], []
        for part in list(parts):
            if not part.due:
                continue
            some = list(itertools.islice(part.ready, self.most - len(jobs)))
            if len(some) == len(part.ready):
                taken.append((part, part.next))
            elif some:
                taken.append((part, some[-1].offset + 1))
            jobs.extend(some)
        return jobs, taken

    @gen.coroutine
    def _transact(self, jobs, taken, parts):
        """Make one transaction. Return what it was aborted for, if that may pass; None when it is committed."""
        offsets = {}
        for part, offset in taken:
            offsets.setdefault(part.topic, {})[part.partition] = offset
        try:
            yield self.producer.begin()
            yield self._produce(output for job in jobs for output in job.outputs or ())
            refuse_gone([part for part, _ in taken if parts.get(part.key) is not part])
            yield self.producer.send_offsets(self.consumer, offsets)
            yield self._end(self.producer.commit, COMMITTING)
        except exc.KielError as error:
            failure = error
        else:
            self.counts["transactions"] += 1
            raise gen.Return(None)
        if self.producer.identity.state in (OPEN, BROKEN, ABORTING):
            self.counts["aborted"] += 1
            yield self._end(self.producer.abort, ABORTING)
        cause = failure
        if isinstance(failure, exc.TransactionFailedError) and isinstance(failure.cause, exc.KielError):
            cause = failure.cause
        if self.producer.identity.state == FATAL or not passes(cause):
            raise cause
        log.warning("A transaction of %d messages failed and is repeated: %s", len(jobs), safe_text(failure))
        raise gen.Return(failure)

    @gen.coroutine
    def _produce(self, outputs):
        """Produce them in their order; what of it fails later, the end of the transaction says."""
        for future in [events.ignore(self._send(output)) for output in outputs]:
            yield future

    def _send(self, output):
        return self.producer.produce(
            output.topic, output.message, output.key, output.partition, output.headers, output.timestamp)

    @gen.coroutine
    def _end(self, end, state):
        """Commit or abort; again while it is not known what became of that: nothing else can be done then."""
        clock = PATIENCE.start()
        while True:
            try:
                yield end()
                return
            except exc.KielError as error:
                if self.producer.identity.state != state or self.producer.closing:
                    raise
                log.warning("Whether a transaction has ended is unknown, trying again: %s", safe_text(error))
            yield gen.sleep(clock.delay())


def as_it_is(value):
    """Return the producer's serializer: what is produced are bytes already."""
    return value


def refuse_gone(parts):
    """
    Refuse to commit messages of partitions that were revoked meanwhile: their new owners may have come further.

    :raises kiel.exc.NotOwnedError: for partitions that went while a transaction was made
    """
    if parts:
        raise exc.NotOwnedError("%s went to another member during a transaction" % names_of(part.key for part in parts))


def passes(error):
    """Return whether another transaction may do where one failed with an error."""
    return error.retriable or error.cure == "rejoin" or isinstance(error, PASSING)
