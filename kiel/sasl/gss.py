"""GSSAPI: Kerberos, by the optional package `gssapi` (RFC 4752)."""
from __future__ import absolute_import

import uuid

from kiel import exc

#: what is missing from time to time, and what has to be mended by somebody, in GSSAPI's words
PASSING = ("cannot contact any kdc", "cannot resolve", "resource temporarily unavailable", "timed out")

#: the only protection that Kafka knows: none but TLS (RFC 4752's security layers)
NO_LAYER = b"\x01"


class Gssapi(object):
    """
    Logs in by Kerberos; needs the package ``gssapi`` (``pip install kiel[gssapi]``).

    The steps may ask a KDC over the network, so they run on a thread.

    :param service: the first part of the brokers' principals, their ``sasl.kerberos.service.name``
    :param principal: who to log in as; default: that of the credentials cache
    :param keytab: path of a keytab to take its key from, so that tickets are renewed without ``kinit``; default: the
        credentials cache (``KRB5CCNAME``)
    :param host: the name in the brokers' principals, where it is not that which is dialled
    :raises ImportError: when the package is not there
    """

    name = "GSSAPI"
    hint = "check the principal, the brokers' service name, the clock, and krb5.conf"
    #: its steps may wait for the network
    blocking = True

    def __init__(self, service="kafka", principal=None, keytab=None, host=None):
        try:
            import gssapi
        except ImportError as error:
            raise ImportError("sasl.Gssapi needs the package gssapi: pip install kiel[gssapi], which is built with "
                              "libkrb5-dev or krb5-devel (%s)" % error)
        self._gssapi = gssapi
        self.service = service
        self.principal = principal
        self.keytab = keytab
        self.host = host
        # tickets got by a keytab, shared by the logins of this mechanism
        self._cache = "MEMORY:kiel-%s" % uuid.uuid4().hex

    def session(self, host):
        """Begin one login to a broker; call it on a thread that may wait."""
        return GssapiSession(self, self.host or host)

    def credentials(self):
        """Return the credentials to log in with, None for those of the cache."""
        if self.principal is None and self.keytab is None:
            return None
        name = None if self.principal is None else self._gssapi.Name(
            self.principal, self._gssapi.NameType.kerberos_principal)
        store = {"client_keytab": str(self.keytab), "ccache": self._cache} if self.keytab is not None else None
        return self._gssapi.Credentials(name=name, usage="initiate", store=store)

    def __repr__(self):
        return "Gssapi(service=%r, principal=%r, keytab=%r)" % (self.service, self.principal, self.keytab)


class GssapiSession(object):
    """One login: tokens of Kerberos until the context stands, then an agreement that nothing protects what follows."""

    def __init__(self, mechanism, host):
        self._gssapi = mechanism._gssapi
        self._target = "%s@%s" % (mechanism.service, host)
        self._context = None
        self._mechanism = mechanism
        self.done = False

    def step(self, challenge):
        """
        Return the next token.

        :raises kiel.exc.CredentialsError: when no KDC answers
        :raises kiel.exc.AuthenticationError: for every other error of Kerberos
        """
        try:
            if self._context is None:
                self._begin()
            if self._context.complete:
                return self._agree(challenge)
            return self._context.step(challenge or None) or b""
        except self._gssapi.exceptions.GSSError as error:
            raise self._error(error)

    def _begin(self):
        gssapi = self._gssapi
        target = gssapi.Name(self._target, gssapi.NameType.hostbased_service)
        self._context = gssapi.SecurityContext(
            name=target.canonicalize(gssapi.MechType.kerberos), creds=self._mechanism.credentials(), usage="initiate",
            mech=gssapi.MechType.kerberos,
        )

    def _agree(self, challenge):
        """Answer the broker's offer of security layers: none, and its own limit of sizes; nothing follows."""
        offer = self._context.unwrap(challenge).message
        if len(offer) < 4 or not bytearray(offer)[0] & 1:
            raise exc.AuthenticationError("SASL GSSAPI: the broker demands a security layer, which Kafka does not have")
        user = str(self._context.initiator_name).encode("utf-8")
        answer = self._context.wrap(NO_LAYER + offer[1:4] + user, False).message
        self.done = True
        return answer

    def _error(self, error):
        """Return the error of a complaint of Kerberos'."""
        text = str(error)
        cls = exc.CredentialsError if any(words in text.lower() for words in PASSING) else exc.AuthenticationError
        failure = cls("SASL GSSAPI: no login to %s: %s (%s)" % (self._target, text, self._mechanism.hint))
        failure.__cause__ = error
        return failure


__all__ = ["Gssapi", "GssapiSession"]
