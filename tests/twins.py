"""Reads and writes batches by the loops in C and by those in Python, and holds one against the other."""
from __future__ import absolute_import

from kiel import exc, speedups
from kiel.clients import Record
from kiel.clients.producing import labelled_run
from kiel.clients.producing.delivery import Delivery
from kiel.protocol import headers, messages, records_decode
from kiel.protocol.headers import Headers

#: what stands for an error in an outcome
CORRUPT = "corrupt"


def outcome(work, *args):
    """Returns what some work gives, or `CORRUPT`."""
    try:
        return work(*args)
    except (exc.CorruptMessageError, ValueError, IndexError):
        return CORRUPT


def by_python(work, *args):
    """Does some work by the loops in Python."""
    native, speedups.native = speedups.native, None
    try:
        return outcome(work, *args)
    finally:
        speedups.native = native


def both(work, *args):
    """Does some work by either; returns what comes of it, which has to be the same."""
    ours, theirs = outcome(work, *args), by_python(work, *args)
    assert ours == theirs, "in C %r, in Python %r" % (ours, theirs)
    return ours


def section(data, pos, end, count, base_offset, base_stamp, append_time):
    """Reads the records of a batch by both; returns them, or `CORRUPT`."""
    fitting = 0 <= count <= (end - pos) // 7
    if speedups.native is None or not fitting:  # the one who calls the loops in Python has looked at that
        return CORRUPT
    native = speedups.native
    ours = outcome(native.values, data, pos, end, count)
    theirs = outcome(records_decode.values, data, pos, end, count)
    assert ours == theirs, "values in C %r, in Python %r" % (ours, theirs)
    given = data, pos, end, count, base_offset, base_stamp, append_time
    ours = outcome(lambda: seen(zip(*native.columns(*(given + (Headers,))))))
    theirs = outcome(lambda: seen(records_decode.records(*given)))
    assert ours == theirs, "records in C %r, in Python %r" % (ours, theirs)
    rows = outcome(lambda: seen(row[2:] for row in native.records(*(given + (Headers, Record, u"t", 0)))))
    assert rows == theirs, "whole records in C %r, in Python %r" % (rows, theirs)
    return ours


def seen(rows):
    """Records with their headers looked at, each pair or `CORRUPT`, by the loops in C and in Python."""
    return [tuple(row[:4]) + (looked_at(row[4]),) for row in rows]


def looked_at(found):
    """Headers as a plain tuple, or `CORRUPT`."""
    if not isinstance(found, Headers):
        return found
    raw = tuple.__getitem__(found, 0)
    theirs = outcome(headers.decode, raw)
    if speedups.native is not None:
        ours = outcome(speedups.native.headers, raw)
        assert ours == theirs, "headers in C %r, in Python %r" % (ours, theirs)
    return theirs


def batch(data):
    """Reads whatever batches there are by both, from the first offset and from the fourth; returns the records."""
    out = []
    for one in messages.batches(data):
        both(lambda: one.values(0, False))
        both(lambda: one.values(one.base_offset + 3, False))
        out.append(both(lambda: seen(one.records(0, False))))
        both(lambda: seen(one.records(one.base_offset + 3, False)))
    return out


def taken(given, messages=120, room=20000):
    """
    Takes messages, ``(key, value, headers)`` of whatever kind, by both; returns how many were taken.

    There are seven places, of which two can't be had.
    """
    runs = []
    for native in (True, False):
        places, left = {}, [messages, room, 7]

        def make(place, size, places=places):
            """Opens a place."""
            if place in (2, 5) or size > 300:
                return False
            places[place] = [[b"before"], [None], [None], room // 5 - place, "batch %d" % place, room // 5]
            return True

        def by_python(key, value, pairs, left=left, places=places, make=make):
            """The twin."""
            return labelled_run.take(left, places, make, key, value, pairs)
        take = speedups.native.taker(
            left, places, make, Delivery, labelled_run.RECORD_OVERHEAD, labelled_run.MOST_RECORDS
        ) if native else by_python
        runs.append(([put(take, message) for message in given], places, left))
    ours, theirs = runs
    for in_c, in_python, message in zip(ours[0], theirs[0], given):
        assert in_c == in_python, "of %r in C %r, in Python %r" % (message, in_c, in_python)
    assert ours == theirs, "in C %r, in Python %r" % (ours[1:], theirs[1:])
    return len([one for one in ours[0] if isinstance(one, tuple)])


def put(take, message):
    """Where a message was put, None for nowhere, or the class of its error."""
    try:
        delivery = take(*message)
    except UnicodeError as error:
        return type(error)
    return delivery and (delivery.batch, delivery.index)
