"""Format strings as kcat's: how a message is written."""
from __future__ import absolute_import

import binascii
import re

#: what stands behind a backslash
ESCAPES = {"n": b"\n", "t": b"\t", "r": b"\r", "0": b"\0", "\\": b"\\"}

_PIECES = re.compile(r"%(.)|\\x([0-9a-fA-F]{2})|\\(.)|([^%\\]+)|(.)", re.S)


def unescaped(text):
    """Return a delimiter as bytes: ``\\n``, ``\\t``, ``\\0``, ``\\x1f`` mean what they do in C."""
    return b"".join(_literal(match) for match in _PIECES.finditer(text))


def _literal(match):
    percent, code, escape, plain, lone = match.groups()
    if code is not None:
        return binascii.unhexlify(code)
    if escape is not None:
        return ESCAPES.get(escape) or ("\\" + escape).encode("utf-8")
    found = plain if plain is not None else lone if lone is not None else "%" + percent
    return found if isinstance(found, bytes) else found.encode("utf-8")


def _number(number):
    return str(number).encode("ascii")


def _headers(headers, write):
    return b",".join(
        name.encode("utf-8") + b"=" + (b"NULL" if value is None else write(value)) for name, value in headers)


def plain(value):
    """Return bytes as they are, nothing for null."""
    return b"" if value is None else value


def hexadecimal(value):
    """Return bytes as pairs of hexadecimal digits, nothing for null."""
    return b"" if value is None else binascii.hexlify(value)


def writer(text, write=plain):
    """
    Return a function of a `kiel.clients.Record` that returns the bytes to write.

    :param text: ``%s`` value, ``%S`` its length (-1 for null), ``%k`` key, ``%K`` its length, ``%t`` topic, ``%p``
        partition, ``%o`` offset, ``%T`` time stamp, ``%h`` headers, ``%%`` a percent sign; escapes as in `unescaped`
    :param write: makes bytes of a key, a value or a header's value
    :raises ValueError: for another letter
    """
    fields = {
        "s": lambda record: write(record[5]), "S": lambda record: _number(-1 if record[5] is None else len(record[5])),
        "k": lambda record: write(record[4]), "K": lambda record: _number(-1 if record[4] is None else len(record[4])),
        "t": lambda record: record[0].encode("utf-8"), "p": lambda record: _number(record[1]),
        "o": lambda record: _number(record[2]), "T": lambda record: _number(record[3]),
        "h": lambda record: _headers(record[6], write),
    }
    makers = []
    for match in _PIECES.finditer(text):
        letter = match.group(1)
        if letter is None or letter == "%":
            makers.append(_constant(b"%" if letter else _literal(match)))
        elif letter in fields:
            makers.append(fields[letter])
        else:
            raise ValueError("a format has %%%s; there are %s" % (
                letter, ", ".join("%" + each for each in sorted(fields) + ["%"])))
    return lambda record: b"".join([make(record) for make in makers])


def _constant(value):
    return lambda record: value
