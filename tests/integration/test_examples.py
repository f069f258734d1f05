"""The examples, and what the README shows, against a real Kafka."""
from __future__ import absolute_import

import json
import os
import re
import signal
import sys
import time
import uuid

import pytest
from six.moves.urllib.error import HTTPError
from six.moves.urllib.request import urlopen
from tornado import gen, ioloop

from kiel import clients, testing
from kiel.clients import Admin
from kiel.clients.grouping import committed_offsets, coordinator
from kiel.protocol import fetch, messages
from kiel.testing import ports

from tests.faults.proxy import Proxy
from tests.integration import peer
from tests.integration.scripts import PATIENCE, ROOT, Script, example
from tests.needs import needed
from tests.schemas.registry import Own

sys.path.insert(0, os.path.join(ROOT, "docs"))

import checks  # noqa: E402

try:
    import snappy
except ImportError:
    try:
        import cramjam as snappy
    except ImportError:
        snappy = None

README = checks.code_blocks(os.path.join(ROOT, "README.rst"))


@pytest.fixture(scope="module")
def kafka():
    # a killed member's partitions are free after 5 s, not 45
    settings = {"group.consumer.min.session.timeout.ms": 3000, "group.consumer.session.timeout.ms": 5000,
                "group.consumer.min.heartbeat.interval.ms": 1000, "group.consumer.heartbeat.interval.ms": 1000}
    with testing.Kafka("4.4.0", settings=settings) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def zookeeper():
    with testing.ZooKeeper() as server:
        yield server


@pytest.fixture
def topic(kafka):
    name = "colors-" + uuid.uuid4().hex[:8]
    kafka.create_topic(name, partitions=3)
    return name


def on_loop(function, *arguments):
    """Runs a coroutine to its end, on a loop of its own."""
    loop = ioloop.IOLoop(make_current=False)
    try:
        return loop.run_sync(lambda: function(*arguments), timeout=PATIENCE)
    finally:
        loop.close(all_fds=True)


@gen.coroutine
def read_all(brokers, topic):
    """Every record of a topic, and the codecs of its batches."""
    consumer = clients.SingleConsumer(brokers)
    yield consumer.connect()
    records, codecs = [], set()
    ends = yield consumer.end_offsets(topic)
    while len(records) < sum(ends.values()):
        records.extend((yield consumer.consume_records(topic, start=consumer.BEGINNING)))
    for partition_id in ends:
        request = fetch.FetchRequest(max_wait_time=100, min_bytes=1, max_bytes=1 << 20, topics=[fetch.TopicRequest(
            name=topic, topic_id=consumer.cluster.topic_ids[topic],
            partitions=[fetch.PartitionRequest(partition_id=partition_id, offset=0, max_bytes=1 << 20)],
        )])
        response = yield consumer.cluster[consumer.cluster.get_leader(topic, partition_id)].send(request)
        message_set = response.topics[0].partitions[0].message_set
        codecs.update(batch.codec for batch in messages.batches(message_set.data))
    yield consumer.close()
    raise gen.Return((records, codecs))


@pytest.mark.parametrize("compression,codec", [(None, 0), ("gzip", 1), ("snappy", 2)])
def test_maker(kafka, topic, compression, codec):
    if compression == "snappy" and snappy is None:
        pytest.skip("no package for snappy in this environment")
    options = ["--compression", compression] if compression else []
    with example("maker.py", ",".join(kafka.bootstrap), topic, "--batch_size", "20", "--status_interval", "0.5",
                 *options) as maker:
        maker.wait_for(r"^[1-9]\d* events \(\d+/sec\)$")
        maker.interrupt()
    count = int(re.search(r"^closed after (\d+) events$", maker.text, re.M).group(1))
    records, codecs = on_loop(read_all, kafka.bootstrap, topic)
    # all that was made has arrived, the part-filled batch at the end too
    assert sorted(record.value["counter"] for record in records) == list(range(count))
    assert all(record.key == str(record.value["counter"]).encode() for record in records)
    assert all(record.partition == record.value["counter"] % 3 for record in records)
    assert codecs == {codec}


def test_counter(kafka, topic):
    brokers = ",".join(kafka.bootstrap)
    with example("counter.py", brokers, topic, "--status_interval", "0.3", "--debug") as counter:
        counter.wait_for("^counts:$")
        counter.wait_for("^DEBUG:counter:consumed 0 messages$")
        with example("maker.py", brokers, topic) as maker:
            counter.wait_for(r"^  (red|orange|yellow|green|blue|indigo|violet|white) +\d+$")
            maker.interrupt()
        made = int(re.search(r"closed after (\d+) events", maker.text).group(1))
        deadline, counted = time.time() + PATIENCE, 0
        while counted < made and time.time() < deadline:
            time.sleep(0.1)
            last = counter.text.rpartition("counts:")[2]
            counted = sum(int(number) for number in re.findall(r"^  \w+ +(\d+)$", last, re.M))
        assert counted == made
        counter.interrupt()
    assert counter.lines[-1] == "closed"


@pytest.mark.parametrize("meets", ["in Kafka", "in ZooKeeper"])
def test_worker_goes_on_where_the_one_before_stopped(request, kafka, topic, meets):
    brokers = ",".join(kafka.bootstrap)
    command = ["worker.py", brokers, topic, "--group", topic]
    if meets == "in ZooKeeper":
        command += ["--zk_hosts", request.getfixturevalue("zookeeper").hosts]
    for number in range(2):
        with example(*command) as worker, example("maker.py", brokers, topic) as maker:
            worker.wait_for("'counter': 5[,}]")
            maker.interrupt()
            made = int(re.search(r"closed after (\d+) events", maker.text).group(1))
            worker.wait_for("'counter': %d[,}]" % (made - 1))
            while len(re.findall(r"'counter': \d+", worker.text)) < made:
                time.sleep(0.05)
            worker.terminate() if number else worker.interrupt()
        assert worker.lines[-1] == "closed after %d events, 0 of them dead letters" % made
        counters = [int(number) for number in re.findall(r"'counter': (\d+)", worker.text)]
        assert sorted(counters) == list(range(made)), "what was committed came again"


def test_a_worker_puts_aside_what_is_no_event(kafka, topic):
    brokers = ",".join(kafka.bootstrap)
    on_loop(write, kafka.bootstrap, topic, [b'{"a": 1}', b"no json", b'{"a": 2}'])
    with example("worker.py", brokers, topic, "--group", topic, "--debug") as worker:
        worker.wait_for("'a': 2")
        worker.wait_for("failed for good")
        dead = []
        while not dead:
            dead = on_loop(values, kafka.bootstrap, topic + ".dead")
        worker.process.send_signal(signal.SIGTERM)
        assert worker.end() == 0, worker.text
    assert dead == [b"no json"]
    assert worker.lines[-1] == "closed after 3 events, 1 of them dead letters"


@gen.coroutine
def write(brokers, topic, messages):
    """Writes raw values."""
    producer = clients.Producer(brokers, serializer=bytes)
    yield producer.connect()
    for message in messages:
        yield producer.produce(topic, message, partition=0)
    yield producer.close()


@gen.coroutine
def values(brokers, topic):
    """What is in a topic, raw."""
    consumer = clients.SingleConsumer(brokers, deserializer=bytes)
    yield consumer.connect()
    found = yield consumer.consume(topic, start=consumer.BEGINNING)
    yield consumer.close()
    raise gen.Return(found)


def test_an_idle_worker_can_be_interrupted(kafka, topic):
    with example("worker.py", ",".join(kafka.bootstrap), topic, "--group", topic) as worker:
        worker.wait_for("assigned %s:" % topic)
        worker.interrupt()
    assert worker.lines[-1] == "closed after 0 events, 0 of them dead letters"


def test_a_web_service_and_its_probes(kafka, topic):
    port, = ports.take(1)
    with example("web.py", ",".join(kafka.bootstrap), topic, "--port", str(port)) as service:
        service.wait_for("^ready$")
        root = "http://127.0.0.1:%d" % port
        written = json.loads(urlopen(root + "/events", b'{"id": 7}').read().decode("utf-8"))
        assert written["offset"] == 0
        for what in ("live", "ready"):
            body = json.loads(urlopen(root + "/health/" + what).read().decode("utf-8"))
            assert body["status"] == "ok" and body["clients"]["Producer"]["connected"]
        service.terminate()
    assert service.lines[-1] == "closed"
    assert on_loop(values, kafka.bootstrap, topic) == [b'{"id": 7}']


def test_the_web_services_own_test_with_a_broker(kafka, topic):
    """Called with this module's Kafka, to start no other; tests/test_examples.py runs those without one."""
    path = os.path.join(ROOT, "examples", "test_web.py")
    names = {"__name__": "example", "__file__": path}
    with open(path) as source:
        exec(compile(source.read(), path, "exec"), names)
    names["test_an_event_arrives"](kafka, topic + "-new")


def test_the_last_hour(kafka, topic):
    brokers = ",".join(kafka.bootstrap)
    with example("maker.py", brokers, topic) as maker:
        maker.wait_for(r"^[1-9]\d* events")
        maker.interrupt()
    made = re.search(r"closed after (\d+) events", maker.text).group(1)
    for minutes, count in (("60", made), ("0.000001", "0")):
        with example("last_hour.py", brokers, topic, "--minutes", minutes) as script:
            assert script.end() == 0, script.text
        assert script.lines[-1] == count + " events"


def test_schemas(kafka, topic):
    needed("fastavro", "pip install fastavro")
    with Own() as registry:
        with example("schemas.py", ",".join(kafka.bootstrap), registry.url, topic, "--messages", "3") as script:
            assert script.end() == 0, script.text
    assert "not written: a message does not fit its schema" in script.text
    assert "%s would take the later schema: True" % topic in script.text
    assert sorted(script.lines[-3:]) == ["%d x wren, place unknown" % number for number in range(3)]


def test_several_processes(kafka, topic):
    brokers = ",".join(kafka.bootstrap)
    with example("processes.py", brokers, topic, "--group", topic) as processes:
        with example("maker.py", brokers, topic) as maker:
            processes.wait_for("'counter': 20[,}]")
            deadline = time.time() + PATIENCE
            while len(set(re.findall(r"^(\d+): ", processes.text, re.M))) < 2 and time.time() < deadline:
                time.sleep(0.05)
            maker.interrupt()
        made = int(re.search(r"closed after (\d+) events", maker.text).group(1))
        while len(re.findall(r"'counter': \d+", processes.text)) < made and time.time() < deadline:
            time.sleep(0.05)
        processes.terminate()
    assert processes.lines[-1] == "closed"
    assert len(set(re.findall(r"^(\d+): ", processes.text, re.M))) == 2
    assert sorted(int(number) for number in re.findall(r"'counter': (\d+)", processes.text)) == list(range(made))


@gen.coroutine
def read_committed(brokers, topic):
    """All values that a ``read_committed`` consumer gets."""
    consumer = clients.SingleConsumer(brokers, isolation_level="read_committed", max_wait_time=200)
    yield consumer.connect()
    ends = yield consumer.end_offsets(topic)
    values = []
    while any((consumer.position(topic, partition) or 0) < end for partition, end in ends.items()):
        values.extend((yield consumer.consume(topic, start=consumer.BEGINNING)))
    yield consumer.close()
    raise gen.Return(values)


def test_transform_writes_each_event_once_though_it_is_killed(kafka, topic):
    brokers, target = ",".join(kafka.bootstrap), topic + "-dark"
    kafka.create_topic(target, partitions=2)
    command = "transform.py", brokers, topic, target, "--id", topic
    with example("maker.py", brokers, topic) as maker:
        for _ in range(2):
            with example(*command) as transform:
                transform.wait_for(r"^\d+ events$")
                time.sleep(0.3)
                transform.process.kill()
        maker.interrupt()
    made = int(re.search(r"closed after (\d+) events", maker.text).group(1))
    with example(*command) as transform:
        deadline, found = time.time() + PATIENCE, []
        while len(found) < made and time.time() < deadline:
            found = on_loop(read_committed, kafka.bootstrap, target)
        time.sleep(0.5)
        transform.interrupt()
    assert transform.lines[-1] == "closed"
    found = on_loop(read_committed, kafka.bootstrap, target)
    assert sorted(event["counter"] for event in found) == list(range(made))
    assert all(event["color"].startswith("dark ") for event in found)


@peer.on_python_3()
def test_orders_are_worked_on_exactly_once_though_a_worker_is_killed(kafka, topic):
    brokers, target = ",".join(kafka.bootstrap), topic + "-invoices"
    kafka.create_topic(target, partitions=2)
    command = "exactly_once.py", brokers, topic, target, "--id", topic, "--group", topic
    with example("maker.py", brokers, topic) as maker:
        with example(*command) as first:
            while not on_loop(read_committed, kafka.bootstrap, target):
                assert first.process.poll() is None, first.text
            first.process.kill()
        with example(*command) as second:
            second.wait_for("assigned %s:" % topic)
            maker.interrupt()
            made = int(re.search(r"closed after (\d+) events", maker.text).group(1))
            deadline, found = time.time() + PATIENCE, []
            while len(found) < made and time.time() < deadline:
                found = on_loop(read_committed, kafka.bootstrap, target)
            second.terminate()
    assert re.search(r"^closed after \d+ orders in [1-9]\d* transactions$", second.lines[-1])
    found = on_loop(read_committed, kafka.bootstrap, target)
    assert sorted(invoice["invoice_of"] for invoice in found) == list(range(made))


def test_a_topic_is_copied(kafka, topic):
    brokers, target = ",".join(kafka.bootstrap), topic + "-copy"
    with example("maker.py", brokers, topic) as maker:
        maker.wait_for(r"^[1-9]\d* events")
        maker.interrupt()
    with example("copy_topic.py", brokers, topic, brokers, target) as copying:
        assert copying.end() == 0, copying.text
    records, _ = on_loop(read_all, kafka.bootstrap, topic)
    assert copying.lines == ["%d messages copied" % len(records)]
    copies, _ = on_loop(read_all, kafka.bootstrap, target)

    def whole(record):
        return record.partition, record.offset, record.key, record.timestamp, json.dumps(record.value, sort_keys=True)

    assert sorted(map(whole, copies)) == sorted(map(whole, records)) and records
    kafka.create_topic(target + "-2", partitions=3)
    with example("copy_topic.py", brokers, topic, brokers, target + "-2", "--follow") as following:
        while len(on_loop(read_all, kafka.bootstrap, target + "-2")[0]) < len(records):
            assert following.process.poll() is None, following.text
        following.terminate()
    assert following.lines == ["%d messages copied" % len(records)]


def test_the_lag_of_a_group_is_watched(kafka, topic):
    brokers = ",".join(kafka.bootstrap)
    on_loop(write, kafka.bootstrap, topic, [b'{"a": 1}'] * 5)
    with example("worker.py", brokers, topic, "--group", topic) as worker:
        worker.wait_for("'a': 1")
        worker.wait_for("assigned %s:" % topic)
        with example("lag_watcher.py", brokers, topic, "--every", "0.1", "--most", "3") as watcher:
            watcher.wait_for(r"^0 messages behind in [1-3] partitions$")
            worker.terminate()
            on_loop(write, kafka.bootstrap, topic, [b'{"a": 2}'] * 4)
            watcher.wait_for(r"^4 messages behind in [1-3] partitions$")
            watcher.wait_for(r"^WARNING %s:0 is 4 behind at offset 5, read by nobody$" % topic)
            watcher.terminate()
    assert watcher.lines[-1] == "closed"


def test_a_worker_that_is_there_before_kafka_is(kafka, topic):
    port, = ports.take(1)
    on_loop(write, kafka.bootstrap, topic, [b'{"a": 1}'])
    command = "early.py", "127.0.0.1:%d" % port, topic, "--group", topic
    with example(*command) as impatient:
        impatient.wait_for("^waiting for Kafka at 127.0.0.1:%d$" % port)
        impatient.terminate()
    assert impatient.lines[-1] == "closed"
    with example(*command) as early:
        early.wait_for("^waiting for Kafka")
        host, _, number = kafka.bootstrap[0].partition(":")
        way = Proxy((host, int(number)), port)  # now there is one
        try:
            early.wait_for("'a': 1")
            early.wait_for("^ready$")
            early.terminate()
        finally:
            way.close()
    assert early.lines[-1] == "closed"


@pytest.mark.skipif(sys.version_info < (3, 10), reason="Starlette needs Python 3.10")
def test_a_starlette_service(kafka, topic, monkeypatch):
    needed("starlette", "pip install starlette uvicorn")
    needed("uvicorn", "pip install starlette uvicorn")
    port, = ports.take(1)
    monkeypatch.setenv("BROKERS", kafka.bootstrap[0])
    monkeypatch.setenv("TOPIC", topic)
    with Script("-m", "uvicorn", "--app-dir", os.path.join("docs", "recipes"), "--port", str(port),
                "starlette_app:app") as service:
        service.wait_for("Uvicorn running")
        root = "http://127.0.0.1:%d" % port
        written = json.loads(urlopen(root + "/events", b'{"id": 7}').read().decode("utf-8"))
        assert written["offset"] == 0
        service.wait_for("worked on {'id': 7}")
        for what in ("live", "ready"):
            assert urlopen(root + "/health/" + what).getcode() == 200
        with pytest.raises(HTTPError) as refused:
            urlopen(root + "/events", b"[]")
        assert refused.value.code == 400
        service.process.send_signal(signal.SIGTERM)
        assert service.end() in (0, -signal.SIGTERM), service.text
    assert "Application shutdown complete" in service.text and "Traceback" not in service.text
    assert on_loop(values, kafka.bootstrap, topic) == [b'{"id": 7}']


def test_demo():
    with example("demo.py") as demo:
        assert demo.end() == 0, demo.text
    assert "All 12 messages were produced, read alone and read by the group, each once." in demo.text
    assert len(re.findall(r"-> partition \d, offset \d+", demo.text)) == 12


@pytest.mark.parametrize("line,text", README, ids=["README.rst:%d" % line for line, _ in README])
def test_what_the_readme_shows(kafka, tmpdir, line, text):
    if "await" in text and sys.version_info < (3, 7):
        pytest.skip("asyncio.run needs Python 3.7")
    topic = "readme-" + uuid.uuid4().hex[:8]
    assert "localhost:9092" in text and '"colors"' in text
    script = tmpdir.join("readme.py")
    script.write(text.replace("localhost:9092", kafka.bootstrap[0]).replace('"colors"', '"%s"' % topic))
    with Script(str(script)) as snippet:
        assert snippet.end() == 0, snippet.text
    assert snippet.lines == ["red"]


# --- moving from 0.9 ----------------------------------------------------------------------------------------------

class OneStore(committed_offsets.CommittedOffsets):
    """A group's offsets in one store of the two."""

    def __init__(self, client, group, old):
        super(OneStore, self).__init__(client, coordinator.GroupCoordinator(client, group), uses_zookeeper=True)
        self.old = old

    def stores(self, broker, api):
        both = super(OneStore, self).stores(broker, api)
        assert both == [committed_offsets.ZOOKEEPER, committed_offsets.KAFKA]
        return both[:1] if self.old else both[1:]


@gen.coroutine
def stored(brokers, group, old, put=None, keys=None):
    """Commits offsets to one store, or gives what is committed there."""
    admin = Admin(brokers)
    yield admin.connect()
    offsets = OneStore(admin, group, old)
    result = yield (offsets.commit(put) if put else offsets.read(keys))
    yield admin.close()
    raise gen.Return(result)


def test_d60_offsets_that_0_9_left_in_zookeeper_are_moved_once():
    with testing.Kafka("2.8.2", mode="zk") as kafka:
        for name in ("colors", "shapes"):
            kafka.create_topic(name, partitions=2)
        at_first = {("colors", 0): 11, ("colors", 1): 7, ("shapes", 0): 3}
        on_loop(stored, kafka.bootstrap, "worker-group", True, at_first)
        on_loop(stored, kafka.bootstrap, "worker-group", False, {("colors", 1): 9})
        keys = [(name, number) for name in ("colors", "shapes") for number in (0, 1)]
        with example("move_offsets.py", ",".join(kafka.bootstrap), "worker-group") as script:
            assert script.end() == 0, script.text
        assert script.lines == ["colors:0 at 11", "colors:1 at 9", "shapes:0 at 3",
                                "3 partitions of group worker-group are in every store"]
        wanted = dict(at_first)
        wanted.update({("colors", 1): 9, ("shapes", 1): None})
        for old in (True, False):
            assert on_loop(stored, kafka.bootstrap, "worker-group", old, None, keys) == wanted
