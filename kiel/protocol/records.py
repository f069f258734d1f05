"""A record batch, the message format since Kafka 0.11 (magic 2, KIP-98), read lazily."""
from __future__ import absolute_import

import struct

import six
from six.moves import range, zip

from kiel import compression, exc, speedups
from kiel.protocol import records_decode
from kiel.protocol.crc32c import crc32c
from kiel.protocol.headers import Headers
from kiel.protocol.message_batch import NO_COLUMNS, columns_of

#: base offset, length of what follows, leader epoch, magic, CRC-32C, attributes, last offset delta,
#: first and largest time stamp, producer id and epoch, first sequence, count of records
HEADER = struct.Struct(">qiibIhiqqqhii")

CODEC_BITS = 0x07
LOG_APPEND_TIME = 0x08
TRANSACTIONAL = 0x10
CONTROL = 0x20

#: bytes of the smallest record: length, attributes, time stamp, offset, key, value, header count
SMALLEST = 7

#: bytes that a checksum is made of at once, where they are copied for it
PIECE = 1 << 20

_CONTROL_KEY = struct.Struct(">hh")


def rows(cls, topic, partition, columns):
    """
    Return messages as instances of ``cls``, a class of tuples without attributes of its own, as an iterable.

    :param columns: what the ``columns`` of a batch gave, or as much of it: ``(offsets, timestamps, keys, values,
        headers)``; there are as many rows as the shortest has items
    """
    if speedups.native is None:
        return records_decode.rows(cls, topic, partition, columns)
    return speedups.native.rows(cls, Headers, topic, partition, *columns)


def records_of(batch, cls, topic, partition, start, check_crcs):
    """
    Return the messages of a batch, of whatever kind, from offset ``start`` on, as `rows` does.

    :raises kiel.exc.CorruptMessageError: when the bytes are not what they should be
    """
    if speedups.native is None or not isinstance(batch, Batch) or start > batch.base_offset:
        return rows(cls, topic, partition, batch.columns(start, check_crcs))
    return batch.rows(cls, topic, partition, check_crcs)


class Batch(object):
    """
    A run of messages that belong together on the wire; nothing of it is read before it is asked
    for.

    This one is a record batch (magic 2); `kiel.protocol.message_batch.MessageBatch` has the same
    attributes for magic 0 and 1. ``size`` is in bytes on the wire, time stamps are milliseconds
    since 1970 UTC, ``codec`` a number of `kiel.constants` (0: none), ``timestamp_type`` 0 for the
    producer's time, 1 for the broker's.
    """

    __slots__ = (
        "data", "start", "size", "base_offset", "last_offset", "magic", "leader_epoch", "crc",
        "attributes", "base_timestamp", "max_timestamp", "producer_id", "producer_epoch",
        "base_sequence", "count",
    )

    def __init__(self, data, start, size):
        self.data = data
        self.start = start
        self.size = size
        (
            self.base_offset, _, self.leader_epoch, self.magic, self.crc, self.attributes, delta,
            self.base_timestamp, self.max_timestamp, self.producer_id, self.producer_epoch,
            self.base_sequence, self.count
        ) = HEADER.unpack_from(data, start)
        self.last_offset = self.base_offset + max(delta, 0)

    @property
    def next_offset(self):
        """The offset to fetch after this batch."""
        return self.last_offset + 1

    @property
    def codec(self):
        """The number of the codec that the records are compressed by, 0 for none."""
        return self.attributes & CODEC_BITS

    @property
    def timestamp_type(self):
        """0 when the time stamps are the producer's, 1 when the broker has set them on append."""
        return 1 if self.attributes & LOG_APPEND_TIME else 0

    @property
    def is_transactional(self):
        """Whether the batch belongs to a transaction."""
        return bool(self.attributes & TRANSACTIONAL)

    @property
    def is_control(self):
        """
        Whether the batch is a marker of the broker's, such as the end of a transaction, and holds
        no messages.
        """
        return bool(self.attributes & CONTROL)

    def check(self):
        """Raise `kiel.exc.CorruptMessageError` unless the checksum is right."""
        # from behind the CRC on; other CRCs of 2.7 want a string, of which little is copied at once
        data, step = (self.data, PIECE) if speedups.native is None else (memoryview(self.data), self.size)
        crc, end = 0, self.start + self.size
        for pos in range(self.start + 21, end, step):
            crc = crc32c(data[pos:min(pos + step, end)], crc)
        if crc != self.crc:
            raise self.corrupt("the batch's CRC-32C is wrong")

    def corrupt(self, reason):
        """Return the error that says what is wrong with this batch."""
        return exc.CorruptMessageError(reason, offset=self.base_offset)

    def values(self, start=0, check_crcs=True):
        """
        Return the values of the messages from offset ``start`` on, bytes or ``None`` each; none of a
        control batch.

        :raises kiel.exc.CorruptMessageError: when the bytes are not what they should be
        :raises kiel.exc.MissingCodecError: when the codec's package is not installed
        """
        if start > self.base_offset:
            return [record[3] for record in self.records(start, check_crcs)]
        if check_crcs:
            self.check()
        if self.attributes & CONTROL:
            return []
        return self._read((speedups.native or records_decode).values)

    def records(self, start=0, check_crcs=True):
        """
        Return the messages from offset ``start`` on as ``(offset, timestamp, key, value, headers)``,
        headers as a tuple of ``(text, bytes or None)`` that is decoded when it is looked at
        (`kiel.protocol.headers`); none of a control batch.

        :raises kiel.exc.CorruptMessageError: when the bytes are not what they should be
        :raises kiel.exc.MissingCodecError: when the codec's package is not installed
        """
        return list(zip(*self.columns(start, check_crcs)))

    def columns(self, start=0, check_crcs=True):
        """
        Return what `records` gives, as ``(offsets, timestamps, keys, values, headers)``: an iterable for
        each, all of the same length.
        """
        if check_crcs:
            self.check()
        if self.attributes & CONTROL:
            return NO_COLUMNS
        append_time = self.max_timestamp if self.attributes & LOG_APPEND_TIME else None
        out = self._columns(self.base_offset, self.base_timestamp, append_time)
        if start > self.base_offset:
            out = columns_of([record for record in zip(*out) if record[0] >= start])
        return out

    def rows(self, cls, topic, partition, check_crcs=True):
        """Return the messages as a list of instances of ``cls``, see `rows`, by the loops in C."""
        if check_crcs:
            self.check()
        if self.attributes & CONTROL:
            return []
        append_time = self.max_timestamp if self.attributes & LOG_APPEND_TIME else None
        return self._read(speedups.native.records, self.base_offset, self.base_timestamp, append_time, Headers,
                          cls, topic, partition)

    def decompressed(self, check_crcs=True):
        """
        Return the same batch, its records decompressed: ``size`` tells how many bytes it really takes.

        :raises kiel.exc.CorruptMessageError: when the bytes are not what they should be
        :raises kiel.exc.MissingCodecError: when the codec's package is not installed
        """
        if not self.attributes & CODEC_BITS or self.attributes & CONTROL:
            return self
        if check_crcs:
            self.check()
        return DecompressedBatch(self, self._read(lambda data, pos, end, count: data))

    def control(self):
        """
        Return what a control batch says: ``(version, type)``, type 0 for an aborted transaction and 1 for
        a committed one.
        """
        self.check()
        try:
            return _CONTROL_KEY.unpack_from(list(self._columns(0, 0, None)[2])[0])
        except (IndexError, TypeError, struct.error):
            raise self.corrupt("a control batch without its key")

    def _columns(self, base_offset, base_timestamp, append_time):
        if speedups.native is None:
            return self._read(records_decode.columns, base_offset, base_timestamp, append_time)
        return self._read(speedups.native.columns, base_offset, base_timestamp, append_time, Headers)

    def _read(self, how, *args):
        """
        Run a decoder over the records, decompressed; what goes wrong in it becomes a
        CorruptMessageError.
        """
        data, pos, end = self.data, self.start + HEADER.size, self.start + self.size
        codec = self.attributes & CODEC_BITS
        try:
            if codec:
                data = compression.decompress(codec, data[pos:end])
                pos, end = 0, len(data)
            elif six.PY2 and speedups.native is None and not records_decode.are_large(pos, end, self.count):
                # the loops make a bytearray of what they get: not of the whole fetch for each batch
                data = data[pos:end]
                pos, end = 0, len(data)
            if not 0 <= self.count <= (end - pos) // SMALLEST:
                raise ValueError("%d records in %d bytes" % (self.count, end - pos))
            return how(data, pos, end, self.count, *args)
        except exc.CorruptMessageError as error:
            error.offset = self.base_offset
            raise
        except (ValueError, IndexError) as error:
            raise self.corrupt("records that can't be read: %s" % error)


class DecompressedBatch(Batch):
    """
    A batch whose records were decompressed, and its checksum looked at where that was wanted.

    :param batch: the `Batch`
    :param data: its records, decompressed
    """

    __slots__ = ()

    def __init__(self, batch, data):
        super(DecompressedBatch, self).__init__(batch.data, batch.start, HEADER.size + len(data))
        self.attributes &= ~CODEC_BITS
        self.data = data
        self.start = -HEADER.size

    def check(self):
        """Nothing: the checksum is of what was compressed."""
