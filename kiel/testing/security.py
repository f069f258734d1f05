"""Certificates, key stores and SASL users of a cluster under test."""
from __future__ import absolute_import

import base64
import binascii
import hashlib
import hmac
import os
import subprocess

from kiel.testing import errors, java, releases


PASSWORD = "kiel-secret"
USERS = {"alice": "alice-secret"}
NAMES = ("localhost", "127.0.0.1", "::1")

# mechanism -> the first release that has it, in ZooKeeper and in KRaft mode
SINCE = {
    "TLS": {"zk": (0, 9), "kraft": (0,)},
    "PLAIN": {"zk": (0, 10), "kraft": (0,)},
    "SCRAM-SHA-256": {"zk": (0, 10, 2), "kraft": (3, 5)},
    "SCRAM-SHA-512": {"zk": (0, 10, 2), "kraft": (3, 5)},
    "OAUTHBEARER": {"zk": (2, 0), "kraft": (0,)},
    "GSSAPI": {"zk": (0, 9), "kraft": (0,)},
}


def check(version, mode, tls, mechanisms):
    """Raise when the release does not have what is asked of it; mechanisms not known here are those of extra jars."""
    for what in (("TLS",) if tls else ()) + tuple(mechanisms):
        if what not in SINCE:
            continue
        if releases.numbers(version) < SINCE[what][mode]:
            raise errors.HarnessError("Kafka %s (%s) has no %s; it came with %s" % (
                version, mode, what, ".".join(str(part) for part in SINCE[what][mode])))


def protocol(tls, mechanisms):
    """Return Kafka's name for the client listener's kind: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."""
    if mechanisms:
        return "SASL_SSL" if tls else "SASL_PLAINTEXT"
    return "SSL" if tls else "PLAINTEXT"


class Authority(object):
    """
    A certificate authority in a directory, with what it issues.

    ``ca_file`` is its certificate. A second one, of another directory, makes certificates that
    nobody trusts.
    """

    def __init__(self, directory, name="kiel testing authority"):
        self.directory = directory
        self.ca_file = os.path.join(directory, "ca.pem")
        self._key = os.path.join(directory, "ca.key")
        if not os.path.isdir(directory):
            os.makedirs(directory)
        config = self._write("ca.cnf", "[req]\ndistinguished_name=dn\nx509_extensions=ext\nprompt=no\n"
                                       "[dn]\nCN=%s\n[ext]\n"
                                       "basicConstraints=critical,CA:true\n"
                                       "keyUsage=critical,keyCertSign,cRLSign\n" % name)
        self._openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-sha256", "-days", "3650",
                      "-config", config, "-keyout", self._key, "-out", self.ca_file)

    def issue(self, name, names=NAMES):
        """Give the paths of a certificate and its key, for a server of the given names or addresses, or a client."""
        # Python 2.7 knows no addresses in certificates: it looks for them among the names.
        alternatives = ",".join(
            "IP:%s,DNS:%s" % (item, item) if _is_address(item) else "DNS:" + item for item in names)
        config = self._write(name + ".cnf", "[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN=%s\n[ext]\n"
                                            "subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n" % (
                                                name, alternatives))
        cert, key, request = [os.path.join(self.directory, name + end) for end in (".pem", ".key", ".csr")]
        self._openssl("req", "-newkey", "rsa:2048", "-nodes", "-sha256", "-config", config,
                      "-keyout", key, "-out", request)
        self._openssl("x509", "-req", "-in", request, "-CA", self.ca_file, "-CAkey", self._key, "-CAcreateserial",
                      "-sha256", "-days", "3650", "-extfile", config, "-extensions", "ext", "-out", cert)
        return cert, key

    def key_store(self, name, cert, key):
        """Return a PKCS 12 store of a certificate and its key, for Java; return its path."""
        path = os.path.join(self.directory, name + ".p12")
        self._openssl("pkcs12", "-export", "-in", cert, "-inkey", key, "-certfile", self.ca_file, "-name", name,
                      "-passout", "pass:" + PASSWORD, "-out", path)
        return path

    def trust_store(self):
        """Return a store with the authority's certificate, for Java; return its path."""
        path = os.path.join(self.directory, "trust.p12")
        # Only keytool marks an entry as trusted in the way that Java wants.
        _run([java.tool("keytool", "TLS"), "-importcert", "-noprompt", "-alias", "ca", "-file", self.ca_file,
              "-keystore", path, "-storetype", "PKCS12", "-storepass", PASSWORD])
        return path

    def _write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w") as target:
            target.write(text)
        return path

    def _openssl(self, *args):
        _run([java.tool("openssl", "TLS")] + list(args))


def _is_address(name):
    return ":" in name or name.replace(".", "").isdigit()


def _run(command):
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               close_fds=True)
    output = process.communicate(b"")[0].decode("utf-8", "replace")
    if process.returncode:
        raise errors.HarnessError("%s failed:\n%s" % (" ".join(command[:2]), output))


def tls_settings(key_store, trust_store, client_auth):
    """Return the broker settings of a TLS listener."""
    return {
        "ssl.keystore.location": key_store, "ssl.keystore.password": PASSWORD, "ssl.keystore.type": "PKCS12",
        "ssl.key.password": PASSWORD,
        "ssl.truststore.location": trust_store, "ssl.truststore.password": PASSWORD, "ssl.truststore.type": "PKCS12",
        "ssl.client.auth": "required" if client_auth else "none",
    }


def jaas(mechanisms, users):
    """
    Return the text of the JAAS file that names the login modules of the mechanisms; None where settings have to.

    OAUTHBEARER and GSSAPI want to be set up: ``listener.name.sasl_plaintext.gssapi.sasl.jaas.config`` and its like.
    """
    modules = []
    if "PLAIN" in mechanisms:
        modules.append("org.apache.kafka.common.security.plain.PlainLoginModule required %s;" % " ".join(
            '%s="%s"' % ("user_" + user, users[user]) for user in sorted(users)))
    if any(mechanism.startswith("SCRAM") for mechanism in mechanisms):
        modules.append("org.apache.kafka.common.security.scram.ScramLoginModule required;")
    return "KafkaServer {\n  %s\n};\n" % "\n  ".join(modules) if modules else None


def scram_credential(mechanism, password, iterations=4096):
    """Return a SCRAM user's entry as brokers keep it in ZooKeeper: salt, stored key, server key and iterations."""
    digest = {"SCRAM-SHA-256": hashlib.sha256, "SCRAM-SHA-512": hashlib.sha512}[mechanism]
    salt = binascii.hexlify(os.urandom(12))
    salted = hashlib.pbkdf2_hmac(digest().name, password.encode("utf-8"), salt, iterations)
    stored = digest(hmac.new(salted, b"Client Key", digest).digest()).digest()
    server = hmac.new(salted, b"Server Key", digest).digest()
    return "salt=%s,stored_key=%s,server_key=%s,iterations=%d" % (
        tuple(base64.b64encode(part).decode("ascii") for part in (salt, stored, server)) + (iterations,))
