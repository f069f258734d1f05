"""Delegation tokens: logins that a client makes for others, for a while (KIP-48)."""
from __future__ import absolute_import

import base64
import binascii
import collections
import numbers

import six

from kiel import exc
from kiel.protocol import (
    create_delegation_token, describe_delegation_token, errors, expire_delegation_token, renew_delegation_token
)

#: error -> what to do about it
HINTS = {
    errors.delegation_token_auth_disabled: "the brokers have no delegation.token.secret.key",
    errors.delegation_token_request_not_allowed: "log in by SASL or a client certificate, and not by a token",
    errors.delegation_token_not_found: "it may have expired; is the HMAC that of this cluster?",
    errors.delegation_token_owner_mismatch: "only its owner and its renewers may do that",
    errors.delegation_token_expired: "make another one",
}

#: the first version that can make tokens for others (KIP-373)
FOR_OTHERS = 3


class Token(collections.namedtuple("Token", "token_id hmac owner requester renewers issued expires latest")):
    """
    A delegation token, with which a client logs in by ``sasl.Scram(token.token_id, token.hmac, tokenauth=True)``.

    ``hmac`` is its secret, in base64, and not shown by ``repr``. ``owner`` is the principal that it logs in as,
    ``requester`` who made it (None before Kafka 3.3), ``renewers`` the principals that may renew it besides. Times are
    milliseconds since 1970: it was ``issued``, ``expires`` unless it is renewed, and can be renewed until ``latest``.
    """

    __slots__ = ()

    def __repr__(self):
        return "Token(token_id=%r, hmac=..., owner=%r, renewers=%r, expires=%r, latest=%r)" % (
            self.token_id, self.owner, self.renewers, self.expires, self.latest)

    __str__ = __repr__


class DelegationTokens(object):
    """
    Creates, renews, expires and describes tokens.

    :param brokers: the `kiel.clients.administering.any_broker.AnyBroker` to ask
    """

    def __init__(self, brokers):
        self.brokers = brokers

    def create(self, renewers, owner, max_lifetime):
        """Return a Future of a new `Token`."""
        renewers = [_principal(renewer) for renewer in _texts("renewers", renewers)]
        kind, name = (None, None) if owner is None else _principal(owner)
        lifetime = -1 if max_lifetime is None else _milliseconds("max_lifetime", max_lifetime)

        def make(broker):
            request = create_delegation_token.CreateDelegationTokenRequest(
                renewers=[create_delegation_token.Renewer(principal_type=each[0], principal_name=each[1])
                          for each in renewers],
                max_lifetime_ms=lifetime
            )
            if owner is not None:
                if broker.reaches(request.api, 0) and not broker.reaches(request.api, FOR_OTHERS):
                    raise exc.UnsupportedVersionError("delegation tokens for others need Kafka 3.3 or later")
                request.narrow = FOR_OTHERS, request.version_range[1]
                request.owner_principal_type, request.owner_principal_name = kind, name
            elif broker.reaches(request.api, FOR_OTHERS):
                request.owner_principal_type = request.owner_principal_name = None
            return request

        made = _Made(["%s:%s" % each for each in renewers])
        return self.brokers.ask(make, made, "creating delegation tokens")

    def renew(self, token, period):
        """Return a Future of the time until which the token is valid now."""
        hmac = _hmac(token)
        period = -1 if period is None else _milliseconds("period", period)
        return self.brokers.ask(
            lambda broker: renew_delegation_token.RenewDelegationTokenRequest(hmac=hmac, renew_period_ms=period),
            self, "renewing delegation tokens"
        )

    def expire(self, token, after):
        """Return a Future of the time at which the token ends now."""
        hmac = _hmac(token)
        after = -1 if after is None or after == 0 else _milliseconds("after", after)
        return self.brokers.ask(
            lambda broker: expire_delegation_token.ExpireDelegationTokenRequest(
                hmac=hmac, expiry_time_period_ms=after),
            self, "expiring delegation tokens"
        )

    def describe(self, owners):
        """Return a Future of the list of tokens that may be seen, by id."""
        if owners is not None:
            owners = [_principal(owner) for owner in _texts("owners", owners)]
        return self.brokers.ask(
            lambda broker: describe_delegation_token.DescribeDelegationTokenRequest(
                owners=None if owners is None else [
                    describe_delegation_token.Owner(principal_type=each[0], principal_name=each[1]) for each in owners
                ]
            ), self, "describing delegation tokens"
        )

    def handle_renew_delegation_token_response(self, response):
        """Return when the token expires, or the error."""
        return _error(response) or response.expiry_timestamp_ms

    #: the two answers are alike
    handle_expire_delegation_token_response = handle_renew_delegation_token_response

    def handle_describe_delegation_token_response(self, response):
        """Return the tokens, or the error."""
        error = _error(response)
        if error is not None:
            return error
        return sorted(Token(
            token.token_id, _text(token.hmac), _joined(token.principal_type, token.principal_name),
            _joined(token.token_requester_principal_type, token.token_requester_principal_name),
            [_joined(each.principal_type, each.principal_name) for each in token.renewers],
            token.issue_timestamp, token.expiry_timestamp, token.max_timestamp
        ) for token in response.tokens)


class _Made(object):
    """Takes the answer to a request for a token, which does not name the renewers."""

    def __init__(self, renewers):
        self.renewers = renewers

    def handle_create_delegation_token_response(self, response):
        """Return the `Token`, or the error."""
        return _error(response) or Token(
            response.token_id, _text(response.hmac), _joined(response.principal_type, response.principal_name),
            _joined(response.token_requester_principal_type, response.token_requester_principal_name), self.renewers,
            response.issue_timestamp_ms, response.expiry_timestamp_ms, response.max_timestamp_ms
        )


def _error(response):
    """Return the error of an answer, with what to do about it; None for none."""
    return exc.for_code(response.error_code, HINTS.get(response.error_code, "delegation token"), response.api)


def _text(hmac):
    """Return an HMAC as Scram wants it."""
    return base64.b64encode(hmac).decode("ascii")


def _hmac(token):
    """Return the bytes of a token's HMAC; the text of an error must not show it."""
    text = token.hmac if isinstance(token, Token) else token
    try:
        if isinstance(text, six.text_type):
            text = text.encode("ascii")
        found = base64.b64decode(text)
    except (TypeError, ValueError, binascii.Error):
        found = b""
    if not found:
        raise ValueError("a token is a kiel.clients.administering.tokens.Token, or its HMAC in base64")
    return found


def _principal(text):
    """Return type and name of a principal."""
    kind, colon, name = text.partition(":") if isinstance(text, six.string_types) else (None, None, None)
    if not (kind and colon and name):
        raise ValueError("a principal has to be a type and a name, such as 'User:alice', not %r" % (text,))
    return kind, name


def _joined(kind, name):
    """Return a principal as text, None where the broker does not tell it."""
    return "%s:%s" % (kind, name) if kind else None


def _texts(what, given):
    """Return a list of texts."""
    if isinstance(given, six.string_types):
        raise ValueError("%s is a list of principals, such as ['User:alice'], not %r" % (what, given))
    return list(given)


def _milliseconds(what, seconds):
    """Return a positive number of seconds as milliseconds."""
    if isinstance(seconds, bool) or not isinstance(seconds, numbers.Real) or not seconds > 0:
        raise ValueError("%s is a positive number of seconds, or None, not %r" % (what, seconds))
    return int(seconds * 1000)


__all__ = ["DelegationTokens", "Token"]
