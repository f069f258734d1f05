"""From the bytes of a value to a message and back, for those who name no function of their own."""
from __future__ import absolute_import

import json

import six

# the C scanner that json.loads ends up in, without the layers above it: they take two thirds of the time
_scan = json.JSONDecoder().scan_once


def from_json(value):
    """
    Return what `json.loads` does, in a third of its time for UTF-8 without white space around it.

    The rest is left to it. None, the value of a tombstone, stays None.

    :param value: bytes or None
    :raises ValueError: when the value is not JSON
    """
    try:
        text = value if six.PY2 else value.decode("utf-8")
        message, end = _scan(text, 0)
        if end == len(text):
            return message
    except (StopIteration, ValueError, AttributeError, TypeError):
        pass  # json.loads has the better words for what is wrong
    return None if value is None else json.loads(value)
