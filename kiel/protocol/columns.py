"""The messages of a batch that is to be written, column by column."""
from __future__ import absolute_import

import bisect
from itertools import chain, repeat, starmap

from six.moves import zip


#: of a message that has neither key nor headers
NO_LABEL = (None, None)


class Stamps(object):
    """
    The time stamps of messages in a row, one for each run of messages that share it.

    ``starts`` are the indexes of the first messages of the runs, ``values`` their stamps, in
    milliseconds since 1970 UTC.
    """

    __slots__ = ("starts", "values")

    def __init__(self):
        self.starts = []
        self.values = []

    def note(self, index, stamp):
        """Say what the messages from an index on have, which is behind all that was noted before."""
        if not self.values or stamp != self.values[-1]:
            self.starts.append(index)
            self.values.append(stamp)

    def __getitem__(self, index):
        return self.values[bisect.bisect_right(self.starts, index) - 1]

    def runs(self, count):
        """Return pairs of a stamp and how many messages in a row have it, of ``count`` messages in all."""
        return zip(self.values, map(int.__sub__, self.starts[1:] + [count], self.starts))

    def spread(self, count):
        """Return an iterator of the stamps of ``count`` messages, one by one."""
        return chain.from_iterable(starmap(repeat, self.runs(count)))

    def cut(self, start, end):
        """Return those of the messages with these indexes."""
        part = Stamps()
        first = bisect.bisect_right(self.starts, start) - 1
        for begun, stamp in zip(self.starts[first:], self.values[first:]):
            if begun < end:
                part.note(max(begun - start, 0), stamp)
        return part


class Columns(object):
    """
    Messages as four columns: ``keys``, ``values``, ``headers`` and ``stamps``.

    Most messages have neither key nor headers, and the time stamp of the one before. A batch of
    those is a list of bytes, which costs no object per message and nothing to take apart again; the
    columns of keys and of headers are ``None`` until there is one, and time stamps are kept as
    `Stamps`.

    ``values`` are bytes or ``None``, ``keys`` bytes or ``None``, ``headers`` pairs of name and bytes
    or ``None``, or nothing at all.
    """

    __slots__ = ("keys", "values", "headers", "stamps", "stamp", "encoded")

    def __init__(self):
        self.keys = None
        self.values = []
        self.headers = None
        self.stamps = Stamps()
        #: the time stamp of the message that was appended last
        self.stamp = None
        #: bytes that they took when they were encoded last, before compression
        self.encoded = 0

    @classmethod
    def of(cls, records, now_ms):
        """
        Return the columns of tuples ``(key, value, headers, timestamp)``; no timestamp is ``now_ms``.
        """
        self = cls()
        for key, value, headers, stamp in records:
            label = (key, headers or None)
            self.add(value, now_ms if stamp is None else stamp, label if label != NO_LABEL else None)
        return self

    def __len__(self):
        return len(self.values)

    def add(self, value, stamp, label=None):
        """Append one message; its label are its key and its headers."""
        index = len(self.values)
        self.values.append(value)
        if stamp != self.stamp:
            self.date(index, stamp)
        if label is not None or self.keys is not None:
            self.label(index, label)

    def date(self, index, stamp):
        """Say what time stamp the messages from that index on have."""
        self.stamp = stamp
        self.stamps.note(index, stamp)

    def label(self, index, label):
        """Say what ``(key, headers)`` the last message, of that index, has; ``None`` for neither."""
        if self.keys is None:
            self.keys = [None] * index
            self.headers = [None] * index
        key, headers = label or NO_LABEL
        self.keys.append(key)
        self.headers.append(headers)

    def extend(self, values, stamp):
        """Append messages without key or headers."""
        index = len(self.values)
        self.values.extend(values)
        self.follow(index, stamp)

    def follow(self, index, stamp):
        """Fill the other columns of messages without key or headers, whose values were appended from that index on."""
        count = len(self.values) - index
        if count:
            self.date(index, stamp)
            if self.keys is not None:
                self.keys.extend(repeat(None, count))
                self.headers.extend(repeat(None, count))

    def cut(self, start, end):
        """Return columns of the messages with these indexes."""
        part = Columns()
        part.values = self.values[start:end]
        part.stamps = self.stamps.cut(start, end)
        part.stamp = part.stamps.values[-1]
        if self.keys is not None:
            part.keys = self.keys[start:end]
            part.headers = self.headers[start:end]
        return part

    def __iter__(self):
        """Return the messages as tuples ``(key, value, headers, timestamp)``."""
        return zip(
            self.keys or repeat(None), self.values, self.headers or repeat(None),
            self.stamps.spread(len(self.values))
        )
