"""Signs tokens as an identity provider does, for brokers that read its keys from a file, and serves them by HTTP."""
from __future__ import absolute_import

import base64
import json
import os
import time

from tornado import httpserver, netutil, web

ISSUER = "http://127.0.0.1/kiel"
AUDIENCE = "kafka"
LISTENER = "listener.name.sasl_plaintext.oauthbearer."


class Signer(object):
    """
    A key of its own, and the JWKS file in a directory that tells brokers of it.

    Needs PyJWT and cryptography: ``pip install pyjwt cryptography``.
    """

    def __init__(self, directory):
        import jwt
        from cryptography.hazmat.backends import default_backend
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa
        self._jwt = jwt
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048, backend=default_backend())
        self.pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
        self._key = key
        numbers = key.public_key().public_numbers()
        self.path = os.path.join(directory, "jwks.json")
        with open(self.path, "w") as target:
            json.dump({"keys": [{
                "kty": "RSA", "kid": "key-1", "use": "sig", "alg": "RS256",
                "n": _number(numbers.n), "e": _number(numbers.e),
            }]}, target)

    @property
    def url(self):
        return "file://" + self.path

    def settings(self):
        """The broker settings of an OAUTHBEARER listener that takes these tokens; see also `jvm`."""
        package = "org.apache.kafka.common.security.oauthbearer."
        return {
            LISTENER + "sasl.jaas.config": package + "OAuthBearerLoginModule required;",
            LISTENER + "sasl.server.callback.handler.class": package + "OAuthBearerValidatorCallbackHandler",
            LISTENER + "sasl.oauthbearer.jwks.endpoint.url": self.url,
            LISTENER + "sasl.oauthbearer.expected.audience": AUDIENCE,
            LISTENER + "sasl.oauthbearer.expected.issuer": ISSUER,
        }

    def jvm(self):
        """From Kafka 4.0 on brokers read no URL that is not named here."""
        return ("-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=" + self.url,)

    def token(self, lifetime=60, kid="key-1", **claims):
        """Return a signed token."""
        now = int(time.time())
        claims = dict({"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + lifetime}, **claims)
        token = self._jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": kid})
        return token if isinstance(token, str) else token.decode("ascii")


class Provider(object):
    """
    A token endpoint on the running loop, which answers with what a function of the form's fields returns.

    The function gets the form's fields as text and the request; it returns ``(HTTP status, JSON)``.
    """

    def __init__(self, answer, port=0, ssl_options=None):
        provider = self

        class Handler(web.RequestHandler):
            def post(self):
                provider.requests.append(self.request)
                fields = dict((name, self.get_body_argument(name)) for name in self.request.body_arguments)
                status, body = answer(fields, self.request)
                self.set_status(status, "status")  # Tornado 4.5 on Python 2.7 has no name for 429
                self.write(body)

        #: what has been asked
        self.requests = []
        sockets = netutil.bind_sockets(port, "127.0.0.1")
        self.port = sockets[0].getsockname()[1]
        self.url = "http%s://127.0.0.1:%d/token" % ("s" if ssl_options else "", self.port)
        self._server = httpserver.HTTPServer(web.Application([("/token", Handler)]), ssl_options=ssl_options)
        self._server.add_sockets(sockets)

    def stop(self):
        """Take no more connections."""
        self._server.stop()


def _number(value):
    """Return a number as JWKs have it."""
    text = "%x" % value
    data = bytearray.fromhex(text if len(text) % 2 == 0 else "0" + text)
    return base64.urlsafe_b64encode(bytes(data)).rstrip(b"=").decode("ascii")
