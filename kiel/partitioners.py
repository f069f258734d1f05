"""
Which partition a message goes to: functions of a key and the partition ids, for
``Producer(partitioner=...)``.
"""
from __future__ import absolute_import

import random
import struct

import six

from kiel import arguments, speedups

#: chooses among ids; kiel 0.9's default partitioner was this, whatever the key
_choice = random.choice

_MASK = 0xffffffff
_word = struct.Struct("<I").unpack
_M = 0x5bd1e995


def random_partition(key, partitions):
    """
    Return a partition by chance, whatever the key, as in kiel 0.9.

    The producer prefers partitions that have a leader when it uses this one.
    """
    return _choice(partitions)


def murmur2(key, partitions):
    """
    Return the partition where Java's client puts the same key, so that producers of both kinds agree.

    A key that is not bytes counts as the bytes it is written as: text in UTF-8, other values as
    their text. Without a key (``None``) chance decides, as it does in Java.

    :param partitions: all ids of the topic, in order, as the producer hands them over
    """
    if key is None:
        return _choice(partitions)
    return partitions[(murmur2_hash(to_bytes(key)) & 0x7fffffff) % len(partitions)]


def given_keys(key, partitions):
    """
    Return the default: a key that is given with its message decides, as `murmur2` has it; otherwise chance does.

    That includes keys made by a ``key_maker``, which the producer does not hand to this one: they had no say in kiel
    0.9, and messages of one key are where they are.
    """
    return murmur2(key, partitions)


def murmur2_pure(data):
    """
    MurmurHash 2 of some bytes with Kafka's seed, as an unsigned 32-bit number.

    Source: ``org.apache.kafka.common.utils.Utils.murmur2``, which gives the same number as a signed
    one.
    """
    size = len(data)
    h = 0x9747b28c ^ size
    for k in struct.unpack_from("<%dI" % (size >> 2), data):
        k = k * _M & _MASK
        h = (h * _M & _MASK) ^ ((k ^ k >> 24) * _M & _MASK)
    rest = size & 3
    if rest:
        h = (h ^ _word((data[-rest:] + b"\0\0\0")[:4])[0]) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


class _Hashes(dict):
    """Short keys that were hashed lately -> `murmur2_pure`: they come again, and to hash one takes ten look-ups."""

    def __missing__(self, data):
        """Hash a key, and forget all others when there are too many."""
        found = murmur2_pure(data)
        if len(data) <= 64:
            if len(self) >= 16384:
                self.clear()
            self[data] = found
        return found


#: ``murmur2_hash(data)``: `murmur2_pure`, by the loops in C where they are there
murmur2_hash = _Hashes().__getitem__ if speedups.native is None else speedups.native.murmur2


#: those that a producer takes by their names
BY_NAME = {"murmur2": murmur2, "random": random_partition}


def to_bytes(value):
    """
    Return a key or a value as bytes: bytes as they are, text in UTF-8, ``None`` as it is, anything else by
    its text.

    That is what kiel 0.9 wrote.
    """
    if value is None or type(value) is bytes:
        return value
    if isinstance(value, six.text_type):
        return value.encode("utf-8")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value) if not isinstance(value, memoryview) else value.tobytes()
    return six.text_type(value).encode("utf-8")


def named(partitioner):
    """
    Return a partitioner that may be given by its name, or as None: that of Java's clients for keys that are given.

    :raises ValueError: for a name that there is not
    :raises TypeError: for what is neither a name nor a function
    """
    if isinstance(partitioner, six.string_types):
        if partitioner not in BY_NAME:
            raise ValueError("partitioner has to be a function, or one of %s, not %r" % (
                ", ".join(sorted(BY_NAME)), partitioner))
        partitioner = BY_NAME[partitioner]
    return arguments.plain_callable("partitioner", partitioner or given_keys)
