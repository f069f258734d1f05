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


def _headers(headers, write):
    return b",".join(
        name.encode("utf-8") + b"=" + (b"NULL" if value is None else write(value)) for name, value in headers)


def plain(value):
    """Return bytes as they are, nothing for null."""
    return b"" if value is None else value


def hexadecimal(value):
    """Return bytes as pairs of hexadecimal digits, nothing for null."""
    return b"" if value is None else binascii.hexlify(value)


#: letter -> the expression of what stands for it, of a `kiel.clients.Record` called r, and how that is put in
FIELDS = {
    "s": ("write(r[5])", b"%s"), "S": ("-1 if r[5] is None else len(r[5])", b"%d"),
    "k": ("write(r[4])", b"%s"), "K": ("-1 if r[4] is None else len(r[4])", b"%d"),
    "t": ("r[0].encode('utf-8')", b"%s"), "p": ("r[1]", b"%d"), "o": ("r[2]", b"%d"), "T": ("r[3]", b"%d"),
    "h": ("headers(r[6], write)", b"%s"),
}

#: what is written for what is most of the time, without a call
PLAIN = {"write(r[5])": "r[5] or b''", "write(r[4])": "r[4] or b''"}


def writer(text, write=plain):
    """
    Return a function of a list of `kiel.clients.Record` that returns the bytes to write.

    :param text: ``%s`` value, ``%S`` its length (-1 for null), ``%k`` key, ``%K`` its length, ``%t`` topic, ``%p``
        partition, ``%o`` offset, ``%T`` time stamp, ``%h`` headers, ``%%`` a percent sign; escapes as in `unescaped`
    :param write: makes bytes of a key, a value or a header's value
    :raises ValueError: for another letter
    """
    template, fields = [], []
    for match in _PIECES.finditer(text):
        letter = match.group(1)
        if letter in FIELDS:
            expression, place = FIELDS[letter]
            fields.append(PLAIN.get(expression, expression) if write is plain else expression)
            template.append(place)
        elif letter is None or letter == "%":
            template.append(b"%%" if letter else _literal(match).replace(b"%", b"%%"))
        else:
            raise ValueError("unknown %%%s in the format; there are %s" % (
                letter, ", ".join("%" + each for each in sorted(FIELDS) + ["%"])))
    # one expression for all records, as there may be millions
    names = {"template": b"".join(template), "write": write, "headers": _headers}
    one = "template %% (%s)" % "".join("%s, " % each for each in fields)
    return eval("lambda records: b''.join([%s for r in records])" % one, names)
