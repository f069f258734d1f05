"""A real ZooKeeper on loopback: started, stopped, killed, paused, and made to expire a session."""
from __future__ import absolute_import

import contextlib
import logging
import os
import socket
import struct

from kazoo.client import KazooClient

from kiel.testing import errors, java, logs, maven, ports, processes, releases


#: tickTime bounds what sessions may ask for: 2 to 20 ticks, unless said otherwise.
CONFIG = """tickTime=500
dataDir=%(data)s
clientPort=%(port)d
clientPortAddress=%(host)s
minSessionTimeout=1000
maxSessionTimeout=120000
maxClientCnxns=0
admin.enableServer=false
4lw.commands.whitelist=*
"""


# The harness kills the servers that its own clients are connected to: what kazoo says to that is nobody's concern.
_quiet = logging.getLogger("kiel.testing.kazoo")
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False


class ZooKeeper(object):
    """
    One ZooKeeper server, as a context manager or by :meth:`start` and :meth:`stop`.

    ``hosts`` is ``"127.0.0.1:port"``. Its data survive :meth:`kill` and :meth:`halt` followed by
    :meth:`start`; :meth:`stop` ends the server and removes the data. ``settings`` are lines of its
    configuration.
    """

    def __init__(self, version=releases.ZOOKEEPER_DEFAULT, host="127.0.0.1", settings=None, classpath=None, jvm=()):
        self.version = version
        self.host = host
        self.settings = dict(settings or {})
        self.port = None
        self.directory = None
        self._classpath = classpath
        self._jvm = tuple(jvm)
        self._process = None

    @property
    def hosts(self):
        """What a client connects to: ``"host:port"``."""
        return "%s:%d" % ("[%s]" % self.host if ":" in self.host else self.host, self.port)

    def start(self):
        """Start the server, for the first time or again with its data; returns self when it answers."""
        command = [java.java("ZooKeeper")]
        classpath = self._classpath or maven.zookeeper_classpath(self.version)
        if self.directory is None:
            self.directory = processes.temporary_directory("zookeeper")
            self.port = ports.take()[0]
            self._process = processes.Process("zookeeper", self.directory)
            processes.own(self)
        config = os.path.join(self.directory, "zoo.cfg")
        with open(config, "w") as target:
            target.write(CONFIG % {
                "data": os.path.join(self.directory, "data"), "port": self.port, "host": self.host})
            target.write("".join("%s=%s\n" % item for item in sorted(self.settings.items())))
        command += ["-Xms32m", "-Xmx192m"] + java.options(self._jvm) + logs.options(self.directory, log4j2=False)
        # reload4j has no JMX beans.
        command += ["-Dzookeeper.jmx.log4j.disable=true", "-cp", os.pathsep.join(classpath)]
        self._process.start(command + ["org.apache.zookeeper.server.quorum.QuorumPeerMain", config])
        try:
            self._process.wait_ready(lambda: self.ask("ruok") == "imok", 30, "ZooKeeper %s" % self.version)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self):
        """End the server and remove its data."""
        if self._process is not None:
            self._process.kill()
            processes.remove_directory(self.directory)
            ports.give_back([self.port])
            processes.disown(self)
        self.directory = self._process = None

    def halt(self):
        """End the server in good order (SIGTERM) and keep its data; :meth:`start` brings it back on the same port."""
        self._process.stop()

    def kill(self):
        """End the server at once (SIGKILL) and keep its data; :meth:`start` brings it back on the same port."""
        self._process.kill()

    def pause(self):
        """Stop the server where it stands (SIGSTOP): its clients' connections stay open, and mute."""
        self._process.pause()

    def resume(self):
        """Let a paused server go on."""
        self._process.resume()

    @property
    def pid(self):
        """The process id, or None when the server does not run."""
        return self._process and self._process.pid

    @property
    def running(self):
        """Whether the server's process is there, paused or not."""
        return self._process is not None and self._process.running

    def log(self, tail=None):
        """Return what the server printed, as text; only the last ``tail`` lines when given."""
        return self._process.log(tail) if self._process else ""

    def ask(self, word, timeout=2):
        """
        Return the answer to one of ZooKeeper's four-letter words (``"ruok"``, ``"mntr"``, ``"cons"``), or
        None when there is none.
        """
        try:
            with contextlib.closing(socket.create_connection((self.host, self.port), timeout)) as connection:
                connection.sendall(word.encode("ascii"))
                chunks = []
                while True:
                    chunk = connection.recv(65536)
                    if not chunk:
                        return b"".join(chunks).decode("utf-8", "replace") or None
                    chunks.append(chunk)
        except (socket.error, OSError):
            return None

    def client(self):
        """Return a started ``kazoo`` client of this server, as a context manager that closes it at the end."""
        return zookeeper_client(self.hosts)

    def expire(self, session, timeout=10):
        """
        Make the server drop a session as if it had timed out.

        ``session`` is a ``kazoo`` client, or the pair of session id and password. The session is
        opened a second time with its own password and closed there, which ends its ephemeral nodes
        and watches; its client learns of it when it reconnects.
        """
        session_id, password = getattr(session, "client_id", session)
        if not processes.wait_until(lambda: self._close_session(session_id, password), timeout):
            raise errors.HarnessError("ZooKeeper did not drop the session 0x%x" % session_id)

    def _close_session(self, session_id, password):
        """Close the session once; True when the server says that there is none (any more)."""
        connect = struct.pack(">iqiqi", 0, 0, 10000, session_id, len(password)) + password
        close = struct.pack(">ii", 1, -11)
        try:
            with contextlib.closing(socket.create_connection((self.host, self.port), 5)) as connection:
                connection.sendall(struct.pack(">i", len(connect)) + connect)
                answer = connection.recv(4096)
                if len(answer) >= 12 and struct.unpack(">i", answer[8:12])[0] <= 0:
                    return True  # a time-out of 0 means: expired
                connection.sendall(struct.pack(">i", len(close)) + close)
                while connection.recv(4096):
                    pass
        except (socket.error, OSError):
            pass
        return False

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc_info):
        self.stop()

    def __repr__(self):
        return "<ZooKeeper %s %s>" % (self.version, self.hosts if self.port else "not started")


@contextlib.contextmanager
def zookeeper_client(hosts):
    """A started ``kazoo`` client, closed at the end of the ``with`` block."""
    client = KazooClient(hosts=hosts, timeout=10, logger=_quiet)
    client.start(timeout=15)
    try:
        yield client
    finally:
        client.stop()
        client.close()
