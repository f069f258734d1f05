"""A Kerberos realm of the tests' own on loopback: MIT's KDC from Debian's packages, run by hand in a directory."""
from __future__ import absolute_import

import os
import signal
import socket
import subprocess
import time

from kiel.testing import ports

REALM = "KIEL.TEST"
PACKAGES = "krb5-kdc krb5-admin-server krb5-user"
#: Debian keeps them where not everybody's PATH leads
PLACES = ["/usr/sbin", "/sbin"]

KRB5 = """
[libdefaults]
    default_realm = {realm}
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
    rdns = false
    udp_preference_limit = 1
    default_ccache_name = FILE:{directory}/ccache
[realms]
    {realm} = {{
        kdc = 127.0.0.1:{port}
    }}
"""
KDC = """
[kdcdefaults]
    kdc_listen = ""
    kdc_tcp_listen = 127.0.0.1:{port}
[realms]
    {realm} = {{
        database_name = {directory}/principal
        key_stash_file = {directory}/stash
        acl_file = {directory}/acl
        max_life = 1h
    }}
"""


class Realm(object):
    """
    A realm with the principals it is given, each with a keytab ``NAME.keytab``; the first component is the name.

    :raises RuntimeError: when MIT's programs are not there
    """

    def __init__(self, directory, principals=("kafka/localhost", "alice")):
        self.directory = directory
        self.config = os.path.join(directory, "krb5.conf")
        self.port = ports.take(1)[0]
        self.process = None
        values = {"realm": REALM, "directory": directory, "port": self.port}
        self._write("krb5.conf", KRB5.format(**values))
        self._write("kdc.conf", KDC.format(**values))
        self._write("acl", "")
        self._run("kdb5_util", "create", "-s", "-P", "master", "-r", REALM)
        for principal in principals:
            self._run("kadmin.local", "-q", "addprinc -randkey " + principal)
            self._run("kadmin.local", "-q", "ktadd -k %s %s" % (self.keytab(principal), principal))
        self.start()

    def keytab(self, principal):
        """The path of a principal's keytab."""
        return os.path.join(self.directory, principal.partition("/")[0] + ".keytab")

    def limit(self, principal, seconds):
        """Let the principal's tickets hold for so long only."""
        self._run("kadmin.local", "-q", 'modprinc -maxlife "%d seconds" %s' % (seconds, principal))

    def settings(self, release):
        """The settings of a broker; see also `jvm`."""
        found = {"sasl.kerberos.service.name": "kafka"}
        if not release.startswith("0."):
            found["listener.name.sasl_plaintext.gssapi.sasl.jaas.config"] = self._login()
        return found

    def jvm(self, release):
        """The options of a broker's JVM; before 1.0 it reads of logins in a file that they name."""
        found = ("-Djava.security.krb5.conf=" + self.config,)
        if release.startswith("0."):
            self._write("jaas.conf", "KafkaServer {\n  %s\n};\n" % self._login())
            found += ("-Djava.security.auth.login.config=" + os.path.join(self.directory, "jaas.conf"),
                      "-Dzookeeper.sasl.client=false")
        return found

    def _login(self):
        """The line that names a broker's login module and its key."""
        return ('com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true storeKey=true keyTab="%s" '
                'principal="kafka/localhost@%s";' % (self.keytab("kafka"), REALM))

    def start(self):
        """Start the KDC; returns when it takes connections."""
        self.process = subprocess.Popen(
            [self._program("krb5kdc"), "-n"], env=self._environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        deadline = time.time() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except EnvironmentError:
                if time.time() > deadline or self.process.poll() is not None:
                    raise RuntimeError("the KDC did not start: %r" % self.process.communicate()[0])
                time.sleep(0.05)

    def stop(self):
        """End the KDC."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.communicate()

    def _write(self, name, text):
        with open(os.path.join(self.directory, name), "w") as target:
            target.write(text)

    def _environment(self):
        return dict(os.environ, KRB5_CONFIG=self.config, KRB5_KDC_PROFILE=os.path.join(self.directory, "kdc.conf"))

    @staticmethod
    def _program(name):
        for folder in os.environ.get("PATH", os.defpath).split(os.pathsep) + PLACES:
            if os.access(os.path.join(folder, name), os.X_OK):
                return os.path.join(folder, name)
        raise RuntimeError("%s is not there: apt-get install --no-install-recommends %s" % (name, PACKAGES))

    def _run(self, name, *args):
        process = subprocess.Popen([self._program(name)] + list(args), env=self._environment(),
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output = process.communicate()[0]
        if process.returncode:
            raise RuntimeError("%s failed: %r" % (name, output))
