"""
CRC-32C, the checksum of record batches: by kiel's own speedups, by the optional ``crc32c`` package, or in Python.

The first two use the processor's own instruction. Without them, long inputs are folded as one big
integer, thousands of bits a step; short ones go through two 16-bit tables, four bytes a step. The
tables are built when first needed.
"""
from __future__ import absolute_import

import binascii
import struct

import six
from six.moves import range

from kiel import speedups

POLYNOMIAL = 0x82F63B78

#: from this many bytes on, folding is faster than tables
FOLDS_FROM = 2048

_tables = {}


def pure(data, value=0):
    """
    Return the CRC-32C of bytes in pure Python, an unsigned 32-bit integer.

    :param value: the checksum of what came before, to go on from there
    """
    data = bytes(data)
    return by_folds(data, value) if len(data) >= FOLDS_FROM else by_words(data, value)


def byte_table():
    """Return the usual table: what one byte does to the checksum."""
    table = _tables.get("bytes")
    if table is None:
        table = []
        for crc in range(256):
            for _ in range(8):
                crc = crc >> 1 ^ POLYNOMIAL if crc & 1 else crc >> 1
            table.append(crc)
        _tables["bytes"] = table
    return table


def by_bytes(data, value=0):
    """Return the CRC-32C a byte at a time: the plain form, and the measure for the quick ones."""
    table = byte_table()
    crc = value ^ 0xFFFFFFFF
    for byte in bytearray(data):
        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def _word_tables():
    """Return what the low and the high half of a 32-bit word do to the checksum."""
    tables = _tables.get("words")
    if tables is None:
        table = byte_table()
        # one more zero byte behind an entry: (crc >> 8) ^ table[crc & 255]
        low = [table[i & 255] for i in range(65536)]
        low = [crc >> 8 ^ table[(crc ^ i >> 8) & 255] for i, crc in enumerate(low)]
        high = low
        low = [crc >> 8 ^ table[crc & 255] for crc in high]
        low = [crc >> 8 ^ table[crc & 255] for crc in low]
        tables = _tables["words"] = (low, high)
    return tables


def by_words(data, value=0):
    """Return the CRC-32C four bytes at a time, by two 16-bit tables of 65,536 entries."""
    low, high = _word_tables()
    words = len(data) // 4
    crc = value ^ 0xFFFFFFFF
    for word in struct.unpack_from("<%dI" % words, data):
        crc ^= word
        crc = low[crc & 0xFFFF] ^ high[crc >> 16]
    return by_bytes(data[words * 4:], crc ^ 0xFFFFFFFF)


def by_folds(data, value=0):
    """
    Return the CRC-32C of many bytes by arithmetic on one big integer.

    Bytes are a polynomial over GF(2), and the checksum is its remainder. As x^6777 + x^484 + x^100
    + 1 is a multiple of CRC-32C's polynomial, the remainder stays the same when the highest terms
    are replaced by the same terms 6293, 6677 and 6777 places further down, thousands of them in one
    shift and XOR. So is its square, x^13554 + x^968 + x^200 + 1, and so on: each time about half of
    the bytes that are left go, until few enough are left to be taken word by word.
    """
    for begin in range(0, len(data), _PIECE):
        value = _fold(data[begin:begin + _PIECE], value)
    return value


#: exponents of the multiple, besides 0
_DEGREE, _UPPER, _LOWER = 6777, 484, 100

#: bytes that are taken at once: the integers stay in the processor's cache
_PIECE = 1 << 17


def _fold(data, value):
    """`by_folds`, all at once."""
    bits = 8 * len(data)
    if bits <= _DEGREE:
        return by_words(data, value)
    # reflected: bit 0 is the highest term, and what goes there goes out by a shift to the right
    number = _number(data) ^ value ^ 0xFFFFFFFF
    scale = 0
    while _DEGREE << scale + 1 < bits:
        scale += 1
    while scale >= 0:
        degree, upper, lower = _DEGREE << scale, _UPPER << scale, _LOWER << scale
        gone = min(degree - upper, bits - degree) & ~7
        if gone <= 0:
            scale -= 1
            continue
        high = number & (1 << gone) - 1
        number = (
            number >> gone ^ high << degree - upper - gone ^ high << degree - lower - gone
            ^ high << degree - gone
        )
        bits -= gone
    return by_words(_bytes(number, bits // 8), 0xFFFFFFFF)


if six.PY2:
    def _number(data):
        """Return bytes as an integer, the first one lowest."""
        return int(binascii.hexlify(data[::-1]), 16)

    def _bytes(number, size):
        """Return the reverse of `_number`."""
        return binascii.unhexlify(b"%0*x" % (2 * size, number))[::-1]
else:
    def _number(data):
        """Return bytes as an integer, the first one lowest."""
        return int.from_bytes(data, "little")

    def _bytes(number, size):
        """Return the reverse of `_number`."""
        return number.to_bytes(size, "little")


def find():
    """
    Return the quickest implementation that this Python has.

    Looked for when kiel is imported: the package takes some milliseconds, for which a loop that
    runs would be held up.
    """
    if speedups.native is not None:
        return speedups.native.crc32c
    try:
        from crc32c import crc32c as by_package
        return by_package
    except ImportError:
        return pure


#: ``crc32c(data, value=0)``: the CRC-32C of bytes, an unsigned 32-bit integer; ``value`` is the
#: checksum of what came before, to go on from there
crc32c = find()
