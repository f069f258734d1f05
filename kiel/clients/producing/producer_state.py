"""
What makes a producer's messages be written once: its id and epoch, and the transaction.

No socket and no loop in here; `kiel.clients.producing.transaction_manager` asks the brokers. Kafka recognizes a message
by the producer's id, its epoch, and a sequence number that counts up in each partition (KIP-98), and which is kept
there: `kiel.clients.producing.partition_queue.PartitionQueue.number`. Two rules follow:

- A batch that was numbered and sent keeps its bytes while it is not known whether it was written: it is sent again as
  it is, never encoded again.
- A numbered batch that is given up leaves a hole in the numbers, or, worse, was written after all. So no number of that
  epoch is used any more: outside of transactions the producer takes the next epoch by itself (KIP-360), and every
  partition counts from 0 again with its next new batch, once all that it has of the epoch before is through.

And a third where several batches of a partition are under way: the broker takes none before the one that precedes it.
So one that was written tells that those before it were; and where one was refused for numbers that are missing, those
behind it can't have been written.
"""
from __future__ import absolute_import

from kiel import exc
from kiel.callbacks import safe_text
from kiel.protocol import errors

#: no producer id yet
UNKNOWN = "unknown"
#: the id is asked for
ASKING = "asking"
#: has an id; no transaction is open
READY = "ready"
#: a transaction is open
OPEN = "open"
#: something of the transaction failed: it can only be aborted
BROKEN = "broken"
#: the end is under way, or its outcome is not known: the same can be asked for again, nothing else
COMMITTING, ABORTING = "committing", "aborting"
#: the cluster does not let this producer be idempotent, and it need not be
OFF = "off"
#: another producer has taken over the transactional id, or the broker refuses it for good
FATAL = "fatal"

#: state -> event -> the state after it; any other event in a state is a bug and raises
TRANSITIONS = {
    UNKNOWN: {"asked": ASKING, "refused": OFF, "fatal": FATAL},
    ASKING: {"given": READY, "failed": UNKNOWN, "refused": OFF, "fatal": FATAL},
    READY: {"begun": OPEN, "bumped": READY, "renewed": UNKNOWN, "refused": OFF, "fatal": FATAL},
    OPEN: {"committing": COMMITTING, "aborting": ABORTING, "broken": BROKEN, "fatal": FATAL},
    BROKEN: {"broken": BROKEN, "aborting": ABORTING, "fatal": FATAL},
    COMMITTING: {"committing": COMMITTING, "ended": READY, "renewed": UNKNOWN, "broken": BROKEN, "fatal": FATAL},
    ABORTING: {"aborting": ABORTING, "ended": READY, "renewed": UNKNOWN, "broken": ABORTING, "fatal": FATAL},
    OFF: {"refused": OFF},
    FATAL: {"fatal": FATAL},
}

#: the highest epoch there is; a new producer id follows
LAST_EPOCH = 0x7fff

#: What an answer to a numbered batch leads to: it has been written; it is sent again as it is; it is made anew with
#: other numbers and sent again; it is written without numbers from now on.
WRITTEN, RESEND, REMAKE, FALL_BACK = "written", "resend", "remake", "fall back"

#: error code of an answer to a numbered batch -> what it leads to; all others mean what they always do
VERDICTS = {
    errors.duplicate_sequence_number: WRITTEN,
    errors.out_of_order_sequence_number: REMAKE,
    errors.unknown_producer_id: REMAKE,
    errors.unsupported_for_message_format: FALL_BACK,
    errors.cluster_authorization_failed: FALL_BACK,
}

#: answers after which a batch may have been written all the same
DOUBTFUL = (
    errors.unknown, errors.request_timed_out, errors.network_exception, errors.not_enough_replicas_after_append,
    errors.kafka_storage_error,
)

#: errors that end a transactional producer for good: it was fenced, or the brokers will never take it
FATAL_ERRORS = (
    errors.invalid_producer_epoch, errors.producer_fenced, errors.transaction_coordinator_fenced,
    errors.transactional_id_authorization_failed, errors.cluster_authorization_failed, errors.invalid_txn_state,
    errors.invalid_transaction_timeout, errors.unsupported_version, errors.unsupported_for_message_format,
)

#: errors after which the broker knows no producer of that id any more: a new one is asked for, and nothing is ended
FORGOTTEN = (errors.invalid_producer_id_mapping, errors.unknown_producer_id)


class ProducerState(object):
    """
    The identity of one producer, and its transaction if it has a transactional id.

    :param idempotent: True: required; None: where the cluster allows it; False: `OFF` from the start
    :param transactional_id: text, or None for none
    :param on_change: called after each change of the state
    """

    def __init__(self, idempotent=None, transactional_id=None, on_change=None):
        self.transactional_id = transactional_id
        #: whether there is a transactional id
        self.transactional = transactional_id is not None
        #: whether messages may not be sent without an id
        self.required = bool(idempotent) or self.transactional
        #: a key of `TRANSITIONS`; changes in `go` only
        self.state = UNKNOWN if self.required or idempotent is None else OFF
        #: whether batches can be sent without asking any broker for an id or to take a partition into a transaction
        self.prepared = self.state == OFF
        #: -1 until given; both change in `_become` only
        self.producer_id = -1
        self.epoch = -1
        #: both, as batches are numbered with them; None where batches are not numbered
        self.identity = None
        #: the version of the transaction protocol: 2 where the cluster has finalized it (KIP-890), else 1
        self.level = 1
        #: why the transaction is `BROKEN` or the producer `FATAL`
        self.error = None
        #: whether the numbers of this epoch can't be used any more once the transaction has ended
        self.stale = False
        #: whether the brokers do not know the id any more
        self.forgotten = False
        #: the (topic, partition id) pairs and the groups of the open transaction
        self.partitions = set()
        self.groups = set()
        #: the topics that have taken messages of it
        self.reached = set()
        self._on_change = on_change

    def go(self, event):
        """Move to the state that follows by `TRANSITIONS`."""
        self.state = TRANSITIONS[self.state][event]
        self.prepared = self.state in (OFF, READY) and not self.transactional
        if self._on_change is not None:
            self._on_change()

    # -- the identity --

    def _become(self, producer_id=-1, epoch=-1):
        """Be that producer from now on, or none."""
        self.producer_id, self.epoch = producer_id, epoch
        self.identity = (producer_id, epoch) if producer_id >= 0 else None

    def given(self, producer_id, epoch):
        """Take the id and the epoch that a broker has assigned."""
        self._become(producer_id, epoch)
        self.stale = self.forgotten = False
        self.error = None
        self.go("given")

    def refuse(self):
        """The cluster does not let this producer be idempotent: messages go without numbers from now on."""
        self.go("refused")
        self._become()

    def bump(self):
        """Take the next epoch, or have a new id asked for where there is none (KIP-360)."""
        if self.epoch < LAST_EPOCH:
            self._become(self.producer_id, self.epoch + 1)
            self.go("bumped")
        else:
            self._become()
            self.go("renewed")

    # -- what becomes of numbered batches --

    def judge(self, batch, code, log_start=-1):
        """
        Return what a broker's error on a batch leads to: a value of `VERDICTS`, or None for what it means by itself.

        As Java's client does (``TransactionManager.canRetry``), but for one thing: a batch that may have been written
        is not made again because the broker has forgotten the producer. Numbers out of order do settle the doubt of the
        oldest batch, where no other is in doubt: the broker has neither this one nor what came before it.

        :param log_start: the partition's first offset, -1 where the broker does not say
        """
        verdict = VERDICTS.get(code)
        if batch.sequence is None or verdict is None:
            return None
        if verdict == REMAKE:
            if code == errors.unknown_producer_id and log_start < 0:
                return RESEND  # the partition is just moving; another broker will know more
            if self.transactional or code == errors.unknown_producer_id and batch.doubtful:
                return None
        elif verdict == FALL_BACK and (self.required or batch.doubtful):
            return None
        return verdict

    def remake(self, batch, following=()):
        """
        Number a batch anew in a new epoch: the broker misses numbers before it, or has forgotten its producer.

        :param following: those behind it that were numbered in the same epoch: where this one was not written, the
            broker has not taken them either
        """
        current = batch.identity == self.identity
        for one in [batch] + list(following):
            one.doubtful = False
            one.drop_numbers()
        if current and self.state == READY:
            self.bump()

    def lost(self, batch, error):
        """A batch is given up: its numbers can't be used again, and a transaction with it can't be committed."""
        numbered = batch.sequence is not None
        if self.transactional:
            self.stale = self.stale or numbered
            self.spoil(error)
        elif numbered and batch.identity == self.identity and self.state == READY:
            self.bump()

    # -- the transaction --

    def spoil(self, error):
        """Something of the transaction failed: it can't be committed any more."""
        if getattr(error, "code", None) in FORGOTTEN:
            self.stale = self.forgotten = True
        if self.state in (OPEN, COMMITTING):
            self.go("broken")
            self.error = error

    def condemn(self, error):
        """The producer can't go on; the first reason stays."""
        if self.state != FATAL:
            self.go("fatal")
            self.error = error

    def failure(self):
        """Return the error that says why nothing more can be sent; None if it can."""
        if self.state == FATAL:
            return self.error
        if self.state == ABORTING:
            return exc.TransactionFailedError("the transaction was aborted")
        if self.state == BROKEN:
            return exc.TransactionFailedError(
                "the transaction can only be aborted: %s" % safe_text(self.error), self.error
            )
        return None

    def ended(self, producer_id=-1, epoch=-1):
        """
        The transaction is over.

        :param producer_id: the id to go on with, as version 2 of the protocol gives it; -1: the same
        :param epoch: the epoch to go on with
        """
        if producer_id >= 0 and epoch >= 0:
            self._become(producer_id, epoch)
            self.stale = False
        elif self.forgotten:
            self._become()
        self.go("renewed" if self.stale else "ended")
        self.stale = self.forgotten = False
        self.error = None
        self.partitions = set()
        self.groups = set()
        self.reached = set()
