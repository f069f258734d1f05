"""Errors of sockets, TLS and name look-ups, as kiel's own: what happened, and what to look at."""
from __future__ import absolute_import

import errno
import socket
import ssl

from tornado import iostream

from kiel import exc
from kiel.security import tls

#: ENOTCONN: what Tornado 4.5 gives for a TLS handshake that the other side hung up on
_HUNG_UP = (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN)

#: the advice where the broker ends the handshake of TLS in so many words
REFUSED = ("the broker refuses the handshake of TLS: does it want a client certificate, as in "
           "ssl=kiel.ssl(certfile=..., keyfile=...), or other versions or ciphers of TLS?")


def translate(error, conn):
    """
    Return the `kiel.exc.KielError` for an exception of a connection; one of kiel's own is returned as it is.

    :param conn: has ``host``, ``port``, ``broker_id`` and ``settings``
    """
    if isinstance(error, exc.KielError):
        return error
    if isinstance(error, iostream.StreamClosedError):
        error = error.real_error or error
    refusal = tls.refusal(conn.host, conn.port, error)
    if refusal is not None:
        return refusal
    hint = None
    if isinstance(error, ssl.SSLError):
        hint = REFUSED if "alert" in str(error).lower() else "does the port speak TLS?"
    elif isinstance(error, socket.gaierror):
        hint = "the host name can't be resolved: check the spelling, and the broker's advertised listeners"
    elif isinstance(error, iostream.StreamClosedError) or getattr(error, "errno", None) in _HUNG_UP:
        hint = _why_closed(conn.settings)
    return exc.BrokerConnectionError(conn.host, conn.port, conn.broker_id, cause=error, hint=hint)


def _why_closed(settings):
    """Return what may be behind a connection that the broker closed."""
    if not settings.modern:
        expects = "speak TLS" if settings.ssl else "expect TLS" if settings.sasl else "expect TLS or SASL"
        if settings.sasl is not None and settings.sasl.name == "GSSAPI":
            expects += ", or is it Kafka 0.9, whose login by Kerberos kiel does not know"
        return "the broker closed the connection; does the port %s?" % expects
    if not settings.served and settings.sasl is None:
        return "the broker closed the connection; does the port expect a login? Then give sasl="
    return "the broker closed the connection"
