"""
Wrong set-ups: what a user gets wrong about TLS, logins, proxies and addresses, and what kiel says to it.

`CASES` has ``(area, mistake, attempt)``; `outcome` runs an attempt and returns the text of its error.
"""
from __future__ import absolute_import

import base64
import contextlib
import json
import os
import re
import socket
import ssl
import sys
import time

from tornado import gen, httpclient

import kiel
from kiel import clients, exc, oidc, sasl

from tests import fake
from tests.test_proxy import Connect, Socks5
from tests.test_tls import path, serving
from tests.tokens import Provider

#: what a broker serves that has logins; and one before 1.0, which takes bare tokens
SERVED = dict(fake.VERSIONS["4.4"], sasl_handshake=(0, 1), sasl_authenticate=(0, 2))
OLD = dict(fake.VERSIONS["0.10"], sasl_handshake=(0, 0))

SECRETS = ("Pa55word", "opensesame")

#: Kafka's own words
INVALID = "Authentication failed: Invalid username or password"
INVALID_SCRAM = "Authentication failed during authentication due to invalid credentials with SASL mechanism "
INVALID_TOKEN = '{"status":"invalid_token"}'

#: what differs from run to run, Python to Python, or by who is faster -> what is shown for it
WORDS = [(re.compile(pattern), instead) for pattern, instead in (
    (r"(127\.0\.0\.1|localhost):\d+", r"\1:9092"),
    (r"expired \d+ s ago", "expired 60 s ago"),
    (r"'?\[(SSL|X509|PEM|EVP|PKCS)[^]]*\].*?\(_ssl\.c:\d+\)'?", "[OpenSSL's words]"),
    (r"hostname '[^']*' doesn't match '[^']*'", "[OpenSSL's words]"),
    (r"\[Errno -\d+\] [A-Z][a-z ]+", "[the resolver's words] "),
    (r"\[Errno (104|32)\] (Connection reset by peer|Broken pipe)", "Stream is closed"),
    (r"(\[OpenSSL's words\]|Stream is closed) \((the broker closed the connection; )?does the port speak TLS\?\)",
     "[OpenSSL's words] (does the port speak TLS?)"),
)]

CASES = []


def case(area, mistake, attempt):
    """Add one: ``attempt`` is a function, or coroutine function, that fails."""
    CASES.append((area, mistake, attempt))


def made(area, mistake, make, *args, **settings):
    """Add one that fails where it is written: in a constructor."""
    case(area, mistake, lambda: make(*args, **settings))


def client(area, mistake, **settings):
    """Add one that fails in the constructor of a client."""
    made(area, mistake, clients.Producer, settings.pop("brokers", "broker:9092"), **settings)


def at_broker(area, mistake, settings, tls=None, versions=SERVED, on=(), host="127.0.0.1", timeout=3):
    """
    Add one that fails in ``connect()``, at a scripted broker.

    :param settings: a function that returns those of the client
    :param on: api -> what the broker answers; see `tests.fake.FakeBroker.on`
    """
    @gen.coroutine
    def attempt():
        cluster = fake.FakeCluster(topics={"t": 1}, tls=tls and tls(), versions=versions).start()
        cluster.users["alice"] = "secret"
        for api, answer in dict(on).items():
            cluster[1].on(api, answer)
        try:
            yield connected("%s:%d" % (host, cluster[1].port), connect_timeout=timeout, **settings())
        finally:
            cluster.stop()
    case(area, mistake, attempt)


@gen.coroutine
def connected(address, **settings):
    """Connect a client, which is closed then."""
    producer = clients.Producer(address, request_timeout=3, **settings)
    try:
        yield producer.connect()
    finally:
        yield producer.close()


@gen.coroutine
def outcomes(rows):
    """Run all: append ``(area, mistake, seconds, text)`` of each."""
    try:
        for area, mistake, attempt in CASES:
            seconds, text = yield outcome(attempt)
            rows.append((area, mistake, seconds, text))
    finally:
        httpclient.AsyncHTTPClient().close()


@gen.coroutine
def outcome(attempt):
    """
    Run an attempt; return ``(seconds, text)``: the error's class and what it says, without what differs each time.

    :raises AssertionError: when there is no error
    """
    begun = time.time()
    try:
        yield gen.maybe_future(attempt())
    except Exception as error:
        raise gen.Return((time.time() - begun, "%s: %s" % (type(error).__name__, plain(str(error)))))
    raise AssertionError("no error")


def plain(text):
    """Return an error's text without ports, directories, the words of libraries, and times."""
    text = text.replace(path(""), "").replace("\n", " ")
    for pattern, instead in WORDS:
        text = pattern.sub(instead, text)
    return text


@contextlib.contextmanager
def environment(**variables):
    """Set variables of AWS meanwhile, and no others of its own."""
    before = dict((name, os.environ.pop(name)) for name in list(os.environ) if name.startswith("AWS_"))
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]
        os.environ.update(before)


def free_port():
    """Return a port on which nobody listens."""
    with contextlib.closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def raising(error):
    """Return a function that raises."""
    def asked():
        raise error
    return asked


# -- TLS --

def trusting(**settings):
    return lambda: {"ssl": kiel.ssl(cafile=path("ca.pem"), **settings)}


def shows(name, client_auth=False):
    def make():
        context = serving(name, client_auth)
        if client_auth:  # with TLS 1.3 a client hears of a refusal after its first request
            if hasattr(ssl, "TLSVersion"):
                context.maximum_version = ssl.TLSVersion.TLSv1_2
            else:
                context.options |= 0x20000000  # OpenSSL's SSL_OP_NO_TLSv1_3
        return context
    return make


TLS = "TLS"
at_broker(TLS, "no ssl= to a port that speaks TLS", dict, tls=shows("broker"))
at_broker(TLS, "ssl=True to a port in plain text", lambda: {"ssl": True})
at_broker(TLS, "kiel.ssl() to a port in plain text", trusting())
at_broker(TLS, "an authority that is not in cafile=", trusting(), tls=shows("other-authority"))
at_broker(TLS, "an authority of one's own, and ssl=True", lambda: {"ssl": True}, tls=shows("broker"))
at_broker(TLS, "a self-signed certificate", trusting(), tls=shows("self-signed"))
at_broker(TLS, "an expired certificate", trusting(), tls=shows("expired"))
at_broker(TLS, "a certificate for another name, by address", trusting(), tls=shows("other-name"))
at_broker(TLS, "a certificate for another name, by name", trusting(), tls=shows("other-name"), host="localhost")
at_broker(TLS, "no client certificate where one is demanded", trusting(), tls=shows("broker", True))
at_broker(TLS, "a client certificate of another authority",
          trusting(certfile=path("other-authority.pem"), keyfile=path("other-authority.key")),
          tls=shows("broker", True))
at_broker(TLS, "an expired client certificate", trusting(certfile=path("expired.pem"), keyfile=path("expired.key")),
          tls=shows("broker", True))
at_broker(TLS, "a port that takes connections and hangs up", trusting(), on={"accept": fake.CLOSE})
at_broker(TLS, "a port that takes connections and says nothing", trusting(), on={"accept": fake.MUTE}, timeout=0.2)
client(TLS, 'ssl=""', ssl="")
client(TLS, "ssl={}", ssl={})
client(TLS, 'ssl="ca.pem"', ssl="ca.pem")
client(TLS, 'ssl={"cafile": "ca.pem"}', ssl={"cafile": "ca.pem"})
client(TLS, "ssl=1", ssl=1)
client(TLS, "ssl=kiel.ssl, without calling it", ssl=kiel.ssl)
client(TLS, "ssl=ssl.SSLContext, the class", ssl=ssl.SSLContext)
made(TLS, "cafile= that is not there", kiel.ssl, cafile="/nowhere/ca.pem")
made(TLS, "cafile= that holds a key", kiel.ssl, cafile=path("broker.key"))
made(TLS, "cafile= that is a directory", kiel.ssl, cafile="/")
made(TLS, "certfile= that is not there", kiel.ssl, certfile="/nowhere/client.pem")
made(TLS, "the key of another certificate", kiel.ssl, certfile=path("client.pem"), keyfile=path("broker.key"))
made(TLS, "keyfile= without certfile=", kiel.ssl, keyfile=path("client.key"))
made(TLS, "an encrypted key without password=", kiel.ssl, certfile=path("locked.pem"), keyfile=path("locked.key"))
made(TLS, "an encrypted key with another password=", kiel.ssl, certfile=path("locked.pem"), keyfile=path("locked.key"),
     password="Pa55word")
made(TLS, "cafile=True", kiel.ssl, cafile=True)
made(TLS, 'check_hostname="no"', kiel.ssl, check_hostname="no")
made(TLS, 'ciphers="NO-SUCH-CIPHER"', kiel.ssl, ciphers="NO-SUCH-CIPHER")

# -- PLAIN and SCRAM --

PLAIN = "PLAIN"


def plainly(username="alice", password="Pa55word"):
    return lambda: {"sasl": sasl.Plain(username, password)}


def offering(*names):
    """Answers SaslHandshake as a broker with these mechanisms."""
    return lambda call: dict(error_code=0 if call.request.mechanism in names else 33, mechanisms=list(names))


def refusing(words):
    """Answers SaslAuthenticate with a refusal."""
    return lambda call: dict(error_code=58, error_message=words, auth_bytes=b"")


def no_login(call):
    """Answers SaslHandshake as a port without logins."""
    return dict(error_code=34, mechanisms=[])


at_broker(PLAIN, "another password", plainly(), on={"sasl_authenticate": refusing(INVALID)})
at_broker(PLAIN, "an unknown user", plainly("bob"), on={"sasl_authenticate": refusing(INVALID)})
at_broker(PLAIN, "another password, Kafka 0.10", plainly(), versions=OLD)
at_broker(PLAIN, "no sasl= to a port that wants a login", dict, on={"metadata": fake.CLOSE, "identity": fake.CLOSE})
at_broker(PLAIN, "sasl= to a port without logins", plainly(), on={"sasl_handshake": no_login})
at_broker(PLAIN, "sasl= to a broker that knows none", plainly(), versions="4.4")
at_broker(PLAIN, "sasl= without ssl= to a port that speaks TLS", plainly(), tls=shows("broker"))
at_broker(PLAIN, "ssl= and sasl= to a port in plain text", lambda: dict(trusting()(), **plainly()()))
at_broker(PLAIN, "a mechanism that is not offered", plainly(), on={"sasl_handshake": offering("SCRAM-SHA-512")})
at_broker(PLAIN, "a broker that offers none", plainly(), on={"sasl_handshake": offering()})
at_broker(PLAIN, "a broker that hangs up at the mechanism", plainly(), on={"sasl_handshake": fake.CLOSE})
at_broker(PLAIN, "a broker that hangs up at the password", plainly(), on={"sasl_authenticate": fake.CLOSE})
at_broker(PLAIN, "a broker that keeps silent at the password", plainly(), on={"sasl_authenticate": fake.MUTE},
          timeout=0.2)
at_broker(PLAIN, "a function that returns None", plainly(password=lambda: None))
at_broker(PLAIN, "a function that returns a number", plainly(password=lambda: 5))
at_broker(PLAIN, "a function that returns an empty text", plainly(password=lambda: ""))
at_broker(PLAIN, "a function that raises", plainly(password=raising(KeyError("PASSWORD"))))
at_broker(PLAIN, "a function that raises CredentialsError",
          plainly(password=raising(exc.CredentialsError("the vault is sealed"))))
at_broker(PLAIN, "a coroutine that raises", plainly(password=gen.coroutine(raising(ValueError("no such secret")))))
made(PLAIN, "an empty user", sasl.Plain, "", "Pa55word")
made(PLAIN, "an empty password", sasl.Plain, "alice", "")
made(PLAIN, "None for a password", sasl.Plain, "alice", None)
made(PLAIN, "a password with a NUL", sasl.Plain, "alice", "Pa55word\0")
client(PLAIN, 'sasl="PLAIN"', sasl="PLAIN")
client(PLAIN, 'sasl=("alice", password)', sasl=("alice", "Pa55word"))
client(PLAIN, "sasl=True", sasl=True)
client(PLAIN, "sasl=sasl.Plain, the class", sasl=sasl.Plain)


class Scripted(object):
    """Answers SaslAuthenticate of SCRAM: the first message, and then as it was told."""

    def __init__(self, last, iterations=4096, salt=b"c2FsdA=="):
        self.last = last
        self.iterations = iterations
        self.salt = salt

    def __call__(self, call):
        token = call.request.auth_bytes
        if token.startswith(b"n,,"):
            nonce = token.split(b"r=")[1].split(b",")[0]
            first = b"r=" + nonce + b"more,s=" + self.salt + b",i=" + str(self.iterations).encode("ascii")
            return dict(error_code=0, auth_bytes=first)
        return self.last(call)


def proving(signature):
    return lambda call: dict(error_code=0, auth_bytes=b"v=" + base64.b64encode(signature))


for name in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
    def scram(username="alice", password="Pa55word", name=name):
        return lambda: {"sasl": sasl.Scram(username, password, name)}

    offered = {"sasl_handshake": offering(name)}
    refused = refusing(INVALID_SCRAM + name)
    at_broker(name, "another password", scram(), on=dict(offered, sasl_authenticate=Scripted(refused)))
    at_broker(name, "an unknown user", scram("bob"), on=dict(offered, sasl_authenticate=refused))
    at_broker(name, "a user set up for the other hash alone", scram(), on=dict(offered, sasl_authenticate=refused))
    at_broker(name, "an impostor, which does not know the password", scram(),
              on=dict(offered, sasl_authenticate=Scripted(proving(b"signature"))))
    at_broker(name, "a mechanism that is not offered", scram(), on={"sasl_handshake": offering("PLAIN", "GSSAPI")})
    at_broker(name, "sasl= to a port without logins", scram(), on={"sasl_handshake": no_login})
    at_broker(name, "a function that returns None", scram(password=lambda: None), on=offered)
    at_broker(name, "a function that raises", scram(username=raising(KeyError("USER"))), on=offered)
    made(name, "an empty password", sasl.Scram, "alice", "", name)

SCRAM = "SCRAM-SHA-256"
at_broker(SCRAM, "too few iterations", lambda: {"sasl": sasl.Scram("alice", "Pa55word")},
          on={"sasl_handshake": offering(SCRAM), "sasl_authenticate": Scripted(None, iterations=1000)})
at_broker(SCRAM, "a broker that answers nonsense", lambda: {"sasl": sasl.Scram("alice", "Pa55word")},
          on={"sasl_handshake": offering(SCRAM), "sasl_authenticate": dict(error_code=0, auth_bytes=b"nonsense")})
made(SCRAM, 'mechanism="SHA-256"', sasl.Scram, "alice", "Pa55word", "SHA-256")
at_broker("Delegation tokens", "an expired token, or another HMAC",
          lambda: {"sasl": sasl.Scram("token-id", "Pa55word", tokenauth=True)},
          on={"sasl_handshake": offering(SCRAM), "sasl_authenticate": refusing(INVALID_SCRAM + SCRAM)})

# -- OAUTHBEARER and OIDC --

OAUTH = "OAUTHBEARER"


def token(**claims):
    """Return an unsigned JWT."""
    parts = [{"alg": "RS256", "kid": "key-1"}, claims]
    parts = [base64.urlsafe_b64encode(json.dumps(part, sort_keys=True).encode("ascii")) for part in parts]
    return b".".join(part.rstrip(b"=") for part in parts + [b"c2lnbmF0dXJl"]).decode("ascii")


def bearing(value, **settings):
    return lambda: {"sasl": sasl.OAuthBearer(value, **settings)}


def refuses_tokens(call):
    """Answers SaslAuthenticate as Kafka does: the reason as a challenge, then the refusal."""
    if call.request.auth_bytes == b"\x01":
        return dict(error_code=58, error_message=INVALID_TOKEN, auth_bytes=b"")
    return dict(error_code=0, auth_bytes=INVALID_TOKEN.encode("ascii"))


TOKENS = {"sasl_handshake": offering(OAUTH), "sasl_authenticate": refuses_tokens}
GOOD = {"iss": "https://id.example", "aud": "kafka", "sub": "alice"}
at_broker(OAUTH, "an expired token", bearing(lambda: token(exp=time.time() - 60, **GOOD)), on=TOKENS)
at_broker(OAUTH, "a token signed with another key", bearing(lambda: token(**GOOD)), on=TOKENS)
at_broker(OAUTH, "a token for another audience", bearing(lambda: token(**dict(GOOD, aud="mail"))), on=TOKENS)
at_broker(OAUTH, "a token of another issuer", bearing(lambda: token(**dict(GOOD, iss="https://other"))), on=TOKENS)
at_broker(OAUTH, "a token without claims", bearing(lambda: token()), on=TOKENS)
at_broker(OAUTH, "garbage for a token", bearing(lambda: "Pa55word"), on=TOKENS)
at_broker(OAUTH, "a token with a line end", bearing(lambda: "Pa55word\n"), on=TOKENS)
at_broker(OAUTH, "a function that returns None", bearing(lambda: None), on=TOKENS)
at_broker(OAUTH, "a function that returns a dict", bearing(lambda: {"access_token": "Pa55word"}), on=TOKENS)
at_broker(OAUTH, "a function that raises", bearing(raising(KeyError("TOKEN"))), on=TOKENS)
at_broker(OAUTH, "a mechanism that is not offered", bearing("abc"), on={"sasl_handshake": offering("PLAIN")})
at_broker(OAUTH, "a broker that hangs up at the token", bearing("abc"), on=dict(TOKENS, sasl_authenticate=fake.CLOSE))
made(OAUTH, "an empty token", sasl.OAuthBearer, "")
made(OAUTH, "a token in quotes", sasl.OAuthBearer, '"Pa55word"')
made(OAUTH, "an extension with a wrong name", sasl.OAuthBearer, "abc", extensions={"logical_cluster": "lkc-1"})
made(OAUTH, "the extension auth", sasl.OAuthBearer, "abc", extensions={"auth": "x"})
made(OAUTH, "an extension that is no text", sasl.OAuthBearer, "abc", extensions={"logicalCluster": 5})

OIDC = "OIDC"


def by_provider(mistake, status=200, body="", url=None, secret="Pa55word", tls=None, ssl=None, timeout=3):
    """Add a login by a token of a provider that answers so."""
    @gen.coroutine
    def attempt():
        provider = Provider(lambda fields, request: (status, body), ssl_options=tls and tls())
        cluster = fake.FakeCluster(topics={"t": 1}, versions=SERVED).start()
        cluster[1].on("sasl_handshake", offering(OAUTH))
        where = (url or "%s") % provider.url if "%s" in (url or "%s") else url
        try:
            tokens = oidc.ClientCredentials(where, "my-client", secret, timeout=timeout, ssl=ssl and ssl())
            yield connected(cluster.bootstrap, sasl=sasl.OAuthBearer(tokens), connect_timeout=3)
        finally:
            cluster.stop()
            provider.stop()
            httpclient.AsyncHTTPClient().close()
    case(OIDC, mistake, attempt)


WRONG_CLIENT = {"error": "invalid_client", "error_description": "Invalid client or Invalid client credentials"}
by_provider("another client secret", 401, WRONG_CLIENT)
by_provider("an unknown scope", 400, {"error": "invalid_scope", "error_description": "Invalid scopes: kafka"})
by_provider("the path of another page", 200, url="%s/nowhere")
by_provider("a provider that is down", url="http://127.0.0.1:%d/token" % free_port())
by_provider("a provider that fails", 500, "oops")
by_provider("a provider that limits requests", 429, {"error": "slow_down"})
by_provider("a page of HTML", 200, "<html>Log in</html>")
by_provider("JSON without a token", 200, {"token": "abc"})
by_provider("an access_token that is not a token", 200, {"access_token": "Pa55 word"})
by_provider("a JSON list", 200, "[]")
made(OIDC, "a URL without a scheme", oidc.ClientCredentials, "id.example/token", "my-client", "Pa55word")
by_provider("a redirection", 302, "")
made(OIDC, "a client secret of None", oidc.ClientCredentials, "https://id.example/token", "my-client", None)
by_provider("a function of the secret that returns None", secret=lambda: None)
by_provider("a function of the secret that raises", secret=raising(KeyError("SECRET")))
by_provider("an authority that is not known", tls=shows("broker"), ssl=lambda: True)
made(OIDC, 'ssl="ca.pem"', oidc.ClientCredentials, "https://id.example/token", "my-client", "Pa55word", ssl="ca.pem")

# -- AWS_MSK_IAM --

MSK = "AWS_MSK_IAM"
AMAZON = {"sasl_handshake": offering(MSK), "sasl_authenticate": refusing("[3f2504e0]: Access denied")}
KEYS = ("AKIA", "Pa55word")


def amazon(mistake, *args, **settings):
    """Add a login at a broker of Amazon's, without an environment."""
    at_broker(MSK, mistake, lambda: {"sasl": sasl.AwsMskIam(*args, **settings)}, on=AMAZON)
    area, mistake, attempt = CASES.pop()

    @gen.coroutine
    def bare():
        with environment():
            yield attempt()
    case(area, mistake, bare)


amazon("no credentials", region="eu-central-1")
amazon("no region", KEYS)
amazon("an identity without the right", KEYS, "eu-central-1")
amazon("a function that returns None", lambda: None, "eu-central-1")
amazon("a function that returns a text", lambda: "Pa55word", "eu-central-1")
amazon("a function that raises", raising(KeyError("credentials")), "eu-central-1")
made(MSK, "credentials that are a text", sasl.AwsMskIam, "Pa55word")
made(MSK, "a key without its secret", sasl.AwsMskIam, ("AKIA", None))
at_broker(MSK, "a broker that is not Amazon's", lambda: {"sasl": sasl.AwsMskIam(KEYS, "eu-central-1")},
          on={"sasl_handshake": offering("PLAIN", "SCRAM-SHA-512")})
at_broker(MSK, "a broker that answers nothing", lambda: {"sasl": sasl.AwsMskIam(KEYS, "eu-central-1")},
          on=dict(AMAZON, sasl_authenticate=dict(error_code=0, auth_bytes=b"")))

# -- GSSAPI, as far as it goes without a KDC, and mechanisms of a user's own --


def without_gssapi():
    before = sys.modules.get("gssapi")
    sys.modules["gssapi"] = None
    try:
        sasl.Gssapi()
    except ImportError as error:  # Python's own words in parentheses
        raise ImportError(str(error).rpartition(" (")[0])
    finally:
        del sys.modules["gssapi"]
        if before is not None:
            sys.modules["gssapi"] = before


case("GSSAPI", "the package gssapi is not there", without_gssapi)

OWN = "Mechanisms of your own"


class Own(object):
    """A mechanism that is a mistake."""

    name = "PLAIN"
    done = True

    def __init__(self, answer):
        self.answer = answer

    def session(self, host):
        return self

    def step(self, challenge):
        return self.answer() if challenge is None else None


at_broker(OWN, "step() returns a list", lambda: {"sasl": Own(lambda: ["Pa55word"])})
at_broker(OWN, "step() raises", lambda: {"sasl": Own(raising(ValueError("no ticket")))})
client(OWN, "no session()", sasl=object())

# -- proxies --

PROXY = "Proxies"


def by_proxy(mistake, url, cls=Socks5, **settings):
    """Add one that fails at a proxy."""
    @gen.coroutine
    def attempt():
        proxy = cls(**settings)
        try:
            yield connected("kafka.internal:9092", proxy=url % proxy.port, connect_timeout=3)
        finally:
            proxy.stop()
    case(PROXY, mistake, attempt)


USER = {"user": b"alice", "password": b"secret"}
by_proxy("SOCKS5: no user where one is demanded", "socks5://127.0.0.1:%d", **USER)
by_proxy("SOCKS5: another password", "socks5://alice:Pa55word@127.0.0.1:%d", **USER)
by_proxy("SOCKS5: its rules do not allow it", "socks5://127.0.0.1:%d", reply=2)
by_proxy("SOCKS5: it can't reach the broker", "socks5://127.0.0.1:%d", reply=4)
by_proxy("SOCKS5: nothing listens on the broker's port", "socks5://127.0.0.1:%d", reply=5)
by_proxy("CONNECT: no user where one is demanded", "http://127.0.0.1:%d", Connect, **USER)
by_proxy("CONNECT: another password", "http://alice:Pa55word@127.0.0.1:%d", Connect, **USER)
by_proxy("CONNECT: its rules do not allow it", "http://127.0.0.1:%d", Connect, reply=1)
case(PROXY, "nothing listens on the proxy's port", lambda: connected(
    "kafka.internal:9092", proxy="socks5://127.0.0.1:%d" % free_port(), connect_timeout=3))
client(PROXY, "another scheme", proxy="https://alice:Pa55word@proxy:3128")
client(PROXY, "no scheme", proxy="proxy:3128")
client(PROXY, "no host", proxy="socks5://")
client(PROXY, "a port out of range", proxy="socks5://proxy:99999")
client(PROXY, "not a text", proxy=("proxy", 1080))
client(PROXY, "SOCKS5 with a user of 300 letters", proxy="socks5://%s:Pa55word@proxy" % ("a" * 300))

# -- addresses --

BROKERS = "Addresses"
client(BROKERS, "an empty text", brokers="")
client(BROKERS, "an empty list", brokers=[])
client(BROKERS, "None", brokers=None)
client(BROKERS, "a number", brokers=9092)
client(BROKERS, "a port that is no number", brokers="broker:port")
client(BROKERS, "a port out of range", brokers="broker:99999")
client(BROKERS, "no host", brokers=":9092")
client(BROKERS, "http://", brokers="http://broker:9092")
client(BROKERS, "SSL:// without ssl=", brokers="SSL://broker:9092")
client(BROKERS, "PLAINTEXT:// with ssl=", brokers="PLAINTEXT://broker:9092", ssl=True)
client(BROKERS, "blanks between several", brokers="broker1:9092 broker2:9092")
case(BROKERS, "a port on which nobody listens", lambda: connected("127.0.0.1:%d" % free_port(), connect_timeout=3))
case(BROKERS, "a name that there is not", lambda: connected("no-such-host.invalid:9092", connect_timeout=3))
