"""Frames out of bytes that come in pieces of any size."""
from __future__ import absolute_import

import errno
import gc
import random
import struct
import sys

import mock
import pytest
import six

from kiel import exc
from kiel.protocol import frames as module
from kiel.protocol.frames import Frames


def framed(*bodies):
    """The bytes of some frames."""
    return b"".join(struct.pack(">i", len(body)) + body for body in bodies)


def body(size, seed=0):
    """Bytes that differ from place to place."""
    return bytes(bytearray((i * 7 + i // 251 + seed) & 0xff for i in range(size)))


def by_feeding(data, cuts):
    """What comes of the pieces, each fed."""
    frames, found = Frames(), []
    for start, end in zip([0] + cuts, cuts + [len(data)]):
        found.extend(frames.feed(data[start:end]))
    return found, frames


def by_filling(data, step):
    """The same, where a socket fills the room of a frame that has begun."""
    frames, found, at = Frames(), [], 0
    while at < len(data):
        piece = data[at:at + step]
        if frames.missing:
            room = frames.room()
            piece = piece[:len(room)]
            room[:len(piece)] = piece
            found.append(frames.filled(len(piece)))
        else:
            found.extend(frames.feed(piece))
        at += len(piece)
    return [frame for frame in found if frame is not None]


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 7, 13, 64, 1000])
def test_pieces_of_one_size(step):
    bodies = [body(size, size) for size in (4, 5, 200, 4, 1001, 17)]
    data = framed(*bodies)
    found, frames = by_feeding(data, list(range(step, len(data), step)))
    assert found == bodies and not frames.missing
    assert by_filling(data, step) == bodies
    assert all(type(frame) is bytes for frame in found)


def test_pieces_of_any_size(monkeypatch):
    monkeypatch.setattr(module, "SET_ASIDE", 64)  # so that room has to grow
    chance = random.Random(11)
    for _ in range(200):
        bodies = [body(chance.choice((4, 30, 63, 64, 65, 150, 700)), i) for i in range(chance.randint(1, 8))]
        data = framed(*bodies)
        cuts = sorted(chance.randint(0, len(data)) for _ in range(chance.randint(0, 20)))
        assert by_feeding(data, cuts)[0] == bodies
        assert by_filling(data, chance.randint(1, 300)) == bodies


def test_a_size_alone_sets_little_aside():
    frames = Frames()
    assert list(frames.feed(struct.pack(">i", 200 * 1024 * 1024))) == []
    assert frames.missing == 200 * 1024 * 1024
    assert len(frames.room()) == module.SET_ASIDE


def test_room_that_was_given_is_not_written_any_more():
    frames = Frames()
    list(frames.feed(framed(body(100))[:50]))
    room = frames.room()
    room[:] = body(100)[46:]
    frame = frames.filled(len(room))
    assert frame == body(100) and type(frame) is bytes
    try:
        room[0:1] = b"!"
    except ValueError:  # on Python 3 it is the frame that would change
        pass
    assert frame == body(100)


def nothing_there(rooms):
    """What a socket does that is given room, and has nothing: those are noted."""
    def recv_into(room):
        rooms.append(room)
        raise EnvironmentError(errno.EAGAIN, "nothing there")
    return recv_into


def test_filling():
    frames = Frames()
    list(frames.feed(framed(body(100))[:50]))
    rest = body(100)[46:]

    def recv_into(room):
        count = min(20, len(room))
        start = len(rest) - len(room)
        room[:count] = rest[start:start + count]
        return count

    counts, found = [], []
    while frames.missing:
        counts.append(frames.fill(recv_into))
        found.append(frames.filled(counts[-1]))
    assert counts == [20, 20, 14] and found == [None, None, body(100)]


def test_nobody_has_room_between_two_reads():
    frames, rooms = Frames(), []
    list(frames.feed(framed(body(100))[:50]))
    with pytest.raises(EnvironmentError):
        frames.fill(nothing_there(rooms))
    assert len(rooms) == 1 and frames.missing == 54
    if six.PY3:  # on Python 2 there is no way to take it back
        with pytest.raises(ValueError):
            rooms[0][0] = 1
    assert list(frames.feed(body(100)[46:])) == [body(100)]


def test_dropped_within_a_frame():
    """A connection that ended, and went as part of a circle: Python 3.13 tells what went wrong in that."""
    told = []
    with mock.patch.object(sys, "unraisablehook", told.append, create=True):
        for _ in range(3):
            frames, circle = Frames(), []
            list(frames.feed(framed(body(100))[:50]))
            with pytest.raises(EnvironmentError):
                frames.fill(nothing_there([]))
            circle.extend([circle, frames])
            del frames, circle
        gc.collect()
    assert not told


def test_room_ends_with_the_frame():
    frames = Frames()
    list(frames.feed(framed(body(100))[:50]))
    list(frames.feed(framed(body(100))[50:]))
    list(frames.feed(framed(body(30))[:10]))
    assert len(frames.room()) == frames.missing == 24


def test_what_comes_before_a_wrong_size_is_given():
    found = []
    with pytest.raises(exc.ProtocolError):
        for frame in Frames().feed(framed(b"good") + b"HTTP/1.1"):
            found.append(frame)
    assert found == [b"good"]


def test_only_a_bare_token_may_be_empty():
    frames = Frames()
    frames.bare = True
    assert list(frames.feed(framed(b"", b"token"))) == [b"", b"token"]
    frames.bare = False
    with pytest.raises(exc.ProtocolError):
        list(frames.feed(framed(b"")))
