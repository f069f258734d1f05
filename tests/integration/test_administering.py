"""
All that an `Admin` looks at and changes besides groups, on real brokers, held against a second source.

That is another api, the effect, or Kafka's own tool. Where a release lacks a thing, the error says from which on it is
there.
"""
from __future__ import absolute_import

import io
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import uuid

import pytest
import six
from tornado import gen

from kiel import clients, command, exc, sasl
from kiel.clients import offsets
from kiel.clients.administering.configs import Append, Resource, Subtract
from kiel.clients.administering.topics import NewPartitions, NewTopic
from kiel.clients.administering.users import ANY, DEFAULT, Credential, Entity, NoCredential
from kiel.commands import formats
from kiel.testing import admin as testing
from kiel.testing import java, maven, processes

from tests import loop, syntax
from tests.integration import peer

#: seconds that a test may take
PATIENCE = 40

#: with `KIEL_LONG=1` those too that take a change in another way, and both modes of one release
RELEASES = peer.share(*("0.10.2.2", "0.11.0.3", "1.1.1", "2.8.2", "3.9.1-zk", "3.9.1-kraft", "4.4.0")
                      if peer.LONG or os.environ.get("KIEL_KAFKA") else ("0.10.2.2", "2.8.2", "4.4.0"))


@pytest.fixture(scope="module", params=RELEASES)
def kafka(request):
    more = dict(sasl=["SCRAM-SHA-256", "SCRAM-SHA-512"]) if request.param == "4.4.0" else {}
    cluster = peer.cluster_of(request.param, brokers=2, **more)
    yield cluster
    cluster.stop()


def unique(what):
    return "%s-%s" % (what, uuid.uuid4().hex[:8])


def run(kafka, body):
    """Run a coroutine function of a connected `Admin` and of a function that makes other clients."""
    made = []

    @gen.coroutine
    def start(cls, *args, **settings):
        client = cls(kafka.plaintext, *args, **settings)
        made.append(client)
        yield client.connect()
        raise gen.Return(client)

    @gen.coroutine
    def main():
        try:
            admin = yield start(clients.Admin)
            yield gen.coroutine(body)(admin, start)
        finally:
            for client in reversed(made):
                yield client.close()
    loop.run(main, timeout=PATIENCE)


@gen.coroutine
def seen(look, wanted):
    """Look again until what is seen is as wanted: brokers learn of a change one after the other, any may be asked."""
    while True:
        found = yield look()
        if wanted(found):
            raise gen.Return(found)
        yield gen.sleep(0.02)


@gen.coroutine
def made(admin, name, partitions=1, replicas=1, **more):
    """Make a topic, and wait until every broker knows its leaders."""
    numbers = () if "assignment" in more else (partitions, replicas)
    outcome = yield admin.create_topics([NewTopic(name, *numbers, **more)])
    assert not isinstance(outcome[name], exc.KielError), outcome
    for broker in list(admin.cluster.conns.values()):
        yield seen(
            lambda: gen.maybe_future(testing.metadata((broker.host, broker.port))[1].get(name, {})),
            lambda found: len(found) == partitions and all(
                leader >= 0 and len(in_sync) == replicas for _, leader, _, in_sync in found.values()))
    yield admin.cluster.heal()


@gen.coroutine
def described(admin, name):
    """Return the description of a topic, None while it is not there."""
    topic = (yield admin.describe_topics([name]))[name]
    if isinstance(topic, exc.KielError):
        assert isinstance(topic, (exc.UnknownTopicOrPartitionError, exc.LeaderNotAvailableError)), topic
        topic = None
    raise gen.Return(topic)


@gen.coroutine
def too_old(call, since):
    failed = yield loop.raises(exc.UnsupportedVersionError, call)
    assert "needs Kafka %s" % since in str(failed), failed


# -- topics --

@gen.coroutine
def listing(admin):
    """All topics: name -> what is known of it."""
    raise gen.Return(dict((each.name, each) for each in (yield admin.list_topics())))


def test_topics(kafka):
    def body(admin, start):
        name, placed, wrong = unique("topic"), unique("placed"), "no such/name"
        outcome = yield admin.create_topics([NewTopic(name, 3, 2), wrong], validate_only=True)
        assert outcome[name].name == name and isinstance(outcome[wrong], exc.InvalidTopicError)
        assert (yield described(admin, name)) is None
        outcome = yield admin.create_topics([
            NewTopic(name, 3, 2, configs={"retention.ms": 360000, "cleanup.policy": "compact"}),
            NewTopic(placed, assignment={0: [1], 1: [0]}), wrong
        ])
        assert isinstance(outcome.pop(wrong), exc.InvalidTopicError)
        assert [each.name for each in outcome.values()] == list(outcome)
        if peer.release(kafka) >= (2, 8):
            assert (outcome[name].partitions, outcome[name].replication_factor) == (3, 2)
            assert outcome[name].configs["retention.ms"] == "360000" and outcome[name].topic_id
        topic = yield seen(lambda: described(admin, placed), lambda topic: topic and len(topic.partitions) == 2)
        assert [each.replicas for each in topic.partitions] == [[1], [0]] and not topic.internal
        topic = yield seen(lambda: described(admin, name), lambda topic: topic and len(topic.partitions) == 3)
        assert set(len(each.replicas) for each in topic.partitions) == {2}
        assert topic.topic_id == outcome[name].topic_id
        again = yield admin.create_topics(name)
        assert isinstance(again[name], exc.TopicAlreadyExistsError)
        # asked of any broker: it may not have heard of them yet
        listed = yield seen(lambda: listing(admin), lambda found: name in found and placed in found)
        assert listed[name].partitions == 3 and listed[name].topic_id == topic.topic_id
        assert set(listed) == set(each for each in admin.cluster.topics if not each.startswith("__")) | {name, placed}

        if peer.release(kafka) >= (1, 0):
            grown = yield admin.create_partitions({name: 5, placed: NewPartitions(3, [[0]])}, validate_only=True)
            assert grown == {name: True, placed: True}
            gone = unique("gone")
            grown = yield admin.create_partitions({name: 2, placed: NewPartitions(3, [[0]]), gone: 3})
            assert grown.pop(placed) is True and isinstance(grown[name], exc.InvalidPartitionsError)
            assert isinstance(grown[gone], exc.UnknownTopicOrPartitionError)
            topic = yield seen(lambda: described(admin, placed), lambda topic: len(topic.partitions) == 3)
            assert topic.partitions[2].replicas == [0]
        else:
            yield too_old(admin.create_partitions({name: 5}), "1.0 or later")

        outcome = yield admin.delete_topics([name, placed, unique("gone")])
        assert outcome.pop(name) is True and outcome.pop(placed) is True
        assert isinstance(list(outcome.values())[0], exc.UnknownTopicOrPartitionError)
        yield seen(lambda: described(admin, name), lambda topic: topic is None)
    run(kafka, body)


# -- settings --

def test_settings(kafka):
    def body(admin, start):
        name = unique("topic")
        yield made(admin, name, configs={"cleanup.policy": "delete"})
        resource = Resource("topic", name)
        if peer.release(kafka) < (0, 11):
            yield too_old(admin.describe_configs(resource), "0.11 or later")
            yield too_old(admin.alter_configs({resource: {"a": 1}}), "0.11 or later")
            return
        if peer.release(kafka) < (2, 3):
            yield settings_at_once(admin, name, peer.release(kafka) >= (1, 1))
            return
        gone = Resource("topic", unique("gone"))
        found = yield admin.describe_configs([resource, ("broker", 1), ("broker", ""), gone], synonyms=True,
                                             documentation=True)
        assert isinstance(found[gone], exc.UnknownTopicOrPartitionError)
        policy = found[resource]["cleanup.policy"]
        assert (policy.value, policy.source, policy.type, policy.read_only) == ("delete", "topic", "list", False)
        assert [each.source for each in policy.synonyms][-1] == "default" and "delete" in policy.documentation
        assert found[resource]["retention.ms"].source == "default"
        assert found["broker", "1"]["broker.id" if "broker.id" in found["broker", "1"] else "node.id"].value == "1"
        named = yield admin.describe_configs(resource, names=["retention.ms"])
        assert list(named[resource]) == ["retention.ms"] and named[resource]["retention.ms"].documentation is None

        changes = {resource: {"retention.ms": 90000, "cleanup.policy": Append(["compact"])}, gone: {"retention.ms": 1}}
        tried = yield admin.alter_configs(changes, validate_only=True)
        assert tried[resource] is True and isinstance(tried[gone], exc.UnknownTopicOrPartitionError)
        again = yield admin.describe_configs(resource)
        assert again[resource]["retention.ms"].source == "default"
        changed = yield admin.alter_configs(changes)
        assert changed[resource] is True and isinstance(changed[gone], exc.UnknownTopicOrPartitionError)

        def settings():
            return admin.describe_configs([resource])
        found = yield seen(settings, lambda found: found[resource]["retention.ms"].value == "90000")
        assert sorted(found[resource]["cleanup.policy"].value.split(",")) == ["compact", "delete"]
        yield admin.alter_configs({resource: {"retention.ms": None, "cleanup.policy": Subtract(["delete"])}})
        found = yield seen(settings, lambda found: found[resource]["retention.ms"].source == "default")
        assert found[resource]["cleanup.policy"].value == "compact"
        wrong = yield admin.alter_configs({resource: {"retention.ms": "soon"}})
        kind = exc.InvalidConfigError if peer.release(kafka) >= (3, 9) else exc.InvalidRequestError
        assert isinstance(wrong[resource], kind) and "soon" in str(wrong[resource])

        both = {("broker", 0): {"log.cleaner.threads": 2}, ("broker", 1): {"log.cleaner.threads": 2}}
        assert set((yield admin.alter_configs(both)).values()) == {True}
        found = yield seen(lambda: admin.describe_configs([("broker", 0), ("broker", 1)]), lambda found: set(
            each["log.cleaner.threads"].value for each in found.values()) == {"2"})
        assert found["broker", "0"]["log.cleaner.threads"].source == "broker"
        failed = yield loop.raises(exc.BrokerNotAvailableError, admin.describe_configs(("broker", 7)))
        assert "not among those that are up: 0, 1" in str(failed)
    run(kafka, body)


@gen.coroutine
def settings_at_once(admin, name, of_brokers):
    """Brokers before 2.3: what is changed, and that the rest stays; a topic that is not there is not always told."""
    topic = Resource("topic", name)
    change = {"retention.ms": 90000, "cleanup.policy": Append(["compact"])}
    assert (yield admin.alter_configs({topic: change}, validate_only=True)) == {topic: True}
    assert (yield admin.alter_configs({topic: change})) == {topic: True}

    def own():
        return admin.describe_configs(topic, names=["cleanup.policy", "retention.ms", "segment.ms"])

    def is_now(*wanted):
        return lambda found: tuple(
            each.value if each.source in ("topic", None) else None
            for _, each in sorted(found[topic].items())) == wanted
    yield seen(own, is_now("delete,compact", "90000", None))
    yield admin.alter_configs({topic: {"segment.ms": 70000, "retention.ms": None}})
    yield seen(own, is_now("delete,compact", None, "70000"))
    wrong = yield admin.alter_configs({topic: {"segment.ms": "soon"}})
    assert isinstance(wrong[topic], exc.KielError) and "soon" in str(wrong[topic])
    gone = (yield admin.alter_configs({("topic", unique("gone")): {"segment.ms": 1}})).popitem()[1]
    assert isinstance(gone, exc.KielError)
    brokers = [Resource("broker", 1), Resource("broker", "")]
    changed = yield admin.alter_configs(dict((broker, {"log.cleaner.threads": 2}) for broker in brokers))
    if of_brokers:
        assert changed == dict.fromkeys(brokers, True)
        yield admin.alter_configs({brokers[0]: {"background.threads": 7}})
        found = yield seen(lambda: admin.describe_configs(brokers[0]), lambda found: found[brokers[0]][
            "background.threads"].value == "7")
        assert found[brokers[0]]["log.cleaner.threads"].source == "broker"
    else:
        assert all(isinstance(each, exc.InvalidRequestError) for each in changed.values()), changed


# -- partitions --

def test_messages_are_deleted(kafka):
    def body(admin, start):
        name = unique("topic")
        yield made(admin, name, 2)
        if peer.release(kafka) < (0, 11):
            yield too_old(admin.delete_records({(name, 0): 1}), "0.11 or later")
            return
        writer = yield start(peer.Writer)
        for partition in (0, 1):
            yield writer.put(name, partition, [b"%d" % each for each in range(5)])
        outcome = yield admin.delete_records({(name, 0): 3, (name, 1): offsets.END, ("gone", 0): 1})
        assert isinstance(outcome.pop(("gone", 0)), exc.UnknownTopicOrPartitionError)
        assert outcome == {(name, 0): 3, (name, 1): 5}
        assert (yield admin.beginning_offsets(name)) == {0: 3, 1: 5}
        late = yield admin.delete_records({(name, 0): 50})
        assert isinstance(late[name, 0], exc.OffsetOutOfRangeError)
    run(kafka, body)


def test_partitions_move_and_leaders_are_elected(kafka):
    def body(admin, start):
        name = unique("topic")
        if peer.release(kafka) < (2, 4):
            yield too_old(admin.elect_leaders([("t", 0)]), "2.2 or later")
            yield too_old(admin.alter_reassignments({("t", 0): [0]}), "2.4 or later")
            yield too_old(admin.list_reassignments(), "2.4 or later")
            return
        yield made(admin, name, 2, 2)
        outcome = yield admin.alter_reassignments({
            (name, 0): [1, 0], (name, 1): [1], ("gone", 0): [0], (name, 7): None})
        assert outcome[name, 0] is outcome[name, 1] is True
        assert isinstance(outcome["gone", 0], exc.UnknownTopicOrPartitionError)
        assert isinstance(outcome[name, 7], (exc.UnknownTopicOrPartitionError, exc.NoReassignmentInProgressError))
        yield seen(admin.list_reassignments, lambda moves: moves == {})
        yield seen(lambda: described(admin, name), lambda topic: [
            each.replicas for each in topic.partitions] == [[1, 0], [1]])
        no_move = yield admin.alter_reassignments({(name, 0): None})
        assert isinstance(no_move[name, 0], exc.NoReassignmentInProgressError)

        yield admin.elect_leaders([(name, 0)])
        yield seen(lambda: described(admin, name), lambda topic: topic.partitions[0].leader == 1)
        assert (yield admin.elect_leaders([(name, 0), (name, 1)])) == {(name, 0): False, (name, 1): False}
        everywhere = yield admin.elect_leaders()
        assert not any(isinstance(each, exc.KielError) for each in everywhere.values()), everywhere
        unclean = yield admin.elect_leaders([(name, 0), ("gone", 0)], unclean=True)
        assert unclean[name, 0] is False and isinstance(unclean["gone", 0], exc.UnknownTopicOrPartitionError)
    run(kafka, body)


# -- the cluster --

def test_the_cluster(kafka):
    def body(admin, start):
        cluster = yield admin.describe_cluster()
        assert cluster.cluster_id == admin.cluster.cluster_id and cluster.controller in (0, 1)
        assert [(each.broker_id, "%s:%d" % (each.host, each.port)) for each in cluster.brokers] == list(
            enumerate(kafka.plaintext))
        if peer.release(kafka) >= (4, 0):
            assert (yield admin.describe_cluster(fenced=True)).brokers == cluster.brokers
        else:
            yield too_old(admin.describe_cluster(fenced=True), "4.0 or later")
        if peer.release(kafka) < (1, 0):
            yield too_old(admin.describe_log_dirs(), "1.0 or later")
        else:
            name = unique("topic")
            yield made(admin, name, assignment={0: [0]})
            writer = yield start(peer.Writer)
            yield writer.put(name, 0, [b"x" * 1000])
            found = yield admin.describe_log_dirs()
            assert sorted(found) == [0, 1]
            (path, directory), = found[0].items()
            assert path.startswith(kafka.directory) and directory.error is None
            assert 1000 < directory.replicas[name, 0].size < 1500 and not directory.replicas[name, 0].future
            assert (name, 0) not in list(found[1].values())[0].replicas
            only = yield admin.describe_log_dirs([0], [(name, 0)])
            assert list(only[0][path].replicas) == [(name, 0)]
            if peer.release(kafka) >= (3, 3):
                assert directory.total_bytes > directory.usable_bytes > 0
            gone = yield admin.describe_log_dirs([0, 7])
            assert isinstance(gone[7], exc.BrokerNotAvailableError) and path in gone[0]
    run(kafka, body)


def test_quorum_and_features(kafka):
    def body(admin, start):
        if peer.release(kafka) < (3, 3):
            yield too_old(admin.describe_quorum(), "3.3, without ZooKeeper, or later")
        if peer.release(kafka) < (2, 7):
            yield too_old(admin.describe_features(), "2.7 or later")
            yield too_old(admin.update_features({"kraft.version": 1}), "2.7 or later")
            return
        features = yield admin.describe_features()
        if kafka.mode == "zk":
            assert features == {}
            if peer.release(kafka) < (3, 3):
                yield too_old(admin.update_features({"kraft.version": 1}, validate_only=True), "3.3 or later")
            else:
                yield too_old(admin.describe_quorum(), "3.3, without ZooKeeper, or later")
                refused = yield admin.update_features({"kraft.version": 1}, validate_only=True)
                assert isinstance(refused["kraft.version"], exc.InvalidRequestError)
            return
        level = features["metadata.version"]
        assert level.least <= level.level <= level.most
        too_high = admin.update_features({"metadata.version": level.most + 1}, validate_only=True)
        if peer.release(kafka) >= (4, 0):
            assert "metadata.version" in str((yield loop.raises(exc.InvalidUpdateVersionError, too_high)))
            down = yield admin.update_features({"group.version": 0}, upgrade="safe_downgrade", validate_only=True)
            assert down == {"group.version": True}
        else:
            assert isinstance((yield too_high)["metadata.version"], exc.InvalidUpdateVersionError)
        assert (yield admin.describe_features()) == features
        quorum = yield admin.describe_quorum()
        assert [each.node_id for each in quorum.voters] == [quorum.leader]
        assert [each.node_id for each in quorum.observers] == [0, 1]
        assert all(0 < each.end_offset <= quorum.voters[0].end_offset for each in quorum.observers)
    run(kafka, body)


# -- users --

def test_users_of_scram(kafka):
    def body(admin, start):
        user, mute = unique("user"), unique("mute")
        if peer.release(kafka) < (2, 7):
            yield too_old(admin.describe_scram_users(), "2.7 or later")
            yield too_old(admin.alter_scram_users(Credential(user, "secret")), "2.7 or later")
            return
        outcome = yield admin.alter_scram_users([
            Credential(user, u"s\u00e4cret", "SCRAM-SHA-256"), Credential(user, u"s\u00e4cret", iterations=4096),
            NoCredential(mute)
        ])
        assert outcome[user] is True and isinstance(outcome[mute], exc.ResourceNotFoundError)
        wanted = {"SCRAM-SHA-256": 8192, "SCRAM-SHA-512": 4096}
        yield seen(admin.describe_scram_users, lambda found: found.get(user) == wanted)
        found = yield seen(lambda: admin.describe_scram_users([user, mute]), lambda found: found[user] == wanted)
        assert isinstance(found[mute], exc.ResourceNotFoundError)
        if kafka.sasl:
            for mechanism in sorted(wanted):
                known = clients.Admin(kafka.bootstrap, sasl=sasl.Scram(user, u"s\u00e4cret", mechanism))
                yield logged_in(known)
                yield known.close()
        assert (yield admin.alter_scram_users([NoCredential(user, "SCRAM-SHA-256")])) == {user: True}
        yield seen(admin.describe_scram_users, lambda found: found[user] == {"SCRAM-SHA-512": 4096})
    run(kafka, body)


@gen.coroutine
def logged_in(client):
    """Connect with a password that the brokers learn of one after the other."""
    while True:
        try:
            yield client.connect()
            return
        except exc.AuthenticationError:
            yield gen.sleep(0.02)


def test_quotas(kafka):
    def body(admin, start):
        user = unique("user")
        alone, both, others = Entity(user=user), Entity(user=user, client_id="c"), Entity(user=user, client_id=DEFAULT)
        if peer.release(kafka) < (2, 6):
            yield too_old(admin.describe_client_quotas(), "2.6 or later")
            yield too_old(admin.alter_client_quotas({alone: {"producer_byte_rate": 1}}), "2.6 or later")
            return
        changes = {alone: {"producer_byte_rate": 1000, "request_percentage": 12.5}, both: {"consumer_byte_rate": 7},
                   others: {"consumer_byte_rate": 8}, Entity(client_id=user): {"no_such_quota": 1}}
        tried = yield admin.alter_client_quotas(changes, validate_only=True)
        assert tried.pop(Entity(client_id=user)).code and set(tried.values()) == {True}
        assert (yield admin.describe_client_quotas({"user": user})) == {}
        outcome = yield admin.alter_client_quotas(changes)
        assert outcome.pop(Entity(client_id=user)).code and set(outcome.values()) == {True}
        changes.pop(Entity(client_id=user))
        yield seen(lambda: admin.describe_client_quotas({"user": user}), lambda found: found == changes)
        for components, strict, wanted in (({}, True, [alone]), ({"client_id": ANY}, False, [both, others]),
                                           ({"client_id": DEFAULT}, False, [others])):
            yield seen(lambda: admin.describe_client_quotas(dict(components, user=user), strict), lambda found: (
                found == dict((entity, changes[entity]) for entity in wanted)))
        if peer.release(kafka) >= (4, 4):
            told = tool(kafka, "org.apache.kafka.tools.ConfigCommand",
                        "--describe", "--entity-type", "users", "--entity-name", user)
            assert "producer_byte_rate=1000.0" in told and "request_percentage=12.5" in told, told
        yield admin.alter_client_quotas({alone: {"producer_byte_rate": None}, both: {"consumer_byte_rate": None}})
        yield seen(lambda: admin.describe_client_quotas({"user": user}), lambda found: found == {
            alone: {"request_percentage": 12.5}, others: changes[others]})
    run(kafka, body)


def tool(kafka, name, *args):
    """Run one of Kafka's own tools; return what it prints."""
    command = [java.java("Kafka's tools", kafka.release.java), "-Xmx128m"] + kafka.jvm_options()
    command += ["-cp", os.pathsep.join(maven.tools_classpath(kafka.release)), name]
    command += ["--bootstrap-server", ",".join(kafka.plaintext)] + list(args)
    return subprocess.check_output(command, stderr=subprocess.STDOUT).decode("utf-8")


# -- transactions --

def test_transactions(kafka):
    def body(admin, start):
        name, transactional_id = unique("topic"), unique("id")
        if peer.release(kafka) < (2, 8):
            yield made(admin, name)
            yield too_old(admin.describe_producers([(name, 0)]), "2.8 or later")
        if peer.release(kafka) < (3, 0):
            yield too_old(admin.list_transactions(), "3.0 or later")
            yield too_old(admin.describe_transactions([transactional_id]), "3.0 or later")
            return
        yield made(admin, name, 2)
        producer = yield start(clients.Producer, transactional_id=transactional_id, serializer=bytes,
                               transaction_timeout=60)
        yield producer.begin()
        yield (yield producer.produce(name, b"1"))
        listed, = [each for each in (yield admin.list_transactions())
                   if each.transactional_id == transactional_id]
        assert listed.state == "Ongoing"
        found = yield admin.describe_transactions([transactional_id, unique("gone")])
        mine = found.pop(transactional_id)
        assert isinstance(list(found.values())[0], exc.TransactionalIdNotFoundError)
        assert (mine.state, mine.timeout, mine.producer_id) == ("Ongoing", 60, listed.producer_id)
        (topic, partition), = mine.partitions
        assert topic == name and mine.coordinator == listed.coordinator and mine.started
        for wanted, settings in ((True, {"states": ["Ongoing"]}), (False, {"states": ["Empty"]}),
                                 (True, {"producer_ids": [mine.producer_id]}), (False, {"longer_than": 3600}),
                                 (True, {"pattern": transactional_id[:8] + ".*"}), (False, {"pattern": "no"})):
            if "pattern" in settings and peer.release(kafka) < (4, 1):
                yield too_old(admin.list_transactions(**settings), "4.1 or later")
                continue
            names = [each.transactional_id for each in (yield admin.list_transactions(**settings))]
            assert (transactional_id in names) == wanted, settings
        failed = yield loop.raises(exc.InvalidRequestError, admin.list_transactions(states=["Odd"]))
        assert "Odd" in str(failed)

        writers = yield admin.describe_producers([(name, 0), (name, 1), ("gone", 0)])
        assert isinstance(writers["gone", 0], exc.UnknownTopicOrPartitionError) and writers[name, 1 - partition] == []
        writer, = writers[name, partition]
        assert (writer.producer_id, writer.epoch, writer.transaction_start) == (mine.producer_id, mine.epoch, 0)
        yield admin.abort_transaction((name, partition), writer)
        writer, = (yield admin.describe_producers([(name, partition)]))[name, partition]
        assert writer.transaction_start is None
        assert (yield admin.end_offsets(name))[partition] == 2  # the message and the end of its transaction
        yield producer.abort()
    run(kafka, body)


# -- groups --

def test_members_are_removed(kafka):
    def body(admin, start):
        name, group = unique("topic"), unique("group")
        yield made(admin, name)
        if peer.release(kafka) < (2, 4):
            yield too_old(admin.remove_members(group, ["m"]), "2.4 or later")
            return
        member = yield start(clients.GroupedConsumer, group, topics=[name], group_protocol="classic",
                             group_instance_id="one", session_timeout=45)
        joined = yield seen(lambda: admin.describe_groups([group]), lambda found: found[group].state == "Stable")
        assert [each.instance_id for each in joined[group].members] == ["one"]
        yield member.close()  # a static member stays
        outcome = yield admin.remove_members(group, ["nobody"], ["one"], reason="a test")
        assert outcome.pop("one") is True and isinstance(outcome["nobody"], exc.UnknownMemberIdError)
        assert (yield admin.describe_groups([group]))[group].members == []
        assert (yield admin.remove_members(group)) == {}
    run(kafka, body)


# -- the command --

def kiel(kafka, *args, **given):
    """Run the command; return its exit code, and what it wrote to both outputs. ``stdin`` comes from a file."""
    out, errors, before = io.TextIOWrapper(io.BytesIO()), six.StringIO(), sys.stderr
    with tempfile.NamedTemporaryFile() as source:
        if "stdin" in given:
            source.write(given["stdin"])
            source.flush()
            args += ("-i", source.name)
        sys.stderr = errors
        try:
            code = command.main(list(args) + ["-b", ",".join(kafka.plaintext)], out if six.PY3 else out.buffer)
        finally:
            sys.stderr = before
    return code, out.buffer.getvalue(), errors.getvalue()


def started(kafka, *args, **more):
    return subprocess.Popen(
        [sys.executable, "-m", "kiel"] + list(args), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=dict(os.environ, KIEL_BROKERS=",".join(kafka.plaintext)), **more)


@pytest.fixture
def topics(kafka):
    """The names of two topics of two partitions."""
    names = [unique("one"), unique("two")]
    for name in names:
        kafka.create_topic(name, 2)
    return names


def test_messages_go_round_byte_for_byte(kafka, topics):
    """Null keys and values, binary, headers, time stamps: what the second topic has is what the first one has."""
    first, second = topics
    sent = [
        (None, b"plain"), (b"", b""), (b"key", None),
        (bytes(bytearray(range(256))), bytes(bytearray(range(255, -1, -1)))),
        (u"schl\xfcssel".encode("utf-8"), u"w\u20acrt\n".encode("utf-8")), (b"\xff", b'{"base64": "eA=="}'),
    ]
    with_headers = peer.release(kafka) >= (0, 11)
    headers = [("h", b"1"), ("h", None), (u"\u20ac", b"\xff\0")] if with_headers else []

    def body(admin, start):
        producer = yield start(clients.Producer, serializer=lambda value: value)
        for number, (key, value) in enumerate(sent):
            yield (yield producer.produce(first, value, key=key, partition=number % 2, headers=headers or None,
                                          timestamp=1700000000000 + number))
    run(kafka, body)
    code, lines, errors = kiel(kafka, "consume", first, "-e", "--json")
    assert (code, errors) == (0, "")
    assert kiel(kafka, "produce", second, "--json", "--keep-partition", stdin=lines)[::2] == (
        0, "%d messages were written.\n" % len(sent))
    again = kiel(kafka, "consume", second, "-e", "-J")[1]

    def told(text):
        found = [json.loads(each.decode("utf-8")) for each in text.splitlines()]
        names = ("partition", "offset", "key", "value", "headers", "timestamp")
        return sorted(([each[name] for name in names] for each in found), key=lambda each: each[:2])
    assert told(lines) == told(again) and len(told(again)) == len(sent)

    def check(admin, start):
        consumer = yield start(clients.SingleConsumer, deserializer=bytes)
        found = yield peer.gather(consumer, second, len(sent), start=clients.BEGINNING, records=True)
        assert sorted([(each.timestamp, each.key, each.value, tuple(each.headers)) for each in found],
                      key=lambda each: each[0]) == [
            (1700000000000 + number, key, value, tuple(headers)) for number, (key, value) in enumerate(sent)]
    run(kafka, check)


def test_what_is_consumed(kafka, topics):
    name = topics[0]
    lines = b"".join(b"k%d=v%d\n" % (number, number) for number in range(6))
    assert kiel(kafka, "produce", name, "-K", "=", "-p", "0", "--quiet", stdin=lines) == (0, b"", "")

    def read(*args):
        code, out, errors = kiel(kafka, "consume", name, *args)
        assert (code, errors) == (0, ""), errors
        return out
    assert read("-e") == b"".join(b"v%d\n" % number for number in range(6))
    assert read("-c", "2", "-f", "%t/%p/%o %k:%K=%s:%S%%\\t") == "".join(
        "%s/0/%d k%d:2=v%d:2%%\t" % (name, number, number, number) for number in range(2)).encode("ascii")
    assert read("-e", "-o", "-2", "-p", "0", "-D", ";") == b"v4;v5;"
    assert read("-o", "1", "--to-offset", "3", "-p", "0", "-K", " ") == b"k1 v1\nk2 v2\n"
    assert read("-e", "--only-key", "k3", "--hex") == b"7633\n"
    assert read("-e", "-o", "end") == b""
    assert read("-e", "--from-time", "2200-01-01") == b"" and read("-e", "--to-time", "2001-01-01") == b""
    assert len(read("-e", "--from-time", "2001-01-01").splitlines()) == 6
    for args, words in ((("-p", "7"), "no partition 7"), (("-f", "%x"), "%x"), (("-G", "g", "-o", "1"), "a group")):
        code, out, errors = kiel(kafka, "consume", name, "-e", *args)
        assert code in (1, 2) and out == b"" and words in errors
    code, out, errors = kiel(kafka, "consume", unique("gone"), "-e")
    assert (code, out) == (1, b"") and "is not there" in errors


def test_a_group_consumes_what_is_new(kafka, topics):
    name, group = topics[0], unique("group")
    for wanted in (b"1\n2\n", b"3\n"):
        assert kiel(kafka, "produce", name, stdin=wanted)[0] == 0
        code, out, errors = kiel(kafka, "consume", name, "-G", group, "-e")
        assert (code, out, errors) == (0, wanted, "")
    for count, lag in ((2, 2), (1, 1), (None, 0)):  # what was not written is not committed
        if count == 2:
            kiel(kafka, "produce", name, "-p", "0", stdin=b"4\n5\n6\n7\n")
        limit = () if count is None else ("-c", str(count))
        assert len(kiel(kafka, "consume", name, "-G", group, "-e", *limit)[1].splitlines()) == (count or 1)
        code, out, errors = kiel(kafka, "groups", "lag", group, "--json")
        assert code == 0 and sum(row["lag"] or 0 for row in json.loads(out.decode("utf-8"))) == lag


def test_the_command_ends_in_good_order(kafka, topics):
    name = topics[0]
    assert kiel(kafka, "produce", name, stdin=b"1\n2\n" * 20000)[0] == 0
    process = started(kafka, "consume", name)  # and follows
    assert process.stdout.readline() in (b"1\n", b"2\n")
    process.stdout.close()  # as head does; nothing more has to come for that to be noticed
    assert process.stderr.read() == b"" and process.wait() == 0
    process.stderr.close()

    process = started(kafka, "consume", name)
    assert process.stdout.readline() in (b"1\n", b"2\n", b"3\n")
    process.send_signal(signal.SIGINT)
    assert process.communicate()[1] == b"" and process.returncode == 130
    with open("/dev/full", "wb") as full:
        failed = subprocess.Popen([sys.executable, "-m", "kiel", "consume", name, "-e", "-b", kafka.plaintext[0]],
                                  stdout=full, stderr=subprocess.PIPE)
        assert "No space left" in failed.communicate()[1].decode("utf-8") and failed.returncode == 1


def test_one_transaction_or_none(kafka, topics):
    if peer.release(kafka) < (0, 11):
        pytest.skip("transactions came with 0.11")
    name, transactional_id = topics[0], unique("id")
    lines = b'{"value": "a"}\n{"value": {"b": 1}}\n'
    args = "produce", name, "-J", "--transactional-id", transactional_id
    code, _, errors = kiel(kafka, *args, stdin=lines + b"nonsense\n")
    assert code == 2 and "not JSON" in errors
    assert kiel(kafka, *(args + ("-z", "gzip")), stdin=lines)[0] == 0
    # brokers acknowledge a commit before its markers are in the log, and up to those the end does not reach
    assert processes.wait_until(
        lambda: sorted(kiel(kafka, "consume", name, "-e", "--committed")[1].splitlines()) == [b"a", b'{"b": 1}'], 20)


def transcript():
    """The lines that the docs show, each with what it prints: ``(input or None, arguments, text)``."""
    with io.open(os.path.join(syntax.ROOT, "docs", "command.rst"), encoding="utf-8") as page:
        block = page.read().split(".. code-block:: console\n\n")[1].split("\nMessages\n")[0]
    found = []
    for line in textwrap.dedent(block).rstrip("\n").split("\n"):
        if not line.startswith("$ "):
            found[-1][2].append(line)
            continue
        before, _, behind = str(line[2:]).rpartition(" | ")
        given = formats.unescaped(shlex.split(before)[1]) if before else None
        found.append((given, shlex.split(behind)[1:], []))
    return [(given, args, "\n".join(lines) + "\n") for given, args, lines in found]


def test_the_transcript_of_the_docs(kafka):
    if peer.release(kafka) < (4, 0):
        pytest.skip("the docs show 4.x")
    lines = transcript()
    assert len(lines) > 10
    for given, args, text in lines:
        deadline = time.time() + PATIENCE
        while True:  # brokers learn of a change one after the other
            code, out, errors = kiel(kafka, *args, **({} if given is None else {"stdin": given}))
            told = out.decode("utf-8") or errors
            if told == text or "produce" in args or "-G" in args or time.time() > deadline:
                break
            time.sleep(0.05)
        assert (args, told) == (args, text)
        assert code == (1 if "nobody" in args else 0)
