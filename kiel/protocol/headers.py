"""The headers of a record, decoded when somebody looks at them."""
from __future__ import absolute_import

from itertools import repeat

import six

from kiel import exc, speedups
from kiel.protocol.varints import decode as varint

#: the bytes that were decoded last, and what came of it: headers are most often looked at several times in a row
_last = (None, ())


class Headers(tuple):
    """
    The headers of a consumed record: a tuple of ``(text, bytes or None)`` that is decoded when it is looked at.

    It is, compares and behaves as that tuple. Inside is a single item, the headers' bytes from their count on, so a
    record whose headers nobody reads costs one slice. It is made from that item, as a tuple is from its items: a
    constructor of its own would cost a frame for each record.

    :raises kiel.exc.CorruptMessageError: whatever is asked of headers that are not what their lengths say
    """

    __slots__ = ()

    def _decoded(self):
        global _last
        raw = tuple.__getitem__(self, 0)
        known, found = _last
        if known is not raw:
            try:
                found = (decode if speedups.native is None else speedups.native.headers)(raw)
            except (ValueError, IndexError) as error:
                raise exc.CorruptMessageError("headers of a record that can't be read: %s" % error)
            _last = raw, found
        return found

    def __iter__(self):
        return iter(self._decoded())

    def __len__(self):
        return len(self._decoded())

    def __getitem__(self, index):
        return self._decoded()[index]

    def __contains__(self, pair):
        return pair in self._decoded()

    def __eq__(self, other):
        return self._decoded() == _plain(other)

    def __ne__(self, other):
        return self._decoded() != _plain(other)

    def __lt__(self, other):
        return self._decoded() < _plain(other)

    def __le__(self, other):
        return self._decoded() <= _plain(other)

    def __gt__(self, other):
        return self._decoded() > _plain(other)

    def __ge__(self, other):
        return self._decoded() >= _plain(other)

    def __hash__(self):
        return hash(self._decoded())

    def __add__(self, other):
        return self._decoded() + _plain(other)

    def __radd__(self, other):
        return other + self._decoded()

    def __mul__(self, number):
        return self._decoded() * number

    __rmul__ = __mul__

    def __repr__(self):
        try:
            return repr(self._decoded())
        except exc.CorruptMessageError as error:
            return "<%s>" % error

    def __reduce__(self):
        return tuple, (self._decoded(),)

    def __reduce_ex__(self, protocol):
        return self.__reduce__()

    def count(self, pair):
        """Return how often a pair occurs."""
        return self._decoded().count(pair)

    def index(self, *args):
        """Return the first index of a pair."""
        return self._decoded().index(*args)

    if six.PY2:
        def __getslice__(self, start, stop):
            return self._decoded()[start:stop]


def _plain(other):
    return other._decoded() if isinstance(other, Headers) else other


def decode(raw):
    """
    Return the headers whose count and pairs are those bytes, a tuple of ``(text, bytes or None)``.

    :raises ValueError: when the bytes are not what their lengths say
    :raises IndexError: when they end too soon
    """
    buff = bytearray(raw) if six.PY2 else raw
    stop = len(raw)
    count, pos = varint(buff, 0)
    # two lengths each at least
    if count < 0 or 2 * count > stop - pos:
        raise ValueError("%d headers in %d bytes" % (count, stop - pos))
    out = []
    for _ in repeat(None, count):
        size, pos = varint(buff, pos)
        if size < 0 or size > stop - pos:
            raise ValueError("a header name of %d bytes" % size)
        name = raw[pos:pos + size].decode("utf-8", "replace")
        pos += size
        size, pos = varint(buff, pos)
        if size < 0:
            out.append((name, None))
            continue
        if size > stop - pos:
            raise ValueError("a header of %d bytes" % size)
        out.append((name, raw[pos:pos + size]))
        pos += size
    if pos != stop:
        raise ValueError("a record of another length than its parts")
    return tuple(out)
