"""Headers that are decoded when they are looked at are the tuple that they stand for."""
from __future__ import absolute_import

import copy
import json
import pickle

import pytest

from kiel import exc, speedups
from kiel.clients import SingleConsumer  # noqa: F401
from kiel.protocol import headers, messages
from kiel.protocol.headers import Headers
from tests.protocol import plain, random_messages

PAIRS = ((u"trace", b"abc"), (u"n\xe4me", None), (u"", b""))


def raw(pairs):
    out = plain.varint(len(pairs))
    for name, value in pairs:
        out += plain.sized(name.encode("utf-8")) + plain.sized(value)
    return out


@pytest.fixture(params=(False, True), ids=("python", "as built"))
def lazy(request, monkeypatch):
    """Makes headers, read by the loops in Python, then by those that this Python has."""
    if not request.param:
        monkeypatch.setattr(speedups, "native", None)
    return lambda pairs=PAIRS: Headers((raw(pairs),))


def test_it_is_the_tuple_it_stands_for(lazy):
    made = lazy()
    assert isinstance(made, tuple)
    assert made == PAIRS and PAIRS == made and made == lazy() and not made != PAIRS and hash(made) == hash(PAIRS)
    assert tuple(made) == PAIRS and list(made) == list(PAIRS) and len(made) == 3 and made and not lazy(())
    assert made[0] == PAIRS[0] and made[-1] == PAIRS[-1] and made[:2] == PAIRS[:2] and made[::2] == PAIRS[::2]
    assert dict(made) == dict(PAIRS) and PAIRS[1] in made and (u"x", b"") not in made
    assert made + PAIRS == PAIRS + made == PAIRS * 2 == made * 2 == 2 * made == made + made
    assert made.count(PAIRS[0]) == 1 and made.index(PAIRS[1]) == 1 and made.index(PAIRS[2], 1) == 2
    assert repr(made) == repr(PAIRS) and str(made) == str(PAIRS) and sorted(lazy(PAIRS[:1])) == list(PAIRS[:1])
    assert lazy(PAIRS[:1]) < made and made <= PAIRS and made > lazy(()) and made >= PAIRS
    assert {made: 1}[PAIRS] == 1 and next(iter(made)) == PAIRS[0] and list(reversed(made)) == list(reversed(PAIRS))
    (first, second, third) = made
    assert (first, second, third) == PAIRS
    assert json.dumps(lazy(((u"a", None),))) == json.dumps(((u"a", None),))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_is_kept_as_a_plain_tuple(lazy, protocol):
    again = pickle.loads(pickle.dumps(lazy(), protocol))
    assert again == PAIRS and type(again) is tuple
    assert copy.copy(lazy()) == copy.deepcopy(lazy()) == PAIRS


@pytest.mark.parametrize("data", (
    b"", b"\x80", b"\1", b"\2", b"\3", plain.varint(1 << 30),
    b"\2" + plain.varint(90) + b"a\0", b"\2\0" + plain.varint(90),
    b"\2\1\0", b"\2\0\0x", b"\2" + b"\xff" * 5, b"\2\2a",
))
def test_what_is_wrong_is_told_when_it_is_looked_at(lazy, data):
    made = Headers((data,))
    for look in (tuple, len, hash, lambda it: it == (), lambda it: it[0], lambda it: () + it):
        with pytest.raises(exc.CorruptMessageError):
            look(made)
    assert repr(made).startswith("<headers of a record that can't be read")


def test_what_was_decoded_last_is_not_mixed_up(lazy):
    one, other = lazy(PAIRS[:1]), lazy(PAIRS[1:])
    for _ in range(3):
        assert one == PAIRS[:1] and other == PAIRS[1:] and one[0] == PAIRS[0] and one[0] == PAIRS[0]


def test_a_consumer_that_looks_at_no_headers_decodes_none(lazy, monkeypatch):
    def never(data):
        raise AssertionError("headers were decoded")

    found = [(b"k", b"v%d" % at, [(b"trace", b"x" * 50)], 5) for at in range(300)]
    batch, = messages.batches(messages.encode_batch(found, 2, 0))
    with monkeypatch.context() as patched:
        patched.setattr(headers, "decode", never)
        if speedups.native is not None:
            patched.setattr(speedups, "native", Without(never))
        assert batch.values() == [message[1] for message in found]
        assert [record[3] for record in batch.records()] == [message[1] for message in found]
        with pytest.raises(AssertionError):
            tuple(batch.records()[0][4])
    assert batch.records() == random_messages.expected(found)


class Without(object):
    """The loops in C, but for one."""

    def __init__(self, never):
        self.headers = never

    def __getattr__(self, name, native=speedups.native):
        return getattr(native, name)
