"""Names and passwords as the bytes that Kafka's own classes make of them."""
from __future__ import absolute_import

import six


def to_bytes(what, value):
    """
    Return a user name or password as bytes: text in UTF-8, bytes as they are.

    No SASLprep: Kafka's brokers and its Java client take the plain UTF-8
    (``ScramFormatter.normalize``), so a normalised password would be a wrong one there.

    :raises ValueError: when it is empty or contains a NUL
    :raises TypeError: when it is neither text nor bytes
    """
    if isinstance(value, six.text_type):
        value = value.encode("utf-8")
    if not isinstance(value, bytes):
        raise TypeError("SASL %s must be text or bytes, not %s" % (what, type(value).__name__))
    if not value or b"\0" in value:
        raise ValueError("SASL %s must not be empty or contain a NUL" % what)
    return value
