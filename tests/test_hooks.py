"""What hooks are told, by real flows on a scripted cluster."""
from __future__ import absolute_import

import gc
import sys
import time
import weakref

import pytest
from tornado import gen

from kiel import constants, exc, hooks, sasl
from kiel.clients import Admin, Producer, SingleConsumer
from kiel.groups.liveness.relay import Relay
from kiel.protocol.heartbeat import HeartbeatRequest
from kiel.settings import Settings

from tests import loop
from tests.clients.consuming import consumers
from tests.clients.grouping import members
from tests.clients.producing import producers
from tests.fake import VERSIONS, delay, error, with_cluster
from tests.groups.liveness.test_heartbeat import World
from tests.groups.brokers import Brokers
from tests.listeners import Diary
from tests.test_throttling import throttled


@with_cluster(topics={"t": 2})
def test_a_producer_tells_of_connections_requests_metadata_and_batches(cluster):
    diary = Diary()
    producer = producers.make(cluster, hooks=[diary], linger=0.01, compression="gzip", client_id="painter")
    yield producer.connect()
    broker = dict(broker_id=1, host="127.0.0.1", port=cluster[1].port)
    yield producer.cluster[1].open("produce")
    producer.cluster[1].lanes["produce"].close()  # it was opened ahead, and has to be opened again
    opened, ahead = diary.of("connected", **broker)
    assert 0 < opened.seconds < 5 and opened.client is producer and opened.client_id == "painter"
    assert diary.of("metadata_refreshed")[0].topics == 1 and diary.of("metadata_refreshed")[0].brokers == 1
    for number in range(100):
        last = yield producer.produce("t", b"x" * 1000, partition=1)
    metadata = yield last
    written, = diary.of("batch_written")
    assert (written.topic, written.partition, written.broker_id, written.records) == ("t", 1, 1, 100)
    assert written.attempts == 1 and written.offset == metadata.offset - 99
    on_wire = cluster.log("t", 1).batches[0][3]
    assert written.compressed == len(on_wire) < 2000 < 100 * 1000 < written.bytes < 100 * 1020
    assert 0.1 < written.fill < 1.0 and 0 < written.seconds < 5
    call, = [call for call in cluster[1].requests if call.api == "produce"]
    sent, = diary.of("request_sent", api="produce", **broker)
    answered, = diary.of("request_answered", api="produce", **broker)
    assert sent.bytes == len(call.payload) + 4
    assert sent.version == answered.version == call.version
    assert sent.correlation_id == answered.correlation_id == call.correlation_id
    assert answered.bytes > 20 and answered.at_broker > 0 and answered.writing >= 0 and answered.reading >= 0
    times = answered.queued + answered.writing + answered.at_broker + answered.reading
    assert abs(times - answered.seconds) < 0.001 and sent.queued == answered.queued > 0  # its lane had to be opened
    yield producer.close()
    assert [(event.error, event.pending) for event in diary.of("disconnected")] == [(None, 0)] * len(
        diary.of("connected"))
    assert not diary.of("error") and not diary.of("connect_failed")


@with_cluster(topics={"t": 1})
def test_a_producer_tells_of_retries_failures_and_errors(cluster):
    diary = Diary()
    producer = yield producers.connected(cluster, hooks=[diary])
    cluster[1].on("produce", error(19), times=2)
    yield producer.produce("t", b"again")
    written, = diary.of("batch_written")
    assert written.attempts == 3 and written.records == 1
    assert [event.attempts for event in diary.of("batch_retried")] == [1, 2]
    assert [type(event.error) for event in diary.of("batch_retried")] == [exc.NotEnoughReplicasError] * 2
    told = diary.of("error")
    assert [(event.topic, event.partition, event.retriable, event.cure) for event in told] == [("t", 0, True, None)] * 2
    cluster[1].on("produce", error(29), times=1)
    failure = yield loop.raises(exc.TopicAuthorizationFailedError, producer.produce("t", b"never"))
    failed, = diary.of("batch_failed")
    assert failed.error is failure or type(failed.error) is type(failure)
    assert (failed.topic, failed.partition, failed.records, failed.attempts) == ("t", 0, 1, 1)
    assert diary.of("error")[-1].retriable is False
    cluster[1].on("produce", error(6), times=1)
    yield producer.produce("t", b"elsewhere")
    assert diary.of("error")[-1].cure == "metadata"
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_without_acks_a_batch_is_written_when_it_is_sent(cluster):
    diary = Diary()
    producer = yield producers.connected(cluster, hooks=[diary], required_acks=0)
    yield producer.produce("t", b"x")
    yield loop.until(lambda: diary.of("batch_written"))
    assert diary.of("batch_written")[0].offset == -1
    assert diary.of("request_sent", api="produce") and not diary.of("request_answered", api="produce")
    yield producer.close()


@pytest.mark.parametrize("versions,codec", [("0.8", None), ("0.10", None), ("4.4", None), ("4.4", "gzip")])
def test_the_bytes_of_a_batch_are_those_of_its_messages(versions, codec):
    @with_cluster(versions=versions, topics={"t": 1})
    def run(cluster):
        diary = Diary()
        producer = yield producers.connected(cluster, hooks=[diary], linger=0, compression=codec)
        for _ in range(20):
            yield producer.produce("t", b"x" * 500)
        yield producer.flush()
        assert sum(event.records for event in diary.of("batch_written")) == 20
        assert 20 * 500 < sum(event.bytes for event in diary.of("batch_written")) < 20 * 550
        sent = sum(len(entry[3]) for entry in cluster.log("t").batches)
        assert sum(event.compressed for event in diary.of("batch_written")) == sent
        assert (sent < 5000) == (codec is not None)
        yield producer.close()
    run()


@with_cluster(topics={"t": 2})
def test_a_consumer_tells_of_fetches_and_of_what_it_hands_out(cluster):
    diary = Diary()
    cluster.log("t", 0).put(b"1", b"2", b"3")
    cluster.log("t", 1).put(b"4")
    consumer = consumers.make(cluster, hooks=[diary])
    yield consumer.connect()
    got = yield consumers.gather(consumer, 4)
    assert sorted(got) == [b"1", b"2", b"3", b"4"]
    handed = diary.of("records_handed_out", topic="t")
    assert sum(event.records for event in handed) == 4 and all(0 <= event.seconds < 5 for event in handed)
    partitions = dict((partition, one) for event in handed for partition, one in event.partitions.items())
    newest = [batch.max_timestamp for batch in [_last_batch(cluster, partition) for partition in (0, 1)]]
    assert partitions == {0: (0, 3, newest[0]), 1: (0, 1, newest[1])}
    fetched = [event for event in diary.of("fetch_answered") if event.bytes]
    assert sum(event.bytes for event in fetched) == sum(
        len(entry[3]) for partition in (0, 1) for entry in cluster.log("t", partition).batches)
    assert sum(event.partitions for event in fetched) == 2 and fetched[0].asked == 2 and fetched[0].broker_id == 1
    cluster[1].on("fetch", error(6, "t", 0))
    cluster.log("t").put(b"5")  # brings the answer to the fetch that is under way
    while not diary.of("error", topic="t"):
        yield consumer.consume("t", max_wait_time=100)
    assert set(event.errors for event in diary.of("fetch_answered") if event.errors) == {1}
    assert diary.of("error", topic="t")[0].cure == "metadata"
    yield consumer.close()


def _last_batch(cluster, partition):
    from kiel.protocol import messages
    return messages.batches(cluster.log("t", partition).batches[-1][3])[-1]


@with_cluster(topics={"t": 1})
def test_of_a_batch_handed_out_in_two_calls_each_tells_its_part(cluster):
    diary = Diary()
    cluster.log("t").put(b"1", b"2", b"3")
    consumer = consumers.make(cluster, hooks=[diary])
    yield consumer.connect()
    yield consumer.consume("t", consumer.BEGINNING, max_records=2)
    yield consumer.consume("t", max_records=2)
    told = [(event.records, event.partitions[0][:2]) for event in diary.of("records_handed_out")]
    assert told == [(2, (0, 2)), (1, (2, 3))]
    yield consumer.close()


@with_cluster(topics={"t": 2})
def test_a_member_tells_of_rebalances_and_commits(cluster):
    diary = Diary()
    member = members.make(cluster, {"t": [0]}, hooks=[diary])
    yield member.connect()
    begun, = diary.of("rebalance_begun")
    ended, = diary.of("rebalance_ended")
    assert begun.assigned == ended.assigned == {"t": [0]} and begun.revoked == ended.revoked == ended.lost == {}
    assert begun.group == "g" and 0 <= ended.seconds < 5
    cluster.log("t").put(b"1", b"2")
    yield members.gather(member, 2, start=member.BEGINNING)
    done, = diary.of("committed")
    assert (done.group, done.offsets, done.errors) == ("g", {("t", 0): 2}, {}) and 0 < done.seconds < 5
    cluster[1].on("offset_commit", error(30), times=1)
    cluster.log("t").put(b"3")
    yield members.gather(member, 1)
    refused = diary.of("committed")[1]
    assert refused.offsets == {} and type(refused.errors["t", 0]) is exc.GroupAuthorizationFailedError
    assert diary.of("error", topic="t", partition=0)
    yield member.allocator.give(t=[1])
    change = diary.of("rebalance_ended")[-1]
    assert (change.revoked, change.assigned, change.lost) == ({"t": [0]}, {"t": [1]}, {})
    yield member.allocator.on_lost({"t": [1]})
    change = diary.of("rebalance_ended")[-1]
    assert (change.revoked, change.assigned, change.lost, change.seconds) == ({}, {}, {"t": [1]}, 0)
    yield member.close()


@with_cluster(topics={"t": 1})
def test_what_is_committed_otherwise_is_told_too(cluster):
    diary = Diary()
    member = members.make(cluster, hooks=[diary], autocommit=False)
    yield member.connect()
    member.note_committed({("t", 0): 5})
    assert [event.offsets for event in diary.of("committed")] == [{("t", 0): 5}]
    yield member.close()


@with_cluster()
def test_throttling_is_told_and_held_requests_have_waited_in_the_queue(cluster):
    diary = Diary()
    admin = Admin(cluster.bootstrap, hooks=[diary])
    yield admin.connect()
    cluster[1].on("metadata", throttled(150), times=1)
    yield admin.cluster.get_metadata()
    told, = diary.of("throttled")
    assert (told.broker_id, told.api, told.seconds) == (1, "metadata", 0.15)
    yield admin.cluster.get_metadata()
    assert 0.1 < diary.of("request_answered", api="metadata")[-1].queued < 3
    yield admin.close()


@with_cluster()
def test_the_time_at_the_broker_is_the_brokers(cluster):
    diary = Diary()
    admin = Admin(cluster.bootstrap, hooks=[diary])
    yield admin.connect()
    cluster[1].on("metadata", delay(0.1), times=1)
    yield admin.cluster.get_metadata()
    answered = diary.of("request_answered", api="metadata")[-1]
    assert 0.09 < answered.at_broker <= answered.seconds < 3 and answered.queued == 0
    yield admin.close()


def with_sasl():
    return dict(VERSIONS["4.4"], sasl_handshake=(0, 1), sasl_authenticate=(0, 2))


@with_cluster(versions=with_sasl())
def test_logins_are_told_and_a_refused_one_is_a_connection_that_failed(cluster):
    cluster.users = {"me": "secret"}
    diary = Diary()
    admin = Admin(cluster.bootstrap, hooks=[diary], sasl=sasl.Plain("me", "secret"))
    yield admin.connect()
    login = diary.of("authenticated")[-1]
    assert (login.broker_id, login.mechanism, login.lifetime) == (1, "PLAIN", 0)
    yield admin.close()
    admin = Admin(cluster.bootstrap, hooks=[diary], sasl=sasl.Plain("me", "wrong"))
    yield loop.raises(exc.AuthenticationError, admin.connect())
    failed, = diary.of("connect_failed")
    assert isinstance(failed.error, exc.AuthenticationError) and failed.broker_id is None
    yield admin.close()


@with_cluster(topics={"t": 1})
def test_a_lost_connection_says_why(cluster):
    diary = Diary()
    admin = Admin(cluster.bootstrap, hooks=[diary])
    yield admin.connect()
    cluster[1].on("metadata", "close", times=1)
    yield admin.cluster.get_metadata()
    lost, = [event for event in diary.of("disconnected") if event.error is not None]
    assert isinstance(lost.error, exc.BrokerConnectionError) and lost.pending == 1
    yield admin.close()


def with_heart(test, **settings):
    with Brokers(brokers=1) as brokers:
        @gen.coroutine
        def body():
            diary = Diary()
            world = World(brokers, **settings)
            listening = hooks.Hooks([diary])
            world.heartbeat.settings.hooks = listening
            try:
                yield gen.coroutine(test)(world, diary)
            finally:
                yield loop.within(3, world.heartbeat.stop())
        loop.run(body)


def test_a_late_heartbeat_is_told_on_the_applications_loop():
    def test(world, diary):
        world.start()
        yield loop.until(lambda: world.count() > 2)
        world.brokers[1].on("heartbeat", delay(0.3, then=dict(error_code=0)), times=1)
        yield loop.until(lambda: diary.of("heartbeat_late"))
        late = diary.of("heartbeat_late")[0]
        assert late.group == "g" and late.seconds > 0.1 and late.interval == 0.05
        assert diary.of("connected") and diary.of("request_answered", api="heartbeat")
    with_heart(test)


def test_a_blocked_loop_is_told_when_it_turns_again():
    def test(world, diary):
        world.start()
        yield loop.until(lambda: world.count() > 1)
        time.sleep(0.6)
        yield loop.until(lambda: diary.of("loop_blocked"))
        told = diary.of("loop_blocked")[0]
        assert told.group == "g" and told.seconds > 0.3 and "test_hooks.py" in told.culprit
    with_heart(test, slow_callback=0.2)


def test_the_heartbeat_thread_keeps_no_hooks():
    class Silent(object):
        def error(self, event):
            pass

    listening = hooks.Hooks([Silent()])
    relay, gone = Relay.to(listening, None), weakref.ref(listening)
    del listening
    gc.collect()
    assert gone() is None and relay is not None and Relay.to(None, None) is None


# -- whoever listens --

class Picky(object):
    """Listens to one method, and has others of its own."""

    def __init__(self):
        self.seen = []

    def batch_written(self, event):
        self.seen.append(event)

    def report(self):
        return len(self.seen)


class Broken(object):
    """Raises whatever it is told."""

    def __init__(self, error=ValueError("no")):
        self.raised = error

    def batch_written(self, event):
        raise self.raised

    def request_answered(self, event):
        raise self.raised

    connected = connect_failed = metadata_refreshed = request_answered


def test_what_a_hook_raises_is_logged_once_and_reaches_nobody(caplog):
    @with_cluster(topics={"t": 1})
    def run(cluster):
        picky = Picky()
        producer = yield producers.connected(cluster, hooks=[Broken(), picky, Broken(GeneratorExit())])
        for _ in range(5):
            yield producer.produce("t", b"x")
        assert picky.report() == 5
        yield producer.close()

    run()
    lines = [record for record in caplog.records if record.name == "kiel.hooks"]
    assert len(lines) == 2 * 4  # two objects, four methods
    assert all(record.exc_info for record in lines)


@pytest.mark.parametrize("given", [
    object(), 7, "hook", [object()], [Picky], {"batch_written": 1}, [Picky(), None],
], ids=repr)
def test_what_is_no_hook_is_refused(given):
    with pytest.raises(TypeError, match="hook"):
        Producer(["nowhere:1"], hooks=given)


@pytest.mark.skipif(sys.version_info < (3,), reason="native coroutines need Python 3")
def test_a_method_is_no_coroutine():
    namespace = {}
    exec("async def error(self, event):\n    pass\n", namespace)
    with pytest.raises(TypeError, match="coroutine"):
        Producer(["nowhere:1"], hooks=[type("Waiting", (object,), dict(error=namespace["error"]))()])


def test_nobody_who_listens_is_nobody():
    assert Settings().hooks is Settings(hooks=[]).hooks is Settings(hooks=None).hooks is None
    assert Producer(["nowhere:1"], hooks=()).settings.hooks is None
    assert SingleConsumer(["nowhere:1"], hooks=[Picky()]).settings.hooks.wants("batch_written")
    assert not SingleConsumer(["nowhere:1"], hooks=[Picky()]).settings.hooks.wants("error")


def test_an_event_shows_what_it_has():
    event = hooks.Event("throttled", None, dict(broker_id=1, host="h", port=2, api="fetch", seconds=0.5))
    assert repr(event) == "Event(throttled, broker_id=1, host='h', port=2, api='fetch', seconds=0.5)"
    assert event.client_id is None and constants.API_KEYS["fetch"] == 1 and HeartbeatRequest.asked is None
