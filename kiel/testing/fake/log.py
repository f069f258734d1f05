"""The log of one partition: batches as the bytes that a fetch returns, and what a broker knows of who wrote them."""
from __future__ import absolute_import

import struct

#: error codes
NO_ERROR, OUT_OF_ORDER, OLD_EPOCH = 0, 45, 47

TRANSACTIONAL = 0x10

#: producer id, epoch, first sequence and count of a record batch
_PRODUCER = struct.Struct(">qhii")

#: batches of one producer that are known again when they come a second time
REMEMBERED = 5


class PartitionLog(object):
    """One partition: who leads it, and its batches."""

    def __init__(self, leader):
        self.leader = leader
        self.epoch = 0
        #: the first offset that is kept
        self.start = 0
        #: the offset that comes next
        self.end = 0
        #: (first offset, last offset, greatest time stamp, bytes) of each batch
        self.batches = []
        #: bytes of all batches
        self.size = 0
        #: producer id -> (epoch, [first and following number, offset] of its last batches)
        self.producers = {}
        #: producer id -> where its open transaction begins
        self.ongoing = {}
        #: (producer id, first offset, offset of the marker) of aborted transactions
        self.aborted = []

    @property
    def stable(self):
        """The last stable offset: what lies behind it may belong to a transaction that is still open."""
        return min([self.end] + list(self.ongoing.values()))

    def append(self, data, count=1, timestamp=-1):
        """Add ready bytes that hold so many offsets, whatever they are; return the first offset."""
        first = self.end
        self.end += count
        self.size += len(data)
        self.batches.append((first, self.end - 1, timestamp, data))
        return first

    def produced(self, data):
        """Add a batch that a producer sent, with the offsets of this log; return the first of them."""
        count = struct.unpack_from(">i", data, 23)[0] + 1
        timestamp = struct.unpack_from(">q", data, 35)[0]
        # neither the offset nor the leader's epoch is part of the checksum
        head = struct.pack(">q", self.end) + data[8:12] + struct.pack(">i", self.epoch)
        return self.append(head + data[16:], count, timestamp)

    def accept(self, data):
        """
        Add what a producer sent if its numbers are next, as a broker does (KIP-98); return (error code, first offset).

        A batch that is one of the last five of its producer is not added again: it gets the answer of the first time.
        Of a producer that it does not know, a broker takes any number, from 2.5 on; seen with 4.4.
        """
        producer_id, epoch, sequence, count = _PRODUCER.unpack_from(data, 43)
        if producer_id < 0:
            return NO_ERROR, self.produced(data)
        last_epoch, recent = self.producers.get(producer_id, (epoch, []))
        following = (sequence + count) & 0x7fffffff
        if epoch < last_epoch:
            return OLD_EPOCH, -1
        if epoch > last_epoch:
            recent = []
            if sequence:
                return OUT_OF_ORDER, -1
        for first, behind, offset in recent:
            if (first, behind) == (sequence, following):
                return NO_ERROR, offset
        if recent and sequence != recent[-1][1]:
            return OUT_OF_ORDER, -1
        offset = self.produced(data)
        self.producers[producer_id] = (epoch, (recent + [(sequence, following, offset)])[-REMEMBERED:])
        if struct.unpack_from(">h", data, 21)[0] & TRANSACTIONAL:
            self.ongoing.setdefault(producer_id, offset)
        return NO_ERROR, offset

    def end_transaction(self, producer_id, epoch, committed, marker):
        """
        End a producer's transaction: its messages count from here on, or never.

        :param marker: the bytes of the control batch
        """
        began = self.ongoing.pop(producer_id, None)
        if began is not None and not committed:
            self.aborted.append((producer_id, began, self.end))
        self.produced(marker)
        last_epoch, recent = self.producers.get(producer_id, (epoch, []))
        if epoch > last_epoch:
            self.producers[producer_id] = (epoch, [])

    def aborted_from(self, offset, until):
        """Return (producer id, first offset) of the aborted transactions that a reader of these offsets may meet."""
        return [(producer, first) for producer, first, marker in self.aborted if marker >= offset and first < until]

    def truncate(self, offset):
        """Forget what lies before the offset, as retention does."""
        self.start = max(self.start, offset)
        self.end = max(self.end, offset)
        self.batches = [batch for batch in self.batches if batch[1] >= self.start]
        self.size = sum(len(batch[3]) for batch in self.batches)
        self.aborted = [entry for entry in self.aborted if entry[2] >= self.start]

    def end_of(self, epoch):
        """Return ``(epoch, end)`` of the greatest epoch up to that one, -1 and -1 when there is none."""
        found = [(struct.unpack_from(">i", data, 12)[0], first) for first, _, _, data in self.batches]
        if epoch > self.epoch or not any(other <= epoch for other, _ in found):
            return -1, -1
        later = [first for other, first in found if other > epoch]
        return max(other for other, _ in found if other <= epoch), min(later or [self.end])

    def index_of(self, offset):
        """Return which batch is the first that ends at the offset or behind it."""
        low, high = 0, len(self.batches)
        while low < high:
            middle = (low + high) // 2
            if self.batches[middle][1] < offset:
                low = middle + 1
            else:
                high = middle
        return low

    def read(self, offset, max_bytes, whole, until=None):
        """
        Return the bytes from the batch of the offset on, cut at ``max_bytes``.

        :param whole: whether the first batch comes uncut
        :param until: the offset before which batches have to begin
        """
        found, size = [], 0
        for first, _, _, data in self.batches[self.index_of(offset):]:
            if until is not None and first >= until or found and size >= max_bytes:
                break
            found.append(data)
            size += len(data)
        limit = max(max_bytes, len(found[0])) if found and whole else max_bytes
        return b"".join(found)[:max(0, limit)]

    def offset_at(self, time):
        """Return ``(offset, timestamp)`` for a ListOffsets time; ``(-1, -1)`` when nothing is that late."""
        if time == -1:
            return self.end, -1
        if time == -2:
            return self.start, -1
        for first, _, timestamp, data in self.batches:
            if timestamp >= time:
                return self.within(first, timestamp, data, time)
        return -1, -1

    def within(self, first, timestamp, data, time):
        """Return ``(offset, timestamp)`` of the first message of a batch at that time, or of the batch."""
        return first, timestamp
