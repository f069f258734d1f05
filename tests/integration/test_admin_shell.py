"""
What `Admin` says, beside what Kafka's own shell tools and kafka-python say of the same cluster.

Every tool is a JVM of a second or two, so this runs with ``KIEL_LONG=1``; ``KIEL_KAFKA`` says on which releases::

    KIEL_LONG=1 KIEL_KAFKA=0.10.2.2,2.8.2,3.9.1-zk,3.9.1-kraft,4.4.0 \\
        python -m pytest tests/integration/test_admin_shell.py
"""
from __future__ import absolute_import

import json
import re
import sys
import uuid

import pytest
from tornado import gen

from kiel import clients, exc
from kiel.clients.administering.acls import Rule
from kiel.clients.administering.topics import NewTopic
from kiel.testing import Kafka

from tests import loop
from tests.integration import peer
from tests.needs import needed

pytestmark = pytest.mark.skipif(not peer.LONG, reason="a JVM for each question: KIEL_LONG=1")

#: how many messages each partition has
MESSAGES = {0: 5, 1: 3, 2: 0}
COMMITTED = {0: 2, 1: 3}

#: the tools' classes, newest first: the release from which on each is there
TOOLS = {
    "topics": [((3, 6), "org.apache.kafka.tools.TopicCommand"), ((0,), "kafka.admin.TopicCommand")],
    "configs": [((4, 4), "org.apache.kafka.tools.ConfigCommand"), ((0,), "kafka.admin.ConfigCommand")],
    "groups": [((3, 9), "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"),
               ((0,), "kafka.admin.ConsumerGroupCommand")],
    "offsets": [((3, 5), "org.apache.kafka.tools.GetOffsetShell"), ((0,), "kafka.tools.GetOffsetShell")],
    "log_dirs": [((3, 5), "org.apache.kafka.tools.LogDirsCommand"), ((1, 0), "kafka.admin.LogDirsCommand")],
    "acls": [((4, 4), "org.apache.kafka.tools.AclCommand"), ((2, 1), "kafka.admin.AclCommand")],
    "quorum": [((3, 5), "org.apache.kafka.tools.MetadataQuorumCommand")],
    "transactions": [((3, 5), "org.apache.kafka.tools.TransactionsCommand")],
    "features": [((3, 9), "org.apache.kafka.tools.FeatureCommand")],
}


class World(object):
    """A cluster with a topic that has settings and messages, a group, a rule and a transaction."""

    def __init__(self, kafka):
        self.kafka = kafka
        self.release = peer.release(kafka)
        self.topic, self.group, self.id = ["%s-%s" % (what, uuid.uuid4().hex[:8]) for what in ("topic", "group", "id")]

    def ask(self, body):
        """Return what a coroutine function of a connected `Admin` returns."""
        answers = []

        @gen.coroutine
        def main():
            admin = clients.Admin(self.kafka.plaintext)
            try:
                yield admin.connect()
                answers.append((yield body(admin)))
            finally:
                yield admin.close()
        loop.run(main, timeout=60)
        return answers[0]

    def tool(self, name, *args, **more):
        """Return what a tool prints; skip the test where the release has none."""
        for since, main in TOOLS[name]:
            if self.release >= since:
                where = more.get("where", ("--bootstrap-server", ",".join(self.kafka.plaintext)))
                return self.kafka.run_tool(main, *(tuple(where) + args))
        pytest.skip("Kafka %s has no such tool" % self.kafka.version)

    @gen.coroutine
    def fill(self, admin):
        """Make all that the tests ask about."""
        if self.release >= (0, 11):
            configs = {"retention.ms": 90000, "cleanup.policy": "compact"}
        else:
            configs = {"retention.ms": 90000}
        yield admin.create_topics([NewTopic(self.topic, 3, 2, configs=configs)])
        self.kafka.wait_topic(self.topic, [0, 1, 2])
        writer = peer.Writer(self.kafka.plaintext)
        yield writer.connect()
        try:
            for partition, count in MESSAGES.items():
                if count:
                    values = [b"%d" % number for number in range(count)]
                    yield writer.put(self.topic, partition, values, key=b"k")
        finally:
            yield writer.close()
        yield admin.reset_offsets(self.group, dict(((self.topic, each), at) for each, at in COMMITTED.items()))
        if self.release >= (2, 4):
            yield admin.create_acls([Rule("topic", self.topic, "User:alice", "read"),
                                     Rule("group", "g", "User:bob", "describe", "deny", "10.0.0.1", "prefixed")])


@pytest.fixture(scope="module", params=peer.only(
    "0.10.2.2", "2.8.2", "3.9.1-zk", "3.9.1-kraft", "4.4.0") if peer.RELEASES else ())
def world(request):
    numbers = tuple(int(each) for each in request.param.split("-")[0].split("."))
    settings = {}
    if numbers >= (2, 4):
        kraft = numbers >= (4, 0) or request.param.endswith("kraft")
        settings["authorizer.class.name"] = (
            "org.apache.kafka.metadata.authorizer.StandardAuthorizer" if kraft
            else "kafka.security.authorizer.AclAuthorizer")
        settings["super.users"] = "User:ANONYMOUS"
    with Kafka(request.param, brokers=2, settings=settings) as kafka:
        made = World(kafka)
        made.ask(made.fill)
        yield made


def test_topics(world):
    told = world.tool("topics", "--describe", "--topic", world.topic, **(
        {} if world.release >= (2, 2) else {"where": ("--zookeeper", ",".join(world.kafka.zk_hosts))}))
    found = re.findall(r"Partition: *(\d+)\s+Leader: *(\d+)\s+Replicas: *([\d,]+)\s+Isr: *([\d,]+)", told)
    topic = world.ask(lambda admin: admin.describe_topics([world.topic]))[world.topic]

    def numbers(text):
        return [int(each) for each in text.split(",")]
    # brokers of old keep replicas as a set: their order is ZooKeeper's alone, where the tool looks
    order = sorted if world.release < (1, 0) else list
    assert [(int(number), int(leader), order(numbers(replicas)), sorted(numbers(in_sync)))
            for number, leader, replicas, in_sync in found] == [
        (each.partition, each.leader, order(each.replicas), sorted(each.in_sync)) for each in topic.partitions]
    assert len(found) == 3 and (topic.topic_id is None or re.search(r"TopicId: *(\S+)", told).group(1))
    names = world.tool("topics", "--list", **(
        {} if world.release >= (2, 2) else {"where": ("--zookeeper", ",".join(world.kafka.zk_hosts))})).split()
    listed = world.ask(lambda admin: admin.list_topics(internal=True))
    assert sorted(each.name for each in listed) == sorted(names)


def test_settings(world):
    if world.release < (0, 11):
        pytest.skip("describing settings needs Kafka 0.11")
    told = world.tool("configs", "--describe", "--entity-type", "topics", "--entity-name", world.topic)
    shown = dict(re.findall(r"^\s+(\S+?)=(\S*) sensitive=", told, re.M))
    found = world.ask(lambda admin: admin.describe_configs(("topic", world.topic)))["topic", world.topic]
    assert shown == dict((name, each.value) for name, each in found.items() if each.source == "topic") != {}
    told = world.tool("configs", "--describe", "--all", "--entity-type", "brokers", "--entity-name", "0")
    shown = dict(re.findall(r"^\s+(\S+?)=(.*?) sensitive=", told, re.M))
    found = world.ask(lambda admin: admin.describe_configs(("broker", 0)))["broker", "0"]
    assert shown == dict((name, str(each.value).replace("None", "null")) for name, each in found.items())


def table(told):
    """Return the lines of a tool's table as dicts."""
    lines = [line.split() for line in told.splitlines() if line.strip()]
    start = next(number for number, cells in enumerate(lines) if "PARTITION" in cells or "TransactionalId" in cells
                 or "ProducerId" in cells or "NodeId" in cells)
    return [dict(zip(lines[start], cells)) for cells in lines[start + 1:]]


def test_groups(world):
    rows = [row for row in table(world.tool("groups", "--describe", "--group", world.group))
            if row.get("TOPIC") == world.topic]
    found = world.ask(lambda admin: admin.lag(world.group))
    assert dict(((row["TOPIC"], int(row["PARTITION"])), (
        int(row["CURRENT-OFFSET"]), int(row["LOG-END-OFFSET"]), int(row["LAG"]))) for row in rows) == dict(
        (key, (lag.committed, lag.end, lag.lag)) for key, lag in found.items()) != {}
    if world.release >= (2, 0):
        names = world.tool("groups", "--list").split()
        assert sorted(each.group for each in world.ask(lambda admin: admin.list_groups())) == sorted(names)


@pytest.mark.parametrize("time", (-2, -1))
def test_offsets(world, time):
    brokers = ",".join(world.kafka.plaintext)
    told = world.tool("offsets", "--topic", world.topic, "--time", str(time),
                      where=("--bootstrap-server" if world.release >= (3, 0) else "--broker-list", brokers))
    shown = dict((int(part), int(offset)) for part, offset in re.findall(r":(\d+):(\d+)", told))
    found = world.ask(lambda admin: admin.beginning_offsets(world.topic) if time == -2
                      else admin.end_offsets(world.topic))
    assert shown == found


def test_log_dirs(world):
    told = world.tool("log_dirs", "--describe")
    shown = {}
    for broker in json.loads(told[told.index("{"):].splitlines()[0])["brokers"]:
        for place in broker["logDirs"]:
            shown[broker["broker"], place["logDir"]] = dict(
                (each["partition"], (each["size"], each["offsetLag"], each["isFuture"]))
                for each in place["partitions"] if each["partition"].startswith(world.topic))
    found = world.ask(lambda admin: admin.describe_log_dirs())
    assert shown == dict(((broker, path), dict(
        ("%s-%d" % key, (each.size, each.lag, each.future)) for key, each in place.replicas.items()
        if key[0] == world.topic)) for broker, places in found.items() for path, place in places.items()) != {}


def test_rules(world):
    if world.release < (2, 4):
        pytest.skip("without an authorizer here")
    told = world.tool("acls", "--list")
    shown, resource = set(), None
    for line in told.splitlines():
        match = re.search(r"resourceType=(\w+), name=(\S+), patternType=(\w+)", line)
        resource = match.groups() if match else resource
        match = re.search(r"principal=(\S+), host=(\S+), operation=(\w+), permissionType=(\w+)", line)
        if match:
            shown.add(resource + match.groups())
    found = world.ask(lambda admin: admin.describe_acls())
    assert shown == set((
        each.resource.upper(), each.name, each.pattern.upper(), each.principal, each.host, each.operation.upper(),
        each.permission.upper()) for each in found) != set()


def test_quorum(world):
    if world.kafka.mode == "zk":
        pytest.skip("there is none with ZooKeeper")
    told = world.tool("quorum", "describe", "--status")
    found = world.ask(lambda admin: admin.describe_quorum())
    shown = dict(re.findall(r"^(\w+): *(.*?)\s*$", told, re.M))
    assert (int(shown["LeaderId"]), int(shown["LeaderEpoch"])) == (found.leader, found.epoch)
    rows = table(world.tool("quorum", "describe", "--replication"))
    assert sorted(int(row["NodeId"]) for row in rows) == sorted(
        each.node_id for each in found.voters + found.observers)


def test_features(world):
    if world.kafka.mode == "zk" and world.release < (3, 9):
        pytest.skip("its tool is another one")
    told = world.tool("features", "describe")
    shown = dict(re.findall(r"Feature: *(\S+)\s.*?FinalizedVersionLevel: *(\S+)", told))
    found = world.ask(lambda admin: admin.describe_features())
    assert set(shown) == set(found)
    for name, level in shown.items():
        if level.isdigit():  # that of the metadata is told as a release
            assert int(level) == found[name].level


def test_transactions(world):
    if world.release < (3, 0):
        pytest.skip("listing transactions needs Kafka 3.0")

    @gen.coroutine
    def main():
        admin, producer = clients.Admin(world.kafka.plaintext), clients.Producer(
            world.kafka.plaintext, serializer=bytes, transactional_id=world.id)
        try:
            yield [admin.connect(), producer.connect()]
            yield producer.begin()
            yield (yield producer.produce(world.topic, b"v", key=b"k", partition=2))
            mine, = [each for each in table(world.tool("transactions", "list")) if each["TransactionalId"] == world.id]
            found, = [each for each in (yield admin.list_transactions()) if each.transactional_id == world.id]
            assert (int(mine["Coordinator"]), int(mine["ProducerId"]), mine["TransactionState"]) == (
                found.coordinator, found.producer_id, found.state)
            row, = table(world.tool("transactions", "describe-producers", "--topic", world.topic, "--partition", "2"))
            writer, = (yield admin.describe_producers([(world.topic, 2)]))[world.topic, 2]
            assert (int(row["ProducerId"]), int(row["ProducerEpoch"]), int(row["CurrentTransactionStartOffset"])) == (
                writer.producer_id, writer.epoch, writer.transaction_start)
            yield producer.abort()
        finally:
            yield [producer.close(), admin.close()]
    loop.run(main, timeout=60)


@pytest.mark.skipif(sys.version_info < (3, 8), reason="kafka-python has no such Python any more")
def test_kafka_python(world):
    """The same questions to kafka-python's admin, where it has the call and the release."""
    kafka = needed("kafka", "pip install kafka-python")
    from kafka.admin import (
        ACLFilter, ACLOperation, ACLPermissionType, ACLResourcePatternType, ConfigResource, ResourcePatternFilter,
        ResourceType)
    other = kafka.KafkaAdminClient(bootstrap_servers=world.kafka.plaintext)
    try:
        topic, = other.describe_topics([world.topic])
        mine = world.ask(lambda admin: admin.describe_topics([world.topic]))[world.topic]
        assert sorted((each["partition_index"], each["leader_id"], each["replica_nodes"], sorted(each["isr_nodes"]))
                      for each in topic["partitions"]) == [
            (each.partition, each.leader, each.replicas, sorted(each.in_sync)) for each in mine.partitions]
        offsets = other.list_group_offsets([world.group])[world.group]
        assert dict(((key.topic, key.partition), each.offset) for key, each in offsets.items()) == world.ask(
            lambda admin: admin.committed_offsets(world.group))
        if world.release >= (3, 0):  # with 2.8.2 its call ends with a KeyError
            cluster, mine = other.describe_cluster(), world.ask(lambda admin: admin.describe_cluster())
            assert sorted(each.get("broker_id", each.get("node_id")) for each in cluster["brokers"]) == [
                each.broker_id for each in mine.brokers]
        if world.release >= (0, 11):
            resource = ConfigResource("topic", world.topic)
            told = other.describe_configs([resource], config_filter="all")["topic"][world.topic]
            mine = world.ask(lambda admin: admin.describe_configs(("topic", world.topic)))["topic", world.topic]
            assert dict((name, each["value"]) for name, each in told.items()) == dict(
                (name, each.value) for name, each in mine.items())
        if world.release >= (2, 4):
            rules, _ = other.describe_acls(ACLFilter(
                None, None, ACLOperation.ANY, ACLPermissionType.ANY, ResourcePatternFilter(
                    ResourceType.ANY, None, ACLResourcePatternType.ANY)))
            mine = world.ask(lambda admin: admin.describe_acls())
            assert sorted((each.principal, each.host, each.operation.name.lower()) for each in rules) == sorted(
                (each.principal, each.host, each.operation) for each in mine)
        if world.kafka.mode == "kraft":
            told, mine = other.describe_metadata_quorum(), world.ask(lambda admin: admin.describe_quorum())
            assert str(mine.leader) in json.dumps(told, default=str)
    finally:
        other.close()


def test_what_there_is_not_is_said(world):
    """Where a tool can't do it either, `Admin` says from which release on it is there."""
    if world.release >= (0, 11):
        pytest.skip("seen on the oldest one")

    @gen.coroutine
    def body(admin):
        for call in (admin.describe_configs(("topic", world.topic)), admin.describe_acls(), admin.describe_log_dirs(),
                     admin.list_transactions(), admin.describe_features(), admin.describe_quorum()):
            failed = yield loop.raises(exc.UnsupportedVersionError, call)
            assert "or later" in str(failed)
    world.ask(body)
