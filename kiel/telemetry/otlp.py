"""
Numbers as OpenTelemetry's protocol has them: a ``MetricsData`` of opentelemetry/proto/metrics/v1/metrics.proto.

Only what KIP-714 needs is written: sums and gauges of doubles, as Java's clients send them. Reading is not needed.
"""
from __future__ import absolute_import

import collections
import struct

import six

#: values of ``AggregationTemporality``
DELTA, CUMULATIVE = 1, 2

#: One number. ``labels`` and ``values`` are texts, the names and values of its attributes; ``start`` is when counting
#: began, in seconds since 1970, None for what was not counted.
Point = collections.namedtuple("Point", ("name", "unit", "labels", "values", "number", "start"))

_fixed64 = struct.Struct("<Q").pack
_double = struct.Struct("<d").pack

#: how a field is written, in the lowest three bits of its tag
_VARINT, _EIGHT_BYTES, _LENGTH = 0, 1, 2


def metrics_data(resource, scope, points, now, temporality):
    """
    Return the bytes of some numbers.

    :param resource: what they are about: a dict of texts
    :param scope: (name, version) of who counts
    :param points: each a `Point`; those of one name follow one another
    :param now: when they were so, in seconds since 1970
    :param temporality: `DELTA` or `CUMULATIVE`: of those that were counted
    """
    body = [_text(1, scope[0]), _text(2, scope[1])]
    scoped = [_bytes(1, b"".join(body))]
    scoped += [_bytes(2, metric) for metric in _metrics(points, now, temporality)]
    about = b"".join(_bytes(1, attribute) for attribute in _attributes(sorted(resource.items())))
    return _bytes(1, _bytes(1, about) + _bytes(2, b"".join(scoped)))


def _metrics(points, now, temporality):
    """Yield a ``Metric`` for each name."""
    grouped = collections.OrderedDict()
    for point in points:
        grouped.setdefault(point.name, []).append(point)
    for name, same in grouped.items():
        data = b"".join(_bytes(1, _point(point, now)) for point in same)
        metric = _text(1, name) + (_text(3, same[0].unit) if same[0].unit else b"")
        if same[0].start is None:
            yield metric + _bytes(5, data)
        else:
            yield metric + _bytes(7, data + _number(2, temporality) + _number(3, 1))


def _point(point, now):
    """Return a ``NumberDataPoint``."""
    pieces = [] if point.start is None else [_tag(2, _EIGHT_BYTES), _fixed64(_nanoseconds(point.start))]
    pieces += [_tag(3, _EIGHT_BYTES), _fixed64(_nanoseconds(now)), _tag(4, _EIGHT_BYTES), _double(point.number)]
    pieces += [_bytes(7, attribute) for attribute in _attributes(zip(point.labels, point.values))]
    return b"".join(pieces)


def _attributes(pairs):
    """Return a ``KeyValue`` for each attribute."""
    return [_text(1, key) + _bytes(2, _text(1, value)) for key, value in pairs]


def _nanoseconds(seconds):
    # whole microseconds, and the rest as integers: a float has no room for nanoseconds since 1970
    return int(seconds * 1000000) * 1000


def _tag(field, kind):
    return six.int2byte(field << 3 | kind)  # all fields have numbers below 16


def _number(field, value):
    return _tag(field, _VARINT) + _varint(value)


def _text(field, text):
    return _bytes(field, text.encode("utf-8") if isinstance(text, six.text_type) else text)


def _bytes(field, value):
    return _tag(field, _LENGTH) + _varint(len(value)) + value


def _varint(value):
    """Return a number in groups of seven bits, the lowest first."""
    out = bytearray()
    while value > 0x7f:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
