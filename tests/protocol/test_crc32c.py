"""CRC-32C: every way to it gives the same."""
from __future__ import absolute_import

import sys

import pytest

from kiel import speedups
from kiel.protocol import crc32c
from tests.protocol import plain, random_messages

WAYS = [crc32c.crc32c, crc32c.pure, crc32c.by_bytes, crc32c.by_words, crc32c.by_folds]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_check_values(way):
    # RFC 3720, B.4, and the usual check value
    assert way(b"123456789") == 0xE3069283
    assert way(b"\0" * 32) == 0x8A9136AA
    assert way(b"\xff" * 32) == 0x62A8AB43
    assert way(b"") == 0


@pytest.mark.parametrize("way", WAYS[:2] + WAYS[3:], ids=lambda way: way.__name__)
def test_agrees_with_the_plain_twin(way):
    rnd = random_messages.seeded()
    sizes = list(range(70)) + [
        846, 847, 848, 849, 900, 1694, 1695, 2047, 2048, 2049, 4097, 5001, 32768, 131071, 131072, 131073, 270003]
    data = random_messages.some_bytes(rnd, max(sizes))
    for size in sizes:
        start = rnd.choice((0, 1, 0xFFFFFFFF, rnd.getrandbits(32)))
        begin = rnd.randrange(len(data) - size + 1)
        piece = data[begin:begin + size]
        assert way(piece, start) == crc32c.by_bytes(piece, start)
    assert crc32c.by_bytes(data[:500]) == plain.crc32c(data[:500])


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_goes_on_from_what_came_before(way):
    data = bytes(bytearray(range(256))) * 40
    for cut in (0, 1, 100, 5000, len(data)):
        assert way(data[cut:], way(data[:cut])) == way(data)


def test_without_the_package(monkeypatch):
    monkeypatch.setattr(speedups, "native", None)
    monkeypatch.setitem(sys.modules, "crc32c", None)
    assert crc32c.find() is crc32c.pure
