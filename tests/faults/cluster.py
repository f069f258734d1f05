"""Clusters whose clients come through a proxy for each broker, while brokers talk to each other directly."""
from __future__ import absolute_import

import json
import struct

from kiel.testing import Kafka, admin, processes

from tests.faults import proxy

#: what holds for every cluster of the suite: nothing acknowledged may be on one broker alone, a broker that is gone is
#: noticed soon
SETTINGS = {
    "min.insync.replicas": 2, "unclean.leader.election.enable": "false", "replica.lag.time.max.ms": 5000,
    "transaction.state.log.min.isr": 2, "auto.create.topics.enable": "false", "controlled.shutdown.enable": "true",
    "log.retention.check.interval.ms": 3600000,
}
ZK = {"zookeeper.session.timeout.ms": 4000}
KRAFT = {"broker.session.timeout.ms": 3000, "broker.heartbeat.interval.ms": 500}

#: the name of the listener that clients come by
LISTENER = "CLIENTS"


class FaultyKafka(Kafka):
    """
    A three-broker cluster with a proxy before each broker; ``bootstrap`` is that of the proxies.

    Each broker has a listener of its own for clients (KIP-103: from 0.10.2 on) that advertises the proxy's port.
    """

    def __init__(self, version):
        super(FaultyKafka, self).__init__(version, brokers=3)
        self.settings.update(SETTINGS)
        self.settings.update(ZK if self.mode == "zk" else KRAFT)
        #: broker id -> `tests.faults.proxy.Proxy`
        self.proxies = {}
        self._client_ports = {}

    def _prepare(self, classpath):
        ports = self._take_ports(len(self.brokers))
        for broker, port in zip(self.brokers, ports):
            self._client_ports[broker.id] = port
            self.proxies[broker.id] = proxy.Proxy((self.host, port))
        super(FaultyKafka, self)._prepare(classpath)

    def broker_settings(self, broker):
        """The settings of the harness, with the listener for clients."""
        found = super(FaultyKafka, self).broker_settings(broker)
        if broker.role == "broker":
            for name, port in (("listeners", self._client_ports[broker.id]),
                               ("advertised.listeners", self.proxies[broker.id].port)):
                found[name] += ",%s://%s:%d" % (LISTENER, self.host, port)
        known = found.get("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT")
        found["listener.security.protocol.map"] = known + ",%s:PLAINTEXT" % LISTENER
        return found

    def stop(self):
        """Ends the cluster and its proxies."""
        super(FaultyKafka, self).stop()
        for one in self.proxies.values():
            one.close()
        self.proxies = {}

    @property
    def bootstrap(self):
        """The proxies' addresses."""
        return ["127.0.0.1:%d" % self.proxies[broker.id].port for broker in self.brokers]

    def restart(self):
        """Starts again all that is not running: the controller, ZooKeeper, brokers; waits until it serves."""
        if self.zookeeper is not None and not self.zookeeper.running:
            self.zookeeper.start()
        down = [node for node in self.nodes if not node.running]
        for node in down:
            if self.mode == "zk":
                node._wait_forgotten()
            node.launch()
        for node in down:
            node.wait_ready(self.start_timeout)

    def wait_whole(self, topics=(), timeout=60):
        """Waits until every broker runs and every partition of the topics has its three replicas in sync."""
        def whole():
            if len(self.live_brokers) < len(self.brokers):
                return False
            for broker in self.brokers:
                found = admin.metadata(broker.inner_address)
                if found is None or len(found[0]) < len(self.brokers):
                    return False
                for topic in topics:
                    parts = found[1].get(topic) or {}
                    if not parts or any(leader < 0 or len(isr) < 3 for _, leader, _, isr in parts.values()):
                        return False
            return True
        return processes.wait_until(whole, timeout, 0.2)

    def elect_preferred(self, topic, partitions):
        """Has the preferred replicas elected as leaders: ElectLeaders, or ZooKeeper's node for it before KRaft."""
        if self.mode == "zk":
            wanted = [{"topic": topic, "partition": partition} for partition in partitions]
            with self.zookeeper_client() as client:
                client.create("/admin/preferred_replica_election", json.dumps(
                    {"version": 1, "partitions": wanted}).encode("ascii"))
            return
        name = topic.encode("ascii")
        body = struct.pack(">bih", 0, 1, len(name)) + name + struct.pack(">i", len(partitions))
        body += b"".join(struct.pack(">i", partition) for partition in partitions) + struct.pack(">i", 20000)
        admin.call(self.brokers[0].inner_address, 43, 1, body, 30)
