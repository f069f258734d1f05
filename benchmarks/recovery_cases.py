"""What goes wrong in :mod:`benchmarks.recovery`: clusters, each client's settings, the trouble and its cure."""
from __future__ import absolute_import

import contextlib
import json
import os
import shutil
import ssl
import tempfile
import threading
import urllib.parse
import urllib.request

import aiokafka.abc
import confluent_kafka.admin
import kafka.net.sasl.oauth
import kiel
from kiel import oidc, sasl, testing
from kiel.testing import security
from tornado import ioloop

from tests import kdc
from tests.faults import proxy
from tests.tokens import Provider, Signer

#: seconds after which the broker ends a session, where the mechanism lets it
SESSION = 3


class Password(object):
    """Another password is set for the clients' user, and set back."""

    #: seconds of trouble
    wrong = 20
    user, secret, mechanism = "alice", "alice-secret", "SCRAM-SHA-256"

    def __init__(self):
        self._cluster = None

    @contextlib.contextmanager
    def started(self):
        """A context manager that gives the running cluster."""
        settings = {"connections.max.reauth.ms": SESSION * 1000}
        with testing.Kafka("4.4.0", sasl=[self.mechanism], settings=settings) as self._cluster:
            yield self._cluster

    def kiel(self):
        """Return the settings of kiel's clients."""
        return {"sasl": sasl.Scram(self.user, self.secret, self.mechanism)}

    def kafka_python(self):
        """Return the settings of kafka-python's clients."""
        return {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.user, "sasl_plain_password": self.secret}

    aiokafka = kafka_python

    def confluent(self):
        """Return the settings of confluent-kafka's clients, or None where its wheels can't do it."""
        return {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": self.mechanism, "sasl.username": self.user,
                "sasl.password": self.secret}

    def spoil(self):
        """Let the trouble begin."""
        self._set("another")

    def cure(self):
        """Let the trouble end."""
        self._set(self.secret)

    def _set(self, password):
        """Change the password by the listener without logins."""
        admin = confluent_kafka.admin
        change = admin.UserScramCredentialUpsertion(
            self.user, admin.ScramCredentialInfo(admin.ScramMechanism.SCRAM_SHA_256, 4096), password.encode("ascii"))
        client = admin.AdminClient({"bootstrap.servers": self._cluster.plaintext[0]})
        for future in client.alter_user_scram_credentials([change]).values():
            future.result(10)


class TwoDoors(testing.Kafka):
    """A broker with two TLS listeners, of which one trusts nobody's certificate; a proxy leads to either."""

    def __init__(self):
        super(TwoDoors, self).__init__("4.4.0", tls=True, client_auth=True)
        self._doors = None
        self.proxy = None

    def _prepare(self, classpath):
        self._doors = self._take_ports(2)
        self.proxy = proxy.Proxy((self.host, self._doors[0]))
        super(TwoDoors, self)._prepare(classpath)

    def broker_settings(self, broker):
        """The settings of the harness, with the two listeners."""
        found = super(TwoDoors, self).broker_settings(broker)
        stranger = security.Authority(os.path.join(self.directory, "stranger"), "a stranger")
        for name, port in zip(("OPEN", "SHUT"), self._doors):
            found["listeners"] += ",%s://%s:%d" % (name, self.host, port)
            found["advertised.listeners"] += ",%s://%s:%d" % (name, self.host, self.proxy.port)
            found["listener.security.protocol.map"] += ",%s:SSL" % name
        found["listener.name.shut.ssl.truststore.location"] = stranger.trust_store()
        return found

    @property
    def bootstrap(self):
        """The proxy's address."""
        return ["127.0.0.1:%d" % self.proxy.port]

    def lead_to(self, door):
        """Cut all connections; new ones come to that listener."""
        self.proxy.target = (self.host, self._doors[door])
        self.proxy.reset()

    def stop(self):
        """End the cluster and its proxy."""
        super(TwoDoors, self).stop()
        if self.proxy is not None:
            self.proxy.close()


class Certificate(object):
    """Connections are cut, and the broker refuses all clients' certificates for a while."""

    #: seconds of trouble
    wrong = 20

    def __init__(self):
        self._cluster = None

    @contextlib.contextmanager
    def started(self):
        """A context manager that gives the running cluster."""
        with TwoDoors() as self._cluster:
            yield self._cluster

    def kiel(self):
        """Return the settings of kiel's clients."""
        return {"ssl": kiel.ssl(cafile=self._cluster.ca_file, certfile=self._cluster.client_cert,
                                keyfile=self._cluster.client_key)}

    def kafka_python(self):
        """Return the settings of kafka-python's clients."""
        return {"security_protocol": "SSL", "ssl_cafile": self._cluster.ca_file,
                "ssl_certfile": self._cluster.client_cert, "ssl_keyfile": self._cluster.client_key}

    def aiokafka(self):
        """Return the settings of aiokafka's clients."""
        context = ssl.create_default_context(cafile=self._cluster.ca_file)
        context.load_cert_chain(self._cluster.client_cert, self._cluster.client_key)
        return {"security_protocol": "SSL", "ssl_context": context}

    def confluent(self):
        """Return the settings of confluent-kafka's clients."""
        return {"security.protocol": "SSL", "ssl.ca.location": self._cluster.ca_file,
                "ssl.certificate.location": self._cluster.client_cert, "ssl.key.location": self._cluster.client_key}

    def spoil(self):
        """Let the trouble begin."""
        self._cluster.lead_to(1)

    def cure(self):
        """Let the trouble end."""
        self._cluster.lead_to(0)


class IdentityProvider(object):
    """The provider that tokens are asked of is away for a minute; they hold for less."""

    #: seconds of trouble, and for which a token holds
    wrong, holds = 60, 8

    def __init__(self):
        self._signer = self._provider = self._loop = None
        self._port = 0

    @contextlib.contextmanager
    def started(self):
        """A context manager that gives the running cluster."""
        directory = tempfile.mkdtemp()
        try:
            self._signer = Signer(directory)
            self._loop = ioloop.IOLoop(make_current=False)
            thread = threading.Thread(target=self._loop.start)
            thread.daemon = True
            thread.start()
            self.cure()
            settings = dict(self._signer.settings(), **{"connections.max.reauth.ms": SESSION * 1000})
            with testing.Kafka("4.4.0", sasl=["OAUTHBEARER"], settings=settings, jvm=self._signer.jvm()) as cluster:
                yield cluster
        finally:
            shutil.rmtree(directory)

    def _answer(self, fields, request):
        return 200, {"access_token": self._signer.token(self.holds), "expires_in": self.holds, "token_type": "Bearer"}

    @property
    def url(self):
        """Where tokens are had."""
        return "http://127.0.0.1:%d/token" % self._port

    def ask(self):
        """Return a new token, as other clients leave it to the application."""
        form = urllib.parse.urlencode({"grant_type": "client_credentials"}).encode("ascii")
        with urllib.request.urlopen(self.url, form, timeout=2) as answer:
            return json.load(answer)["access_token"]

    def kiel(self):
        """Return the settings of kiel's clients."""
        return {"sasl": sasl.OAuthBearer(oidc.ClientCredentials(self.url, "me", "secret"))}

    def kafka_python(self):
        """Return the settings of kafka-python's clients."""
        case = self

        class Tokens(kafka.net.sasl.oauth.AbstractTokenProvider):
            def token(self):
                return case.ask()
        return {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "OAUTHBEARER",
                "sasl_oauth_token_provider": Tokens()}

    def aiokafka(self):
        """Return the settings of aiokafka's clients."""
        case = self

        class Tokens(aiokafka.abc.AbstractTokenProvider):
            async def token(self):
                return case.ask()
        return {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "OAUTHBEARER",
                "sasl_oauth_token_provider": Tokens()}

    def confluent(self):
        """Return the settings of confluent-kafka's clients."""
        return {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "OAUTHBEARER",
                "sasl.oauthbearer.method": "oidc", "sasl.oauthbearer.client.id": "me",
                "sasl.oauthbearer.client.secret": "secret", "sasl.oauthbearer.token.endpoint.url": self.url}

    def spoil(self):
        """Let the trouble begin."""
        self._on_loop(self._provider.stop)

    def cure(self):
        """Let the trouble end."""
        self._on_loop(self._provide)

    def _provide(self):
        self._provider = Provider(self._answer, port=self._port)
        self._port = self._provider.port

    def _on_loop(self, function):
        done = threading.Event()
        self._loop.add_callback(lambda: (function(), done.set()))
        done.wait(10)


class Kerberos(object):
    """The KDC is away for a minute; tickets hold for less."""

    #: seconds of trouble, and for which a ticket holds
    wrong, holds = 60, 15

    def __init__(self):
        self._realm = None

    @contextlib.contextmanager
    def started(self):
        """A context manager that gives the running cluster."""
        directory = tempfile.mkdtemp()
        try:
            self._realm = kdc.Realm(directory)
            self._realm.limit("alice", self.holds)
            # what other clients find their ticket by
            os.environ.update({"KRB5_CONFIG": self._realm.config, "KRB5CCNAME": "MEMORY:recovery",
                               "KRB5_CLIENT_KTNAME": self._realm.keytab("alice")})
            settings = dict(self._realm.settings("4.4.0"), **{"connections.max.reauth.ms": SESSION * 1000})
            with testing.Kafka("4.4.0", sasl=["GSSAPI"], settings=settings, jvm=self._realm.jvm("4.4.0")) as cluster:
                yield cluster
        finally:
            if self._realm is not None:
                self._realm.stop()
            shutil.rmtree(directory)

    def kiel(self):
        """Return the settings of kiel's clients."""
        return {"sasl": sasl.Gssapi(principal="alice", keytab=self._realm.keytab("alice"), host="localhost")}

    def kafka_python(self):
        """Return the settings of kafka-python's clients."""
        return {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "GSSAPI",
                "sasl_kerberos_service_name": "kafka", "sasl_kerberos_domain_name": "localhost"}

    aiokafka = kafka_python

    def confluent(self):
        """Return None: the wheels of confluent-kafka are built without Kerberos."""

    def spoil(self):
        """Let the trouble begin."""
        self._realm.stop()

    def cure(self):
        """Let the trouble end."""
        self._realm.start()


CASES = {"password": Password, "certificate": Certificate, "provider": IdentityProvider, "kdc": Kerberos}
