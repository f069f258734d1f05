"""A message as a line of JSON, written by ``kiel consume`` and read by ``kiel produce``; nothing is lost on the way."""
from __future__ import absolute_import

import base64
import json

import six


#: text as JSON, in C where Python has that
_quoted = json.encoder.encode_basestring_ascii

_LINE = '{"headers": %s, "key": %s, "offset": %d, "partition": %d, "timestamp": %s, "topic": %s, "value": %s}\n'


def pack(records, shown=None):
    """
    Return the lines of records, as bytes.

    Keys, values and headers are text where they are UTF-8, else ``{"base64": "..."}``; null is null.

    :param shown: makes JSON of a value otherwise
    """
    shown = shown or _shown
    return "".join([_LINE % (
        _headers_shown(headers) if headers else "[]",
        _shown(key), offset, partition, "null" if timestamp is None else timestamp, _quoted(topic), shown(value)
    ) for topic, partition, offset, timestamp, key, value, headers in records]).encode("ascii")


def as_json(value):
    """Return JSON of a value that is JSON itself, for `pack`."""
    return "null" if value is None else value.decode("ascii")


def _headers_shown(headers):
    return "[%s]" % ", ".join(["[%s, %s]" % (_quoted(name), _shown(value)) for name, value in headers])


def unpack(line, as_it_is=False):
    """
    Return ``(key, value, headers, timestamp, partition)`` of a line; what is not there is None.

    :param as_it_is: whether the value stays what JSON is made of, instead of bytes
    :raises ValueError: if it is not such a line
    """
    try:
        found = json.loads(line.decode("utf-8"))
    except ValueError:
        raise ValueError("not JSON: %r" % line[:60])
    if not isinstance(found, dict) or "value" not in found:
        raise ValueError("not a JSON object with a value: %r" % line[:60])
    timestamp = found.get("timestamp")
    value = found["value"] if as_it_is else _meant(found["value"])
    return (_meant(found.get("key")), value, _headers(found["headers"]) if found.get("headers") else [],
            None if timestamp == -1 else timestamp, found.get("partition"))


def _headers(given):
    """Return the headers of a line."""
    if not isinstance(given, (list, tuple)) or not all(isinstance(each, list) and len(each) == 2 for each in given):
        raise ValueError("headers are a list of [name, value]: %r" % (given,))
    return [(name, _meant(value)) for name, value in given]


def _shown(value):
    """Return JSON of bytes."""
    if value is None:
        return "null"
    try:
        return _quoted(value.decode("utf-8"))
    except UnicodeDecodeError:
        return '{"base64": "%s"}' % base64.b64encode(value).decode("ascii")


def _meant(value):
    """Return what `_shown` was given; other values, which somebody wrote by hand, are JSON themselves."""
    if value is None:
        return None
    if isinstance(value, six.text_type):
        return value.encode("utf-8")
    if isinstance(value, dict) and list(value) == ["base64"]:
        try:
            return base64.b64decode(value["base64"])
        except (TypeError, ValueError) as error:
            raise ValueError("not base64: %s" % error)
    return json.dumps(value, sort_keys=True).encode("utf-8")
