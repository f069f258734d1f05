"""Partitioners: Java's numbers, and keys of every kind."""
from __future__ import absolute_import, unicode_literals

import pytest

from kiel import partitioners


# from Kafka's own UtilsTest.testMurmur2 (signed in Java)
@pytest.mark.parametrize("data,expected", [
    (b"21", -973932308),
    (b"foobar", -790332482),
    (b"a-little-bit-long-string", -985981536),
    (b"a-little-bit-longer-string", -1486304829),
    (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    (b"abc", 479470107),
])
def test_murmur2_hash_equals_java(data, expected):
    assert partitioners.murmur2_hash(data) == expected & 0xffffffff


def test_murmur2_takes_the_positive_hash_by_modulo():
    # "foobar" hashes to a negative number in Java, which masks the sign instead of negating it
    assert partitioners.murmur2(b"foobar", list(range(12))) == (-790332482 & 0x7fffffff) % 12


@pytest.mark.parametrize("key", [b"21", "21", 21, bytearray(b"21"), memoryview(b"21")])
def test_murmur2_of_a_key_is_that_of_its_bytes(key):
    assert partitioners.murmur2(key, [5, 6, 7]) == [5, 6, 7][(-973932308 & 0x7fffffff) % 3]


def test_text_counts_as_utf8():
    key = "sch\u00f6n"
    ids = list(range(1000))
    assert partitioners.murmur2(key, ids) == partitioners.murmur2(key.encode("utf-8"), ids)


@pytest.mark.parametrize("partitioner", [partitioners.murmur2, partitioners.random_partition])
def test_without_a_key_chance_decides(partitioner):
    assert set(partitioner(None, [1, 2, 3]) for _ in range(200)) == set([1, 2, 3])


def test_random_ignores_the_key():
    chosen = set(partitioners.random_partition(b"k", [1, 2, 3]) for _ in range(200))
    assert chosen == set([1, 2, 3])


@pytest.mark.parametrize("value,expected", [
    (None, None), (b"a", b"a"), ("\u00e4", b"\xc3\xa4"), (123, b"123"), (bytearray(b"x"), b"x"),
    (memoryview(b"y"), b"y"),
])
def test_to_bytes(value, expected):
    made = partitioners.to_bytes(value)
    assert made == expected and (made is None or type(made) is bytes)


def test_partitioners_by_their_names():
    assert partitioners.named("murmur2") is partitioners.murmur2
    assert partitioners.named("random") is partitioners.random_partition
    assert partitioners.named(None) is partitioners.given_keys
    assert partitioners.named(max) is max
    with pytest.raises(ValueError) as caught:
        partitioners.named("sticky")
    assert "murmur2, random" in str(caught.value)
    with pytest.raises(TypeError):
        partitioners.named(5)
