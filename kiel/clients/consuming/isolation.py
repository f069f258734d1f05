"""What a consumer sees of transactions: only what was committed, or everything (KIP-98)."""
from __future__ import absolute_import

from kiel import constants, exc
from kiel.protocol.message_batch import NO_COLUMNS

#: ``isolation_level`` of the consumers -> Kafka's number of it
LEVELS = {"read_uncommitted": constants.READ_UNCOMMITTED, "read_committed": constants.READ_COMMITTED}

#: what a control batch says of an aborted transaction
ABORT = 0


def level(name):
    """
    Return Kafka's number of an isolation level.

    :raises ValueError: for a name that is none
    """
    if name in LEVELS.values() and not isinstance(name, bool):
        return name
    try:
        return LEVELS[name]
    except (KeyError, TypeError):
        raise ValueError("isolation_level has to be %s, not %r" % (
            " or ".join(repr(key) for key in sorted(LEVELS)), name))


class AbortedBatch(object):
    """
    Stands for a batch of an aborted transaction: it has no messages, but the position moves past it.

    :param batch: the `kiel.protocol.records.Batch`
    """

    __slots__ = ("batch", "size", "base_offset", "next_offset", "leader_epoch")

    #: nothing of it is decompressed
    codec = 0

    def __init__(self, batch):
        self.batch = batch
        self.size = batch.size
        self.base_offset = batch.base_offset
        self.next_offset = batch.next_offset
        self.leader_epoch = batch.leader_epoch

    @property
    def data(self):
        """The bytes that the batch stands in."""
        return self.batch.data

    def values(self, start=0, check_crcs=True):
        """
        No values.

        :raises kiel.exc.CorruptMessageError: when the checksum is wrong: then the header, by which the batch was left
            out, is not to be trusted
        """
        if check_crcs:
            self.batch.check()
        return []

    def records(self, start=0, check_crcs=True):
        """No messages; raises as `values` does."""
        return self.values(start, check_crcs)

    def columns(self, start=0, check_crcs=True):
        """No messages; raises as `values` does."""
        self.values(start, check_crcs)
        return NO_COLUMNS


class UnreadableMarker(AbortedBatch):
    """Stands for a control batch that can't be read: whether what follows was aborted can't be told."""

    __slots__ = ()

    def values(self, start=0, check_crcs=True):
        """
        Raise what is wrong with the marker.

        :raises kiel.exc.CorruptMessageError: always
        """
        self.batch.control()
        raise self.batch.corrupt("a control batch that can't be read")


def without_aborted(batches, aborted):
    """
    Return the batches of one answer, those of aborted transactions replaced by `AbortedBatch`.

    The broker names, for each aborted transaction that the answer may touch, its producer and its first offset. From
    there on the producer's transactional batches are left out, up to its abort marker; the same producer's next
    transaction is another matter. Control batches have no messages anyway.

    :param batches: in the order of their offsets, from the first that the answer holds on, even where the reader has
        begun behind it
    :param aborted: parts with ``producer_id`` and ``first_offset``, in any order
    """
    waiting = sorted(aborted, key=lambda item: item.first_offset, reverse=True)
    producers = set()
    out = []
    for batch in batches:
        if batch.producer_id < 0:
            out.append(batch)
            continue
        while waiting and waiting[-1].first_offset <= batch.last_offset:
            producers.add(waiting.pop().producer_id)
        if batch.is_control:
            try:
                if batch.control()[1] == ABORT:
                    producers.discard(batch.producer_id)
            except exc.CorruptMessageError:
                batch = UnreadableMarker(batch)
        elif batch.is_transactional and batch.producer_id in producers:
            batch = AbortedBatch(batch)
        out.append(batch)
    return out
