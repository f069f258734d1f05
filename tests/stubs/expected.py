"""What type checkers are to infer; read by them alone, see tests/stubs/test_stubs.py."""
import asyncio
import datetime
import json
import re
from typing import Any, Dict, List, Optional, Tuple

from typing_extensions import assert_type

import kiel
from kiel import exc
from kiel.clients import (
    BEGINNING, END, Admin, Delivery, GroupedConsumer, Producer, Record, RecordMetadata, SingleConsumer
)
from kiel.retry import Backoff
from kiel.schemas import AvroDeserializer, AvroSerializer, ProtobufDeserializer, ProtobufSerializer, Registry, Schema
from kiel.schemas.schema import Compatibility, Registered
from kiel.service import GracefulStop
from kiel.testing import FakeKafka
from kiel.worker import Output, Reject, Worker


class Color:
    """What an application deserialises."""

    def __init__(self, value: Optional[bytes]) -> None:
        self.value = value


def number(value: Optional[bytes]) -> int:
    """Another deserialiser."""
    return int(value or b"0")


async def consuming() -> None:
    """Lists of what the deserialiser makes."""
    raw = SingleConsumer(["localhost:9092"], deserializer=bytes)
    assert_type(raw, SingleConsumer[bytes])
    assert_type(await raw.consume("colors"), List[bytes])
    assert_type(await raw.consume_records("colors", start=BEGINNING), List[Record[bytes]])
    numbers = SingleConsumer("localhost:9092", number, max_wait_time=100)
    assert_type(await numbers.consume(["colors", "shapes"], max_records=5), List[int])
    assert_type(await numbers.consume(re.compile("c")), List[int])
    assert_type(await numbers.consume({"colors": [0], "shapes": None}), List[int])
    colors = SingleConsumer(["localhost:9092"], deserializer=Color)
    assert_type(await colors.consume("colors"), List[Color])
    decoded = SingleConsumer(["localhost:9092"])
    assert_type(await decoded.consume("colors"), List[Any])
    same = SingleConsumer(["localhost:9092"], deserializer=json.loads)
    assert_type(await same.consume("colors"), List[Any])
    for record in await numbers.consume_records("colors"):
        assert_type(record.value, int)
        assert_type(record.key, Optional[bytes])
        assert_type(record.offset, int)
        assert_type(record.headers, Tuple[Tuple[str, Optional[bytes]], ...])
    assert_type(await raw.end_offsets("colors"), Dict[int, int])
    assert_type(raw.position("colors", 0), Optional[int])
    raw.seek("colors", 0, datetime.timedelta(hours=1))
    await raw.connect(timeout=5)
    await raw.close()


async def streams() -> None:
    """Loops."""
    async with SingleConsumer(["localhost:9092"], deserializer=number) as consumer:
        assert_type(consumer, SingleConsumer[int])
        async for message in consumer.stream("colors", until=END):
            assert_type(message, int)
        async for record in consumer.stream_records(["colors"]):
            assert_type(record, Record[int])
        async for messages in consumer.stream("colors", batches=True):
            assert_type(messages, List[int])
        stream = consumer.stream("colors", until={0: 5})
        while await stream.more():
            assert_type(await stream.next(), int)
        stream.close()


async def groups() -> None:
    """Members."""
    async with GroupedConsumer(["localhost:9092"], "g", deserializer=bytes, autocommit="processed") as member:
        assert_type(member, GroupedConsumer[bytes])
        assert_type(await member.consume("colors"), List[bytes])
        assert_type(await member.commit_offsets(), None)
        assert_type(member.health(), Dict[str, Any])
    plain = GroupedConsumer("localhost:9092", "g", ["zookeeper:2181"], autocommit=False)
    assert_type(await plain.consume("colors"), List[Any])
    GroupedConsumer("localhost:9092", "g", autocommit="sometimes")  # type: ignore[call-overload]  # pyright: ignore
    GroupedConsumer("localhost:9092", "g", retry=Backoff(first=0.1), ssl=kiel.ssl(cafile="ca.pem"))


async def producing() -> None:
    """Deliveries can be awaited."""
    async with Producer(["localhost:9092"], linger=0.01, compression="gzip", partitioner="murmur2") as producer:
        assert_type(producer, Producer)
        delivery = await producer.produce("colors", {"name": "red"}, key=b"k", headers={"h": b"1"}, timeout=1)
        assert_type(delivery, Delivery)
        assert_type(await delivery, RecordMetadata)
        assert_type((await producer.produce_and_wait("colors", "red")).offset, int)
        task = asyncio.create_task(producer.produce("colors", "red"))
        assert_type(await task, Delivery)
        async with asyncio.TaskGroup() as group:
            other = group.create_task(producer.produce_and_wait("colors", "red"))
        assert_type(other.result(), RecordMetadata)
        assert_type((await asyncio.gather(producer.produce("colors", "red")))[0], Delivery)
        deliveries = await producer.produce_many("colors", ["red"], keys=["k"])
        assert_type(await deliveries, List[RecordMetadata])
        assert_type(producer.produce_nowait("colors", "red"), Delivery)
        async with producer.transaction():
            await producer.flush(timeout=datetime.timedelta(seconds=5))
        assert_type(producer.buffered, int)
        producer.compression = "zstd"
        try:
            await producer.close()
        except exc.TopicAuthorizationFailedError as error:
            assert_type(error.retriable, bool)
        except exc.BrokerError as failure:
            assert_type(failure.code, int)


async def administering() -> None:
    """An Admin."""
    async with Admin("localhost:9092") as admin:
        assert_type(await admin.beginning_offsets("colors"), Dict[int, int])
        await admin.list_topics()


async def handle(record: Record[int]) -> None:
    """A worker's handler."""
    if record.value < 0:
        raise Reject("too small")


async def working() -> None:
    """A worker takes records of what its consumer deserialises."""
    consumer = GroupedConsumer("localhost:9092", "g", deserializer=number, topics=["colors"], autocommit=False)
    worker = Worker(consumer, handle, concurrency=20, retry=Backoff(deadline=5.0), dead_letters="colors.dead")
    assert_type(worker, Worker[int])
    producer = Producer("localhost:9092", transactional_id="w", linger=0.01)
    once = Worker(consumer, lambda record: Output("out", record.value, key=record.key), start=END, producer=producer)
    assert_type(once, Worker[int])
    assert_type(Output("out", 5).topic, str)
    stop = GracefulStop(seconds=20)
    stop.then(worker.drain)
    assert_type(await worker.run(), None)


async def testing() -> None:
    """A fake Kafka, and what was written to it."""
    with FakeKafka(topics={"colors": 3}) as kafka:
        assert_type(kafka, FakeKafka)
        assert_type(kafka.bootstrap, List[str])
        assert_type(kafka.topic(partitions=2), str)
        assert_type(kafka.append("colors", {"name": "red"}, key="k"), Record[Optional[bytes]])
        kafka.fail("produce", exc.NotEnoughReplicasError, times=None)
        kafka.brokers[0].stop()
    async with FakeKafka(["colors"]) as kafka:
        assert_type(kafka.messages("colors"), List[Record[Optional[bytes]]])


async def later(value: Optional[bytes]) -> int:
    """A deserialiser that is a coroutine."""
    return 5


async def with_schemas() -> None:
    """Schemas in a registry."""
    registry = Registry("http://localhost:8081", username="key", password=lambda: "secret", ssl=kiel.ssl())
    assert_type(await registry.register("t-value", {"type": "int"}), Registered)
    assert_type(await registry.get(5), Schema)
    assert_type(await registry.check("t-value", '"int"'), Compatibility)
    assert_type(await registry.subjects(), List[str])
    serializer = AvroSerializer(registry, '"int"', subject="record", use="existing", ids="header")
    Producer("localhost:9092", serializer=serializer)
    Producer("localhost:9092", serializer=ProtobufSerializer(registry, use=5))
    assert_type(await serializer.encode("t", 5), Optional[bytes])
    plain = SingleConsumer("localhost:9092", AvroDeserializer(registry, Schema('"int"')))
    assert_type(await plain.consume("t"), List[Any])
    typed = SingleConsumer("localhost:9092", ProtobufDeserializer(registry, types=Color))
    assert_type(await typed.consume("t"), List[Color])
    made = GroupedConsumer("localhost:9092", "g", deserializer=AvroDeserializer(registry, from_dict=number))
    assert_type(await made.consume("t"), List[int])
    awaited: SingleConsumer[int] = SingleConsumer("localhost:9092", later)
    assert_type(await awaited.consume("t"), List[int])
