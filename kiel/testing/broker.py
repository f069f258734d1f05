"""One process of a Kafka cluster: a broker, a controller, or both in one."""
from __future__ import absolute_import

import json
import os

from kiel.testing import admin, archive, errors, java, logs, processes, releases, security, settings as tables


CONTROLLER_ID = 100


class Broker(object):
    """
    One broker of a :class:`kiel.testing.Kafka`; it keeps its port and its data over :meth:`stop`,
    :meth:`kill` and :meth:`start`.

    ``id``, ``host``, ``port`` (of the clients' listener), ``pid``. ``settings`` (a dict) holds for
    this broker alone, from its next start on.
    """

    def __init__(self, cluster, number, role="broker"):
        self.cluster = cluster
        self.id = number
        self.role = role
        self.settings = {}
        self.port = self.data = self.directory = None
        self._inner_port = self._controller_port = None
        self._process = None

    def __repr__(self):
        return "<%s %d at %s:%s, pid %s>" % (self.role.capitalize(), self.id, self.host, self.port, self.pid)

    # -- where it is

    @property
    def host(self):
        """The address it listens on."""
        return self.cluster.host

    @property
    def inner_address(self):
        """(host, port) of the listener without TLS and SASL."""
        return self.host, self._inner_port

    @property
    def pid(self):
        """The process id, or None when it does not run."""
        return self._process and self._process.pid

    @property
    def running(self):
        """Whether its process is there, paused or not."""
        return self._process is not None and self._process.running

    @property
    def live(self):
        """Whether its process is there and not paused."""
        return self._process is not None and self._process.live

    @property
    def roles(self):
        """KRaft's ``process.roles``."""
        if self.role == "controller":
            return "controller"
        return "broker" if self.cluster.controller else "broker,controller"

    @property
    def quorum(self):
        """``host:port`` of its controller listener."""
        return "%s:%d" % (self._bracketed, self._controller_port)

    @property
    def archive(self):
        """Where it leaves its loaded classes when it ends (see :mod:`kiel.testing.archive`)."""
        return os.path.join(self.directory, "classes.jsa")

    @property
    def _bracketed(self):
        return "[%s]" % self.host if ":" in self.host else self.host

    def listeners(self, advertised=False):
        """Return its listeners in Kafka's notation, ``NAME://host:port``; the controller's is never advertised."""
        found = []
        if self.role == "broker":
            found.append("PLAINTEXT://%s:%d" % (self._bracketed, self._inner_port))
            if self.cluster.protocol != "PLAINTEXT":
                found.append("%s://%s:%d" % (self.cluster.protocol, self._bracketed, self.port))
        if "controller" in self.roles and self.cluster.mode == "kraft" and not advertised:
            found.append("CONTROLLER://" + self.quorum)
        return found

    # -- life

    def prepare(self, ports, chosen=None):
        """
        Take the ports and make the directory, before the first start.

        :param ports: two that are free
        :param chosen: the one that clients connect to; default: one of the two
        """
        self._process = None
        plain = self.cluster.protocol == "PLAINTEXT"
        self._inner_port, second = ports
        if chosen is not None and plain:
            self._inner_port = chosen
        self.port = self._inner_port if plain else chosen or second
        self._controller_port = second
        if self.cluster.mode == "kraft" and self.roles == "broker,controller" and self.port == second:
            self._controller_port = self.cluster._take_ports(1)[0]
        self.directory = os.path.join(self.cluster.directory, "%s-%d" % (self.role, self.id))
        self.data = os.path.join(self.directory, "data")
        os.makedirs(self.data)

    def launch(self):
        """Start the process without waiting for it to be up."""
        cluster = self.cluster
        config = os.path.join(self.directory, "server.properties")
        tables.write(config, cluster.broker_settings(self))
        log4j2 = releases.numbers(cluster.version) >= (4, 0)
        logging = logs.options(self.directory, log4j2)
        base = [java.java("Kafka " + cluster.version, cluster.release.java)] + archive.options(cluster.archived)
        if cluster.mode == "kraft" and not os.path.exists(os.path.join(self.data, "meta.properties")):
            self._format(base + ["-Xmx128m"] + cluster.jvm_options() + logging, config)
        command = base + ["-Xms64m", "-Xmx" + cluster.heap] + cluster.jvm_options() + logging + list(cluster.jvm)
        if self is cluster.brokers[0] and not cluster.jars:
            command += archive.making(cluster.archived, self.archive)
        users = security.jaas(cluster.sasl, cluster.users)
        if users is not None and self.role == "broker":
            path = os.path.join(self.directory, "jaas.conf")
            with open(path, "w") as target:
                target.write(users)
            command += ["-Djava.security.auth.login.config=" + path, "-Dzookeeper.sasl.client=false"]
        command += ["-cp", os.pathsep.join(cluster.classpath), "kafka.Kafka", config]
        if self._process is None:
            self._process = processes.Process("server", self.directory)
        self._process.start(command)

    def _format(self, base, config):
        """Make the log directory one of this cluster's, with the SCRAM users where it holds the controller."""
        if self.roles == "broker":
            with open(os.path.join(self.data, "meta.properties"), "w") as target:
                target.write("version=1\ncluster.id=%s\nnode.id=%d\n" % (self.cluster.cluster_id, self.id))
            return
        command = base + ["-cp", os.pathsep.join(self.cluster.classpath), "kafka.tools.StorageTool", "format",
                          "-t", self.cluster.cluster_id, "-c", config]
        for mechanism in self.cluster.sasl:
            if mechanism.startswith("SCRAM"):
                for user, password in sorted(self.cluster.users.items()):
                    command += ["--add-scram", "%s=[name=%s,password=%s]" % (mechanism, user, password)]
        tool = processes.Process("format", self.directory)
        tool.start(command)
        if not processes.wait_until(lambda: not tool.running, 60) or tool.exit_code != 0:
            tool.kill()
            raise errors.StartError("StorageTool did not format the data of Kafka %s:\n%s" % (
                self.cluster.version, tool.log(40)))

    def start(self):
        """Start it again with its data, on its port; returns when it serves."""
        if self.cluster.mode == "zk":
            self._wait_forgotten()
        self.launch()
        self.wait_ready(self.cluster.start_timeout)

    def _wait_forgotten(self):
        """
        Wait until ZooKeeper has dropped the session of the process before: old releases give up on
        a node that is there.
        """
        with self.cluster.zookeeper_client() as client:
            if not processes.wait_until(lambda: not client.exists("/brokers/ids/%d" % self.id), 60):
                raise errors.StartError("ZooKeeper still has broker %d registered" % self.id)

    def wait_ready(self, timeout):
        """Wait until it serves: it answers Metadata with every live broker in it (0.8: it is registered, too)."""
        if self.role == "controller":
            return
        what = "Broker %d of Kafka %s" % (self.id, self.cluster.version)
        self._process.wait_ready(self._ready, timeout, what)

    def _ready(self):
        found = admin.metadata(self.inner_address, timeout=2)
        if found is None:
            return False
        if releases.numbers(self.cluster.version) < (0, 9):
            # Its metadata lists no broker before there is a topic.
            with self.cluster.zookeeper_client() as client:
                return bool(client.exists("/brokers/ids/%d" % self.id))
        return set(broker.id for broker in self.cluster.live_brokers) <= set(found[0])

    def stop(self, timeout=30):
        """End it in good order (SIGTERM: it hands its leaderships over); by SIGKILL after ``timeout`` seconds."""
        if self._process is not None:
            self._process.stop(timeout)

    def kill(self):
        """End it at once (SIGKILL)."""
        if self._process is not None:
            self._process.kill()

    def pause(self):
        """Stop it where it stands (SIGSTOP): its connections stay open, and mute."""
        self._process.pause()

    def resume(self):
        """Let a paused broker go on."""
        self._process.resume()

    def log(self, tail=None):
        """Return what it printed, from all its starts, as text; only the last ``tail`` lines when given."""
        return self._process.log(tail) if self._process else ""

    def registration(self):
        """Return its entry in ZooKeeper as a dict, or None when it is not registered (ZooKeeper mode)."""
        with self.cluster.zookeeper_client() as client:
            path = "/brokers/ids/%d" % self.id
            return json.loads(client.get(path)[0].decode("utf-8")) if client.exists(path) else None
