"""The addresses that a client is given for its brokers."""
from __future__ import absolute_import

import re

import six

from kiel import constants

#: what may stand before "://", and whether it means TLS; None: it says nothing about that
SCHEMES = {"kafka": None, "plaintext": False, "sasl_plaintext": False, "ssl": True, "sasl_ssl": True}

#: a bare IPv6 address: eight groups, or fewer where "::" stands for some
IPV6 = re.compile(r"(?i)(?=.*::|([^:]*:){7}|.*\.)[0-9a-f:.]+(%.+)?$")

EXPECTED = "expected 'host:port', a text of several with commas, or a list"


def split_host(host):
    """
    Return ``(host, port)`` of "host", "host:port", "[::1]:port" or a bare IPv6 address.

    :raises ValueError: for anything else
    """
    name, port = _split(host.strip())
    if not name or not (port.isdigit() or port == "") or not 0 < int(port or 1) < 65536 or set(name) & set(" /@\\"):
        raise ValueError("brokers: not a broker's address: %r; %s" % (host, EXPECTED))
    return name, int(port or constants.DEFAULT_KAFKA_PORT)


def _split(text):
    """Return the two sides of an address as they stand there; the first is empty when it is malformed."""
    if text.startswith("["):
        name, bracket, rest = text[1:].partition("]")
        if not bracket or rest[:1] not in ("", ":"):
            return "", ""
        return name, rest[1:]
    if text.count(":") > 1:
        return (text, "") if IPV6.match(text) else ("", "")
    name, _, port = text.partition(":")
    return name, port


def broker_list(brokers, secure=None):
    """
    Return the addresses, "host:port" each, of what a client was given as ``brokers``.

    That is a text of one or several with commas, or a list, tuple or set of texts or of (host, port). Texts may be
    bytes. Before an address may stand a protocol, as in Kafka's own listeners: ``kafka://``, ``PLAINTEXT://``,
    ``SSL://``, ``SASL_PLAINTEXT://``, ``SASL_SSL://``; it must fit ``ssl=``.

    :param secure: whether there is TLS; None: not known
    :raises TypeError: when it is none of these
    :raises ValueError: when an address is malformed, or there is none
    """
    if isinstance(brokers, (six.text_type, bytes)):
        brokers = _text(brokers).split(",")
    elif not isinstance(brokers, (list, tuple, set, frozenset)):
        raise TypeError("brokers: %r is not an address; %s" % (brokers, EXPECTED))
    found = []
    for entry in brokers:
        found.extend(_one(entry, secure))
    if not found:
        raise ValueError("brokers: at least one 'host:port' is needed")
    return found


def _one(entry, secure):
    """Return the address, or the addresses, of one entry of a list."""
    if isinstance(entry, (tuple, list)) and len(entry) == 2 and isinstance(entry[1], six.integer_types):
        name = _text(entry[0])
        entry = ("[%s]:%d" if ":" in name else "%s:%d") % (name, entry[1])
    if not isinstance(entry, (six.text_type, bytes)):
        raise TypeError("brokers: %r is not an address; %s" % (entry, EXPECTED))
    return [_plain(text.strip(), secure) for text in _text(entry).split(",") if text.strip()]


def _plain(text, secure):
    """Return an address without a protocol before it."""
    if "://" in text:
        scheme, _, rest = text.partition("://")
        if scheme.lower() not in SCHEMES:
            raise ValueError("brokers: %r is not the address of a broker: not one of %s" % (
                text, ", ".join(name + "://" for name in sorted(SCHEMES))))
        asks = SCHEMES[scheme.lower()]
        if None not in (asks, secure) and asks != secure:
            raise ValueError("brokers: %r %s ssl=" % (text, "needs" if asks else "contradicts"))
        text = rest.rstrip("/")
    split_host(text)  # a malformed one is refused at once
    return text


def _text(value):
    """Return a text, of Python 2's `str` too."""
    if isinstance(value, bytes):
        return value if six.PY2 else value.decode("utf-8")
    if not isinstance(value, six.text_type):
        raise TypeError("brokers: %r is not a host name; %s" % (value, EXPECTED))
    return value
