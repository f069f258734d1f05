"""Record batches: the quick loops against their plain twins, and bytes that are not what they should be."""
from __future__ import absolute_import

import struct

import pytest

from kiel import exc, speedups
from kiel.protocol import messages, records, records_decode, records_encode, varints
from kiel.protocol.columns import Columns, Stamps
from kiel.protocol.headers import Headers
from tests.protocol import plain, random_messages


def encode(found, **options):
    return messages.encode_batch(found, 2, 0, 1500000000000, **options)


def read(data):
    batch, = messages.batches(data)
    return batch


def test_varints():
    edges = [1 << 20, (1 << 31) - 1, -(1 << 31), (1 << 63) - 1, -(1 << 63)]
    for number in list(range(-70, 8300)) + edges:
        data = varints.encode(number)
        assert data == plain.varint(number)
        assert varints.decode(bytearray(data), 0, 10) == (number, len(data))
    for data, longest in (
        (b"\xff" * 5 + b"\1", 5), (b"\xff" * 10 + b"\1", 10), (b"\xff" * 4 + b"\x10", 5), (b"\xff" * 9 + b"\2", 10),
    ):
        with pytest.raises(ValueError):
            varints.decode(bytearray(data), 0, longest)
    assert len(varints.TABLE) == 8192


def test_random_batches_against_the_plain_twins():
    rnd = random_messages.seeded()
    for _ in range(80):
        found = random_messages.messages(rnd)
        data = encode(found)
        assert data == plain.batch(found)
        batch = read(data)
        expected = plain.records(data, 61, len(data), len(found), 0, found[0][3])
        assert batch.records() == expected == random_messages.expected(found)
        assert batch.values() == [message[1] for message in found]


@pytest.mark.parametrize("make", (
    lambda at: (None, b"x" * 100, (), None),
    lambda at: (None, b"", (), None),
    lambda at: (b"k", b"v", (), None),
    lambda at: (b"k", None, (), None),
    lambda at: (None, b"x" * (100 + at % 2), (), None),
    lambda at: (None, b"x" * (100 + at // 500), (), None),
    lambda at: (None, b"%d" % at, (), None),
    lambda at: (b"%05d" % at, b"x" * 9000, (), 1500000000000 + at),
    lambda at: (b"%05d" % at, b"x" * 10, (), 1500000000000 + (at * 7919) % 20011),
    lambda at: (b"%05d" % at, b"x" * 10, (), 1500000000000 - at * 1000),
    lambda at: (b"k" * 9000, b"x" * 10, (), 1500000000000 + (at << 40) * (at < 9)),
    lambda at: (None, b"x" * 10, [(b"h", b"\0")], None),
    lambda at: (None, b"x" * 10, [(b"h", b"\0")] if at == 700 else (), None),
))
@pytest.mark.parametrize("count", (1, 2, 63, 64, 65, 66, 1000, 8190, 8193, 8300))
def test_runs_of_one_shape(make, count):
    if count > 1000 and len(make(0)[1] or b"") + len(make(0)[0] or b"") > 5000:
        count = 1100
    found = [make(at) for at in range(count)]
    data = encode(found)
    batch = read(data)
    assert batch.values() == [message[1] for message in found]
    now = 1500000000000
    first = found[0][3] or now
    expected = [
        (at, now if stamp is None else stamp, key, value, tuple((n.decode("utf-8"), c) for n, c in headers))
        for at, (key, value, headers, stamp) in enumerate(found)
    ]
    assert batch.records() == expected
    assert batch.records() == plain.records(data, 61, len(data), count, 0, first)


@pytest.mark.parametrize("make", (
    lambda at, size: (b"k%06d" % at, b"x" * size, [(b"trace", b"t" * 40)], 1500000000000 + at),
    lambda at, size: (b"k%06d" % at, b"x" * size, (), 1500000000000 + at * 90),
    lambda at, size: (None, b"x" * size, [(b"trace", b"t" * (size % 90))] if at % 3 else (), 1500000000000 - at),
    lambda at, size: (b"k" * (7 + at // 100 % 2), b"x" * size, (), 1500000000000 + (at // 50 << 33)),
    lambda at, size: (b"k" * 7, None if at % 41 == 0 else b"x" * size, (), 1500000000000),
    lambda at, size: (b"k" * (at % 9), b"x" * size, [(b"", b"")] * (at % 2), 1500000000000),
    lambda at, size: (b"k" * 70, b"x" * (size * 60 if at % 97 == 0 else size), (), 1500000000000),
))
def test_runs_whose_heads_are_alike(make):
    rnd = random_messages.seeded()
    found = [make(at, int(rnd.lognormvariate(5.0, 1.0))) for at in range(500)]
    data = encode(found)
    expected = plain.records(data, 61, len(data), len(found), 0, found[0][3])
    assert records_decode.values(data, 61, len(data), len(found)) == [message[1] for message in found]
    assert records_decode.records(data, 61, len(data), len(found), 0, found[0][3], None) == expected
    # a byte changed anywhere in a head gives an error, or what the plain twin reads
    for _ in range(20):
        broken = bytearray(data)
        broken[rnd.randrange(61, len(data))] = rnd.choice((0, 1, 127, 128, 255, rnd.randrange(256)))
        broken = bytes(broken)
        try:
            expected = plain.records(broken, 61, len(broken), len(found), 0, found[0][3])
        except Exception:
            expected = None
        try:
            taken = [row[:4] + (tuple(row[4]),) for row in records_decode.records(
                broken, 61, len(broken), len(found), 0, found[0][3], None)]
        except (ValueError, IndexError, exc.CorruptMessageError):
            continue
        assert expected is None or taken == expected


def test_runs_whose_heads_change_now_and_then():
    """A key of another size, a time stamp far away, headers or none: what was alike begins anew behind it."""
    rnd = random_messages.seeded()
    for _ in range(30):
        found, key, headers, stamp, every = [], 7, (), 1500000000000, rnd.choice((3, 10, 30, 100))
        for at in range(rnd.randrange(1, 400)):
            if not rnd.randrange(every):
                key = rnd.choice((-1, 0, 1, 7, 63, 64, 200))
                headers = rnd.choice(((), (("name", b"v" * rnd.randrange(200)),)))
                stamp += rnd.choice((0, 1, 63, 64, 8191, 8192, 10 ** 7, -200))
            value = None if not rnd.randrange(every) else b"v" * int(rnd.lognormvariate(4.5, 1.0))
            found.append((None if key < 0 else b"k" * key, value, headers, stamp))
        data = encode(found)
        assert records_decode.values(data, 61, len(data), len(found)) == [message[1] for message in found]
        expected = plain.records(data, 61, len(data), len(found), 0, found[0][3])
        assert records_decode.records(data, 61, len(data), len(found), 0, found[0][3], None) == expected


def test_offsets_with_gaps_in_runs_of_one_shape():
    # as compaction leaves them
    section = b""
    offsets = [at * 3 for at in range(2000)] + [6001, 6000, 5]
    for offset in offsets:
        body = b"\0\0" + plain.varint(offset) + plain.sized(None) + plain.sized(b"v" * 20) + b"\0"
        section += plain.varint(len(body)) + body
    found = records_decode.records(section, 0, len(section), len(offsets), 100, 7, None)
    assert found == plain.records(section, 0, len(section), len(offsets), 100, 7)
    assert records_decode.values(section, 0, len(section), len(offsets)) == [b"v" * 20] * len(offsets)


def test_values_only_against_any_records():
    rnd = random_messages.seeded()
    for count in (1, 2, 63, 64, 65, 200, 8191, 8192, 8193, 9000):
        for size in (lambda: 100, lambda: 0, lambda: rnd.randrange(140)):
            for steps in ([0], [0, 1], [0, 0, 60], [0, 5000, -7]):
                records = Columns()
                while len(records) < count:
                    stamp = 1500000000000 + rnd.choice(steps)
                    some = min(rnd.randrange(1, 900), count - len(records))
                    records.extend([b"x" * size() for _ in range(some)], stamp)
                runs = records_encode.deltas_of(records.stamps, count)
                short = all(len(delta) == 1 for delta, _ in runs)
                quick = records_encode.values_only(records.values, runs)
                assert (quick is None) == (not short and len(set(map(len, records.values))) > 1)
                if quick is not None:
                    assert b"".join(quick) == b"".join(records_encode.any_records(records, runs))
                data = messages.encode_batch(records, 2, 0)
                assert data == plain.batch([(key, value, (), stamp) for key, value, _, stamp in records])
                if speedups.native is None:  # in C there is one piece, made without a list of any
                    assert max(map(len, messages.encode_pieces(records, 2, 0))) < 300000


def test_stamps_are_kept_once_per_run():
    rnd = random_messages.seeded()
    for _ in range(50):
        plainly, stamps = [], Stamps()
        for _ in range(rnd.randrange(1, 40)):
            stamp = rnd.randrange(3)
            stamps.note(len(plainly), stamp)
            plainly += [stamp] * rnd.randrange(1, 4)
        assert [stamps[at] for at in range(len(plainly))] == list(stamps.spread(len(plainly))) == plainly
        assert sum(([stamp] * count for stamp, count in stamps.runs(len(plainly))), []) == plainly
        start = rnd.randrange(len(plainly))
        end = rnd.randrange(start, len(plainly)) + 1
        assert list(stamps.cut(start, end).spread(end - start)) == plainly[start:end]
        assert len(stamps.starts) <= len(plainly)


def test_more_offsets_than_three_bytes_hold():
    count = (1 << 20) + 5
    data = encode([(None, b"v", (), None)] * count)
    batch = read(data)
    assert batch.last_offset == count - 1
    assert batch.values() == [b"v"] * count
    assert batch.records()[-1][0] == count - 1


def test_start_in_the_middle():
    data = encode([(None, b"%d" % at, (), None) for at in range(100)])
    batch = read(data)
    assert batch.values(start=97) == [b"97", b"98", b"99"]
    assert batch.values(start=100) == []
    assert [record[0] for record in batch.records(start=98)] == [98, 99]


def test_log_append_time():
    found = [(None, b"a", [], 5), (b"k", b"b", [], 9)]
    batch = read(plain.batch(found, attributes=records.LOG_APPEND_TIME))
    assert batch.timestamp_type == 1
    assert [record[1] for record in batch.records()] == [9, 9]


def test_transactional_and_producer_fields():
    data = encode([(None, b"a", (), None)], producer_id=1 << 33, producer_epoch=7, base_sequence=11,
                  transactional=True)
    batch = read(data)
    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == (1 << 33, 7, 11)
    assert batch.is_transactional and not batch.is_control
    assert data == plain.batch([(None, b"a", (), 1500000000000)], records.TRANSACTIONAL, 0, 1 << 33, 7, 11)


def test_header_names_are_text_and_written_from_text_too():
    data = encode([(None, b"a", [(u"n\xe4me", None), (b"b", b"\xff")], None)])
    assert read(data).records()[0][4] == ((u"n\xe4me", None), (u"b", b"\xff"))


def test_d11_no_flipped_bit_is_handed_out():
    found = [(b"key", b"value %d" % at, [(b"h", b"x")], 1500000000000 + at) for at in range(3)]
    data = encode(found)
    for at in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[at] ^= 1 << bit
            flipped = bytes(flipped)
            for batch in messages.batches(flipped):
                # the checksum covers all but itself, the offset, the length and the leader's epoch
                try:
                    taken = batch.values()
                except exc.CorruptMessageError:
                    continue
                assert at < 8 or 12 <= at < 16
                assert taken == [message[1] for message in found]


def test_a_wrong_checksum_tells_where(monkeypatch):
    data = bytearray(plain.batch([(None, b"value", [], 0)], base_offset=77))
    data[-2] ^= 1
    batch = read(bytes(data))
    for ask in (batch.check, batch.values, batch.records):
        with pytest.raises(exc.CorruptMessageError) as caught:
            ask()
        assert caught.value.offset == 77
    assert batch.values(check_crcs=False) == [b"valud"]


def test_any_bytes_give_records_or_a_corrupt_message_error():
    rnd = random_messages.seeded()
    for _ in range(400):
        data = bytearray(encode(random_messages.messages(rnd, 70)))
        for _ in range(rnd.randint(1, 5)):
            at = rnd.randrange(57, len(data))
            data[at] = rnd.choice((0, 1, 2, 127, 128, 255, rnd.randrange(256)))
        for batch in messages.batches(bytes(data)):
            for ask in (batch.values, batch.records):
                try:
                    taken = ask(check_crcs=False)
                except exc.CorruptMessageError:
                    continue
                size = sum(len(item if ask == batch.values else item[3]) for item in taken
                           if (item if ask == batch.values else item[3]) is not None)
                assert size <= len(data)


@pytest.mark.parametrize("count", (-1, 8, 1000, (1 << 31) - 1))
def test_an_impossible_count_of_records_costs_nothing(count):
    data = bytearray(plain.batch([(None, b"value", [], 0)]))
    data[57:61] = struct.pack(">i", count)
    for ask in (read(bytes(data)).values, read(bytes(data)).records):
        with pytest.raises(exc.CorruptMessageError):
            ask(check_crcs=False)


def section(body):
    return plain.varint(len(body)) + body


@pytest.mark.parametrize("body", (
    # a key, a value, a header count, a header name, a header value that can't be
    b"\0\0\0" + plain.varint(-2) + b"\1\0",
    b"\0\0\0" + plain.varint(-100) + b"\1\0",
    b"\0\0\0" + plain.varint(50) + b"\1\0",
    b"\0\0\0\1" + plain.varint(-2) + b"\0",
    b"\0\0\0\1" + plain.varint(-5000) + b"\0",
    b"\0\0\0\1" + plain.varint(1 << 30) + b"\0",
    b"\0\0\0\1\1" + plain.varint(1 << 30),
    b"\0\0\0\1\1" + plain.varint(-1),
    b"\0\0\0\1\1" + plain.varint(1) + plain.varint(-1) + b"\1",
    b"\0\0\0\1\1" + plain.varint(1) + plain.varint(90) + b"\1",
    b"\0\0\0\1\1" + plain.varint(1) + b"\0" + plain.varint(90),
    b"\0" + b"\xff" * 11 + b"\1\1\0",
    b"\0\0" + b"\xff" * 6 + b"\1\1\0",
))
def test_lengths_that_cannot_be(body):
    data = section(body) + b"\0" * 8
    with pytest.raises((ValueError, IndexError, exc.CorruptMessageError)):
        # headers are read when they are looked at
        tuple(records_decode.records(data, 0, len(data) - 8, 1, 0, 0, None)[0][4])
    if speedups.native is not None:
        with pytest.raises((ValueError, exc.CorruptMessageError)):
            tuple(list(speedups.native.columns(data, 0, len(data) - 8, 1, 0, 0, None, Headers)[4])[0])


def test_records_have_to_end_where_the_batch_ends():
    data = section(b"\0\0\0\1\1\0") + b"more"
    for how in (
        lambda end, count: records_decode.values(data, 0, end, count),
        lambda end, count: records_decode.records(data, 0, end, count, 0, 0, None),
    ):
        assert len(how(7, 1)) == 1
        with pytest.raises(ValueError):
            how(8, 1)
        with pytest.raises(ValueError):
            how(6, 1)


def test_a_control_batch_without_its_key():
    batch = read(plain.batch([(None, b"", [], 0)], records.CONTROL))
    with pytest.raises(exc.CorruptMessageError):
        batch.control()
    assert batch.values() == []


def test_an_empty_batch_as_compaction_leaves_it():
    # its last offset stays, so that the consumer moves on
    header = bytearray(plain.batch([(None, b"", [], 0)], base_offset=10)[:61])
    header[8:12] = struct.pack(">i", 49)
    header[23:27] = struct.pack(">i", 4)
    header[57:61] = struct.pack(">i", 0)
    header[17:21] = struct.pack(">I", plain.crc32c(bytes(header[21:])))
    batch = read(bytes(header))
    assert batch.values() == batch.records() == []
    assert batch.next_offset == 15
