"""Tables of fields: versions, defaults, tags, nulls, and what is compiled of them."""
from __future__ import absolute_import

import struct
import traceback

import pytest

from kiel import exc
from kiel.protocol.part import Part, parse_range, when
from kiel.protocol.primitives import Array, Boolean, Int8, Int16, Int32, String


class Inner(Part):
    parts = (
        ("number", Int32),
        ("word", String, when("1+", default=None, nullable="1+", ignorable=True)),
    )


class Outer(Part):
    versions, flexible = "0-3", "3+"
    parts = (
        ("first", Int16),
        ("second", Int8, when("1+", default=-1)),
        ("old", Int32, when("0-1", default=7)),
        ("text", String),
        ("inners", Array.of(Inner)),
        ("maybe", Inner, when("2+", nullable="2+", default=None)),
        ("extra", Array.of(String), when("2+", ignorable=True)),
        ("flag", Boolean, when("3+", tag=5)),
        ("low", Inner, when("3+", tag=0)),
        ("many", Array.of(Int8), when("3+", tag=7)),
    )


class TwoTuples(Part):
    parts = (("a", Int16), ("b", Array.of(String)))


class Changed(Part):
    """A field that changed its type, on two lines."""

    parts = (
        ("words", Array.of(String), when("0-1")),
        ("words", Array.of(Inner), when("2+")),
    )


def test_bytes_of_each_version():
    part = Outer(first=1, text=u"x", inners=[Inner(number=2)])
    assert part.encode(0) == b"\x00\x01" b"\x00\x00\x00\x07" b"\x00\x01x" b"\x00\x00\x00\x01\x00\x00\x00\x02"
    assert part.encode(1) == (
        b"\x00\x01\xff\x00\x00\x00\x07" b"\x00\x01x" b"\x00\x00\x00\x01\x00\x00\x00\x02\xff\xff")
    assert part.encode(2) == (
        b"\x00\x01\xff" b"\x00\x01x" b"\x00\x00\x00\x01\x00\x00\x00\x02\xff\xff" b"\xff" b"\x00\x00\x00\x00")
    # compact lengths, and an empty tag section after each structure
    assert part.encode(3) == b"\x00\x01\xff" b"\x02x" b"\x02\x00\x00\x00\x02\x00\x00" b"\xff" b"\x01" b"\x00"


def test_tags_go_out_by_number_and_only_when_set():
    part = Outer(flag=True, low=Inner(number=1), many=[9])
    tags = b"\x03" b"\x00\x06\x00\x00\x00\x01\x00\x00" b"\x05\x01\x01" b"\x07\x02\x02\x09"
    raw = part.encode(3)
    assert raw.endswith(tags)
    assert Outer.decode(raw, 0, 3) == (part, len(raw))
    assert Outer(low=Inner(number=0)).encode(3) == Outer().encode(3)


def test_unknown_tags_are_stepped_over():
    raw = Outer(first=9).encode(3)
    assert raw.endswith(b"\x00")
    raw = raw[:-1] + b"\x02" b"\x05\x01\x01" b"\x80\x01\x03abc"
    part, end = Outer.decode(raw, 0, 3)
    assert (part.first, part.flag, end) == (9, True, len(raw))


@pytest.mark.parametrize("tags", [
    b"\x01\x05\x02\x01\x00", b"\x01\x05\x00", b"\x01\x63\x05abc", b"\xff\xff\xff\xff\x0f", b"",
])
def test_bad_tags(tags):
    raw = Outer().encode(3)[:-1] + tags
    with pytest.raises(exc.ProtocolError):
        Outer.decode(raw, 0, 3)


@pytest.mark.parametrize("version", range(4))
def test_there_and_back(version):
    part = Outer(first=-3, text=u"t\xf6", inners=[Inner(number=5), Inner(number=6)])
    raw = part.encode(version)
    back, end = Outer.decode(b"abc" + raw + b"tail", 3, version)
    assert end == len(raw) + 3
    assert back == part and not back != part
    assert back.encode(version) == raw


def test_defaults_are_attributes_whatever_the_version():
    for part in Outer(), Outer.decode(Outer().encode(0), 0, 0)[0], Outer.decode(Outer().encode(3), 0, 3)[0]:
        assert (part.first, part.second, part.old, part.text, part.maybe) == (0, -1, 7, "", None)
        assert part.inners == part.extra == part.many == [] and part.flag is False
        assert part.low == Inner()


def test_lists_are_nobody_elses():
    first = Outer()
    first.inners.append(Inner())
    first.extra.append(u"x")
    assert Outer().inners == Outer().extra == []
    decoded = Outer.decode(Outer().encode(0), 0, 0)[0]
    decoded.extra.append(u"x")
    assert Outer.decode(Outer().encode(0), 0, 0)[0].extra == []


def test_what_a_version_can_not_tell():
    with pytest.raises(exc.UnsupportedVersionError) as caught:
        Outer(second=3).encode(0)
    assert "second=3" in str(caught.value) and "version 0" in str(caught.value)
    with pytest.raises(exc.UnsupportedVersionError):
        Outer(maybe=Inner()).encode(1)
    with pytest.raises(exc.UnsupportedVersionError):
        Outer(old=8).encode(2)
    with pytest.raises(exc.UnsupportedVersionError):
        Outer(many=[1]).encode(2)
    assert Outer(extra=[u"dropped"]).encode(0) == Outer().encode(0)
    assert Inner(word=u"dropped").encode(0) == Inner().encode(0)
    assert Outer(second=-1, old=7).encode(0) == Outer().encode(0)


def test_versions_that_do_not_exist():
    for version in -1, 4:
        with pytest.raises(exc.UnsupportedVersionError):
            Outer().encode(version)
        with pytest.raises(exc.UnsupportedVersionError):
            Outer.decode(b"", 0, version)


def test_a_structure_may_be_null():
    part = Outer(maybe=Inner(number=3))
    raw = part.encode(2)
    assert raw[-13:-4] == b"\x00\x00" b"\x01" b"\x00\x00\x00\x03" b"\xff\xff"
    assert Outer.decode(raw, 0, 2)[0] == part
    assert Outer.decode(Outer().encode(2), 0, 2)[0].maybe is None


def test_a_field_on_two_lines():
    assert Changed(words=[u"a"]).encode(1) == b"\x00\x00\x00\x01\x00\x01a"
    part = Changed(words=[Inner(number=1)])
    assert Changed.decode(part.encode(2), 0, 2)[0] == part
    assert Changed().words == []


def test_names_that_every_part_has_are_refused():
    for name in "parts", "encode", "fields", "copy":
        with pytest.raises(TypeError):
            type(Part)("Clash", (Part,), {"parts": ((name, Int8),)})


def test_the_two_tuple_of_0_9():
    part = TwoTuples(a=1, b=[u"x"])
    assert part.encode() == b"\x00\x01\x00\x00\x00\x01\x00\x01x"
    assert TwoTuples.parse(part.encode(), 0) == (part, 9)
    assert TwoTuples(a=1, b=None).encode() == b"\x00\x01\x00\x00\x00\x00"


def test_unknown_keyword():
    with pytest.raises(ValueError) as caught:
        TwoTuples(a=1, c=2)
    assert "c" in str(caught.value)


@pytest.mark.parametrize("part", [
    TwoTuples(a=None), TwoTuples(a="x"), TwoTuples(a=1 << 15), TwoTuples(a=1, b=5), TwoTuples(b=[None]),
    Outer(inners=[3]), Outer(text=u"x" * 40000),
])
def test_values_that_do_not_fit(part):
    with pytest.raises(ValueError):
        part.encode(0)


def test_every_cut_is_a_protocol_error():
    for version in range(4):
        raw = Outer(text=u"abc", inners=[Inner(number=5)]).encode(version)
        for end in range(len(raw)):
            with pytest.raises(exc.ProtocolError) as caught:
                Outer.decode(raw[:end], 0, version)
            assert "Outer" in str(caught.value)


def test_a_huge_count_costs_nothing():
    with pytest.raises(exc.ProtocolError):
        TwoTuples.decode(b"\x00\x00\x7f\xff\xff\xff\x00\x00")


def test_reads_from_any_buffer():
    raw = TwoTuples(a=1, b=[u"x"]).encode()
    for buff in bytearray(raw), memoryview(raw):
        assert TwoTuples.decode(buff)[0] == TwoTuples(a=1, b=[u"x"])


def test_d66_equality():
    """``!=`` is the opposite of ``==``; foreign types are not equal; hashing is refused on both Pythons."""
    assert TwoTuples(a=1) == TwoTuples(a=1) and not TwoTuples(a=1) != TwoTuples(a=1)
    assert TwoTuples(a=1) != TwoTuples(a=2) and not TwoTuples(a=1) == TwoTuples(a=2)
    for foreign in None, 5, "x", Inner(), object():
        assert TwoTuples() != foreign and not TwoTuples() == foreign
    with pytest.raises(TypeError):
        hash(TwoTuples())


def test_subclasses_compare_with_their_base():
    class Renamed(TwoTuples):
        pass
    assert Renamed(a=1) == TwoTuples(a=1) == Renamed(a=1)
    assert Renamed(a=1).encode() == TwoTuples(a=1).encode()
    assert type(Renamed.decode(TwoTuples().encode())[0]) is Renamed


def test_repr():
    assert repr(TwoTuples(a=1, b=[1, 3])) == "TwoTuples(a=1, b=[1, 3])"
    shown = repr(Outer(first=1, inners=[Inner(number=2)]))
    assert shown == "Outer(first=1, old=7, text='', inners=[Inner(number=2)])"
    assert "second=4" in repr(Outer(second=4))


def test_copy():
    part = TwoTuples(a=1, b=[u"x"])
    twin = part.copy(a=2)
    assert (part.a, twin.a, twin.b) == (1, 2, [u"x"])


def test_ranges():
    assert parse_range("3-9") == (3, 9) and parse_range("4") == (4, 4) and parse_range(None) is None
    assert parse_range("3+")[0] == 3 and parse_range("3+")[1] >= 0x7fff


def test_compiled_once_and_seen_in_tracebacks():
    assert Outer.codec(3, True) is Outer.codec(3, True)
    write = Outer.codec(0, False)[0]
    try:
        write([].append, Outer(text=u"x" * 40000))
    except struct.error:
        shown = traceback.format_exc()
    assert "write_text(add, self.text)" in shown
    # runs of fixed-width fields are one call
    names = write.__globals__
    assert names["pack_first"](1, 2) == b"\x00\x01\x00\x00\x00\x02"


def test_items_without_a_byte_can_not_be_counted_for_ever():
    """Where an item is empty in a version, nothing but the bytes that are there bounds the count."""
    class Nothing(Part):
        parts = (("later", Int8, when("1+")),)

    class Many(Part):
        parts = (("items", Array.of(Nothing)),)

    with pytest.raises(exc.ProtocolError):
        Many.decode(b"\x7f\xff\xff\xff" + b"\0" * 10)


@pytest.mark.parametrize("version", range(4))
def test_an_array_read_item_by_item(version):
    part = Outer(first=1, text=u"x", inners=[Inner(number=number) for number in range(200)])
    if version > 1:
        part.maybe = Inner(number=3)
    if version == 3:
        part.flag, part.many = True, [1, 2]
    raw = b"before" + part.encode(version)
    whole = Outer.decode(raw, 6, version)[0]
    items = Outer.walk("inners", raw, 6, version)
    walked = next(items)
    assert (walked.first, walked.text, walked.inners) == (1, u"x", [])
    assert list(items) == part.inners
    walked.inners = part.inners
    assert walked == whole == part

    for end in list(range(6, 40)) + list(range(len(raw) - 20, len(raw))):
        with pytest.raises(exc.ProtocolError):
            list(Outer.walk("inners", raw[:end], 6, version))


@pytest.mark.parametrize("version", range(4))
def test_lists_of_numbers_of_every_length(version):
    class Lists(Part):
        versions, flexible = "0-3", "2+"
        parts = (("bytes", Array.of(Int8)), ("words", Array.of(Int32)))

    for count in list(range(20)) + [126, 127, 128, 300]:
        part = Lists(bytes=[number % 100 for number in range(count)], words=list(range(count)))
        raw = part.encode(version)
        assert Lists.decode(b"?" + raw, 1, version) == (part, 1 + len(raw))
        for end in range(max(0, len(raw) - 10), len(raw)):
            with pytest.raises(exc.ProtocolError):
                Lists.decode(raw[:end], 0, version)
