"""`kiel.testing.FakeKafka`: what any Kafka does, and what only the fake does."""
from __future__ import absolute_import

import threading
import time

import pytest
from tornado import gen, iostream, tcpclient

from kiel import clients, constants, exc, partitioners
from kiel.protocol import (
    add_partitions_to_txn, create_partitions, create_topics, delete_records, describe_configs,
    fetch, incremental_alter_configs, metadata, offset, offset_commit, offset_fetch, offset_for_leader_epoch, produce,
    txn_offset_commit
)
from kiel.protocol import request as requests
from kiel.testing import FakeKafka, TopicError
from kiel.testing.fake import names, versions

from tests import loop

pytest.register_assert_rewrite("tests.any_kafka")

from tests.any_kafka import *  # noqa: E402,F401,F403
from tests.any_kafka import NOON, PATIENCE, asked, consumed, identity, produced, run, transactional  # noqa: E402


@pytest.fixture(scope="module")
def kafka():
    with FakeKafka() as fake:
        yield fake


# -- what only the fake does --

@pytest.fixture
def own():
    """A fake that no other test has."""
    with FakeKafka({"orders": 3}) as fake:
        yield fake


def test_what_was_written_is_shown(own):
    def body():
        producer = clients.Producer(own.address)
        yield producer.connect()
        yield producer.produce_and_wait(
            "orders", {"id": 1}, key="a", partition=2, timestamp=NOON, headers=[("h", b"1")])
        yield producer.close()
    run(body)
    record, = own.messages("orders")
    assert record == clients.Record("orders", 2, 0, NOON, b"a", b'{"id": 1}', (("h", b"1"),))
    assert own.messages("orders", partition=2) == [record] and own.messages("orders", partition=0) == []
    own.close()
    assert own.messages("orders") == [record]


def test_what_is_appended_is_read(own):
    assert own.append("orders", {"id": 2}, partition=1, timestamp=NOON, headers=[("h", None)]).offset == 0
    assert own.append("orders", None, key=b"b", partition=1).offset == 1
    assert own.append("orders", b"raw", key="a").partition == partitioners.murmur2(b"a", [0, 1, 2])
    assert sorted(own.append("orders", b"x").partition for _ in range(3)) == [0, 1, 2]

    def body():
        found = yield consumed(own, "orders", 6)
        by_place = dict(((record.partition, record.offset), record) for record in found)
        assert by_place[1, 0].value == b'{"id": 2}' and tuple(by_place[1, 0].headers) == (("h", None),)
        assert by_place[1, 1].value is None and by_place[1, 1].key == b"b"
        assert sorted(found) == sorted(own.messages("orders"))
    run(body)


def test_of_transactions_only_what_was_committed_may_be_asked_for(own):
    def body():
        producer = yield transactional(own)
        for value, commits in ((b"1", True), (b"2", False)):
            yield producer.begin()
            yield producer.produce("orders", value, partition=0)
            yield producer.flush()
            yield (producer.commit() if commits else producer.abort())
        yield producer.begin()
        yield producer.produce("orders", b"3", partition=0)
        yield producer.flush()
        assert [record.value for record in own.messages("orders")] == [b"1", b"2", b"3"]
        assert [record.value for record in own.messages("orders", committed=True)] == [b"1"]
        yield producer.abort()
        yield producer.close()
    run(body)


def test_a_transaction_that_takes_too_long_is_aborted(own):
    def body():
        producer = yield transactional(own, transaction_timeout=0.2)
        yield producer.begin()
        yield producer.produce("orders", b"1", partition=0)
        yield producer.flush()
        found = yield consumed(own, "orders", 1)
        assert found[0].value == b"1"
        yield loop.until(lambda: own.aborted == 1, PATIENCE)
        yield loop.raises(exc.KielError, gen.convert_yielded(producer.commit()), PATIENCE)
        assert own.messages("orders", committed=True) == []
        yield producer.close()
    run(body)


@pytest.mark.parametrize("error", [19, "not_enough_replicas", "NOT_ENOUGH_REPLICAS", exc.NotEnoughReplicasError])
def test_a_write_that_fails_once_is_written_at_the_second_time(own, error):
    own.fail("Produce", error)

    def body():
        yield produced(own, "orders", [b"1"])
        assert own.count("produce") == 2
    run(body)
    assert len(own.messages("orders")) == 1


def test_an_error_is_for_good_or_at_one_place_only(own):
    own.fail("produce", "message_too_large", times=None, topic="orders", partition=1)

    def body():
        yield produced(own, "orders", [b"1"], partition=0)
        for _ in range(2):
            yield loop.raises(exc.MessageSizeTooLargeError, produced(own, "orders", [b"1"], partition=1))
        own.heal()
        yield produced(own, "orders", [b"1"], partition=1)
    run(body)


#: api -> fields of a request that asks for something
REQUESTS = {
    "produce": dict(required_acks=1, timeout=1000, topics=[
        produce.TopicRequest(name="orders", partitions=[produce.PartitionRequest(partition_id=0)])]),
    "fetch": dict(max_wait_time=10, min_bytes=0, topics=[fetch.TopicRequest(name="orders", partitions=[
        fetch.PartitionRequest(partition_id=0, offset=0, max_bytes=10)])]),
    "offset": dict(topics=[offset.TopicRequest(name="orders", partitions=[
        offset.PartitionRequest(partition_id=0, time=-1)])]),
    "metadata": dict(topics=["orders"]),
    "offset_commit": dict(group="g", topics=[offset_commit.TopicRequest(name="orders", partitions=[
        offset_commit.PartitionRequest(partition_id=0, offset=1, metadata="")])]),
    "offset_fetch": dict(group_name="g", topics=[offset_fetch.TopicRequest(name="orders", partitions=[0])]),
    "group_coordinator": dict(group="g"),
    "join_group": dict(group_id="g"),
    "describe_groups": dict(groups=["g"]),
    "create_topics": dict(topics=[create_topics.TopicRequest(name="new", num_partitions=1, replication_factor=1)]),
    "delete_topics": dict(topic_names=["orders"]),
    "delete_records": dict(topics=[delete_records.TopicRequest(name="orders", partitions=[
        delete_records.PartitionRequest(partition_id=0, offset=0)])]),
    "init_producer_id": dict(transactional_id="t"),
    "offset_for_leader_epoch": dict(topics=[offset_for_leader_epoch.TopicRequest(name="orders", partitions=[
        offset_for_leader_epoch.PartitionRequest(partition_id=0, leader_epoch=0)])]),
    "add_partitions_to_txn": dict(topics=[add_partitions_to_txn.TopicRequest(name="orders", partitions=[0])]),
    "txn_offset_commit": dict(topics=[txn_offset_commit.TopicRequest(name="orders", partitions=[
        txn_offset_commit.PartitionRequest(partition_id=0, offset=1, metadata="")])]),
    "describe_configs": dict(resources=[describe_configs.ResourceRequest(
        resource_type=2, resource_name="orders", configuration_keys=None)]),
    "create_partitions": dict(topics=[create_partitions.TopicRequest(name="orders", count=4, assignments=None)]),
    "delete_groups": dict(groups_names=["g"]),
    "incremental_alter_configs": dict(resources=[incremental_alter_configs.ResourceRequest(
        resource_type=2, resource_name="orders")]),
    "consumer_group_describe": dict(group_ids=["g"]),
}


@pytest.mark.parametrize("api", sorted(set(versions.SERVED) - {"api_versions"}))
def test_an_error_is_told_by_every_api(own, api):
    own.fail(api, "unknown_server_error")

    def body():
        answer, = yield asked(own, requests.classes[api](**REQUESTS.get(api, {})))
        assert own.count(api) == 1
        assert "error_code=-1" in repr(answer)
        answer, = yield asked(own, requests.classes[api](**REQUESTS.get(api, {})))
        assert "error_code=-1" not in repr(answer)
    run(body)


@pytest.mark.parametrize("wrong", [("prodce", 6), ("produce", 0), ("produce", 9999), ("produce", "no such error"),
                                   ("produce", ValueError)])
def test_what_is_no_api_or_error_is_refused(own, wrong):
    with pytest.raises(ValueError):
        own.fail(*wrong)


def test_names_of_kafka_are_understood(own):
    assert names.api("ListOffsets") == names.api("list_offsets") == "offset"
    assert names.api("FindCoordinator") == "group_coordinator"
    assert names.error("NOT_LEADER_OR_FOLLOWER") == 6
    for api in constants.API_KEYS:
        assert names.api(api) == api


def test_a_connection_that_is_closed_costs_nothing(own):
    own.hang_up("produce")

    def body():
        yield produced(own, "orders", [b"1"])
        own.hang_up()
        yield produced(own, "orders", [b"2"])
    run(body)
    assert sorted(record.value for record in own.messages("orders")) == [b"1", b"2"]


def test_a_broker_that_hangs_is_waited_for(own):
    own.pause()

    def body():
        delivery = produced(own, "orders", [b"1"])
        yield gen.sleep(0.1)
        assert not delivery.done()
        own.resume()
        yield loop.within(PATIENCE, delivery)
        own.delay(0.1, "produce", times=1)
        began = time.time()
        yield produced(own, "orders", [b"1"])
        assert time.time() - began > 0.1
    run(body)


def test_brokers_go_down_and_come_up():
    with FakeKafka({"orders": 2}, brokers=2) as own:
        def body():
            producer = clients.Producer(own.bootstrap, serializer=identity)
            yield producer.connect()
            yield producer.produce_and_wait("orders", b"1", partition=0)
            own.brokers[0].stop()
            assert not own.brokers[0].is_up
            yield loop.within(PATIENCE, gen.convert_yielded(
                producer.produce_and_wait("orders", b"2", partition=0)))
            own.brokers[1].stop()
            own.brokers[0].start()
            yield loop.within(PATIENCE, gen.convert_yielded(
                producer.produce_and_wait("orders", b"3", partition=0)))
            own.heal()
            yield producer.close()
        run(body)
        assert [record.value for record in own.messages("orders", partition=0)] == [b"1", b"2", b"3"]


def test_it_may_be_asked_from_any_thread_and_by_any_loop(own):
    """A test that blocks its own loop meanwhile, and one whose loop is another."""
    def body():
        producer = clients.Producer(own.bootstrap, serializer=identity)
        yield producer.connect()
        yield producer.produce_and_wait("orders", b"1")
        yield producer.close()

    threads = [threading.Thread(target=lambda: [own.append("orders", b"x") for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    run(body)
    run(body)
    for thread in threads:
        thread.join(PATIENCE)
    assert len(own.messages("orders")) == 202


def test_what_it_keeps_is_bounded(caplog):
    with FakeKafka({"orders": 2}, max_bytes=20000) as own:
        for number in range(100):
            own.append("orders", b"%4d" % number * 100, partition=number % 2)
        kept = own.messages("orders")
        assert 20 < len(kept) < 50 and max(kept, key=lambda record: record.value).value == b"  99" * 100
        assert min(record.offset for record in kept) > 0
        assert caplog.text.count("drops the oldest") == 1


@pytest.mark.parametrize("call", [
    lambda own: own.messages("none"), lambda own: own.messages("orders", partition=3),
    lambda own: own.append("none", b""), lambda own: own.append("orders", b"", partition=3),
    lambda own: own.create_topic("orders"), lambda own: own.create_topic("a b"), lambda own: own.delete_topic("none"),
    lambda own: own.create_topic("new", partitions=0), lambda own: own.create_partitions("orders", 3),
])
def test_what_is_not_there_is_told(own, call):
    with pytest.raises(TopicError):
        call(own)
    assert own.topics == {"orders": 3}


def test_topics_and_offsets_are_shown(own):
    assert own.topic("new", partitions=2) == "new"
    own.create_partitions("new", 4)
    assert own.topics == {"orders": 3, "new": 4}
    own.delete_topic("new")
    assert list(own.topics) == ["orders"]
    own.append("orders", b"1", partition=1)

    def body():
        consumer = clients.GroupedConsumer(
            own.bootstrap, "g", deserializer=identity, autocommit=True, slow_callback=None)
        yield consumer.connect()
        assert (yield loop.within(PATIENCE, consumer.consume("orders"))) == [b"1"]
        yield consumer.close()
    run(body)
    assert own.offsets("g")["orders", 1] == 1
    assert own.offsets("nobody") == {}


def test_without_auto_create_a_topic_has_to_be_made():
    with FakeKafka(auto_create=False) as own:
        def body():
            answer, = yield asked(own, metadata.MetadataRequest(topics=["orders"]))
            assert [topic.error_code for topic in answer.topics] == [3]
        run(body)
        assert own.topics == {}
    with FakeKafka() as own:
        run(lambda: (yield produced(own, "orders", [b"1"])))
        assert own.topics == {"orders": 1}


def test_a_port_may_be_chosen():
    with FakeKafka() as first:
        port = first.brokers[0].address.rpartition(":")[2]
    with FakeKafka(port=int(port)) as second:
        assert second.address == first.address
        assert first.address in repr(first) and "closed" in repr(first)
        with pytest.raises(EnvironmentError):
            FakeKafka(port=int(port))


def test_bytes_that_are_no_request_end_the_connection_only(own, caplog):
    def body():
        for junk in (b"\0\0\0\x0a" + b"\xff" * 10, b"GET / HTTP/1.0\r\n\r\n", b"\0\0\0\x0c\0\3\0\1\0\0\0\1\0\1a\xff",
                     b"\0\0\0\2ab"):
            stream = yield tcpclient.TCPClient().connect("127.0.0.1", int(own.address.rpartition(":")[2]))
            yield stream.write(junk)
            yield loop.raises(iostream.StreamClosedError, stream.read_bytes(1))
        yield produced(own, "orders", [b"1"])
    run(body)
    assert caplog.text.count("hangs up") == 4
