"""The codecs: round trips of every size, bounds, and bytes that are not what they should be."""
from __future__ import absolute_import

import struct
import threading
import time
import zlib

import pytest
import six

from kiel import compression, constants, exc
from kiel.compression import gzip, lz4, snappy, zstd
from tests.protocol import random_messages

EDGES = list(range(65)) + [
    32767, 32768, 32769, 32768 + 9, 32768 + 11, 32768 + 12, 65535, 65536, 65536 + 3, 300000]


@pytest.fixture(params=sorted(compression.codecs), ids=lambda flag: compression.codecs[flag].name)
def codec(request):
    found = compression.codecs[request.param]
    if not found.available:
        pytest.skip("%s is not installed" % found.package)
    return found


def need_lz4():
    if not lz4.available():
        pytest.skip("lz4 is not installed")


def need_snappy():
    if not snappy.available():
        pytest.skip("snappy is not installed")


def test_d12_round_trip_of_every_size(codec):
    rnd = random_messages.seeded()
    data = random_messages.some_bytes(rnd, max(EDGES))
    for size in EDGES:
        packed = codec.compress(data[:size])
        assert type(packed) is bytes
        found = codec.decompress(packed)
        assert found == data[:size] and type(found) is bytes
        assert codec.decompress(packed, size) == found


def test_no_more_than_the_limit(codec):
    for size in (1, 100, 70000, 3000000):
        packed = codec.compress(b"\0" * size)
        assert codec.decompress(packed, limit=size) == b"\0" * size
        with pytest.raises(exc.CorruptMessageError) as caught:
            codec.decompress(packed, limit=size - 1)
        assert "more than %d bytes" % (size - 1) in str(caught.value)


def test_cut_off_is_an_error(codec):
    for size in (9, 100, 70000):
        packed = codec.compress(random_messages.some_bytes(random_messages.seeded(), size))
        for cut in set(range(1, min(len(packed), 40))) | set([len(packed) // 2, len(packed) - 1]):
            if codec.flag == constants.SNAPPY and cut == 16:
                # a header without blocks is an empty stream
                continue
            with pytest.raises(exc.CorruptMessageError):
                codec.decompress(packed[:cut])


def test_any_bytes_give_bytes_or_a_corrupt_message_error(codec):
    rnd = random_messages.seeded()
    for _ in range(500):
        data = bytearray(codec.compress(random_messages.some_bytes(rnd, rnd.choice((0, 5, 300)))))
        for _ in range(rnd.randint(1, 4)):
            data[rnd.randrange(len(data))] = rnd.randrange(256)
        for hostile in (bytes(data), random_messages.some_bytes(rnd, rnd.randrange(60))):
            try:
                assert len(codec.decompress(hostile, 100000)) <= 100000
            except exc.CorruptMessageError:
                pass


def test_numbers_that_no_codec_has():
    for flag in (0, 5, 7, None):
        with pytest.raises(exc.CorruptMessageError):
            compression.get(flag)
    assert compression.decompress(1, compression.compress(1, b"x")) == b"x"
    assert repr(compression.codecs[1]) == "Codec(1, 'gzip')"


def test_d15_gzip_does_not_depend_on_the_clock(monkeypatch):
    first = gzip.compress(b"the same")
    monkeypatch.setattr(time, "time", lambda: 1.0)
    assert gzip.compress(b"the same") == first
    # the header's time stamp
    assert first[4:8] == b"\0\0\0\0"


def test_gzip_members():
    members = gzip.compress(b"one") + gzip.compress(b"") + gzip.compress(b"two")
    assert gzip.decompress(members) == b"onetwo"
    assert gzip.decompress(members + b"\0" * 20) == b"onetwo"
    for behind in (b"x", gzip.compress(b"three")[:-1], gzip.compress(b"") * gzip.MOST_MEMBERS):
        with pytest.raises((ValueError, zlib.error)):
            gzip.decompress(members + behind)


def test_d12_snappy_framing():
    need_snappy()
    data = b"abc" * 20000
    packed = snappy.compress(data)
    assert packed[:16] == b"\x82SNAPPY\0" + struct.pack(">ii", 1, 1) == snappy.raw_header
    first, = struct.unpack_from(">i", packed, 16)
    second, = struct.unpack_from(">i", packed, 20 + first)
    assert 24 + first + second == len(packed)
    assert snappy.BLOCK_SIZE == 32768


def test_d13_snappy_raw_and_framed_and_neither():
    need_snappy()
    data = b"abc" * 1000
    raw = bytes(snappy._compress(data))
    assert snappy.decompress(raw) == snappy.decompress(snappy.compress(data)) == data
    for neither in (b"", b"\x82SNAPPY\0", b"\xff" * 9, raw[:-1], snappy.compress(data) + b"\0\0\0",
                    snappy.compress(data) + struct.pack(">i", -5), b"\0more", b"\xff\xff\xff\x7f\0"):
        with pytest.raises(exc.CorruptMessageError):
            compression.decompress(constants.SNAPPY, neither)


def test_snappy_as_in_0_9(monkeypatch):
    monkeypatch.setattr(snappy, "snappy_available", False)
    for function in (snappy.compress, snappy.decompress):
        with pytest.raises(RuntimeError) as caught:
            function(b"x")
        assert str(caught.value) == "Snappy compression unavailable."
    assert (snappy.DEFAULT_VERSION, snappy.MIN_COMPAT_VERSION) == (1, 1)


def test_snappy_packages(monkeypatch):
    """Whichever is there: a package that can't be imported is none."""
    import sys
    for name in ("cramjam", "snappy"):
        monkeypatch.setitem(sys.modules, name, None)
    assert snappy._find()[:2] == (None, None)


def test_xxh32():
    # from the specification's own test vectors and the xxhash package
    assert lz4.xxh32(b"") == 0x02CC5D05
    assert lz4.xxh32(b"a") == 0x550D7456
    assert lz4.xxh32(b"abc") == 0x32D153FF
    assert lz4.xxh32(b"Nobody inspects the spammish repetition") == 0xE2293B2F


def test_lz4_with_the_right_and_with_old_kafkas_checksum():
    need_lz4()
    data = b"some data " * 50
    right, old = lz4.compress(data), lz4.legacy_compress(data)
    assert right[:6] == old[:6] and right[7:] == old[7:]
    assert right[6:7] == lz4.checksum(right[4:6]) != old[6:7] == lz4.checksum(right[:6])
    assert lz4.decompress(right) == lz4.decompress(old) == data
    # independent blocks, no content size: all that Kafka's Java client reads
    assert bytearray(right)[4] & 0x28 == 0x20
    wrong = right[:6] + struct.pack("B", bytearray(right)[6] ^ 0x55) + right[7:]
    if wrong[6:7] != old[6:7]:
        with pytest.raises(exc.CorruptMessageError):
            compression.decompress(constants.LZ4, wrong)


def test_lz4_with_a_content_size_in_its_header():
    need_lz4()
    frame = lz4._package().compress(b"some data " * 50, store_size=True)
    assert lz4.header_size(frame) == 15
    old = frame[:14] + lz4.checksum(frame[:14]) + frame[15:]
    assert lz4.decompress(frame) == lz4.decompress(old) == b"some data " * 50


def test_zstd_size_that_is_claimed_is_not_allocated():
    if not zstd.available():
        pytest.skip("zstandard is not installed")
    # a frame that says it holds 2^60 bytes
    hostile = b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 1 << 60) + b"\1\0\0"
    with pytest.raises(exc.CorruptMessageError):
        compression.decompress(constants.ZSTD, hostile)


def test_zstd_without_a_size_as_java_writes_it():
    if not zstd.available():
        pytest.skip("zstandard is not installed")
    squeezer = zstd._package().ZstdCompressor(write_content_size=False).compressobj()
    packed = squeezer.compress(b"stream " * 100000) + squeezer.flush()
    assert zstd.decompress(packed) == b"stream " * 100000
    with pytest.raises(exc.CorruptMessageError):
        compression.decompress(constants.ZSTD, packed, 1000)


def test_zstd_readers_that_are_kept_are_used_by_one_thread_at_a_time():
    if not zstd.available():
        pytest.skip("zstandard is not installed")
    texts = [bytes(bytearray([at])) * 50000 + b"%d" % at for at in range(8)]
    packed = [compression.compress(constants.ZSTD, text) for text in texts]
    found = {}

    def work(number):
        found[number] = [compression.decompress(constants.ZSTD, packed[number]) for _ in range(20)]
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict((number, [text] * 20) for number, text in enumerate(texts))
    assert 1 <= len(set(zstd._idle)) == len(zstd._idle) <= 9


def test_zstd_that_says_less_than_it_holds():
    if not zstd.available():
        pytest.skip("zstandard is not installed")
    packed = compression.compress(constants.ZSTD, b"x" * 1000)
    assert zstd._package().frame_content_size(packed) == 1000
    flags = bytearray(packed)[4]
    assert flags >> 6 == 1 and flags & 32  # two bytes of size follow, 256 less than it
    for size in (999, 1001, 256, 65535 + 256):
        wrong = packed[:5] + struct.pack("<H", size - 256) + packed[7:]
        with pytest.raises(exc.CorruptMessageError):
            compression.decompress(constants.ZSTD, wrong)


def test_text_is_no_input():
    with pytest.raises(TypeError):
        compression.compress(constants.GZIP, six.u("text") if six.PY3 else None)
