"""
Zigzag varints, the numbers inside a record batch: small magnitudes of either sign take few bytes.

The hot loops of `kiel.protocol.records_decode` and `kiel.protocol.records_encode` read and write
the one- and two-byte forms by themselves; here are the table they use and the plain functions for
everything else (KIP-98, and `ByteUtils` of Kafka's Java client).
"""
from __future__ import absolute_import

import six

# the varints of 0 to 8191, every number of at most two bytes that is not negative
# (no `#:` here, or the documentation would list them all)
TABLE = [six.int2byte(low) for low in range(0, 128, 2)]
TABLE += [
    six.int2byte(low | 128) + six.int2byte(high)
    for high in range(1, 128) for low in range(0, 128, 2)
]


def encode(number):
    """Return the varint of an integer of up to 64 bits, as bytes."""
    if 0 <= number < 8192:
        return TABLE[number]
    rest = (number << 1) ^ (number >> 63)
    out = bytearray()
    while rest > 127:
        out.append(rest & 127 | 128)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def decode(buff, offset, longest=5):
    """
    Read the varint at an offset of something that gives integers when indexed; return ``(number,
    new offset)``.

    :param longest: most bytes that it may take: 5 for 32 bits, 10 for 64
    :raises ValueError: for one that is longer, or of more bits
    :raises IndexError: when the bytes end before it does
    """
    number = buff[offset]
    offset += 1
    if number > 127:
        number &= 127
        shift = 7
        last = offset + longest - 1
        while True:
            if offset == last:
                raise ValueError("a varint of more than %d bytes" % longest)
            byte = buff[offset]
            offset += 1
            number |= (byte & 127) << shift
            if byte < 128:
                break
            shift += 7
        if number >> (32 if longest == 5 else 64):
            raise ValueError("a varint of more bits than its kind has")
    return (number >> 1) ^ -(number & 1), offset
