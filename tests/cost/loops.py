"""The hot loops on fixed input, ready to be run: each gives (work, messages it handles)."""
from __future__ import absolute_import

import functools
import itertools
import random
import struct

from tornado import concurrent, gen

from kiel.broker import QUICK, Broker
from kiel.clients import Producer, SingleConsumer, producer
from kiel.clients.consuming.cursor import Cursor
from kiel.clients.producing import bulk
from kiel.connection import Connection
from kiel.connection_states import READY
from kiel.protocol import fetch, messages, produce, records_encode
from kiel.protocol.columns import Columns
from kiel.protocol.heartbeat import HeartbeatRequest, HeartbeatResponse

from tests import loop

COUNT = 2000
NOW = 1500000000000


#: the header of a service's messages
TRACE = [("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]


def service():
    """Messages as services have them: values of log-normal size, a key of 7 bytes, a header of 55."""
    rnd = random.Random(3)
    return [
        (b"k%06d" % rnd.randrange(10 ** 6), b"v" * int(rnd.lognormvariate(5.4, 0.6)), TRACE, NOW + at // 10)
        for at in range(COUNT)
    ]


def batch(keyed=False, mixed=False, magic=2, services=False):
    """One batch as a broker gives it."""
    rnd = random.Random(3)
    if services:
        return messages.batches(messages.encode_batch(service(), magic, 0, NOW))[0]
    found = [
        (b"key%05d" % at if keyed else None, b"v" * (rnd.randrange(60, 140) if mixed else 100), (), NOW + at // 10)
        for at in range(COUNT)
    ]
    return messages.batches(messages.encode_batch(found, magic, 0, NOW))[0]


def reading(records, deserializer=bytes, **settings):
    """What a consumer does with a batch that it has taken."""
    one = batch(**settings)
    consumer = SingleConsumer(["nowhere:1"], deserializer=deserializer, check_crcs=False)
    read = consumer.reader.read_records if records else consumer.reader.read_values

    def work():
        """Hands one batch out."""
        cursor = Cursor("t", 0)
        cursor.locate(0)
        out = []
        assert read(cursor, cursor.generation, one, out) is None
        assert len(out) == COUNT
    return work, COUNT


def reading_small(size=40, services=False):
    """A topic of many partitions, in whose fetches there is little of each."""
    found = service() if services else [(None, b"v" * 100, (), NOW + at // 10) for at in range(COUNT)]
    batches = [messages.batches(messages.encode_batch(found[at:at + size], 2, 0, NOW))[0]
               for at in range(0, COUNT, size)]
    consumer = SingleConsumer(["nowhere:1"], deserializer=bytes, check_crcs=False)

    def work():
        """Hands a batch of each partition out."""
        out = []
        for partition, one in enumerate(batches):
            cursor = Cursor("t", partition)
            cursor.locate(0)
            assert consumer.reader.read_records(cursor, cursor.generation, one, out) is None
        assert len(out) == COUNT
    return work, COUNT


def encoding(**settings):
    """What becomes of a batch when it is sent."""
    rnd = random.Random(3)
    mixed = settings.get("mixed")
    found = Columns.of(service(), NOW) if settings.get("services") else Columns()
    if not found.values:
        found.extend([b"v" * (rnd.randrange(60, 140) if mixed else 100) for at in range(COUNT)], NOW)

    def work():
        """Encodes it but for the checksum, whose cost depends on what is installed."""
        right, records_encode.crc32c = records_encode.crc32c, lambda *args: 0
        try:
            messages.encode_batch(found, 2, 0)
        finally:
            records_encode.crc32c = right
    return work, COUNT


class Idle(object):
    """A producer whose topic is known and that sends nothing, unless its leader has a connection."""

    def __init__(self, linger=1000, batch_size=10 ** 9):
        self.producer = Producer(
            ["nowhere:1"], serializer=bytes, linger=linger, batch_size=batch_size, idempotent=False)
        self.producer.io_loop = self
        self.producer._turn.io_loop = self
        self.producer._turn.limit = 1000.0
        self.producer.cluster.topics["t"] = [0]
        self.producer.cluster.leaders["t"] = {0: 1}
        self.producer._accumulator.learn("t")

    def add_callback(self, *args):
        """No loop runs, and no timer ends; what stands for one."""
        return self

    call_later = add_callback

    def remove_timeout(self, timer):
        """No timer is set."""


def producing(**more):
    """A call a message, as far as the queue."""
    value = b"v" * 100
    produce = Idle().producer.produce

    def work():
        """Queues the messages, half a million of them a second: counting takes its time, which must not count."""
        clock, producer._time = producer._time, functools.partial(next, itertools.count(NOW / 1000.0, 2e-6))
        try:
            for _ in range(COUNT):
                assert produce("t", value, **more).done()
        finally:
            producer._time = clock
    return work, COUNT


def producing_and_waiting():
    """A message that is sent at once, and the answer to it."""
    idle = Idle(linger=None, batch_size=1)
    leader = Broker("nowhere", 1, 1)
    conn = leader.lanes["produce"] = Connection("nowhere", 1)
    conn.wire.versions = {"produce": (0, 12)}
    conn.state, conn.stream = READY, Socket()
    conn.start(idle)
    idle.producer.cluster.conns[1] = leader
    ids = struct.Struct(">i")
    body = produce.ProduceResponse(throttle_time=0, topics=[produce.TopicResponse(name="t", partitions=[
        produce.PartitionResponse(partition_id=0, error_code=0, offset=-1, timestamp=-1, log_start_offset=0)
    ])]).serialize(12)
    value = b"v" * 100
    waiting = idle.producer.produce

    def work():
        """Each is written before the next is given; the checksum does not count, as it depends on what is installed."""
        right, records_encode.crc32c = records_encode.crc32c, lambda *args: 0
        clock, producer._time = producer._time, functools.partial(next, itertools.count(NOW / 1000.0, 2e-3))
        try:
            for _ in range(COUNT):
                future = waiting("t", value)
                sent, = conn.pending
                conn.read_message(ids.pack(sent) + body)
                assert future.result().result().partition == 0
        finally:
            producer._time, records_encode.crc32c = clock, right
    return work, COUNT


def consuming_and_waiting():
    """A call that waits, the answer with its message, and the next fetch."""
    count = COUNT // 4
    ids, offsets = struct.Struct(">i"), struct.Struct(">q")
    one = messages.encode_batch([(None, b"v" * 100, (), NOW)], 2, 0, NOW)
    body = fetch.FetchResponse(session_id=0, topics=[fetch.TopicResponse(name="t", partitions=[fetch.PartitionResponse(
        partition_id=0, error_code=0, highwater_mark_offset=0, aborted_transactions=[],
        message_set=messages.MessageSet.raw(one))])]).serialize(12)
    before, behind = body[:body.index(one)], body[body.index(one) + 8:]

    @gen.coroutine
    def work_on_a_loop():
        consumer = SingleConsumer(
            ["nowhere:1"], deserializer=bytes, max_wait_time=10 ** 6, request_timeout=10 ** 6, check_crcs=False)
        leader = Broker("nowhere", 1, 1)
        conn = leader.lanes["fetch"] = Connection("nowhere", 1)
        conn.wire.versions = leader.lanes[QUICK].wire.versions = {"fetch": (0, 12)}
        conn.state, conn.stream = READY, Socket()
        yield gen.moment
        consumer.io_loop = gen.IOLoop.current()
        conn.start(consumer.io_loop)
        consumer.cluster.topics["t"], consumer.cluster.leaders["t"] = [0], {0: 1}
        consumer.cluster.conns[1] = leader
        consumer.seek("t", 0, 0)
        for offset in range(count):
            waiting = consumer.consume("t")
            sent, = conn.pending
            conn.read_message(ids.pack(sent) + before + offsets.pack(offset) + behind)
            found = yield waiting
            assert len(found) == 1
        consumer.cluster.conns.clear()
        conn.close()
        yield consumer.close()

    return lambda: loop.run(work_on_a_loop, 600), count


class Clock(object):
    """Stands for the module `time`: two microseconds go by from one look to the next."""

    def __init__(self):
        self.time = functools.partial(next, itertools.count(NOW / 1000.0, 2e-6))


def producing_many(keys=None):
    """One call, as far as the queue."""
    values = [b"v" * 100] * COUNT
    produce_many = Idle().producer.produce_many

    def work():
        """Queues the messages; counting takes its time, which must not count."""
        right, bulk.time = bulk.time, Clock()
        try:
            future = produce_many("t", values, keys)
        finally:
            bulk.time = right
        assert isinstance(future, concurrent.Future) and len(future.result()) == COUNT
    return work, COUNT


class Socket(object):
    """A stream whose writes go nowhere."""

    began = 0

    def write(self, data, future=None):
        """Written."""

    def close(self):
        """Closed; nothing is left to be written."""
        return []


def requests():
    """A request and its answer, on a connection that is ready."""
    conn = Connection("nowhere", 1)
    conn.wire.versions = {"heartbeat": (0, 4)}
    conn.state, conn.stream = READY, Socket()
    conn.start(Idle())
    answer = struct.Struct(">i").pack
    body = HeartbeatResponse(throttle_time=0, error_code=0).serialize(4)

    def work():
        """Sends, and is answered."""
        for _ in range(COUNT):
            request = HeartbeatRequest(group_id="g", generation_id=1, member_id="m")
            future = conn.send(request)
            conn.read_message(answer(request.correlation_id) + body)
            assert future.done()
    return work, COUNT


def from_json():
    """Values of the default deserialiser."""
    found = [(None, b'{"n": %d, "name": "some name or other", "on": true}' % at, (), NOW) for at in range(COUNT)]
    one = messages.batches(messages.encode_batch(found, 2, 0, NOW))[0]
    consumer = SingleConsumer(["nowhere:1"], check_crcs=False)

    def work():
        """Hands one batch out."""
        cursor = Cursor("t", 0)
        cursor.locate(0)
        out = []
        for _ in consumer.reader.read_values(cursor, cursor.generation, one, out):
            pass  # turns of the loop
        assert len(out) == COUNT and out[7]["n"] == 7
    return work, COUNT


LOOPS = {
    "consume": lambda: reading(False),
    "consume, mixed sizes": lambda: reading(False, mixed=True),
    "consume, services": lambda: reading(False, services=True),
    "consume_records, services": lambda: reading(True, services=True),
    "consume_records, services, batches of 250": lambda: reading_small(250, True),
    "encode, services": lambda: encoding(services=True),
    "produce, services": lambda: producing(key=b"k123456", headers=TRACE),
    "request": requests,
    "consume, keys": lambda: reading(False, keyed=True),
    "consume and wait": consuming_and_waiting,
    "consume, json": from_json,
    "consume, magic 1": lambda: reading(False, magic=1),
    "consume_records": lambda: reading(True),
    "consume_records, keys, mixed sizes": lambda: reading(True, keyed=True, mixed=True),
    "consume_records, small batches": reading_small,
    "encode": encoding,
    "encode, mixed sizes": lambda: encoding(mixed=True),
    "produce": producing,
    "produce and wait": producing_and_waiting,
    "produce, keys": lambda: producing(key=b"key"),
    "produce, partitions": lambda: producing(partition=0),
    "produce_many": producing_many,
    "produce_many, keys": lambda: producing_many([b"key"] * COUNT),
}
