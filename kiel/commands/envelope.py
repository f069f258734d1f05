"""A message as a line of JSON, written by ``kiel consume`` and read by ``kiel produce``; nothing is lost on the way."""
from __future__ import absolute_import

import base64
import json

import six


def pack(record):
    """
    Return the line of a record, as bytes.

    Keys, values and headers are text where they are UTF-8, else ``{"base64": "..."}``; null is null.
    """
    return json.dumps({
        "topic": record.topic, "partition": record.partition, "offset": record.offset,
        "timestamp": record.timestamp, "key": _shown(record.key), "value": _shown(record.value),
        "headers": [[name, _shown(value)] for name, value in record.headers],
    }, sort_keys=True).encode("ascii")


def unpack(line):
    """
    Return ``(key, value, headers, timestamp, partition)`` of a line; what is not there is None.

    :raises ValueError: for what is no such line
    """
    try:
        found = json.loads(line.decode("utf-8"))
    except ValueError:
        raise ValueError("no JSON: %r" % line[:60])
    if not isinstance(found, dict) or "value" not in found:
        raise ValueError("no JSON object with a value: %r" % line[:60])
    timestamp = found.get("timestamp")
    return (_meant(found.get("key")), _meant(found["value"]), _headers(found.get("headers") or ()),
            None if timestamp == -1 else timestamp, found.get("partition"))


def _headers(given):
    """Return the headers of a line."""
    if not isinstance(given, (list, tuple)) or not all(isinstance(each, list) and len(each) == 2 for each in given):
        raise ValueError("headers are a list of [name, value]: %r" % (given,))
    return [(name, _meant(value)) for name, value in given]


def _shown(value):
    """Return bytes as JSON has them."""
    if value is None:
        return None
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode("ascii")}


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
            raise ValueError("no base64: %s" % error)
    return json.dumps(value, sort_keys=True).encode("utf-8")
