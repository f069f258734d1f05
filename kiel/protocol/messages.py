"""
Messages, whatever their format: the door to message sets and record batches (magic 0, 1 and 2).

`batches` reads and `encode_batch` writes; both leave the format to a number, the *magic*.
`MessageSet` is the field of Fetch and Produce that carries them, and, with `Message`, what kiel 0.9
offered to those who make requests by hand.
"""
from __future__ import absolute_import

import functools
import struct
import time

from kiel import compression, exc
from kiel.protocol import message_batch, records_encode
from kiel.protocol.columns import Columns
from kiel.protocol.message_batch import MessageBatch
from kiel.protocol.part import Part
from kiel.protocol.primitives import Bytes, Int8, Int32, Records
from kiel.protocol.records import Batch

#: offset, size of what follows; then comes a checksum or an epoch, and in every format the magic at
#: byte 16
_ENTRY = struct.Struct(">qi4xBB")

#: the bytes that offset and size take
OVERHEAD = 12

#: What is left of a large frame may keep so many times as much from being freed; less of it is copied instead.
HELD = 4

#: magic -> the smallest size of what follows offset and size
_SMALLEST = {0: message_batch.SMALLEST[0], 1: message_batch.SMALLEST[1], 2: 49}

#: magic -> what encodes `kiel.protocol.columns.Columns` with a codec; only that of 2 takes a producer's id and numbers
FORMATS = {
    0: functools.partial(message_batch.encode, 0),
    1: functools.partial(message_batch.encode, 1),
    2: records_encode.encode,
}


class CorruptBatch(object):
    """
    What stands where a batch should be: bytes that can't be one, or one of a magic that kiel does
    not know.

    It has the attributes of `kiel.protocol.records.Batch`; reading it raises.
    """

    is_control = is_transactional = False
    producer_id = producer_epoch = base_sequence = leader_epoch = -1
    codec = timestamp_type = count = 0

    def __init__(self, data, start, size, offset, magic, reason):
        self.data = data
        self.start = start
        self.size = size
        self.base_offset = self.last_offset = offset
        self.magic = magic
        self.reason = reason

    @property
    def next_offset(self):
        """The offset behind it, as far as it can be told."""
        return self.last_offset + 1

    def check(self):
        """Raise the `kiel.exc.CorruptMessageError` that says what is wrong."""
        raise exc.CorruptMessageError(self.reason, offset=self.base_offset)

    def values(self, start=0, check_crcs=True):
        """Raises, as `check` does."""
        self.check()

    def records(self, start=0, check_crcs=True):
        """Raises, as `check` does."""
        self.check()

    def columns(self, start=0, check_crcs=True):
        """Raises, as `check` does."""
        self.check()

    def control(self):
        """Raises, as `check` does."""
        self.check()


def batches(data, pos=0, end=None):
    """
    Return the batches in ``data[pos:end]``, bytes of a fetch, in order: headers are looked at, nothing is copied,
    decompressed or checked.

    A wrapper message is a batch of its own, plain messages of magic 0 and 1 make one as long as
    their attributes are the same. What is cut off at the end is dropped, as Kafka cuts there; see
    `needed`. Never raises: what can't be a batch is a `CorruptBatch`, which raises when it is read.
    """
    out = []
    if data is None:
        return out
    row = None
    if end is None:
        end = len(data)
    unpack = _ENTRY.unpack_from
    while pos + 18 <= end:
        offset, size, magic, attributes = unpack(data, pos)
        size += OVERHEAD
        least = _SMALLEST.get(magic)
        if size < (least or 6) + OVERHEAD:
            out.append(CorruptBatch(
                data, pos, end - pos, offset, magic, "a batch of %d bytes" % size))
            break
        if pos + size > end:
            break
        if magic == 2 and offset >= 0:
            out.append(Batch(data, pos, size))
            row = None
        elif magic == 2:
            out.append(CorruptBatch(
                data, pos, size, offset, magic, "a batch of offset %d" % offset))
            row = None
        elif magic > 2:
            out.append(CorruptBatch(
                data, pos, size, offset, magic, "messages of an unknown format, magic %d" % magic))
            row = None
        elif attributes & message_batch.CODEC_BITS:
            out.append(MessageBatch(data, pos, size, offset, magic, attributes))
            row = None
        elif row is not None and row.magic == magic and row.attributes == attributes:
            row.add(size, offset)
        else:
            row = MessageBatch(data, pos, size, offset, magic, attributes)
            out.append(row)
        pos += size
    return out


def detached(batch):
    """Have a batch keep nothing but its own bytes; one that is in other hands stays the same object."""
    inner = getattr(batch, "batch", batch)  # one of an aborted transaction
    inner.data = inner.data[inner.start:inner.start + inner.size]
    inner.start = 0


def needed(data):
    """
    Return how many bytes the first batch of a fetch takes, though it may be cut off; 0 when not even that
    can be told.

    A fetch that brings something but no whole batch has to be repeated with at least this limit.
    """
    if data is None or len(data) < OVERHEAD:
        return 0
    return max(struct.unpack_from(">i", data, 8)[0] + OVERHEAD, 0)


def encode_batch(*args, **kwargs):
    """Return the bytes of one batch of messages for a produce request; takes what `encode_pieces` does."""
    return b"".join(encode_pieces(*args, **kwargs))


def encode_pieces(
    records, magic, codec, now_ms=-1, producer_id=-1, producer_epoch=-1, base_sequence=-1,
    transactional=False
):
    """
    Return a batch of messages for a produce request, as a list of pieces of its bytes.

    :param records: the `kiel.protocol.columns.Columns` of the messages, or a list of tuples ``(key,
        value, headers, timestamp)``: bytes or ``None``, bytes or ``None``, pairs of name and bytes
        or ``None``, milliseconds or ``None`` for now; at least one
    :param magic: the format: 2 from Kafka 0.11 on, 1 for 0.10, 0 before that
    :param codec: a number of `kiel.constants`, 0 or ``None`` for none
    :param now_ms: milliseconds since 1970 UTC; columns have all their time stamps
    :raises kiel.exc.MissingCodecError: when the codec's package is not installed
    :raises kiel.exc.UnsupportedVersionError: for what the older formats do not have: headers,
        producer ids, zstd
    """
    codec = codec or 0
    if not records:
        raise ValueError("a batch of no messages")
    if not isinstance(records, Columns):
        records = Columns.of(records, now_ms)
    if magic not in FORMATS:
        raise ValueError("no message format has the magic %r" % magic)
    encode = FORMATS[magic]
    if magic == 2:
        return encode(records, codec, producer_id, producer_epoch, base_sequence, transactional)
    if transactional or producer_id >= 0:
        raise exc.UnsupportedVersionError("producer ids and transactions need Kafka 0.11 or later")
    return encode(records, codec)


class Message(Part):
    """
    One message as kiel 0.9 had it: ``key`` and ``value``, bytes or ``None``.

    Also ``magic`` (0 unless given), ``attributes``, ``timestamp`` (milliseconds, written in magic 1
    only) and ``crc``, which is worked out when writing, whatever it says. Messages are equal when
    key and value are.
    """

    parts = (
        ("crc", Int32),
        ("magic", Int8),
        ("attributes", Int8),
        ("key", Bytes),
        ("value", Bytes),
    )

    key = value = None
    timestamp = -1

    def __init__(self, timestamp=-1, **kwargs):
        super(Message, self).__init__(**kwargs)
        if timestamp != -1:
            self.timestamp = timestamp

    def encode(self, version=0):
        """Return the message's bytes, without offset and size."""
        return self._entry(0)[OVERHEAD:]

    def render(self, parts=None):
        """Return the format for `struct` and the list of values, as kiel 0.9 wrote a message."""
        if parts:
            return super(Message, self).render(parts)
        raw = self.encode()
        return "i%ds" % (len(raw) - 4), [struct.unpack(">i", raw[:4])[0], raw[4:]]

    def _entry(self, offset):
        """Return the message's bytes with offset and size."""
        return message_batch.message(
            -1 if offset is None else offset, self.magic or 0, self.attributes or 0, self.timestamp,
            _bytes(self.key), _bytes(self.value)
        )

    @classmethod
    def decode(cls, buff, offset=0, version=0):
        """
        Read a message, without offset and size, that takes the rest of the bytes or ends before:
        ``(message, end)``.

        A compressed one has the decompressed bytes as its value.
        """
        try:
            magic, attributes = struct.unpack_from(">BB", buff, offset + 4)
            if magic > 1:
                raise exc.CorruptMessageError("a message of magic %d" % magic)
            end = offset + 6 + 8 * magic
            for _ in ("key", "value"):
                end += 4 + max(struct.unpack_from(">i", buff, end)[0], 0)
            entry = struct.pack(">qi", 0, end - offset) + buff[offset:end]
            (_, stamp, key, value, _), = message_batch.read(entry, 0, len(entry), magic, True)
            crc, = struct.unpack_from(">i", buff, offset)
        except (struct.error, ValueError, IndexError) as error:
            raise exc.CorruptMessageError("a message that can't be read: %s" % error)
        codec = attributes & message_batch.CODEC_BITS
        if codec and value is not None:
            value = compression.decompress(codec, value)
        return cls(
            crc=crc, magic=magic, attributes=attributes, key=key, value=value, timestamp=stamp), end

    @classmethod
    def parse(cls, buff, offset=0):
        """Return the same as `decode`."""
        return cls.decode(buff, offset)

    def __eq__(self, other):
        return isinstance(other, Message) and (self.key, self.value) == (other.key, other.value)

    def __ne__(self, other):
        return not self == other

    # it can change, and is no key of a dict on either Python
    __hash__ = None

    def __repr__(self):
        return "%s => %s" % (self.key, self.value)


def _bytes(value):
    """Return the bytes of a key or value; text is encoded, as in kiel 0.9."""
    return value if value is None or isinstance(value, bytes) else Bytes.to_bytes(value)


class MessageSet(Records):
    """
    The field of Fetch and Produce that carries messages.

    ``data`` are its bytes, or ``None`` for null; ``messages`` a list of ``(offset, Message)``. Made
    from one, it works out the other when asked: what a fetch brought is not looked into before, nor copied out of its
    frame.
    """

    #: where its bytes stand in those of a frame, ``(start, end)``; None: they are all of them
    _place = None

    def __init__(self, messages=None):
        self._data = None
        self._messages = [] if messages is None else messages

    @classmethod
    def raw(cls, data):
        """Return a set of these bytes, or a list of pieces of them, as they are; nothing is copied or parsed."""
        self = cls.__new__(cls)
        self._data = data
        self._messages = None
        return self

    @classmethod
    def within(cls, buff, start, end):
        """Return a set of the bytes that stand there in a frame; where they are most of it, they are not copied."""
        if HELD * (end - start) < len(buff):
            return cls.raw(buff[start:end])
        self = cls.raw(buff)
        self._place = start, end
        return self

    def batches(self):
        """Return the batches in its bytes, see `batches`; these are not copied."""
        if self._place is None or self._messages is not None:
            return batches(self.data)
        return batches(self._data, *self._place)

    @property
    def size(self):
        """How many bytes it has, without their length; 0 for null."""
        if self._place is None or self._messages is not None:
            return sum(map(len, self.pieces or ()))
        return self._place[1] - self._place[0]

    @property
    def data(self):
        """The bytes for the wire, without their length; ``None`` for null."""
        pieces = self.pieces
        if pieces is None or len(pieces) == 1:
            return pieces and pieces[0]
        return b"".join(pieces)

    @property
    def pieces(self):
        """``data`` as a sequence of bytes."""
        if self._messages is not None:
            return [message._entry(offset) for offset, message in self._messages]
        if self._place is not None:
            start, end = self._place
            return [self._data[start:end]]
        return self._data if self._data is None or isinstance(self._data, list) else [self._data]

    def as_batch(self):
        """This set, made of messages of magic 0 or 1, as one batch of magic 2, with the codec of what is compressed."""
        records = []
        codec = 0
        for offset, message in self.messages:
            flag = (message.attributes or 0) & message_batch.CODEC_BITS
            codec = flag or codec
            inner = MessageSet.raw(message._entry(offset)).messages if flag else [(offset, message)]
            records += [
                (_bytes(one.key), _bytes(one.value), [], one.timestamp if one.timestamp >= 0 else None)
                for _, one in inner
            ]
        return MessageSet.raw(encode_pieces(records, 2, codec, int(time.time() * 1000)) if records else b"")

    @property
    def messages(self):
        """
        The messages as a list of ``(offset, Message)``, compressed ones taken apart.

        From here on the list is what counts: who changes it changes ``data``.
        """
        if self._messages is None:
            self._messages = [
                (offset, Message(magic=batch.magic, key=key, value=value, timestamp=stamp))
                for batch in self.batches()
                for offset, stamp, key, value, _ in batch.records()
            ]
        return self._messages

    @messages.setter
    def messages(self, messages):
        self._messages = messages

    def render(self):
        """Return the format for `struct` and the list of values, as kiel 0.9 wrote a set."""
        data = self.data or b""
        return "i%ds" % len(data), [len(data), data]

    @classmethod
    def compressed(cls, compression, msgs):
        """
        Return a set of these messages for a producer, all offsets -1; with a codec, as one message that
        holds them.

        :param compression: a number of `kiel.constants`, or ``None``
        """
        inner = cls([(-1, message) for message in msgs])
        if not compression:
            return inner
        value = message_batch.compress(compression, inner.data, 0)
        return cls([(-1, Message(magic=0, attributes=compression, key=None, value=value))])

    @classmethod
    def parse(cls, buff, offset, size=None):
        """
        Read a set that begins with its size, unless the size is given: ``(set, new offset)``.

        Messages that are cut off by the set's end are dropped; the new offset is always that end.

        :raises kiel.exc.CorruptMessageError: for a message that can't be read
        """
        if size is None:
            try:
                size, = struct.unpack_from(">i", buff, offset)
            except struct.error:
                raise exc.ProtocolError("a message set without its size")
            offset += 4
        end = offset + max(size, 0)
        self = cls.raw(None if size < 0 else bytes(buff[offset:end]))
        # a corrupt message is told here, not at some later look
        self.messages
        return self, end

    def __eq__(self, other):
        return isinstance(other, MessageSet) and self.messages == other.messages

    def __ne__(self, other):
        return not self == other

    # it can change, and is no key of a dict on either Python
    __hash__ = None

    def __repr__(self):
        return "[%s]" % ", ".join(repr(message) for _, message in self.messages)


class Produced(MessageSet):
    """The field of Produce: a set of messages made by hand is written in the format that the version takes."""

    @classmethod
    def codec(cls, version=0, flexible=False, nullable=False):
        """The pair of functions (write, read) of the field; from version 3 on brokers take batches of magic 2 only."""
        write, read = super(Produced, cls).codec(version, flexible, nullable)
        if version < 3:
            return write, read

        def write_batch(add, value):
            write(add, value.as_batch() if getattr(value, "_messages", None) else value)

        return write_batch, read
