"""The types of fields: what 0.9's constructors and `parse` gave, and lengths in both forms."""
# -*- coding: utf-8 -*-
from __future__ import absolute_import

import struct

import pytest
import six

from kiel.protocol import lengths, primitives
from kiel.protocol.primitives import (
    Array, Boolean, Bytes, Float64, Int8, Int16, Int32, Int64, Records, String, Uint16, UnsignedVarint, Uuid, Varint,
    Varlong,
)


def written(kind, value, flexible=False, nullable=False):
    out = []
    kind.codec(0, flexible, nullable)[0](out.append, value)
    return b"".join(out)


def read(kind, raw, flexible=False):
    value, offset = kind.codec(0, flexible, False)[1](b"??" + raw + b"!", 2)
    assert offset == len(raw) + 2
    return value


@pytest.mark.parametrize("kind,value,raw", [
    (Int8, -2, b"\xfe"),
    (Int16, -2, b"\xff\xfe"),
    (Uint16, 65534, b"\xff\xfe"),
    (Int32, 258, b"\x00\x00\x01\x02"),
    (Int64, -1, b"\xff" * 8),
    (Float64, 1.5, b"\x3f\xf8" + b"\0" * 6),
    (Boolean, True, b"\x01"),
    (Uuid, b"0123456789abcdef", b"0123456789abcdef"),
    (UnsignedVarint, 300, b"\xac\x02"),
    (UnsignedVarint, 0xffffffff, b"\xff\xff\xff\xff\x0f"),
    (Varint, -1, b"\x01"),
    (Varint, -2147483648, b"\xff\xff\xff\xff\x0f"),
    (Varlong, 1 << 62, b"\x80" * 9 + b"\x01"),
    (String, u"caf\xe9", b"\x00\x05caf\xc3\xa9"),
    (Bytes, b"\xff\x00", b"\x00\x00\x00\x02\xff\x00"),
    (Array.of(Int32), [1, -1], b"\x00\x00\x00\x02\x00\x00\x00\x01\xff\xff\xff\xff"),
    (Array.of(String), [u"a", u""], b"\x00\x00\x00\x02\x00\x01a\x00\x00"),
    (Array.of(Int8), list(range(100)), b"\x00\x00\x00\x64" + bytes(bytearray(range(100)))),
])
def test_both_ways(kind, value, raw):
    assert written(kind, value) == raw
    assert read(kind, raw) == value
    assert kind.parse(raw, 0) == (value, len(raw))
    assert kind(value).encode() == raw


@pytest.mark.parametrize("kind,value,raw", [
    (String, u"a", b"\x02a"),
    (String, u"", b"\x01"),
    (String, u"x" * 126, b"\x7f" + b"x" * 126),
    (String, u"x" * 127, b"\x80\x01" + b"x" * 127),
    (Bytes, b"\xff", b"\x02\xff"),
    (Array.of(Int16), [7], b"\x02\x00\x07"),
    (Array.of(Int16), [], b"\x01"),
])
def test_compact(kind, value, raw):
    assert written(kind, value, flexible=True) == raw
    assert read(kind, raw, flexible=True) == value


@pytest.mark.parametrize("kind,classic", [
    (String, b"\xff\xff"), (Bytes, b"\xff" * 4), (Array.of(String), b"\xff" * 4), (Array.of(Int8), b"\xff" * 4),
])
def test_null(kind, classic):
    assert written(kind, None, nullable=True) == classic
    assert written(kind, None, flexible=True, nullable=True) == b"\0"
    assert kind.codec(0, False, True)[1](classic, 0) == (None, len(classic))
    assert kind.codec(0, True, True)[1](b"\0", 0) == (None, 1)
    # where it may not be it is nothing of the type: code that goes over topics never meets None
    empty = {String: u"", Bytes: b""}.get(kind, [])
    assert read(kind, classic) == read(kind, b"\0", flexible=True) == empty


@pytest.mark.parametrize("flexible", [False, True])
def test_null_where_it_may_not_be(flexible):
    for kind in String, Bytes:
        with pytest.raises(ValueError):
            written(kind, None, flexible)
    assert written(Array.of(Int8), None, flexible) == written(Array.of(Int8), [], flexible)


def test_text_and_what_else_becomes_bytes():
    assert written(String, 123) == b"\x00\x03123"
    assert written(String, b"\xff") == b"\x00\x01\xff"
    assert written(Bytes, u"\xe9") == b"\x00\x00\x00\x02\xc3\xa9"
    assert written(Bytes, bytearray(b"ab")) == written(Bytes, memoryview(b"ab")) == b"\x00\x00\x00\x02ab"


def test_d14_strings_are_text_and_bytes_are_bytes():
    """Whatever the content: no guess by whether it is valid UTF-8."""
    assert isinstance(read(String, b"\x00\x02ok"), six.text_type)
    assert isinstance(read(Bytes, b"\x00\x00\x00\x02ok"), bytes)
    with pytest.raises(ValueError):
        read(String, b"\x00\x01\xff")


@pytest.mark.parametrize("kind,raw,flexible", [
    (String, b"\x00\x05abc", False), (String, b"\x00", False), (String, b"\xff\xfe", False), (String, b"\x05abc", True),
    (String, b"\x80", True), (Bytes, b"\x7f\xff\xff\xff", False), (Bytes, b"\xff\xff\xff\xfe", False),
    (Bytes, b"\xff\xff\xff\xff\x0f", True), (Array.of(String), b"\x7f\xff\xff\xff", False),
    (Array.of(Int64), b"\x7f\xff\xff\xff", False), (Array.of(Int64), b"\x00\x00\x00\x11" + b"\0" * 20, False),
    (Array.of(Int64), b"\xff\xff\xff\xff\x0f", True), (UnsignedVarint, b"\xff\xff\xff\xff\x1f", True),
    (UnsignedVarint, b"\xff\xff\xff\xff\xff\x01", True), (Varlong, b"\xff" * 10 + b"\x01", True), (Uuid, b"x", False),
    (Varlong, b"\xff" * 9 + b"\x02", True),
])
def test_too_short_or_impossible(kind, raw, flexible):
    with pytest.raises((ValueError, IndexError, struct.error)):
        kind.codec(0, flexible, True)[1](raw, 0)


@pytest.mark.parametrize("kind,value", [
    (UnsignedVarint, 1 << 32), (Varint, 1 << 31), (Varint, -(1 << 31) - 1), (Varlong, 1 << 63),
])
def test_varints_that_do_not_fit(kind, value):
    with pytest.raises(ValueError):
        written(kind, value)


def test_values_compare_and_show_as_in_0_9():
    assert Int32(5) == Int32(5) and not Int32(5) != Int32(5)
    assert Int32(5) != Int32(6) and not Int32(5) == Int32(6)
    assert Int32(5) != None and not Int32(5) == "x"  # noqa: E711
    assert repr(Int32(5)) == "Int32(5)"
    assert repr(String("x")) == repr("x")
    assert repr(Array.of(Int32)([1, 3, 6, 9])) == "[1, 3, 6, 9]"
    assert Array.of(Int32).__name__ == "ArrayOfInt32"
    assert Array.of(Int32).item_class is Int32
    with pytest.raises(TypeError):
        hash(Int32(5))
    assert (Int8.fmt, Int16.fmt, Int32.fmt, Int64.fmt) == ("b", "h", "i", "q")
    assert String.size_primitive is Int16 and Bytes.size_primitive is Int32


def test_records_take_what_has_data_or_is_bytes():
    assert written(Records, Records.raw(b"abc")) == written(Records, b"abc") == b"\x00\x00\x00\x03abc"
    assert written(Records, Records.raw(None), nullable=True) == written(Records, None, nullable=True) == b"\xff" * 4
    assert read(Records, b"\x04abc", flexible=True).data == b"abc"
    assert read(Records, b"\xff" * 4).data is None


def test_bytes_written_are_not_copied():
    data = b"x" * 100
    out = []
    Records.codec(0, True, True)[0](out.append, Records.raw(data))
    assert out[-1] is data


def test_every_byte_has_its_number():
    raw = bytes(bytearray(range(256)))
    assert [lengths.ORD[raw[at]] for at in range(256)] == list(range(256))
    assert [primitives.lengths.BYTES[number] for number in range(256)] == [raw[at:at + 1] for at in range(256)]
