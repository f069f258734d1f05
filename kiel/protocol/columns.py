"""The messages of a batch that is to be written, column by column."""
from __future__ import absolute_import

from itertools import repeat

from six.moves import zip


#: of a message that has neither key nor headers
NO_LABEL = (None, None)


class Columns(object):
    """
    Messages as four columns: ``keys``, ``values``, ``headers`` and ``stamps``.

    Most messages have neither key nor headers. A batch of those is two lists of bytes and numbers,
    which cost no object per message and nothing to take apart again; the columns of keys and of
    headers are ``None`` until there is one.

    ``values`` are bytes or ``None``, ``stamps`` milliseconds since 1970 UTC, ``keys`` bytes or
    ``None``, ``headers`` pairs of name and bytes or ``None``, or nothing at all.
    """

    __slots__ = ("keys", "values", "headers", "stamps")

    def __init__(self):
        self.keys = None
        self.values = []
        self.headers = None
        self.stamps = []

    @classmethod
    def of(cls, records, now_ms):
        """
        The columns of tuples ``(key, value, headers, timestamp)``; no timestamp is ``now_ms``.
        """
        self = cls()
        for key, value, headers, stamp in records:
            self.add(value, now_ms if stamp is None else stamp, (key, headers or None))
        return self

    def __len__(self):
        return len(self.values)

    def add(self, value, stamp, label=NO_LABEL):
        """Appends one message; its label are its key and its headers."""
        self.values.append(value)
        self.stamps.append(stamp)
        if label != NO_LABEL or self.keys is not None:
            self.label(label)

    def label(self, label):
        """
        Says of the message that was appended last what ``(key, headers)`` it has, ``None`` for
        neither.
        """
        if self.keys is None:
            self.keys = [None] * (len(self.values) - 1)
            self.headers = [None] * (len(self.values) - 1)
        key, headers = label or NO_LABEL
        self.keys.append(key)
        self.headers.append(headers)

    def extend(self, values, stamp):
        """Appends messages without key or headers."""
        self.values.extend(values)
        self.follow(stamp)

    def follow(self, stamp):
        """
        Fills the other columns of messages without key or headers of which so far there are only
        the values; gives those.
        """
        values = self.values[len(self.stamps):]
        self.stamps.extend(repeat(stamp, len(values)))
        if self.keys is not None:
            self.keys.extend(repeat(None, len(values)))
            self.headers.extend(repeat(None, len(values)))
        return values

    def cut(self, start, end):
        """Columns of the messages with these indexes."""
        part = Columns()
        for name in self.__slots__:
            column = getattr(self, name)
            setattr(part, name, None if column is None else column[start:end])
        return part

    def __iter__(self):
        """The messages as tuples ``(key, value, headers, timestamp)``."""
        return zip(self.keys or repeat(None), self.values, self.headers or repeat(None), self.stamps)
