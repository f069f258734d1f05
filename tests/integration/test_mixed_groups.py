"""
kiel, Java, librdkafka and kafka-python in one group: each partition is one member's, each message is consumed.

The clients that are not installed are left out (Java's never is); without both others there is no such test.
"""
from __future__ import absolute_import

import collections
import os
import re
import subprocess
import threading
import uuid

import pytest
from tornado import gen

from kiel import clients
from kiel.clients.admin import Admin
from kiel.testing import java, maven, processes

from tests.integration import members, peer

PARTITIONS = 12

#: seconds for a group to settle, and for messages to come
PATIENCE = 45

#: a message, as `Group.exchange` writes them
WORD = re.compile(b"[0-9]+-[0-9]+-[0-9]+$")

JAVA = {
    "range": "org.apache.kafka.clients.consumer.RangeAssignor",
    "cooperative-sticky": "org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
}


@pytest.fixture(scope="module")
def kafka():
    return peer.shared("4.4.0")


class Kiel(members.Reader):
    """A member that runs on the test's own loop."""

    def __init__(self, kafka, topic, group, assignor):
        super(Kiel, self).__init__(clients.GroupedConsumer(
            kafka.bootstrap, group, deserializer=bytes, max_wait_time=100, topics=[topic], client_id="kiel",
            session_timeout=10, heartbeat_interval=.5,
            **(dict(group_protocol="classic", assignors=[assignor]) if assignor else dict(group_protocol="consumer"))
        ), topic)

    def took(self, found):
        self.got.extend(value.decode("ascii") for value in found)


class Threaded(object):
    """A member on a thread of its own; its class says how to make and poll the client."""

    def __init__(self, kafka, topic, group, assignor):
        self.got, self.stopping, self.error = [], False, None
        self.thread = threading.Thread(target=self.work, args=(",".join(kafka.bootstrap), topic, group, assignor))
        self.thread.daemon = True

    def work(self, *args):
        try:
            self.run(*args)
        except Exception as error:
            self.error = error

    def start(self):
        self.thread.start()

    def stop(self):
        self.stopping = True
        self.thread.join(20)
        assert not self.thread.is_alive()
        assert self.error is None, repr(self.error)


class Librdkafka(Threaded):
    """confluent-kafka's consumer."""

    name, module = "librdkafka", "confluent_kafka"

    def run(self, brokers, topic, group, assignor):
        import confluent_kafka
        settings = {
            "bootstrap.servers": brokers, "group.id": group, "client.id": self.name, "auto.offset.reset": "earliest"}
        if assignor:
            settings.update({"partition.assignment.strategy": assignor, "heartbeat.interval.ms": 500})
        else:
            settings["group.protocol"] = "consumer"
        consumer = confluent_kafka.Consumer(settings)
        consumer.subscribe([topic])
        while not self.stopping:
            message = consumer.poll(.1)
            if message is not None and message.error() is None:
                self.got.append(message.value().decode("ascii"))
        consumer.close()


class KafkaPython(Threaded):
    """kafka-python's consumer."""

    name, module = "kafka-python", "kafka.coordinator.assignors.cooperative_sticky"  # 2.x has no such assignor

    def run(self, brokers, topic, group, assignor):
        import kafka
        from kafka.coordinator.assignors.range import RangePartitionAssignor
        strategy = RangePartitionAssignor
        if assignor != "range":
            from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor as strategy
        consumer = kafka.KafkaConsumer(
            topic, bootstrap_servers=brokers.split(","), group_id=group, client_id=self.name,
            auto_offset_reset="earliest", partition_assignment_strategy=[strategy], heartbeat_interval_ms=500)
        while not self.stopping:
            for records in consumer.poll(timeout_ms=100).values():
                self.got.extend(record.value.decode("ascii") for record in records)
        consumer.close()


class Java(object):
    """Kafka's console consumer, which prints what it gets."""

    def __init__(self, kafka, topic, group, assignor):
        self.got = []
        path = os.path.join(processes.temporary_directory("member"), "member.properties")
        lines = ["group.id=" + group, "client.id=java", "auto.offset.reset=earliest"]
        if assignor:
            lines += ["partition.assignment.strategy=" + JAVA[assignor], "heartbeat.interval.ms=500"]
        else:
            lines.append("group.protocol=consumer")
        with open(path, "w") as config:
            config.write("\n".join(lines))
        self.command = [java.java("Kafka's tools", kafka.release.java), "-Xmx128m"] + kafka.jvm_options()
        self.command += ["-cp", os.pathsep.join(maven.tools_classpath(kafka.release))]
        self.command += ["org.apache.kafka.tools.consumer.ConsoleConsumer", "--command-config", path, "--topic", topic]
        self.command += ["--bootstrap-server", ",".join(kafka.bootstrap)]

    def start(self):
        self.process = processes.spawn(self.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.thread = threading.Thread(target=self.read)
        self.thread.daemon = True
        self.thread.start()

    def read(self):
        for line in iter(self.process.stdout.readline, b""):
            if WORD.match(line):  # it has advice, too
                self.got.append(line.decode("ascii").strip())

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.thread.join(5)
        self.process.stdout.close()


class Group(object):
    """The members, what was written, and what the coordinator says of it all."""

    def __init__(self, kafka, assignor, others):
        self.kafka = kafka
        self.topic, self.name = "mixed-" + uuid.uuid4().hex[:8], "mixed-" + uuid.uuid4().hex[:8]
        self.assignor = assignor
        self.written = []
        #: what members of kiel's were handed that have left
        self.left = set()
        self.told = False
        self.members = []
        self.others = others

    @gen.coroutine
    def add(self, kind):
        """Starts a member of a kind."""
        member = kind(self.kafka, self.topic, self.name, self.assignor)
        self.members.append(member)
        yield gen.maybe_future(member.start())
        raise gen.Return(member)

    @gen.coroutine
    def settled(self, count):
        """Waits until so many members share all partitions out; gives the description."""
        deadline = self.admin.io_loop.time() + PATIENCE
        while True:
            found = (yield self.admin.describe_groups([self.name]))[self.name]
            owned = [each for member in found.members for each in (member.assignment or {}).get(self.topic, ())]
            if found.state == "Stable" and len(found.members) == count and len(owned) >= PARTITIONS and all(
                    member.target in (None, member.assignment) for member in found.members):
                assert sorted(owned) == list(range(PARTITIONS)), found  # none twice
                assert all((member.assignment or {}).get(self.topic) for member in found.members), found
                raise gen.Return(found)
            errors = [getattr(member, "error", None) for member in self.members]
            assert not any(errors), errors
            assert self.admin.io_loop.time() < deadline, "not settled: %s" % (found,)
            yield gen.sleep(.2)

    @gen.coroutine
    def exchange(self, writer):
        """Writes some to each partition, and waits until all that ever was written has been got."""
        for partition in range(PARTITIONS):
            values = ["%d-%d-%d" % (len(self.written), partition, number) for number in range(3)]
            yield writer.put(self.topic, partition, [value.encode("ascii") for value in values])
            self.written.extend(values)
        deadline = self.admin.io_loop.time() + PATIENCE
        while set(self.got()) < set(self.written):
            assert self.admin.io_loop.time() < deadline, (
                sorted(set(self.written) - set(self.got())), [(m.__class__.__name__, len(m.got)) for m in self.members])
            yield gen.sleep(.1)
        assert set(self.got()) == set(self.written)
        twice = set(value for value, times in collections.Counter(self.got()).items() if times > 1)
        for member in self.members:
            if isinstance(member, Librdkafka):
                # about once in fifty times librdkafka 2.16.1 reads a partition that comes back to it from where it
                # stood before, though another's commit was acknowledged meanwhile, as `left_in_order` sees
                again = set(value for value, times in collections.Counter(member.got).items() if times == 1)
                twice -= again & self.left
        assert not twice, [(m.__class__.__name__, sorted(twice & set(m.got))) for m in self.members]

    @gen.coroutine
    def left_in_order(self, kiel):
        """A member of kiel's has left: all that it was handed is committed, so nobody else has to read it again."""
        found = yield self.admin.committed_offsets(self.name)
        for partition in range(PARTITIONS):
            written = [value for value in self.written if value.split("-")[1] == str(partition)]
            if set(written) & set(kiel.got):
                assert found[self.topic, partition] == len(written), (partition, found)
        self.left.update(kiel.got)

    def got(self):
        return [value for member in self.members for value in member.got]

    def run(self, writer, start):
        """The story: kiel leads, the others come; kiel goes, and another leads; kiel comes back."""
        self.admin = yield start(Admin)
        self.kafka.create_topic(self.topic, PARTITIONS)
        kiel = None
        try:
            kiel = yield self.add(Kiel)
            yield self.settled(1)
            for number, kind in enumerate(self.others, 2):
                yield self.add(kind)
                yield self.settled(number)
            yield self.exchange(writer)
            yield kiel.stop()
            yield self.left_in_order(kiel)
            kiel = None
            yield self.settled(len(self.others))
            yield self.exchange(writer)
            kiel = yield self.add(Kiel)
            found = yield self.settled(len(self.others) + 1)
            yield self.exchange(writer)
            assert kiel.got
            assert set(member.client_id for member in found.members) >= {"kiel", "java"}
            self.told = True
        finally:
            if kiel is not None:
                yield kiel.stop()
            for member in self.members:
                if not isinstance(member, Kiel):
                    member.stop()


def kinds(*wanted):
    """Those of the clients that are installed here, and Java's; skips the test without any of them."""
    found = []
    for kind in wanted:
        try:
            __import__(kind.module)
            found.append(kind)
        except ImportError:
            pass
    if not found:
        pytest.skip("neither confluent-kafka nor kafka-python is installed")
    return [Java] + found


@pytest.mark.parametrize("assignor", ["range", "cooperative-sticky"])
def test_a_classic_group(kafka, assignor):
    group = Group(kafka, assignor, kinds(Librdkafka, KafkaPython))
    peer.with_clients(kafka, group.run, timeout=5 * PATIENCE)
    assert group.told


def test_a_next_generation_group(kafka):
    group = Group(kafka, None, kinds(Librdkafka))
    peer.with_clients(kafka, group.run, timeout=5 * PATIENCE)
    assert group.told
