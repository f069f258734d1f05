# -*- coding: utf-8 -*-
from __future__ import absolute_import

import pytest

from kiel import exc, sasl


def test_one_message_and_done_when_the_broker_answered():
    session = sasl.Plain("alice", u"g\xe4nse").session()
    assert session.step(None) == b"\0alice\0g\xc3\xa4nse"
    assert not session.done
    assert session.step(b"") is None
    assert session.done


def test_sessions_share_nothing():
    mechanism = sasl.Plain("alice", b"secret")
    assert mechanism.session().step(None) == mechanism.session().step(None) == b"\0alice\0secret"


@pytest.mark.parametrize("username,password", [("", "x"), ("x", ""), ("a\0b", "x"), ("x", "a\0b")])
def test_what_plain_cannot_carry_is_refused(username, password):
    with pytest.raises(ValueError):
        sasl.Plain(username, password)


def test_a_password_must_be_text_or_bytes():
    with pytest.raises(TypeError):
        sasl.Plain("alice", None)


def test_out_of_turn():
    with pytest.raises(exc.AuthenticationError):
        sasl.Plain("a", "b").session().step(b"hello")
    session = sasl.Plain("a", "b").session()
    session.step(None)
    session.step(b"")
    with pytest.raises(exc.AuthenticationError):
        session.step(b"")


def test_the_password_never_shows():
    assert "secret" not in repr(sasl.Plain("alice", "secret"))
    assert "alice" in repr(sasl.Plain("alice", "secret"))
    assert sasl.Plain("alice", "secret").name == "PLAIN"
