"""Message sets and record batches against Kafka's own Java classes, in both directions."""
from __future__ import absolute_import

import binascii
import os

import pytest

from kiel import compression, testing
from kiel.protocol import messages
from tests.protocol import definitions, random_messages

CASES = [(magic, codec) for magic in (0, 1, 2) for codec in range(5) if magic == 2 or codec != 4]


@pytest.fixture(scope="module")
def java():
    """The Java process; a function that sends a line and gives the words of the answer."""
    process = testing.java_helper(
        os.path.join(definitions.JAVA, "Batches.java"),
        testing.jars(
            "org.apache.kafka:kafka-clients:3.9.1", "org.lz4:lz4-java:1.8.0",
            "org.xerial.snappy:snappy-java:1.1.10.5", "com.github.luben:zstd-jni:1.5.6-4"))

    def ask(*words):
        process.stdin.write(" ".join(str(word) for word in words).encode("ascii") + b"\n")
        process.stdin.flush()
        answer = process.stdout.readline().decode("utf-8").split()
        if not answer:
            pytest.fail("Java is gone: %s" % process.stderr.read().decode("utf-8", "replace"))
        assert answer[0] == "ok", answer
        return answer[1:]

    yield ask
    process.stdin.close()
    process.wait()
    process.stdout.close()
    process.stderr.close()


def to_hex(data):
    return "-" if data is None else binascii.hexlify(data).decode("ascii")


def from_hex(text):
    return None if text == "-" else binascii.unhexlify(text)


def record_word(offset, stamp, key, value, headers):
    pairs = ",".join("%s=%s" % (to_hex(name), to_hex(content)) for name, content in headers)
    return "%d:%d:%s:%s:%s" % (offset, stamp, to_hex(key), to_hex(value), pairs)


def java_read(java, data):
    """(batches, records) as Java reads them; it has checked every checksum."""
    batches, records = [], []
    for word in java("read", to_hex(data)):
        if word.startswith("batch:"):
            batches.append([int(number) for number in word.split(":")[1:]])
            continue
        offset, stamp, key, value, headers = word.split(":")
        pairs = []
        for pair in headers.split(",") if headers else ():
            name, content = pair.split("=")
            pairs.append((from_hex(name).decode("utf-8"), from_hex(content)))
        records.append((int(offset), int(stamp), from_hex(key), from_hex(value), tuple(pairs)))
    return batches, records


def kiel_read(data):
    found = messages.batches(data)
    records = [record for batch in found for record in batch.records()]
    assert [record[3] for record in records] == [v for batch in found for v in batch.values()]
    return found, records


def need(codec):
    if codec and not compression.codecs[codec].available:
        pytest.skip("%s is not installed" % compression.codecs[codec].package)


@pytest.mark.parametrize("magic,codec", CASES)
def test_kiel_reads_what_java_writes(java, magic, codec):
    need(codec)
    rnd = random_messages.seeded()
    for _ in range(25):
        found = random_messages.messages(rnd, headers=magic == 2)
        base = rnd.choice((0, 5, 1 << 33))
        append = magic > 0 and rnd.random() < .3
        producer = magic == 2 and rnd.random() < .5
        gap = rnd.choice((0, 0, 1, 100))
        offset = base
        expected = []
        words = [
            "write", magic, codec, int(append), 1600000000000 if append else -1, base
        ] + ([77, 3, 12, 1] if producer else [-1, -1, -1, 0])
        for key, value, headers, stamp in found:
            words.append(record_word(offset, stamp if magic else -1, key, value, headers))
            expected.append((
                offset, 1600000000000 if append else stamp if magic else -1, key, value,
                tuple((name.decode("utf-8"), content) for name, content in headers)))
            offset += 1 + rnd.choice((0, gap))
        data = from_hex(java(*words)[0])
        batches, records = kiel_read(data)
        assert records == expected
        assert len(batches) == 1
        batch = batches[0]
        assert (batch.magic, batch.codec, batch.timestamp_type) == (magic, codec, int(append))
        assert (batch.last_offset, batch.next_offset) == (expected[-1][0], expected[-1][0] + 1)
        assert batch.size == len(data)
        assert not batch.is_control
        assert batch.is_transactional == producer
        assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == (
            (77, 3, 12) if producer else (-1, -1, -1))
        assert batch.leader_epoch == (7 if magic == 2 else -1)
        # from the middle: nothing before, nothing missing
        start = rnd.choice(expected)[0]
        assert batch.records(start) == [record for record in expected if record[0] >= start]
        assert batch.values(start) == [record[3] for record in expected if record[0] >= start]


@pytest.mark.parametrize("magic,codec", CASES)
def test_java_reads_what_kiel_writes(java, magic, codec):
    need(codec)
    rnd = random_messages.seeded()
    for _ in range(25):
        found = random_messages.messages(rnd, headers=magic == 2)
        producer = magic == 2 and rnd.random() < .5
        extra = dict(
            producer_id=1 << 40, producer_epoch=5, base_sequence=99, transactional=True
        ) if producer else {}
        data = messages.encode_batch(found, magic, codec, 1, **extra)
        batches, records = java_read(java, data)
        assert records == random_messages.expected(found, magic)
        assert records == kiel_read(data)[1]
        if magic == 2 or codec:
            (last, found_magic, found_codec, transactional, pid, epoch, sequence, latest), = batches
            assert (last, found_magic, found_codec) == (len(found) - 1, magic, codec)
            assert latest == (max(message[3] for message in found) if magic else -1)
            assert (transactional, pid, epoch, sequence) == (
                (1, 1 << 40, 5, 99) if producer else (0, -1, -1, -1))


def test_java_reads_ten_thousand_of_one_shape(java):
    found = [(None, b"%06d" % number, (), None) for number in range(10000)]
    records = java_read(java, messages.encode_batch(found, 2, 0, 1234))[1]
    assert [(r[0], r[1], r[3]) for r in records] == [
        (at, 1234, message[1]) for at, message in enumerate(found)]


@pytest.mark.parametrize("number", (0, 1))
def test_control_batches_hold_no_messages(java, number):
    data = from_hex(java("control", 40, 1600000000000, 1234, 2, number)[0])
    batch, = messages.batches(data)
    assert batch.is_control and batch.is_transactional
    assert (batch.producer_id, batch.producer_epoch) == (1234, 2)
    assert batch.control() == (0, number)
    assert batch.values() == batch.records() == []
    assert batch.next_offset == 41


def test_magics_mixed_in_one_fetch(java):
    rnd = random_messages.seeded()
    data, expected, base = b"", [], 0
    for magic, codec in ((0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1), (1, 0), (0, 0)):
        found = random_messages.messages(rnd, 20, headers=False)
        words = [
            record_word(base + at, m[3] if magic else -1, m[0], m[1], ()) for at, m in enumerate(found)]
        data += from_hex(java("write", magic, codec, 0, -1, base, -1, -1, -1, 0, *words)[0])
        expected += random_messages.expected(found, magic, base)
        base += len(found)
    batches, records = kiel_read(data)
    assert records == expected
    assert [batch.magic for batch in batches] == [0, 0, 1, 1, 2, 2, 1, 0]
