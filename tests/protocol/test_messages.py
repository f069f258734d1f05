"""Message sets of magic 0 and 1, the door to all formats, and what kiel 0.9 offered."""
from __future__ import absolute_import

import struct
import sys
import zlib

import pytest

from kiel import compression, constants, exc
from kiel.compression import gzip
from kiel.protocol import message_batch, messages
from kiel.protocol.messages import Message, MessageSet
from tests.protocol import plain, random_messages

CODECS = [0] + [flag for flag, codec in sorted(compression.codecs.items()) if codec.available]
CASES = [(magic, codec) for magic in (0, 1, 2) for codec in CODECS if magic == 2 or codec != 4]


def values(data, start=0):
    return [value for batch in messages.batches(data) for value in batch.values(start)]


def offsets(data, start=0):
    return [record[0] for batch in messages.batches(data) for record in batch.records(start)]


@pytest.mark.parametrize("magic,codec", CASES)
def test_d18_every_magic_and_codec_round_trips(magic, codec):
    rnd = random_messages.seeded()
    for _ in range(15):
        found = random_messages.messages(rnd, 100, headers=magic == 2)
        data = messages.encode_batch(found, magic, codec, 1)
        batch, = messages.batches(data)
        assert batch.records() == random_messages.expected(found, magic)
        assert batch.values() == [message[1] for message in found]
        assert (batch.magic, batch.codec, batch.size) == (magic, codec, len(data))


@pytest.mark.parametrize("magic", (0, 1))
def test_plain_messages_against_the_plain_twin(magic):
    rnd = random_messages.seeded()
    found = random_messages.messages(rnd, headers=False)
    expected = b"".join(
        plain.message(at, key, value, magic, 0, stamp)
        for at, (key, value, _, stamp) in enumerate(found))
    assert messages.encode_batch(found, magic, 0, 1) == expected


@pytest.mark.parametrize("magic", (0, 1, 2))
def test_d11_a_flipped_byte_is_never_handed_out(magic):
    found = [(b"key", b"value %d" % at, (), 1500000000000 + at) for at in range(3)]
    data = messages.encode_batch(found, magic, 0, 1)
    good = [message[1] for message in found]
    for at in range(len(data)):
        flipped = bytearray(data)
        flipped[at] ^= 0x41
        taken = []
        for batch in messages.batches(bytes(flipped)):
            try:
                taken += batch.values()
            except exc.CorruptMessageError:
                pass
        # a size that grew makes a tail; all else is told or harmless
        assert [value for value in taken if value not in good] == []


def test_d13_raw_snappy_in_a_wrapper():
    codec = compression.codecs[constants.SNAPPY]
    if not codec.available:
        pytest.skip("snappy is not installed")
    inner = plain.message(0, None, b"inside")
    raw = codec.module._compress(inner)
    assert values(plain.message(0, None, bytes(raw), 0, constants.SNAPPY)) == [b"inside"]


def test_d14_keys_and_values_are_bytes_whatever_they_hold():
    for content in (b"text", u"t\xe4xt".encode("utf-8"), b"\xff\xfe", b"", None):
        data = plain.message(0, content, content)
        record, = messages.batches(data)[0].records()
        assert record[2:4] == (content, content)
        assert content is None or type(record[3]) is bytes
        (_, message), = MessageSet.parse(data, 0, len(data))[0].messages
        assert (message.key, message.value) == (content, content)
        assert content is None or type(message.value) is bytes


@pytest.mark.parametrize("magic", (0, 1, 2))
def test_d16_a_cut_at_every_byte_gives_just_the_whole_messages(magic):
    whole = [
        messages.encode_batch([(b"k", b"value", (), 5)], magic, codec, 1) for codec in (0, 1, 0)]
    data = b"".join(whole)
    ends = [sum(len(w) for w in whole[:n]) for n in range(4)]
    for cut in range(len(data) + 1):
        count = max(n for n in range(4) if ends[n] <= cut)
        assert values(data[:cut]) == [b"value"] * count
        if magic < 2:
            # what stands behind a set is another partition's: it is left alone
            parsed, end = MessageSet.parse(
                struct.pack(">i", cut) + data[:cut] + b"\0\0\0\1\0\0\0\0", 0)
            assert (len(parsed.messages), end) == (count, 4 + cut)


def test_d17_how_much_a_cut_off_message_needs():
    for magic in (0, 1, 2):
        data = messages.encode_batch([(None, b"x" * 5000, (), 5)], magic, 0, 1)
        assert messages.batches(data[:1000]) == []
        assert messages.needed(data[:1000]) == len(data)
        assert messages.needed(data[:11]) == messages.needed(b"") == messages.needed(None) == 0


def test_d18_attribute_bits_that_are_no_codec():
    data = plain.message(3, b"k", b"v", 0, 8) + plain.message(4, b"k", b"w", 1, 8, 1234)
    assert values(data) == [b"v", b"w"]
    batches = messages.batches(data)
    assert batches[1].timestamp_type == 1
    assert batches[1].records()[0][1] == 1234


@pytest.mark.parametrize("codec", (4, 5, 6, 7))
@pytest.mark.parametrize("magic", (0, 1, 2))
def test_d19c_a_codec_that_nobody_knows(magic, codec):
    if codec == 4:
        codec = 5
    if magic == 2:
        data = plain.batch([(None, b"v", (), 0)], codec, base_offset=9)
    else:
        data = plain.message(9, None, b"whatever", magic, codec)
    with pytest.raises(exc.CorruptMessageError) as caught:
        values(data)
    assert "no codec has the number %d" % codec in str(caught.value)
    assert caught.value.offset == 9


@pytest.mark.parametrize("magic", (3, 4, 127, 255))
def test_d18_a_magic_that_nobody_knows(magic):
    data = bytearray(plain.message(9, None, b"v" * 60))
    data[16] = magic
    data = plain.message(8, None, b"before") + bytes(data) + plain.message(10, None, b"behind")
    batches = messages.batches(data)
    assert [batch.next_offset for batch in batches] == [9, 10, 11]
    assert batches[0].values() == [b"before"] and batches[2].values() == [b"behind"]
    for ask in (batches[1].values, batches[1].records, batches[1].check, batches[1].control):
        with pytest.raises(exc.CorruptMessageError) as caught:
            ask()
        assert caught.value.offset == 9 and "magic %d" % magic in str(caught.value)


@pytest.mark.parametrize("magic", (0, 1))
def test_d19a_a_compressed_set_from_its_middle(magic):
    inner = b"".join(plain.message(at if magic else at + 5, None, b"%d" % (at + 5), magic) for at in range(5))
    data = plain.message(9, None, gzip.compress(inner), magic, constants.GZIP)
    assert offsets(data) == [5, 6, 7, 8, 9]
    assert offsets(data, 8) == [8, 9]
    assert values(data, 8) == [b"8", b"9"]
    assert messages.batches(data)[0].next_offset == 10


@pytest.mark.parametrize("magic", (0, 1))
@pytest.mark.parametrize("inside,real", (
    ([0, 1, 2], [97, 98, 99]),          # relative, as magic 1 has them
    ([97, 98, 99], [97, 98, 99]),       # real, as magic 0 has them
    ([0, 2, 5], [94, 96, 99]),          # relative with gaps, after compaction
    ([-1, -1, -1], [97, 98, 99]),       # a producer's own, given back unchanged
    ([2, 1, 0], [97, 98, 99]),
))
def test_d19b_offsets_inside_a_wrapper(magic, inside, real):
    inner = b"".join(plain.message(offset, None, b"v", magic) for offset in inside)
    data = plain.message(99, None, gzip.compress(inner), magic, constants.GZIP)
    assert offsets(data) == real
    # whatever they are, the next fetch does not go back
    assert messages.batches(data)[0].next_offset == 100


def test_d19b_a_row_of_plain_messages_whose_offsets_fall():
    data = plain.message(7, None, b"a") + plain.message(3, None, b"b")
    assert messages.batches(data)[-1].next_offset == 8


def test_log_append_time_of_a_wrapper_is_that_of_all():
    inner = plain.message(0, None, b"a", 1, 0, 5) + plain.message(1, None, b"b", 1, 0, 6)
    for attributes, stamps in ((1, [5, 6]), (9, [70, 70])):
        data = plain.message(1, None, gzip.compress(inner), 1, attributes, 70)
        assert [record[1] for record in messages.batches(data)[0].records()] == stamps


@pytest.mark.parametrize("inner", (
    plain.message(0, None, b"cut off")[:-1],
    plain.message(0, None, b"other magic", 1),
    plain.message(0, None, gzip.compress(plain.message(0, None, b"twice")), 0, 1),
    plain.message(0, None, b"crc")[:-1] + b"x",
    b"nonsense of more than eighteen bytes",
))
def test_what_a_wrapper_may_not_hold(inner):
    data = plain.message(4, None, gzip.compress(inner), 0, constants.GZIP)
    with pytest.raises(exc.CorruptMessageError) as caught:
        values(data)
    assert caught.value.offset == 4


def test_a_wrapper_without_a_value_and_one_that_is_not_compressed():
    for value in (None, b"", b"no gzip"):
        with pytest.raises(exc.CorruptMessageError):
            values(plain.message(4, None, value, 0, constants.GZIP))


def test_decompression_is_bounded(monkeypatch):
    found = [(None, b"\0" * 100000, (), 1)] * 20
    for magic, codec in CASES:
        if codec:
            data = messages.encode_batch(found, magic, codec, 1)
            assert len(values(data)) == 20
    limit = compression.Codec.decompress
    monkeypatch.setattr(
        compression.Codec, "decompress", lambda self, data, _=None: limit(self, data, 1 << 20))
    for magic, codec in CASES:
        if codec:
            with pytest.raises(exc.CorruptMessageError) as caught:
                values(messages.encode_batch(found, magic, codec, 1))
            assert "more than 1048576 bytes" in str(caught.value)


def test_d67_a_crc_of_exactly_two_to_the_31():
    # four bytes are found that lead there: a CRC is linear in the bits of its input
    def crc(tail):
        body = struct.pack(">bbi", 0, 0, -1) + struct.pack(">i", 8) + b"kiel" + tail
        return zlib.crc32(body) & 0xFFFFFFFF

    zero = crc(b"\0\0\0\0")
    columns = [(crc(struct.pack(">I", 1 << bit)) ^ zero, 1 << bit) for bit in range(32)]
    wanted, tail = (1 << 31) ^ zero, 0
    for bit in range(31, -1, -1):
        at = next(i for i, (column, _) in enumerate(columns) if column >> bit & 1)
        pivot = columns.pop(at)
        columns = [
            (column ^ pivot[0], bits ^ pivot[1]) if column >> bit & 1 else (column, bits)
            for column, bits in columns]
        if wanted >> bit & 1:
            wanted, tail = wanted ^ pivot[0], tail ^ pivot[1]
    value = b"kiel" + struct.pack(">I", tail)
    data = MessageSet([(5, Message(magic=0, attributes=0, key=None, value=value))]).data
    assert data[12:16] == b"\x80\0\0\0"
    assert values(data) == [value]


@pytest.mark.parametrize("magic", (0, 1, 2))
def test_any_bytes_give_values_or_a_corrupt_message_error(magic):
    rnd = random_messages.seeded()
    for _ in range(150):
        found = random_messages.messages(rnd, 10, headers=False)
        data = bytearray(messages.encode_batch(found, magic, rnd.choice((0, 1)), 1))
        for _ in range(rnd.randint(1, 6)):
            data[rnd.randrange(len(data))] = rnd.choice((0, 1, 127, 128, 255, rnd.randrange(256)))
        data = bytes(data[:rnd.choice((len(data), rnd.randrange(len(data) + 1)))])
        for batch in messages.batches(data):
            for check in (True, False):
                for ask in (batch.values, batch.records):
                    try:
                        ask(0, check)
                    except exc.CorruptMessageError:
                        pass
    for size in range(60):
        for batch in messages.batches(random_messages.some_bytes(rnd, size)):
            with pytest.raises(exc.CorruptMessageError):
                batch.values()


@pytest.mark.parametrize("size", (-1, 0, 13, -(1 << 31)))
def test_a_size_that_cannot_be(size):
    data = bytearray(plain.message(6, None, b"value"))
    data[8:12] = struct.pack(">i", size)
    batch, = messages.batches(bytes(data))
    with pytest.raises(exc.CorruptMessageError) as caught:
        batch.values()
    assert caught.value.offset == 6


@pytest.mark.parametrize("body", (
    struct.pack(">bbi", 0, 0, -2) + struct.pack(">i", 0),
    struct.pack(">bbi", 0, 0, 100) + struct.pack(">i", 0),
    struct.pack(">bbi", 0, 0, -1) + struct.pack(">i", -2),
    struct.pack(">bbi", 0, 0, -1) + struct.pack(">i", 50),
    struct.pack(">bbi", 0, 0, -1) + struct.pack(">i", 0) + b"more",
))
def test_lengths_that_cannot_be(body):
    data = struct.pack(">qiI", 3, len(body) + 4, zlib.crc32(body) & 0xFFFFFFFF) + body
    with pytest.raises(exc.CorruptMessageError):
        values(data)


def test_what_old_formats_do_not_have():
    for magic in (0, 1):
        with pytest.raises(exc.UnsupportedVersionError):
            messages.encode_batch([(None, b"v", [(b"h", b"x")], 1)], magic, 0, 1)
        with pytest.raises(exc.UnsupportedVersionError):
            messages.encode_batch([(None, b"v", (), 1)], magic, 0, 1, producer_id=5)
        with pytest.raises(exc.UnsupportedVersionError):
            messages.encode_batch([(None, b"v", (), 1)], magic, constants.ZSTD, 1)
    for records, magic in (([], 2), ([(None, b"v", (), 1)], 3)):
        with pytest.raises(ValueError):
            messages.encode_batch(records, magic, 0, 1)


@pytest.mark.parametrize("flag,module,extra,package", (
    (constants.SNAPPY, "snappy", "kiel[snappy]", "cramjam"),
    (constants.LZ4, "lz4", "kiel[lz4]", "lz4"),
    (constants.ZSTD, "zstd", "kiel[zstd]", "zstandard"),
))
def test_a_missing_codec_names_its_package(monkeypatch, flag, module, extra, package):
    data = plain.batch([(None, b"v", (), 0)], flag, base_offset=6)
    module = compression.codecs[flag].module
    if flag == constants.SNAPPY:
        monkeypatch.setattr(module, "snappy_available", False)
    else:
        monkeypatch.setattr(module, "_found", [])
        for name in ("lz4", "lz4.frame", "zstandard"):
            monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(exc.MissingCodecError) as caught:
        values(data)
    assert "pip install " + extra in str(caught.value) and package in str(caught.value)
    assert caught.value.offset == 6
    with pytest.raises(exc.MissingCodecError):
        messages.encode_batch([(None, b"v", (), 0)], 2, flag, 1)
    if flag == constants.LZ4:
        with pytest.raises(exc.MissingCodecError):
            messages.encode_batch([(None, b"v", (), 0)], 0, flag, 1)


def test_nothing_at_all():
    assert messages.batches(None) == messages.batches(b"") == []


# -- kiel 0.9's own


def test_message_set_made_and_parsed():
    made = MessageSet([(4, Message(magic=0, attributes=0, key="k", value="v")),
                       (5, Message(magic=0, attributes=0, key=None, value=None))])
    assert made.data == plain.message(4, b"k", b"v") + plain.message(5, None, None)
    parsed, end = MessageSet.parse(b"xx" + struct.pack(">i", len(made.data)) + made.data, 2)
    assert end == 6 + len(made.data)
    assert [offset for offset, _ in parsed.messages] == [4, 5]
    assert repr(MessageSet([(0, Message(key=1, value=2))])) == "[1 => 2]"
    assert MessageSet.parse(made.data, 0, size=len(made.data))[0] == parsed
    assert MessageSet.parse(struct.pack(">i", -1), 0)[0].messages == []


@pytest.mark.parametrize("codec", [None] + [codec for codec in CODECS if codec in (1, 2, 3)])
def test_message_set_compressed(codec):
    made = MessageSet.compressed(
        codec, [Message(magic=0, attributes=0, key=None, value=b"%d" % at) for at in range(3)])
    assert len(made.messages) == (1 if codec else 3)
    assert [offset for offset, _ in made.messages] == [-1] * len(made.messages)
    if codec:
        (_, wrapper), = made.messages
        assert (wrapper.magic, wrapper.attributes, wrapper.key) == (0, codec, None)
    parsed, _ = MessageSet.parse(made.data, 0, len(made.data))
    assert [(offset, m.value) for offset, m in parsed.messages] == [(-1, b"0"), (-1, b"1"), (-1, b"2")]


def test_message_set_is_raw_until_asked():
    data = plain.message(4, None, b"v")
    found = MessageSet.raw(data)
    assert found.data is data
    assert found.messages == [(4, Message(key=None, value=b"v"))]
    found.messages.append((5, Message(key=None, value=b"w")))
    assert found.data == data + plain.message(5, None, b"w")
    assert MessageSet.raw(None).data is None and MessageSet.raw(None).messages == []
    assert MessageSet().data == b"" and MessageSet().messages == []


def test_message_set_in_a_field():
    write, read = MessageSet.codec(0, False, True)
    data = plain.message(4, None, b"v")
    for value in (MessageSet.raw(data), MessageSet([(4, Message(key=None, value=b"v"))]), data):
        out = []
        write(out.append, value)
        assert b"".join(out) == struct.pack(">i", len(data)) + data
    found, end = read(struct.pack(">i", len(data)) + data + b"next", 0)
    assert found.data == data and end == 4 + len(data)


def test_message_encoded_and_decoded():
    message = Message(crc=99, magic=0, attributes=0, key=b"k", value=b"v")
    assert message.encode() == plain.message(0, b"k", b"v")[12:]
    decoded, end = Message.parse(b"12" + message.encode() + b"behind", 2)
    assert decoded == message and end == 2 + len(message.encode())
    assert (decoded.magic, decoded.attributes) == (0, 0)
    assert decoded.crc == struct.unpack(">i", message.encode()[:4])[0]
    newer = Message(magic=1, attributes=0, key=None, value=b"v", timestamp=77)
    assert newer.encode() == plain.message(0, None, b"v", 1, 0, 77)[12:]
    assert Message.parse(newer.encode(), 0)[0].timestamp == 77
    squeezed = Message(magic=0, attributes=1, key=None, value=gzip.compress(b"inside"))
    assert Message.parse(squeezed.encode(), 0)[0].value == b"inside"
    with pytest.raises(ValueError):
        Message(colour=1)
    for cut in range(len(message.encode())):
        with pytest.raises(exc.CorruptMessageError):
            Message.parse(message.encode()[:cut], 0)


def test_d66_equality():
    one, same, other = (Message(key=b"k", value=value) for value in (b"v", b"v", b"w"))
    assert one == same and not one != same
    assert one != other and not one == other
    for stranger in (None, "k => v", 5):
        assert one != stranger and not one == stranger
        assert MessageSet([(0, one)]) != stranger and not MessageSet([(0, one)]) == stranger
    assert MessageSet([(0, one)]) == MessageSet([(0, same)])
    assert MessageSet([(0, one)]) != MessageSet([(1, one)])
    for thing in (one, MessageSet([])):
        with pytest.raises(TypeError):
            hash(thing)


def test_real_offsets_of_nothing():
    assert message_batch.real_offsets([], 5) == []
