"""Key and headers of a message as they are written, checked."""
from __future__ import absolute_import

from kiel import arguments
from kiel.clients.producing.batch import RECORD_OVERHEAD
from kiel.partitioners import to_bytes


def labelled(key, value, headers):
    """
    Return the key and the headers of a message as they are written, None for neither, and its size with them.

    The size is that of `kiel.clients.producing.batch.record_size`, counted in the same loop: services have headers on
    every message.

    :param value: the value, as bytes or None
    :raises TypeError: for headers that are neither a dict nor pairs, and for names and values of a wrong type
    :raises ValueError: for a name that is empty
    """
    if key.__class__ is not bytes:
        key = to_bytes(key)
    size = RECORD_OVERHEAD + len(key or b"") + len(value or b"")
    if not headers:
        return None if key is None else (key, None), size
    if hasattr(headers, "items"):
        headers = headers.items()
    elif not hasattr(headers, "__iter__"):
        raise _no_pairs()
    written = []
    for pair in headers:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise _no_pairs()
        name, header = pair
        if name.__class__ is not str or not name:
            name = arguments.text("the name of a header", name)
        if name.__class__ is not bytes:
            name = arguments.octets("the name of a header", name)
        if header.__class__ is not bytes:
            header = arguments.octets("a header's value", header)
        size += 10 + len(name) + len(header or b"")
        written.append((name, header))
    return None if key is None and not written else (key, written or None), size


def _no_pairs():
    return TypeError("headers have to be a dict or (name, value) pairs")
