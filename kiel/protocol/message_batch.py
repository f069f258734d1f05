"""
Message sets, the formats before Kafka 0.11: magic 0 (0.8, 0.9) and magic 1 (0.10, KIP-31 and
KIP-32).

A set is a row of messages, each with its offset and size. Compressed, it is the value of one
*wrapper* message, whose offset is that of the last message inside and whose checksum covers all.
Inside a wrapper magic 1 has offsets that count from 0; magic 0 has the real ones.
"""
from __future__ import absolute_import

import struct
import zlib

from kiel import compression, constants, exc
from kiel.compression import lz4

CODEC_BITS = 0x07
LOG_APPEND_TIME = 0x08

#: offset, size of what follows, CRC-32 of what follows it, magic, attributes, (time stamp,) key
#: size
_HEADS = (struct.Struct(">qiIbbi"), struct.Struct(">qiIbbqi"))
_SIZE = struct.Struct(">i")
_ENTRY = struct.Struct(">qi")
_CRC = struct.Struct(">I")

#: the smallest message of each magic, without offset and size
SMALLEST = (14, 22)


#: the columns of no messages: offsets, time stamps, keys, values, headers
NO_COLUMNS = ((),) * 5


def columns_of(messages):
    """Return the columns of messages that are there as tuples."""
    return tuple(zip(*messages)) or NO_COLUMNS


class MessageBatch(object):
    """
    A wrapper message, or a row of plain messages with the same attributes, of magic 0 or 1, read
    lazily.

    It has what `kiel.protocol.records.Batch` has. ``base_offset`` of a wrapper is the offset of its
    *last* message, as the first is known only inside. Time stamps of magic 0, which has none, are
    -1.
    """

    __slots__ = (
        "data", "start", "size", "base_offset", "last_offset", "magic", "attributes", "count",
    )

    # what only record batches can say
    is_control = is_transactional = False
    producer_id = producer_epoch = base_sequence = leader_epoch = -1

    def __init__(self, data, start, size, offset, magic, attributes):
        self.data = data
        self.start = start
        self.size = size
        self.base_offset = self.last_offset = offset
        self.magic = magic
        self.attributes = attributes
        self.count = 1

    def add(self, size, offset):
        """Take one more plain message into the row."""
        self.size += size
        # whatever the offsets in an answer, the next fetch never goes back
        self.last_offset = max(self.last_offset, offset)
        self.count += 1

    @property
    def next_offset(self):
        """The offset to fetch after this batch."""
        return self.last_offset + 1

    @property
    def codec(self):
        """The number of the codec of a wrapper, 0 for plain messages."""
        return self.attributes & CODEC_BITS

    @property
    def timestamp_type(self):
        """0 when the time stamps are the producer's, 1 when the broker has set them on append."""
        return 1 if self.magic and self.attributes & LOG_APPEND_TIME else 0

    def check(self):
        """Raise `kiel.exc.CorruptMessageError` unless the checksums are right."""
        self._read(read, self.data, self.start, self.start + self.size, self.magic, True)

    def corrupt(self, reason):
        """Return the error that says what is wrong with this batch."""
        return exc.CorruptMessageError(reason, offset=self.base_offset)

    def control(self):
        """Nothing: control batches came with magic 2."""
        return None

    def values(self, start=0, check_crcs=True):
        """
        Return the values of the messages from offset ``start`` on, bytes or ``None`` each.

        :raises kiel.exc.CorruptMessageError: when the bytes are not what they should be
        :raises kiel.exc.MissingCodecError: when the codec's package is not installed
        """
        return [message[3] for message in self.records(start, check_crcs)]

    def records(self, start=0, check_crcs=True):
        """
        Return the messages from offset ``start`` on as ``(offset, timestamp, key, value, headers)``; the
        headers are empty, the time stamp -1 for magic 0.

        :raises kiel.exc.CorruptMessageError: when the bytes are not what they should be
        :raises kiel.exc.MissingCodecError: when the codec's package is not installed
        """
        out = self._read(
            read, self.data, self.start, self.start + self.size, self.magic, check_crcs)
        if self.codec:
            out = self._read(self._unwrap, out[0], check_crcs)
        # a wrapper with offsets below 0 never was in a log: a producer made it
        if start > 0 and out and out[0][0] < start and self.last_offset >= 0:
            out = [message for message in out if message[0] >= start]
        return out

    def columns(self, start=0, check_crcs=True):
        """Return what `records` gives, as ``(offsets, timestamps, keys, values, headers)``."""
        return columns_of(self.records(start, check_crcs))

    def _read(self, how, *args):
        """Run a reader; what goes wrong in it becomes a CorruptMessageError."""
        try:
            return how(*args)
        except exc.CorruptMessageError as error:
            error.offset = self.base_offset
            raise
        except (ValueError, IndexError, struct.error) as error:
            raise self.corrupt("a message that can't be read: %s" % error)

    def _unwrap(self, wrapper, check_crcs):
        """Return the messages inside a wrapper, with their real offsets and time stamps."""
        last_offset, stamp, _, value, _ = wrapper
        if value is None:
            raise ValueError("a compressed message without a value")
        data = compression.decompress(self.codec, value)
        inner = read(data, 0, len(data), self.magic, check_crcs, True)
        offsets = real_offsets([message[0] for message in inner], last_offset)
        if self.timestamp_type:
            return [
                (offset, stamp, message[2], message[3], message[4])
                for offset, message in zip(offsets, inner)
            ]
        return [(offset,) + message[1:] for offset, message in zip(offsets, inner)]


def real_offsets(offsets, last_offset):
    """
    Return the offsets of the messages in a wrapper whose own offset is that of the last of them.

    Whether they are relative (magic 1) or real (magic 0), the last one tells by how much they are
    off. Where they don't even rise, as when a producer's -1 came back unchanged, they are counted
    back from the wrapper's. A wrapper that never was in a log (offset -1) leaves them as they are.
    """
    if last_offset < 0 or not offsets:
        return offsets
    if any(low >= high for low, high in zip(offsets, offsets[1:])):
        return list(range(last_offset - len(offsets) + 1, last_offset + 1))
    shift = last_offset - offsets[-1]
    return [offset + shift for offset in offsets] if shift else offsets


def read(data, pos, end, magic, check_crcs, inside=False):
    """
    Return the messages in ``data[pos:end]`` as tuples ``(offset, timestamp, key, value, headers)``.

    :param magic: what all of them are of
    :param inside: whether they are in a wrapper, and so can't be compressed again
    """
    out = []
    append = out.append
    unpack_size = _SIZE.unpack_from
    unpack, width, least = _HEADS[magic].unpack_from, _HEADS[magic].size, SMALLEST[magic]
    crc32 = zlib.crc32
    stamp = -1
    while pos < end:
        if magic:
            offset, size, crc, found, attributes, stamp, key_size = unpack(data, pos)
        else:
            offset, size, crc, found, attributes, key_size = unpack(data, pos)
        start = pos + width
        stop = pos + 12 + size
        if found != magic:
            raise ValueError("a message of magic %d among others of magic %d" % (found, magic))
        if size < least or stop > end:
            raise ValueError("a message of %d bytes where %d are left" % (size, end - pos - 12))
        if check_crcs and crc32(data[pos + 16:stop]) & 0xFFFFFFFF != crc:
            raise ValueError("the CRC-32 of the message at offset %d is wrong" % offset)
        if inside and attributes & CODEC_BITS:
            raise ValueError("a compressed message in a compressed message")
        if key_size < 0:
            if key_size != -1:
                raise ValueError("a key of %d bytes" % key_size)
            key = None
        else:
            pos = start
            start += key_size
            key = data[pos:start]
        if start + 4 > stop:
            raise ValueError("a key of %d bytes in a message of %d" % (key_size, size))
        value_size, = unpack_size(data, start)
        start += 4
        if value_size < 0:
            if value_size != -1:
                raise ValueError("a value of %d bytes" % value_size)
            value = None
        else:
            value = data[start:start + value_size]
            start += value_size
        if start != stop:
            raise ValueError("a message of %d bytes whose parts end elsewhere" % size)
        append((offset, stamp, key, value, ()))
        pos = stop
    return out


def message(offset, magic, attributes, stamp, key, value):
    """One message for the wire, with its offset and size; ``stamp`` is left out in magic 0."""
    key = b"\xff\xff\xff\xff" if key is None else _SIZE.pack(len(key)) + key
    value = b"\xff\xff\xff\xff" if value is None else _SIZE.pack(len(value)) + value
    if magic:
        body = b"".join((struct.pack(">bbq", magic, attributes, stamp), key, value))
    else:
        body = b"".join((struct.pack(">bb", magic, attributes), key, value))
    return b"".join((
        _ENTRY.pack(offset, len(body) + 4), _CRC.pack(zlib.crc32(body) & 0xFFFFFFFF), body
    ))


def encode(magic, records, codec=0):
    """
    Return a message set of magic 0 or 1 for the wire, in pieces; see `kiel.protocol.messages.encode_pieces`.

    :param records: the `kiel.protocol.columns.Columns`
    """
    out = []
    for offset, (key, value, headers, stamp) in enumerate(records):
        if headers:
            raise exc.UnsupportedVersionError("headers need Kafka 0.11 or later")
        out.append(message(offset, magic, 0, stamp, key, value))
    data = b"".join(out)
    records.encoded = len(data)
    if codec:
        data = message(len(out) - 1, magic, codec, max(records.stamps.values), None, compress(codec, data, magic))
    return [data]


def compress(codec, data, magic=1):
    """Compress the inside of a wrapper; lz4 of magic 0 is as old Kafka wants it."""
    if codec == constants.ZSTD:
        raise exc.UnsupportedVersionError("zstd needs Kafka 2.1 or later")
    if codec == constants.LZ4 and magic == 0:
        compression.codecs[codec].require()
        return lz4.legacy_compress(data)
    return compression.compress(codec, data)
