"""
Ways to log in to a broker: each turns the broker's challenges into answers, and does no I/O.

A mechanism is a value that any number of connections share. One of an application's own will do for ``sasl=`` as well;
it has

``name``
    the SASL name, such as ``"PLAIN"``
``session(host)``
    makes the state of one login to the broker of that name or address, and is called for each login: credentials that
    change are asked for here
``hint``
    optional: what to check when the broker refuses, for the text of the error
``blocking``
    optional: ``True`` has ``session`` and ``step`` called on a thread of their own, so that they may block

and a session has

``step(challenge)``
    the bytes to send next, or ``None`` when there is nothing more to say; the first challenge is ``None``
``done``
    whether the login is through as far as this side can tell. Set before the last bytes are returned, it says that no
    answer to them is waited for where brokers before 1.0 give none, as with GSSAPI; one that comes is not looked at.
``hint``
    optional: the same as the mechanism's, when it depends on the login

``session`` and ``step`` may be coroutines, or return Futures. They raise `kiel.exc.AuthenticationError` for a login
that can't succeed, and `kiel.exc.CredentialsError` when there are no credentials at the moment, so that it is tried
again. Any other exception is taken for a bug and ends the login. No ``repr`` and no text of an error may show a secret.

The heartbeats of a group log in on a thread of their own, with a loop of its own, so that a blocked application stays a
member: what is called for credentials must not need the application's loop.
"""
from __future__ import absolute_import

from kiel.sasl.msk import AwsMskIam
from kiel.sasl.gss import Gssapi
from kiel.sasl.oauth import OAuthBearer
from kiel.sasl.plain import Plain
from kiel.sasl.scram import Scram

#: SASL name -> the class of the mechanisms that take a user name and a password
mechanisms = {
    "PLAIN": Plain,
    "SCRAM-SHA-256": Scram,
    "SCRAM-SHA-512": Scram,
}


def checked(value):
    """
    Return what a client was given for ``sasl=``, if it is a mechanism.

    :raises TypeError: for anything else except None
    """
    if value is None or (hasattr(value, "name") and callable(getattr(value, "session", None))
                         and not isinstance(value, type)):
        return value
    # not its repr: it may well be a password
    raise TypeError("sasl= must be a mechanism, such as kiel.sasl.Plain(username, password), not %s" % (
        "the class %s" % value.__name__ if isinstance(value, type) else type(value).__name__
    ))


__all__ = ["AwsMskIam", "Gssapi", "OAuthBearer", "Plain", "Scram", "checked", "mechanisms"]
