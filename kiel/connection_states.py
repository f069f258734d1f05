"""The life of a connection, as a table: its states, what happens in them, and what that leads to."""
from __future__ import absolute_import

#: made, and not asked to connect yet
NEW = "new"
#: looks the name up, dials, and does the handshake of TLS
DIALLING = "dialling"
#: asks for versions and logs in; nobody else's requests are sent
HANDSHAKE = "handshake"
#: the same, while the next bytes to come are the answer to a bare SASL token (Kafka before 1.0), which is no message
TOKEN = "token"
#: takes requests
READY = "ready"
#: takes requests and holds them back, since the broker asked for a pause (KIP-219)
PAUSED = "paused"
#: logged in, and logs in again before the session ends (KIP-368): requests are held back until that is through
RENEWING = "renewing"
#: ended, by `close`, an error or the broker; ``error`` of the connection says why
CLOSED = "closed"

#: `connect` was called
DIAL = "dial"
#: the socket is open
DIALLED = "dialled"
#: a bare SASL token was sent; and its answer came
SEND_TOKEN = "send token"
RECEIVE_TOKEN = "receive token"
#: versions are known, the login is accepted
SERVE = "serve"
#: the broker asked for a pause; and its time is over
PAUSE = "pause"
RESUME = "resume"
#: the session is about to end
RENEW = "renew"
#: closed, or broken
END = "end"
#: an old broker hung up on the version probe or kept silent: the same connection begins with another socket
BEGIN_ANEW = "begin anew"

#: state -> event -> the next state; any other event is a bug and raises
TRANSITIONS = {
    NEW: {DIAL: DIALLING, DIALLED: HANDSHAKE, END: CLOSED},
    DIALLING: {DIALLED: HANDSHAKE, BEGIN_ANEW: DIALLING, END: CLOSED},
    # the broker's answer to a last question may ask for a pause, which begins with the requests of others
    HANDSHAKE: {SEND_TOKEN: TOKEN, PAUSE: HANDSHAKE, RESUME: HANDSHAKE, SERVE: READY, BEGIN_ANEW: DIALLING,
                END: CLOSED},
    TOKEN: {RECEIVE_TOKEN: HANDSHAKE, END: CLOSED},
    READY: {PAUSE: PAUSED, RENEW: RENEWING, END: CLOSED},
    PAUSED: {PAUSE: PAUSED, RESUME: READY, RENEW: RENEWING, END: CLOSED},
    RENEWING: {PAUSE: RENEWING, RESUME: RENEWING, RENEW: RENEWING, SERVE: READY, END: CLOSED},
    CLOSED: {BEGIN_ANEW: DIALLING},
}


def after(state, event):
    """
    Return the state that an event leads to.

    :raises RuntimeError: when there is no such event in that state
    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise RuntimeError("a connection that is %r can't %r" % (state, event))


def table():
    """
    Return the table as text, a line for each state and event.

    >>> print(table().split("\\n")[0])
    new        dial           dialling
    """
    return "\n".join(
        "%-10s %-14s %s" % (state, event, following)
        for state, events in TRANSITIONS.items() for event, following in events.items()
    )
