# -*- coding: utf-8 -*-
from __future__ import absolute_import

import base64
import hashlib
import hmac
import time

import pytest

from kiel import exc, sasl
from kiel.sasl.scram import MAX_ITERATIONS, ScramSession

# RFC 7677, section 3
NONCE = b"rOprNGfwEbeRWgbNEkqO"
SERVER_FIRST = (
    b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
)
CLIENT_FINAL = (
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
)
SERVER_FINAL = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def rfc_session():
    session = ScramSession(sasl.Scram("user", "pencil"), b"user", b"pencil", nonce=NONCE)
    assert session.step(None) == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    return session


def test_the_example_of_rfc_7677():
    session = rfc_session()
    assert session.step(SERVER_FIRST) == CLIENT_FINAL
    assert not session.done
    assert session.step(SERVER_FINAL) is None
    assert session.done


def serve(session, password, algorithm, user, salt=b"salt", iterations=4096):
    """The broker's side, written apart from kiel's; server-final, or None for a wrong proof."""
    def mac(key, text):
        return hmac.new(key, text, getattr(hashlib, algorithm)).digest()

    first = session.step(None)
    assert first.startswith(b"n,,n=" + user + b",r=")
    bare = first[3:]
    nonce = bare.split(b",r=")[1] + b"theirs"
    challenge = b"r=" + nonce + b",s=" + base64.b64encode(salt) + b",i=%d" % iterations
    final = session.step(challenge)
    without_proof, _, proof = final.rpartition(b",p=")
    assert without_proof == b"c=biws,r=" + nonce
    salted = hashlib.pbkdf2_hmac(algorithm, password, salt, iterations)
    auth = bare + b"," + challenge + b"," + without_proof
    stored = hashlib.new(algorithm, mac(salted, b"Client Key")).digest()
    key = bytes(bytearray(
        a ^ b for a, b in zip(bytearray(base64.b64decode(proof)), bytearray(mac(stored, auth)))
    ))
    if hashlib.new(algorithm, key).digest() != stored:
        return None
    return b"v=" + base64.b64encode(mac(mac(salted, b"Server Key"), auth))


@pytest.mark.parametrize("mechanism,algorithm", [
    ("SCRAM-SHA-256", "sha256"), ("SCRAM-SHA-512", "sha512"),
])
def test_both_hashes_with_a_name_and_password_that_need_care(mechanism, algorithm):
    # a ligature stays what it is: Kafka normalises nothing
    scram = sasl.Scram(u"a=b,c\xe4", u"o\ufb03ce", mechanism)
    assert scram.name == mechanism
    for _ in range(2):  # the second login has the slow hash remembered
        session = scram.session()
        final = serve(session, u"o\ufb03ce".encode("utf-8"), algorithm, b"a=3Db=2Cc\xc3\xa4")
        assert final is not None
        assert session.step(final) is None and session.done


def test_another_salt_is_hashed_anew():
    scram = sasl.Scram("u", "pw")
    for salt in (b"one", b"two", b"one"):
        assert serve(scram.session(), b"pw", "sha256", b"u", salt=salt) is not None


def test_a_wrong_password_is_no_proof():
    assert serve(sasl.Scram("u", "wrong").session(), b"right", "sha256", b"u") is None


def test_every_session_has_a_nonce_of_its_own():
    scram = sasl.Scram("u", "pw")
    assert scram.session().step(None) != scram.session().step(None)


@pytest.mark.parametrize("final", [
    b"v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", b"v=", b"v=AAAA", b"v=!", b"", b"x=1", None,
])
def test_a_broker_that_does_not_know_the_password_is_refused(final):
    session = rfc_session()
    session.step(SERVER_FIRST)
    with pytest.raises(exc.AuthenticationError):
        session.step(final)
    assert not session.done
    with pytest.raises(exc.AuthenticationError):  # it can't try again
        session.step(SERVER_FINAL)
    assert not session.done


def test_the_brokers_own_error_is_told():
    session = rfc_session()
    session.step(SERVER_FIRST)
    with pytest.raises(exc.AuthenticationError) as caught:
        session.step(b"e=invalid-proof")
    assert "invalid-proof" in str(caught.value) and "password" in str(caught.value)


@pytest.mark.parametrize("first", [
    None, b"", b"\xff\0", b"r=other,s=AAAA,i=4096", b"r=" + NONCE + b",s=AAAA,i=4096",
    SERVER_FIRST.replace(b"W22ZaJ0SNY7soEsUEjb6gQ==", b""),
    SERVER_FIRST.replace(b"W22ZaJ0SNY7soEsUEjb6gQ==", b"x"),
    SERVER_FIRST.replace(b"4096", b"4095"), SERVER_FIRST.replace(b"4096", b"-1"),
    SERVER_FIRST.replace(b"4096", b""), SERVER_FIRST.replace(b"4096", b"9" * 100000),
    b"m=needed," + SERVER_FIRST, SERVER_FIRST.replace(b",i=4096", b""), b"e=unknown-user",
])
def test_a_bad_server_first_message(first):
    with pytest.raises(exc.AuthenticationError):
        rfc_session().step(first)


def test_an_extension_after_the_known_fields_is_allowed():
    assert rfc_session().step(SERVER_FIRST + b",x=later").startswith(b"c=biws,")


def test_a_lying_broker_cannot_burn_the_cpu():
    begun = time.time()
    for count in (MAX_ITERATIONS + 1, 2 ** 31, 9999999999):
        with pytest.raises(exc.AuthenticationError) as caught:
            rfc_session().step(SERVER_FIRST.replace(b"4096", b"%d" % count))
        assert str(count) in str(caught.value)
    assert time.time() - begun < 0.5


def test_a_challenge_before_the_first_word():
    with pytest.raises(exc.AuthenticationError):
        sasl.Scram("u", "pw").session().step(SERVER_FIRST)


def test_an_unknown_mechanism_names_those_there_are():
    with pytest.raises(ValueError) as caught:
        sasl.Scram("u", "pw", "SCRAM-SHA-1")
    assert "SCRAM-SHA-256, SCRAM-SHA-512" in str(caught.value)


def test_the_password_never_shows():
    scram = sasl.Scram("alice", "secret", "SCRAM-SHA-512")
    assert "secret" not in repr(scram) and "alice" in repr(scram) and "512" in repr(scram)


def test_the_table_of_mechanisms():
    for name, cls in sasl.mechanisms.items():
        made = cls("u", "pw", name) if cls is sasl.Scram else cls("u", "pw")
        assert made.name == name
