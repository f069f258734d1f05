"""A real Kafka cluster on loopback."""
from __future__ import absolute_import

import base64
import os
import subprocess
import uuid

from kiel.testing import (
    admin, archive, errors, java, maven, ports, processes, releases, security, settings as tables, topics,
    zookeeper as zk,
)
from kiel.testing.broker import CONTROLLER_ID, Broker


def _as_tuple(names):
    """Return one name, several or None as a tuple."""
    return (names,) if isinstance(names, type("")) else tuple(names or ())


def _checked_mode(release, mode):
    """Return the mode that a cluster runs in: the one named, or the release's own."""
    if mode is not None and mode not in release.modes:
        raise errors.HarnessError("Kafka %s does not run in mode %r, only in %s" % (
            release.version, mode, " and ".join(release.modes)))
    return mode or release.modes[0]


class Kafka(object):
    """
    A Kafka cluster of a given release, as a context manager or by :meth:`start` and :meth:`stop`.

    ``with Kafka("4.4.0", brokers=3) as kafka:`` gives a running cluster; ``kafka.bootstrap`` is the
    list of ``"host:port"`` that clients connect to. ``stop()`` ends its processes at once and
    removes its data.

    :param version: a full release (``"2.8.2"``), with its mode (``"3.9.1-zk"``), or a line
        (``"4.0"``: its newest known release).
    :param brokers: how many; their ids are 0, 1, 2 ...
    :param mode: ``"zk"`` or ``"kraft"``; by default KRaft where the release can.
    :param settings: broker settings, over those of the harness; ``kafka.brokers[i].settings`` holds
        for one broker.
    :param tls: whether clients speak TLS to ``bootstrap``; ``ca_file`` is the authority to trust.
    :param sasl: SASL mechanisms of ``bootstrap``: PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 have the ``users``; others,
        such as OAUTHBEARER and GSSAPI, are set up by ``settings``.
    :param zookeeper: a :class:`ZooKeeper` or ``"host:port/chroot"`` to use instead of one of its
        own (ZooKeeper mode).
    :param users: SASL users and passwords; by default alice with ``alice-secret``.
    :param client_auth: whether TLS clients must have a certificate (``client_cert`` and
        ``client_key``).
    :param tls_names: the names and addresses in the brokers' certificates; others make clients
        refuse them.
    :param host: the loopback address to listen on: ``"127.0.0.1"`` or ``"::1"``.
    :param port: the first broker's port, as clients connect to it, the next ones for the others; default: any that are
        free
    :param heap: the brokers' greatest heap, in Java's notation.
    :param jvm: further options of the brokers' JVMs, such as ``("-Djava.security.krb5.conf=...",)``.
    :param jars: further jars on the brokers' class path.
    :param start_timeout: seconds until a cluster that is not up counts as failed.
    """

    def __init__(self, version=releases.DEFAULT, brokers=1, mode=None, settings=None, tls=False, sasl=None,
                 zookeeper=None, users=None, client_auth=False, tls_names=security.NAMES, host="127.0.0.1", heap="384m",
                 start_timeout=90, jvm=(), jars=(), port=None):
        version, _, suffix = version.partition("-")
        self.release = releases.find(version)
        self.version = self.release.version
        self.mode = _checked_mode(self.release, mode or suffix or ("zk" if zookeeper is not None else None))
        self.settings = dict(settings or {})
        self.tls = bool(tls)
        self.sasl = _as_tuple(sasl)
        security.check(self.version, self.mode, self.tls, self.sasl)
        self.users = dict(security.USERS if users is None else users)
        self.client_auth = client_auth
        self.tls_names = tuple(tls_names)
        self.host = host
        self.port = port
        self.heap = heap
        self.start_timeout = start_timeout
        self.jvm = tuple(jvm)
        self.jars = tuple(jars)
        self.protocol = security.protocol(self.tls, self.sasl)
        self.brokers = [Broker(self, number) for number in range(brokers)]
        #: The process with the controller, in KRaft mode with several brokers; else None.
        self.controller = Broker(self, CONTROLLER_ID, "controller") if self.mode == "kraft" and brokers > 1 else None
        #: The :class:`ZooKeeper` of the cluster, in ZooKeeper mode, once it runs (None when given as a text).
        self.zookeeper = None
        self.directory = self.cluster_id = self.classpath = None
        #: the class path without further jars: what :mod:`kiel.testing.archive` goes by, as Java takes an archive where
        #: its class path is the beginning of another
        self.archived = None
        #: the :class:`security.Authority` that signs the brokers' certificates, with TLS
        self.authority = None
        self.ca_file = self.client_cert = self.client_key = None
        self._given_zookeeper = zookeeper
        self._owns_zookeeper = False
        self._zk_connect = None
        self._ports = []
        self._up = False
        self._tls_settings = {}
        self._topics = (topics.KRaftTopics if self.mode == "kraft" else topics.ZooKeeperTopics)(self)

    # -- life

    def start(self):
        """Start the cluster; returns self when every broker answers with all brokers in its metadata."""
        if self.directory is not None:
            raise errors.HarnessError("%r is started already" % self)
        java.java("Kafka " + self.version, self.release.java)
        self.archived = list(maven.kafka_classpath(self.release))
        self.directory = processes.temporary_directory("kafka")
        processes.own(self)
        try:
            self._prepare(self.archived + list(self.jars))
            for broker in self.nodes:
                broker.launch()
            for broker in self.brokers:
                broker.wait_ready(self.start_timeout)
            self._up = True
        except BaseException:
            self.stop()
            raise
        return self

    def _prepare(self, classpath):
        self.classpath = classpath
        # Kafka's own ids never begin with a dash either: tools would take it for an option.
        self.cluster_id = "-"
        while self.cluster_id.startswith("-"):
            self.cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
        for broker in self.nodes:
            broker.prepare(self._take_ports(2), self._chosen_port(broker))
        if self.tls:
            self._make_certificates()
        if self.mode == "zk":
            self._start_zookeeper()
            self._write_scram_users()

    def _chosen_port(self, broker):
        """Return the port that a broker was told to have for its clients, None for any."""
        if self.port is None or broker is self.controller:
            return None
        port = self.port + broker.id
        ports.claim(port)
        self._ports.append(port)
        return port

    def _take_ports(self, count):
        taken = ports.take(count)
        self._ports += taken
        return taken

    def _start_zookeeper(self):
        given = self._given_zookeeper
        if isinstance(given, (type(""), type(u""))):
            self._zk_connect = str(given)
        else:
            self.zookeeper = given or zk.ZooKeeper(
                self.release.zookeeper, classpath=self.classpath, jvm=self.release.jvm)
            if not self.zookeeper.running:
                self.zookeeper.start()
                self._owns_zookeeper = True
            self._zk_connect = self.zookeeper.hosts
        chroot = self._zk_connect.partition("/")[2]
        if chroot:
            with zk.zookeeper_client(self._zk_connect.partition("/")[0]) as client:
                client.ensure_path("/" + chroot)

    def _write_scram_users(self):
        mechanisms = [mechanism for mechanism in self.sasl if mechanism.startswith("SCRAM")]
        if mechanisms:
            with self.zookeeper_client() as client:
                for user, password in self.users.items():
                    topics.put(client, "/config/users/" + user, {"version": 1, "config": dict(
                        (mechanism, security.scram_credential(mechanism, password)) for mechanism in mechanisms)})

    def _make_certificates(self):
        self.authority = security.Authority(os.path.join(self.directory, "tls"))
        self.ca_file = self.authority.ca_file
        self.client_cert, self.client_key = self.authority.issue("client")
        store = self.authority.key_store("broker", *self.authority.issue("broker", self.tls_names))
        self._tls_settings = security.tls_settings(store, self.authority.trust_store(), self.client_auth)

    def stop(self):
        """
        End all processes of the cluster at once and remove its data.

        The first cluster of a release takes some seconds for that: it keeps its loaded classes for
        those that come.
        """
        if self._up:
            self._up = False
            self._keep_classes()
        for broker in self.nodes:
            broker.kill()
        if self.zookeeper is not None and self._owns_zookeeper:
            self.zookeeper.stop()
        self.zookeeper = None
        self._owns_zookeeper = False
        if self.directory is not None:
            processes.remove_directory(self.directory)
        ports.give_back(self._ports)
        self._ports = []
        processes.disown(self)
        self.directory = None

    def _keep_classes(self):
        first = self.brokers[0]
        if not self.jars and archive.making(self.archived, first.archive):
            if first.live and not os.path.isfile(first.archive):
                processes.tell("keeping the loaded classes of Kafka %s for quicker starts, once" % self.version)
                first.stop(15)
            archive.keep(self.archived, first.archive)

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc_info):
        self.stop()

    def __repr__(self):
        return "<Kafka %s %s x %d>" % (self.version, self.mode, len(self.brokers))

    # -- where it is

    @property
    def nodes(self):
        """All its Kafka processes: the controller first, where it has a process of its own, then the brokers."""
        return ([self.controller] if self.controller else []) + self.brokers

    @property
    def bootstrap(self):
        """What clients connect to: a list of ``"host:port"`` (``"[::1]:port"`` for IPv6); secured as asked for."""
        return [_join(broker.host, broker.port) for broker in self.brokers]

    @property
    def plaintext(self):
        """The listeners without TLS and SASL, which are always there: a list of ``"host:port"``."""
        return [_join(*broker.inner_address) for broker in self.brokers]

    @property
    def zk_hosts(self):
        """ZooKeeper as clients want it, a list of ``"host:port"`` with the chroot if any; None in KRaft mode."""
        return [self._zk_connect] if self._zk_connect else None

    def zookeeper_client(self):
        """A started ``kazoo`` client of the cluster's ZooKeeper, as a context manager that closes it at the end."""
        return zk.zookeeper_client(self._zk_connect)

    @property
    def live_brokers(self):
        """The brokers whose process runs and is not paused."""
        return [broker for broker in self.brokers if broker.live]

    def metadata(self):
        """What the first live broker knows: ``(brokers, topics)`` as :func:`kiel.testing.admin.metadata` gives it."""
        for broker in self.live_brokers:
            found = admin.metadata(broker.inner_address)
            if found:
                return found
        raise errors.HarnessError("No broker of %r answers" % self)

    def log(self, tail=40):
        """Return the ends of all logs in one text, for reports of failed tests."""
        parts = [(self.zookeeper, "zookeeper")] if self.zookeeper else []
        parts += [(node, "%s %d" % (node.role, node.id)) for node in self.nodes]
        return "\n".join("--- %s\n%s" % (name, part.log(tail)) for part, name in parts)

    # -- topics

    def topic(self, name=None, partitions=1, **options):
        """
        Create a topic, and return its name.

        :param name: default: one that no other topic has
        :param options: those of `create_topic`
        """
        name = name or "topic-" + uuid.uuid4().hex[:8]
        self.create_topic(name, partitions, **options)
        return name

    def create_topic(self, name, partitions=1, replicas=1, config=None, assignment=None, timeout=30):
        """
        Create a topic; returns when every live broker knows the leader of each partition.

        ``config`` has the topic's own settings; ``assignment`` (partition id to broker ids) says
        where the replicas are, instead of round robin.
        """
        if assignment is None:
            assignment = topics.spread([broker.id for broker in self.brokers], partitions, replicas)
        self._topics.create(name, assignment, _texts(config))
        self.wait_topic(name, assignment, timeout)

    def create_partitions(self, name, count, assignment=None, timeout=30):
        """Grow a topic to ``count`` partitions; returns when every live broker knows their leaders."""
        known = self.metadata()[1].get(name)
        if not known or len(known) >= count:
            raise errors.TopicError("Topic %s has %s partitions: it can't grow to %d" % (
                name, len(known) if known else "no", count))
        if assignment is None:
            assignment = topics.spread(
                [broker.id for broker in self.brokers], count, len(known[0][2]), first=len(known))
        self._topics.grow(name, assignment, count)
        self.wait_topic(name, range(count), timeout)

    def alter_topic(self, name, config):
        """Replace the topic's own settings; brokers take them over within a moment."""
        self._topics.alter(name, _texts(config))

    def delete_topic(self, name, timeout=30):
        """Delete a topic; returns when no live broker knows it."""
        self._topics.delete(name)

        def gone():
            found = [admin.metadata(broker.inner_address) for broker in self.live_brokers]
            return all(answer and name not in answer[1] for answer in found)

        if not processes.wait_until(gone, timeout):
            raise errors.TopicError("Topic %s is still known after %d s" % (name, timeout))

    def wait_topic(self, name, partitions, timeout=30):
        """Wait until every live broker knows the given partition ids of the topic, each with a leader."""
        if not processes.wait_until(lambda: topics.known_everywhere(self.live_brokers, name, partitions), timeout):
            raise errors.TopicError("Topic %s has no leaders after %d s. Brokers know: %s" % (name, timeout, dict(
                (broker.id, (admin.metadata(broker.inner_address) or ({}, {}))[1].get(name))
                for broker in self.live_brokers)))

    # -- Java tools

    def run_tool(self, *args, **options):
        """
        Run a Java tool of the release (``run_tool("org.apache.kafka.tools.TopicCommand", "--list",
        ...)``); gives what it printed.

        ``stdin`` (text) is given to it; ``jvm`` are options before the class. Raises
        :class:`HarnessError` when it fails.
        """
        stdin = options.pop("stdin", "")
        command = [java.java("Kafka's tools", self.release.java), "-Xmx256m"] + self.jvm_options()
        command += list(options.pop("jvm", ()))
        if options:
            raise TypeError("unknown options: %s" % ", ".join(options))
        command += ["-cp", os.pathsep.join(maven.tools_classpath(self.release))] + [str(arg) for arg in args]
        process = processes.spawn(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = [part.decode("utf-8", "replace") for part in process.communicate(stdin.encode("utf-8"))]
        if process.returncode:
            raise errors.HarnessError("%s failed (exit code %d):\n%s%s" % (args[0], process.returncode, out, err))
        return out

    # -- for Broker

    def jvm_options(self):
        """Return the JVM options of the release's processes."""
        return java.options(self.release.jvm, self.release.java)

    def broker_settings(self, broker):
        """Return all settings of one broker: the table's, security's, the cluster's and its own."""
        values = {
            "id": broker.id, "data": broker.data, "replicas": min(3, len(self.brokers)),
            "host": self.host, "port": broker.inner_address[1],
            "listeners": ",".join(broker.listeners()), "advertised": ",".join(broker.listeners(advertised=True)),
            "zookeeper": self._zk_connect, "roles": broker.roles,
            "voters": "%d@%s" % ((self.controller or self.brokers[0]).id, (self.controller or self.brokers[0]).quorum),
        }
        found = tables.broker_settings(self.version, self.mode, values)
        if self.mode == "kraft":
            found["listener.security.protocol.map"] = tables.SECURITY_MAP
        if broker.role == "controller":
            del found["advertised.listeners"]
        else:
            found.update(self._tls_settings)
            if self.sasl:
                found["sasl.enabled.mechanisms"] = ",".join(self.sasl)
        found.update(self.settings)
        found.update(broker.settings)
        return found


def _join(host, port):
    return "%s:%d" % ("[%s]" % host if ":" in host else host, port)


def _texts(config):
    return dict((key, str(value).lower() if isinstance(value, bool) else str(value))
                for key, value in (config or {}).items())
