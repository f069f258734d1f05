"""The spans of messages on their way, as OpenTelemetry's exporter in memory has them."""
from __future__ import absolute_import

import gc
import sys

import pytest
from tornado import gen

from kiel import exc
from kiel.clients import Record

from tests import loop
from tests.clients.consuming import consumers
from tests.clients.grouping import members
from tests.clients.producing import producers
from tests.fake import error, with_cluster
from tests.needs import needed

pytestmark = pytest.mark.skipif(sys.version_info < (3, 9), reason="OpenTelemetry's SDK is tried on newer Pythons")


class World(object):
    """A tracer of OpenTelemetry's SDK and what it exported; ``tracing`` is kiel's."""

    def __init__(self, **settings):
        sdk = needed("opentelemetry.sdk.trace", "pip install opentelemetry-sdk")
        from opentelemetry.sdk.trace import export
        from opentelemetry.sdk.trace.export import in_memory_span_exporter
        from kiel import tracing
        self.exporter = in_memory_span_exporter.InMemorySpanExporter()
        provider = sdk.TracerProvider(sampler=settings.pop("sampler", None))
        provider.add_span_processor(export.SimpleSpanProcessor(self.exporter))
        self.tracer = provider.get_tracer("test")
        self.tracing = tracing.Tracing(provider, **settings)

    def spans(self, name=None):
        """Those that have ended, in the order in which they began."""
        found = [span for span in self.exporter.get_finished_spans() if name in (None, span.name)]
        return sorted(found, key=lambda span: span.start_time)

    def one(self, name):
        """The one of that name."""
        span, = self.spans(name)
        return span


def id_of(span):
    """The id of a span, or of a link's."""
    return span.context.span_id


def headers_of(cluster, topic="t", partition=0):
    """The headers of each message of a partition."""
    return [dict(record[4] or ()) for record in producers.records(cluster, topic, partition)]


@with_cluster(topics={"t": 1, "u": 1})
def test_a_chain_of_topics_is_one_story(cluster):
    """Produce within a span, consume, produce what comes of it within `process`, and consume that."""
    from opentelemetry import baggage, context, trace
    world = World()
    producer = yield producers.connected(cluster, hooks=[world.tracing], client_id="p")
    member = members.make(cluster, hooks=[world.tracing], client_id="c")
    yield member.connect()
    with world.tracer.start_as_current_span("request"):
        token = context.attach(baggage.set_baggage("customer", "7"))
        yield producer.produce("t", b"red", key=b"k")
        context.detach(token)
    record, = yield member.consume_records("t", start=member.BEGINNING)
    with world.tracing.process(record, member) as span:
        assert trace.get_current_span() is span and baggage.get_baggage("customer") == "7"
        yield gen.sleep(0.001)
        assert trace.get_current_span() is span
        yield producer.produce("u", b"dark red")
    assert trace.get_current_span() is not span and baggage.get_baggage("customer") is None
    derived, = yield member.consume_records("u", start=member.BEGINNING)
    with world.tracing.process(derived):
        pass
    yield producer.close()
    yield member.close()
    request, sent, received, processed = [world.one(name) for name in ("request", "send t", "receive t", "process t")]
    assert sent.parent.span_id == id_of(request) and sent.kind == trace.SpanKind.PRODUCER
    assert dict(sent.attributes) == {
        "messaging.system": "kafka", "messaging.operation.name": "send", "messaging.operation.type": "send",
        "messaging.destination.name": "t", "messaging.client.id": "p", "messaging.kafka.message.key": "k",
        "messaging.kafka.cluster.id": "fake",
        "messaging.destination.partition.id": "0", "messaging.kafka.offset": 0,
        "server.address": "127.0.0.1", "server.port": cluster[1].port,
    }
    header, = headers_of(cluster)
    assert header["traceparent"].decode().split("-")[1:3] == ["%032x" % sent.context.trace_id, "%016x" % id_of(sent)]
    assert header["baggage"] == b"customer=7"
    assert received.kind == trace.SpanKind.CLIENT and [id_of(link) for link in received.links] == [id_of(sent)]
    assert received.attributes["messaging.batch.message_count"] == 1 and received.parent is None
    assert received.attributes["messaging.operation.type"] == "receive"
    assert received.attributes["messaging.consumer.group.name"] == "g"
    assert received.start_time < received.end_time
    assert processed.kind == trace.SpanKind.CONSUMER and [id_of(link) for link in processed.links] == [id_of(sent)]
    assert processed.parent is None and processed.attributes["messaging.kafka.offset"] == 0
    assert processed.attributes["messaging.consumer.group.name"] == "g"
    again = world.one("send u")
    assert again.parent.span_id == id_of(processed) and again.context.trace_id == processed.context.trace_id
    assert "baggage" in headers_of(cluster, "u")[0]  # it goes on with what is made of the message
    assert [id_of(link) for link in world.one("process u").links] == [id_of(again)]
    commits = world.spans("commit t")
    assert commits and commits[0].attributes["messaging.operation.type"] == "settle"


@with_cluster(topics={"t": 1})
def test_by_await_in_tasks_side_by_side_each_has_its_own_context(cluster):
    world = World()
    producer = yield producers.connected(cluster, hooks=[world.tracing], linger=0.01)
    namespace = {}
    exec("""
async def request(world, producer, number):
    with world.tracer.start_as_current_span("request %d" % number):
        for _ in range(3):
            delivery = await producer.produce("t", b"x", key=b"%d" % number)
        await delivery
        return await producer.produce_and_wait("t", b"x", key=b"%d" % number)
""", namespace)
    yield [gen.convert_yielded(namespace["request"](world, producer, number)) for number in range(5)]
    yield producer.close()
    sent = world.spans("send t")
    assert len(sent) == 20
    for span in sent:
        parent = world.one("request " + span.attributes["messaging.kafka.message.key"])
        assert span.parent.span_id == id_of(parent)
    offsets = [span.attributes["messaging.kafka.offset"] for span in sent]
    assert sorted(offsets) == list(range(20))
    keys = [(record[0], record[2].decode()) for record in producers.records(cluster)]
    assert sorted(keys) == sorted(zip(offsets, [span.attributes["messaging.kafka.message.key"] for span in sent]))


@with_cluster(topics={"t": 1})
def test_what_is_not_written_is_told(cluster):
    from opentelemetry import trace
    world = World()
    producer = yield producers.connected(cluster, hooks=[world.tracing])
    cluster[1].on("produce", error(29), times=1)
    yield loop.raises(exc.TopicAuthorizationFailedError, producer.produce("t", b"x"))
    failed, = world.spans()
    assert failed.status.status_code == trace.StatusCode.ERROR
    assert failed.attributes["error.type"] == "TOPIC_AUTHORIZATION_FAILED"
    yield loop.raises(TypeError, producer.produce("t", b"x", key=object()))
    assert world.spans()[-1].attributes["error.type"] == "TypeError"
    with pytest.raises(exc.UnknownTopicOrPartitionError):
        producer.produce_nowait("not there", b"x")
    assert world.spans()[-1].attributes["error.type"] == "UNKNOWN_TOPIC_OR_PARTITION"
    yield producer.close()
    yield loop.raises(exc.ClosedError, producer.produce("t", b"x"))
    assert len(world.spans()) == 4 and world.spans()[-1].attributes["error.type"] == "ClosedError"


def test_a_failure_that_nobody_looks_at_is_logged_as_without_traces():
    @with_cluster(topics={"t": 1})
    def run(cluster):
        world = World()
        producer = yield producers.connected(cluster, hooks=[world.tracing])
        producer.produce("t", b"x", key=object())
        gc.collect()
        yield gen.sleep(0.01)
        assert len(world.spans()) == 1
        yield producer.close()

    with pytest.raises(AssertionError, match="exception was never retrieved"):
        run()


@with_cluster(topics={"t": 1})
def test_a_context_of_ones_own_is_not_touched(cluster):
    from opentelemetry import trace
    world = World()
    producer = yield producers.connected(cluster, hooks=[world.tracing])
    mine = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    for headers in ([("traceparent", mine)], {"traceparent": mine, "other": b"x"}):
        yield producer.produce("t", b"x", headers=headers)
    yield producer.produce("t", b"x", headers={"other": b"y"})
    yield producer.close()
    found = headers_of(cluster)
    assert [header["traceparent"] == mine for header in found] == [True, True, False]
    assert found[2]["other"] == b"y"
    first, second, third = world.spans()
    assert first.kind == second.kind == trace.SpanKind.CLIENT and third.kind == trace.SpanKind.PRODUCER
    assert ["%032x" % link.context.trace_id for link in first.links] == ["4bf92f3577b34da6a3ce929d0e0e4736"]


@with_cluster(topics={"t": 1})
def test_headers_of_any_kind_are_taken_or_refused_as_without_traces(cluster):
    world = World()
    producer = yield producers.connected(cluster, hooks=[world.tracing])
    for headers in (iter([("a", b"1")]), (("a", b"1"),), {"a": b"1"}, [("a", b"1")]):
        yield producer.produce("t", b"x", headers=headers)
    for headers in (7, [5], [("a",)], "a"):
        future = producer.produce("t", b"x", headers=headers)
        assert isinstance((yield loop.raises(Exception, future)), (TypeError, ValueError))
    assert [sorted(header) for header in headers_of(cluster)] == [["a", "traceparent"]] * 4
    assert len(world.spans("send t")) == 8
    yield producer.close()


@with_cluster(topics={"t": 2})
def test_many_messages_may_share_a_span(cluster):
    from opentelemetry import trace
    world = World(share=10)
    producer = yield producers.connected(cluster, hooks=[world.tracing], linger=0.01)
    with world.tracer.start_as_current_span("one"):
        for number in range(25):
            yield producer.produce("t", b"x", partition=number % 2)
    with world.tracer.start_as_current_span("two"):
        yield producer.produce("t", b"x", partition=0)
    yield producer.flush()
    sent = world.spans("send t")
    assert [span.attributes.get("messaging.batch.message_count", 1) for span in sent] == [10, 10, 5, 1]
    assert [span.parent.span_id for span in sent] == [id_of(world.one("one"))] * 3 + [id_of(world.one("two"))]
    carried = [header["traceparent"].decode().split("-")[2] for partition in (0, 1)
               for header in headers_of(cluster, partition=partition)]
    assert sorted(carried.count("%016x" % id_of(span)) for span in sent) == [1, 5, 10, 10]
    assert all(span.kind == trace.SpanKind.PRODUCER for span in sent)
    yield producer.produce("t", b"later", partition=0)
    yield producer.close()
    assert len(world.spans("send t")) == 5


@with_cluster(topics={"t": 1})
def test_many_messages_in_one_call_are_one_span(cluster):
    world = World()
    producer = yield producers.connected(cluster, hooks=[world.tracing], linger=0.01)
    deliveries = yield producer.produce_many("t", [b"x"] * 50)
    yield deliveries
    yield loop.until(world.spans)
    assert world.one("send t").attributes["messaging.batch.message_count"] == 50
    assert headers_of(cluster) == [{}] * 50
    producer.produce_nowait("t", b"x")
    yield producer.close()
    assert world.spans("send t")[1].attributes["messaging.kafka.offset"] == 50


@with_cluster(topics={"t": 1})
def test_messages_that_wait_for_room_or_are_withdrawn(cluster):
    world = World()
    producer = yield producers.connected(cluster, hooks=[world.tracing], buffer_bytes=600, linger=0.01)
    futures = [producer.produce("t", b"x" * 500) for _ in range(3)]
    assert futures[0].done() and not futures[2].done()
    futures[2].cancel()
    yield futures[1]
    yield producer.close()
    ended = world.spans("send t")
    assert [span.attributes.get("messaging.kafka.offset") for span in ended] == [0, 1, None]
    assert ended[2].attributes["error.type"] == "CancelledError"


@with_cluster(topics={"t": 1})
def test_what_is_not_sampled_hands_its_context_on_and_is_not_followed(cluster):
    needed("opentelemetry.sdk.trace", "pip install opentelemetry-sdk")
    from opentelemetry.sdk.trace import sampling
    world = World(sampler=sampling.ALWAYS_OFF)
    producer = yield producers.connected(cluster, hooks=[world.tracing])
    consumer = consumers.make(cluster, hooks=[world.tracing])
    yield consumer.connect()
    yield producer.produce("t", b"x")
    record, = yield consumer.consume_records("t", start=consumer.BEGINNING)
    with world.tracing.process(record):
        pass
    assert not int(headers_of(cluster)[0]["traceparent"][-2:], 16) & 1 and not world.spans()
    yield producer.close()
    yield consumer.close()


@with_cluster(topics={"t": 1})
def test_without_an_sdk_nothing_is_handed_on(cluster):
    from kiel import tracing
    producer = yield producers.connected(cluster, hooks=[tracing.Tracing()])
    yield producer.produce("t", b"x")
    assert headers_of(cluster) == [{}]
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_values_alone_are_received_too(cluster):
    world = World()
    consumer = consumers.make(cluster, hooks=[world.tracing])
    yield consumer.connect()
    cluster.log("t").put(b"1", b"2")
    assert len((yield consumers.gather(consumer, 2))) == 2
    assert sum(span.attributes["messaging.batch.message_count"] for span in world.spans("receive t")) == 2
    yield consumer.close()


# -- processing --

MESSAGE = Record("t", 3, 7, -1, b"k", None, (
    ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), ("tracestate", None)))


def test_what_is_raised_in_processing_is_on_its_span():
    from opentelemetry import trace
    world = World()
    with pytest.raises(ValueError):
        with world.tracing.process(MESSAGE):
            raise ValueError("no")
    span = world.one("process t")
    assert span.status.status_code == trace.StatusCode.ERROR and span.attributes["error.type"] == "ValueError"
    assert [event.name for event in span.events] == ["exception"]
    assert span.attributes["messaging.kafka.message.tombstone"] is True
    assert span.attributes["messaging.destination.partition.id"] == "3"


def test_a_message_may_be_the_parent_of_its_processing():
    world = World(parents=True)
    with world.tracing.process(MESSAGE):
        pass
    span = world.one("process t")
    assert "%032x" % span.context.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736" and not span.links
    assert "%016x" % span.parent.span_id == "00f067aa0ba902b7"


def test_handlers_of_any_kind_are_traced():
    from opentelemetry import trace
    world = World()
    seen = []

    def plain(record):
        seen.append(trace.get_current_span())
        return record.offset

    @gen.coroutine
    def waiting(record):
        yield gen.sleep(0.001)
        seen.append(trace.get_current_span())
        raise gen.Return(record.offset)

    def broken(record):
        raise ValueError("no")

    namespace = dict(seen=seen, gen=gen, trace=trace)
    exec("""
async def native(record):
    await gen.sleep(0.001)
    seen.append(trace.get_current_span())
    raise KeyError("late")
""", namespace)

    @gen.coroutine
    def body():
        assert world.tracing.processing(plain)(MESSAGE) == 7
        working = world.tracing.processing(waiting)(MESSAGE)
        assert not trace.get_current_span().is_recording()
        assert (yield working) == 7
        with pytest.raises(ValueError):
            world.tracing.processing(broken)(MESSAGE)
        yield loop.raises(KeyError, world.tracing.processing(namespace["native"])(MESSAGE))

    loop.run(body)
    spans = world.spans("process t")
    assert len(spans) == 4
    assert [span.get_span_context().span_id for span in seen] == [id_of(spans[at]) for at in (0, 1, 3)]
    assert [span.attributes.get("error.type") for span in spans] == [None, None, "ValueError", "KeyError"]
    assert world.tracing.processing(plain).__name__ == "plain"


def test_a_share_is_a_number():
    with pytest.raises(ValueError):
        World(share=0)


@pytest.mark.parametrize("kind", ["plain", "tornado", "native"])
def test_a_workers_handler_is_traced(kind):
    from opentelemetry import trace
    from tests.worker.working import with_stage
    seen = []

    def plain(record):
        seen.append(trace.get_current_span().get_span_context().span_id)

    @gen.coroutine
    def tornado(record):
        yield gen.moment
        plain(record)

    names = dict(plain=plain, gen=gen)
    exec("async def native(record):\n    await gen.sleep(0.001)\n    plain(record)\n", names)
    names.update(tornado=tornado)

    @with_stage
    def run(stage):
        world = World()
        stage.put(1, 2, 3)
        stage.start(world.tracing.processing(names[kind]))
        yield stage.commits(3)
        assert sorted(seen) == sorted(id_of(span) for span in world.spans("process t")) and len(seen) == 3
    run()
