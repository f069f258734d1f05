"""
Ways to log in to a broker: each turns the broker's challenges into answers, and does no I/O.

A mechanism is a value that any number of connections share; its ``session()`` makes the state of
one login, with

``step(challenge)``
    the bytes to send next, or ``None`` when there is nothing more to say; the first challenge is
    ``None``
``done``
    whether the broker's side of the exchange was seen to succeed
"""
from __future__ import absolute_import

from kiel.sasl.plain import Plain
from kiel.sasl.scram import Scram

#: SASL name -> the mechanism's class
mechanisms = {
    "PLAIN": Plain,
    "SCRAM-SHA-256": Scram,
    "SCRAM-SHA-512": Scram,
}


def checked(value):
    """
    Return what a client was given for ``sasl=``, if it is a mechanism.

    :raises TypeError: for anything else but None
    """
    if value is None or (hasattr(value, "name") and callable(getattr(value, "session", None))
                         and not isinstance(value, type)):
        return value
    # not its repr: it may well be a password
    raise TypeError("sasl= must be a mechanism, such as kiel.sasl.Plain(username, password), not %s" % (
        "the class %s" % value.__name__ if isinstance(value, type) else type(value).__name__
    ))


__all__ = ["Plain", "Scram", "checked", "mechanisms"]
