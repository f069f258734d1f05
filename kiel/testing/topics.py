"""Topics of a cluster under test: by the broker's own requests in KRaft mode, by ZooKeeper's nodes before that."""
from __future__ import absolute_import

import json

from kazoo.exceptions import NodeExistsError, NoNodeError

from kiel.testing import admin, errors, processes, releases


def _dump(value):
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode("utf-8")


def put(client, path, value):
    """Write a value as JSON to a node of ZooKeeper, whether it is there or not."""
    try:
        client.set(path, _dump(value))
    except NoNodeError:
        client.create(path, _dump(value), makepath=True)


def spread(broker_ids, partitions, replicas, first=0):
    """Replicas round robin over the brokers: a dict of partition id to broker ids, from partition ``first`` on."""
    if not 0 < replicas <= len(broker_ids):
        raise errors.TopicError("%d replicas can't be on %d brokers" % (replicas, len(broker_ids)))
    return dict(
        (partition, [broker_ids[(partition + replica) % len(broker_ids)] for replica in range(replicas)])
        for partition in range(first, partitions))


class KRaftTopics(object):
    """Changes topics by requests to any live broker, which hands them to the controller."""

    def __init__(self, cluster):
        self.cluster = cluster

    def create(self, name, assignment, config):
        """Create a topic."""
        admin.create_topic(self._address(), name, assignment, config)

    def delete(self, name):
        """Delete a topic."""
        admin.delete_topic(self._address(), name)

    def grow(self, name, assignment, count):
        """Add the partitions of the assignment, to ``count`` in all."""
        new = [assignment[partition] for partition in sorted(assignment)]
        admin.create_partitions(self._address(), name, count, new)

    def alter(self, name, config):
        """Replace the topic's own configuration."""
        admin.alter_topic(self._address(), name, config)

    def _address(self):
        for broker in self.cluster.brokers:
            if broker.live:
                return broker.inner_address
        raise errors.TopicError("No broker is live")


class ZooKeeperTopics(object):
    """Changes topics by writing into ZooKeeper what Kafka's TopicCommand writes; the controller watches and acts."""

    def __init__(self, cluster):
        self.cluster = cluster

    def create(self, name, assignment, config):
        """Create a topic: its configuration first, which brokers read when they learn of the topic."""
        with self.cluster.zookeeper_client() as client:
            put(client, "/config/topics/" + name, {"version": 1, "config": config})
            try:
                partitions = dict((str(key), assignment[key]) for key in assignment)
                client.create(
                    "/brokers/topics/" + name, _dump({"version": 1, "partitions": partitions}), makepath=True)
            except NodeExistsError:
                raise errors.TopicError("Topic %s is there already" % name)

    def delete(self, name):
        """Delete a topic."""
        with self.cluster.zookeeper_client() as client:
            if not client.exists("/brokers/topics/" + name):
                raise errors.TopicError("There is no topic %s" % name)
            client.ensure_path("/admin/delete_topics/" + name)
            if not processes.wait_until(lambda: not client.exists("/brokers/topics/" + name), 20):
                raise errors.TopicError("Topic %s is not gone after 20 s (delete.topic.enable?)" % name)

    def grow(self, name, assignment, count):
        """Add the partitions of the assignment."""
        with self.cluster.zookeeper_client() as client:
            value = json.loads(client.get("/brokers/topics/" + name)[0].decode("utf-8"))
            value["partitions"].update((str(key), assignment[key]) for key in assignment)
            client.set("/brokers/topics/" + name, _dump(value))

    def alter(self, name, config):
        """
        Replace the topic's own configuration, and tell the brokers by a sequential node, in the
        form of their time.
        """
        version = releases.numbers(self.cluster.version)
        notice = {"version": 2, "entity_path": "topics/" + name}
        if version < (0, 9):
            notice = name
        elif version < (0, 10, 1):
            notice = {"version": 1, "entity_type": "topics", "entity_name": name}
        with self.cluster.zookeeper_client() as client:
            put(client, "/config/topics/" + name, {"version": 1, "config": config})
            client.create("/config/changes/config_change_", _dump(notice), sequence=True, makepath=True)


def known_everywhere(brokers, name, partitions):
    """Whether each of the brokers knows exactly these partitions of the topic, each with a leader that is alive."""
    ids = set(broker.id for broker in brokers)
    for broker in brokers:
        found = admin.metadata(broker.inner_address)
        if found is None or set(found[1].get(name, {})) != set(partitions):
            return False
        for error, leader, replicas, _ in found[1][name].values():
            # Code 9: a replica is down, which is none of the leader's business.
            if error not in (0, 9) or leader not in ids and ids & set(replicas):
                return False
    return True
