"""The watch over secrets sees them where they are told."""
from __future__ import absolute_import

import logging

from kiel import exc, sasl
from kiel.protocol import sasl_authenticate


def told(watch):
    """What was told since, forgotten at once."""
    found, watch.leaks[:] = list(watch.leaks), []
    return found


def test_the_watch_sees_what_is_told(secrets_watch):
    sasl.Plain("alice", "very-recognisable")
    logging.getLogger("kiel.somewhere").error("login as %s with %s", "alice", "very-recognisable")
    line, = told(secrets_watch)
    assert line == "a line of kiel.somewhere tells a secret: login as alice with <secret>"
    exc.AuthenticationError("it was very-recognisable")
    assert told(secrets_watch)
    secrets_watch.look("here", b"\0alice\0very-recognisable")
    assert told(secrets_watch)


def test_requests_are_watched_as_they_are_written(secrets_watch, monkeypatch):
    token = b"\0alice\0very-recognisable"
    sasl.Plain("alice", "very-recognisable")
    made = sasl_authenticate.SaslAuthenticateRequest(auth_bytes=token)
    made.serialize(1)
    assert not told(secrets_watch)
    monkeypatch.setattr(sasl_authenticate.SaslAuthenticateRequest, "secrets", ())
    made.serialize(1)
    assert "a request's repr" in told(secrets_watch)[0]
