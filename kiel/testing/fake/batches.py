"""Record batches for the fake's logs: made, read and looked at with `kiel.protocol`."""
from __future__ import absolute_import

import struct
import time

from kiel import exc
from kiel.protocol import messages
from kiel.protocol.crc32c import crc32c
from kiel.protocol.records import CONTROL, LOG_APPEND_TIME, TRANSACTIONAL
from kiel.testing.fake import log

#: error codes
CORRUPT, TOO_LARGE, UNSUPPORTED_FORMAT, INVALID_RECORD = 2, 10, 43, 87


class Log(log.PartitionLog):
    """A `kiel.testing.fake.log.PartitionLog` that looks into its batches."""

    def within(self, first, timestamp, data, time):
        """Return ``(offset, timestamp)`` of the first message of a batch at that time."""
        batch, = messages.batches(data)
        for offset, stamp, _, _, _ in batch.records(check_crcs=False):
            if stamp >= time:
                return offset, stamp
        return first, timestamp  # a marker

    def latest(self):
        """Return ``(offset, timestamp)`` of the message with the greatest time stamp; ``(-1, -1)`` of no messages."""
        stamps = [batch[2] for batch in self.batches]
        return self.offset_at(max(stamps)) if stamps else (-1, -1)

    def put(self, key, value, headers, timestamp):
        """Add one message; return its offset."""
        return self.produced(messages.encode_batch([(key, value, headers, timestamp)], 2, 0, now()))

    def read_messages(self, committed):
        """
        Return all messages as ``(offset, timestamp, key, value, headers)``.

        :param committed: whether to leave out those of transactions that were aborted or are open
        """
        found = []
        for _, _, _, data in self.batches:
            batch, = messages.batches(data)
            if committed and (batch.base_offset >= self.stable or self._aborted(batch)):
                continue
            found.extend(record for record in batch.records() if record[0] >= self.start)
        return found

    def _aborted(self, batch):
        return batch.is_transactional and any(
            producer == batch.producer_id and first <= batch.base_offset < marker
            for producer, first, marker in self.aborted)


def now():
    """Return the milliseconds since 1970 UTC."""
    return int(time.time() * 1000)


def marker(producer_id, epoch, committed):
    """Return the control batch that ends a transaction."""
    key, value = struct.pack(">hh", 0, int(committed)), struct.pack(">hi", 0, 0)
    data = messages.encode_batch([(key, value, (), None)], 2, 0, now(), producer_id, epoch, -1)
    return rewritten(data, TRANSACTIONAL | CONTROL)


def rewritten(data, attributes, max_timestamp=None):
    """Return a batch with these attributes besides its own, and its checksum."""
    own, = struct.unpack_from(">h", data, 21)
    rest = struct.pack(">h", own | attributes) + data[23:35]
    rest += data[35:43] if max_timestamp is None else struct.pack(">q", max_timestamp)
    rest += data[43:]
    return data[:17] + struct.pack(">I", crc32c(rest)) + rest


def stamped(data):
    """Return a batch with the broker's time, as of a topic whose ``message.timestamp.type`` is LogAppendTime."""
    return rewritten(data, LOG_APPEND_TIME, now())


def refusal(data, limit):
    """
    Return what is wrong with what a producer sent for a partition: an error code and a text, 0 and None for nothing.

    :param limit: the topic's ``max.message.bytes``
    """
    found = messages.batches(data)
    if len(found) != 1:
        return INVALID_RECORD, "a partition gets one batch in a request, not %d" % len(found)
    batch, = found
    if batch.magic != 2:
        return UNSUPPORTED_FORMAT, "magic %d" % batch.magic
    if batch.size != len(data):
        return CORRUPT, "bytes behind the batch"
    if batch.size > limit:
        return TOO_LARGE, "a batch of %d bytes: the topic takes %d" % (batch.size, limit)
    if batch.is_control:
        return INVALID_RECORD, "clients don't write control batches"
    try:
        batch.check()
    except exc.CorruptMessageError as error:
        return CORRUPT, str(error)
    return 0, None
