"""The loops in C give what their twins in Python give; where they were not built, what can be told without them."""
from __future__ import absolute_import

import gc
import os
import subprocess
import sys
import sysconfig

import pytest

import kiel
from kiel import command, partitioners, speedups
from kiel.clients import Record
from kiel.protocol import crc32c, messages, records, records_decode, records_encode
from kiel.protocol.columns import Columns
from kiel.protocol.headers import Headers
from tests import logs, twins
from tests.protocol import plain, random_messages

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

built = pytest.mark.skipif(speedups.native is None, reason="the extension is not built here, or KIEL_EXTENSION=0")


def python(code, **environ):
    """Runs code in a process of its own; gives its exit code and what it printed, errors too."""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT,
        env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1", **environ))
    out = process.communicate()[0].decode("utf-8", "replace")
    return process.returncode, out.strip()


def test_zero_forbids_it_and_one_forces_it():
    code = "from kiel import speedups; print(speedups.describe())"
    assert python(code, KIEL_EXTENSION="0") == (0, "Python")
    status, said = python(code, KIEL_EXTENSION="1")
    if speedups.find() is not None:
        assert status == 0 and said.startswith("C (CRC-32C by ")
    else:
        assert status and "ImportError" in said or "ModuleNotFoundError" in said


@built
def test_the_source_has_nothing_that_a_compiler_warns_of():
    """With this Python's headers: before 3.8 some macros evaluate their argument more than once."""
    compiler = sysconfig.get_config_var("CC").split()[0]
    process = subprocess.Popen(
        [compiler, "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter",
         "-Wno-missing-field-initializers", "-I", sysconfig.get_paths()["include"], os.path.join("kiel", "speedups.c")],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = process.communicate()[0].decode("utf-8", "replace")
    assert not process.returncode, said


def test_an_extension_of_another_version_is_not_used(monkeypatch, caplog):
    other = type(sys)("kiel._speedups")
    other.VERSION = speedups.VERSION - 1
    monkeypatch.setitem(sys.modules, "kiel._speedups", other)
    monkeypatch.setattr(kiel, "_speedups", other, raising=False)
    assert speedups.find() is None
    assert "built from another version" in caplog.text
    with pytest.raises(ImportError):
        speedups.find("1")


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(["--version"])
    assert not ended.value.code
    told = "".join(capsys.readouterr())
    for word in ("kiel ", "Python %d.%d" % sys.version_info[:2], "Tornado ", "gzip", "speedups: "):
        assert word in told


@built
def test_random_batches_by_both():
    rnd = random_messages.seeded()
    for _ in range(60):
        found = random_messages.messages(rnd)
        pieces = Columns.of(found, 7)
        data = plain.batch(found)
        assert b"".join(records_encode.section(pieces, len(found))) == data[61:]
        assert twins.batch(data) == [random_messages.expected(found)]


@built
def test_hostile_batches_by_both():
    rnd = random_messages.seeded()
    wrong = 0
    for _ in range(400):
        data = bytearray(messages.encode_batch(random_messages.messages(rnd, 40), 2, 0, 1500000000000))
        for _ in range(rnd.randint(1, 4)):
            at = rnd.randrange(57, len(data))
            data[at] = rnd.choice((0, 1, 2, 127, 128, 255, rnd.randrange(256)))
        wrong += twins.CORRUPT in twins.batch(bytes(data))
    assert wrong > 20


@built
@pytest.mark.parametrize("body", (
    # a record's length, a key, a value that can't be, numbers of too many bits, and those at the edge
    b"\0\0\0" + plain.varint(-2) + b"\1\0", b"\0\0\0\x81\0\1\0", b"\0\0\0\1\x81\0\0",
    b"\0\0\0" + plain.varint(50) + b"\1\0",
    b"\0\0\0\1" + plain.varint(1 << 30) + b"\0", b"\0\0\0\1\1\x80\0", b"\0\0\0\1\1\1\1\1",
    b"\0" + plain.varint((1 << 63) - 1) + b"\0\1\1\0", b"\0" + plain.varint(-(1 << 63)) + b"\0\1\1\0",
    b"\0" + b"\xff" * 9 + b"\2\0\1\1\0", b"\0\0" + plain.varint((1 << 31) - 1) + b"\1\1\0",
    b"\0\0" + plain.varint(-(1 << 31)) + b"\1\1\0", b"\0\0\xff\xff\xff\xff\x10\1\1\0", b"\0\x80\x80\0\x80\0\1\1\0", b"",
    b"\0", b"\0\0", b"\0\0\0", b"\0\0\0\1", b"\0\0\0\1\1",
))
@pytest.mark.parametrize("base", (0, (1 << 63) - 1, -5))
def test_edges_by_both(body, base):
    for size in (len(body), len(body) - 1, len(body) + 1, -1, 0, 1 << 20):
        for behind in (b"", b"\0" * 9):
            data = plain.varint(size) + body + behind
            for count in (0, 1, 2):
                for end in (len(data), len(data) - len(behind), len(data) - 1):
                    twins.section(data, 0, max(end, 0), count, base, base, None)


@built
def test_nothing_is_read_beyond_the_end_that_is_named():
    data = plain.section([(b"k", b"v" * 10, [(b"h", b"x")], 0)] * 3, 0)
    for end in range(len(data)):
        for pos in (-1, 0, 1, end, end + 1):
            for count in (-1, 0, 3, 1 << 40):
                with pytest.raises(ValueError):
                    if (pos, count) == (end, 0):
                        raise ValueError("nothing is what there is")
                    speedups.native.values(data, pos, end, count)
    with pytest.raises(ValueError):
        speedups.native.values(data, 0, len(data) + 1, 3)


@built
def test_checksums_and_hashes_by_both():
    rnd = random_messages.seeded()
    data = random_messages.some_bytes(rnd, 10000)
    for size in list(range(70)) + [1000, 3071, 3072, 3073, 6144, 9999]:
        begin = rnd.randrange(len(data) - size + 1)
        piece, start = data[begin:begin + size], rnd.getrandbits(32)
        right = crc32c.by_bytes(piece, start)
        assert speedups.native.crc32c(piece, start) == speedups.native.crc32c_by_table(piece, start) == right
        assert speedups.native.crc32c(memoryview(data)[begin:begin + size], start) == right
        assert speedups.native.murmur2(piece) == partitioners.murmur2_pure(piece)


@built
@pytest.mark.parametrize("found", (
    [(None, b"v", [(u"n\xe4me", b"x")], 5)], [(None, b"v", [(b"n", None)], 5), (b"", None, (), -5)],
    [(None, b"v", [(u"\ud800", b"x")], 5)], [(None, b"v", [(None, b"x")], 5)], [(None, b"v", [[b"n", b"x"]], 5)],
    [(None, bytearray(b"v"), (), 5)], [(None, b"v", (), 1 << 62), (None, b"v", (), -(1 << 62))],
    [(None, b"v", (), 1 << 80), (None, b"v", (), 0)], [(5, b"v", (), 0)], [(None, 5, (), 0)],
))
def test_what_c_cannot_write_is_left_to_python(found, monkeypatch):
    made = []
    for native in (speedups.native, None):
        monkeypatch.setattr(speedups, "native", native)
        try:
            made.append(b"".join(records_encode.section(Columns.of(found, 7), len(found))))
        except Exception as error:
            made.append(type(error))
    assert made[0] == made[1]


@built
def test_encoding_what_is_no_batch():
    encode = speedups.native.encode
    assert encode(None, [b"v"], None, [], []) is None
    assert encode([], [b"v"], None, [0], [5]) is None and encode([None], [b"v"], [None, None], [0], [5]) is None
    assert encode(None, [b"v"], None, [0], [5, 6]) is None
    assert encode(None, [b"v"] * 3, None, [0, 1 << 40], [5, 6]) is not None
    assert encode(None, [b"v"] * 3, None, [0, -7], [5, 6]) is not None
    with pytest.raises(TypeError):
        encode(None, (b"v",), None, [0], [5])


@built
def test_records_that_can_be_in_no_circle_are_none_of_the_collectors_business():
    columns = ([5], [7], [b"k"], [b"v"], [Headers((b"\0",))])
    row, = speedups.native.rows(Record, Headers, u"t", 0, *columns)
    assert type(row) is Record and row == Record(u"t", 0, 5, 7, b"k", b"v", ())
    assert not gc.is_tracked(row)
    row, = speedups.native.rows(Record, Headers, u"t", 0, *(columns[:3] + ([{"a": row}],) + columns[4:]))
    assert gc.is_tracked(row) and row.value["a"].value == b"v"
    made = speedups.native.columns(plain.section([(None, b"v", [(b"n", b"x")], 0)], 0), 0, 12, 1, 0, 0, None, Headers)
    assert not gc.is_tracked(made[4][0]) and made[4][0] == ((u"n", b"x"),)
    given = plain.section([(None, b"v", [(b"n", b"x")], 0)], 0), 0, 12, 1, 0, 0, None, Headers
    row, = speedups.native.records(*(given + (Record, u"t", 0)))
    assert type(row) is Record and row == Record(u"t", 0, 0, 0, None, b"v", ((u"n", b"x"),))
    assert not gc.is_tracked(row) and not gc.is_tracked(row.headers)
    row, = speedups.native.records(*(given + (Record, [row], 0)))
    assert gc.is_tracked(row)
    for wrong in (dict, type("Wider", (tuple,), {})):
        with pytest.raises(TypeError):
            speedups.native.records(*(given + (wrong, u"t", 0)))
    with pytest.raises(TypeError):
        speedups.native.rows(dict, Headers, u"t", 0, *columns)
    with pytest.raises(TypeError):
        speedups.native.rows(type("Wider", (tuple,), {}), Headers, u"t", 0, *columns)


@built
def test_rows_end_with_the_shortest_column():
    columns = ([1, 2, 3], (x for x in (7, 7, 7)), (None,) * 3, [b"a", b"b"], iter([(), (), ()]))
    right = list(records_decode.rows(Record, u"t", 0, [list(column) for column in (
        [1, 2, 3], [7] * 3, [None] * 3, [b"a", b"b"], [()] * 3)]))
    assert list(records.rows(Record, u"t", 0, columns)) == right and len(right) == 2


@built
def test_records_are_let_go():
    data = plain.section([(b"k", b"v" * 10, [(b"h", b"x")], at) for at in range(50)], 0)
    topic, kinds = type("Name", (object,), {})(), (Record, Headers)
    before = [sys.getrefcount(one) for one in kinds + (topic,)]
    for end in range(len(data) - 3, len(data) + 1):  # cut off, and whole
        for count in (49, 50, 51):
            twins.outcome(
                speedups.native.records, data, 0, end, count, 1 << 40, 1 << 40, None, Headers, Record, topic, 0)
    gc.collect()
    assert [sys.getrefcount(one) for one in kinds + (topic,)] == before


@built
def test_records_of_a_batch_by_both():
    rnd = random_messages.seeded()
    for codec in (0, 1):
        found = random_messages.messages(rnd)
        batch, = messages.batches(messages.encode_batch(found, 2, codec, 7))
        for start in (0, 2):
            def work():
                return list(records.records_of(batch, Record, u"t", 3, start, True))
            made = twins.both(work)
            assert made == [Record(u"t", 3, *row) for row in batch.records(start)]
            assert all(type(row) is Record for row in made)
    control, = messages.batches(logs.batch(0, [(b"\0\0\0\1", b"", (), 0)], logs.TRANSACTIONAL | logs.CONTROL, None, 1))
    assert twins.both(lambda: list(records.records_of(control, Record, u"t", 3, 0, True))) == []
    old, = messages.batches(messages.encode_batch([(None, b"v", (), 5)], 1, 0, 7))
    assert twins.both(lambda: list(records.records_of(old, Record, u"t", 3, 0, True))) == [
        Record(u"t", 3, 0, 5, None, b"v", ())]
