"""Applications that override the producer's steps, or look into it (B9, C14, C17)."""
from __future__ import absolute_import

import collections
import json

from tornado import gen

from kiel import clients, constants

from . import use
from .helpers import producer


def values(broker, topic="t"):
    return [value for log in broker.logs[topic] for _, value in log]


# -- B9


@use("B9")
@gen.coroutine
def acknowledgements_are_counted(world):
    class Counted(clients.Producer):
        acknowledged = 0

        def handle_produce_response(self, response):
            for topic in response.topics:
                for partition in topic.partitions:
                    assert partition.error_code == 0
                    self.acknowledged += 1
            return super(Counted, self).handle_produce_response(response)

    broker = world.scripted(topics={"t": 1})
    client = yield producer(world, broker, Counted)
    for number in range(3):
        yield client.produce("t", number)
    assert client.acknowledged == 3, client.acknowledged
    assert values(broker) == [b"0", b"1", b"2"]


@use("B9")
@gen.coroutine
def offsets_of_what_was_written(world):
    class Positions(clients.Producer):
        def __init__(self, *args, **kwargs):
            super(Positions, self).__init__(*args, **kwargs)
            self.positions = []

        def handle_produce_response(self, response):
            for topic in response.topics:
                for partition in topic.partitions:
                    self.positions.append((topic.name, partition.partition_id, partition.offset))
            super(Positions, self).handle_produce_response(response)

    broker = world.scripted(topics={"t": 1})
    client = yield producer(world, broker, Positions)
    for number in range(2):
        yield client.produce("t", number)
    assert client.positions == [("t", 0, 0), ("t", 0, 1)], client.positions


@use("B9")
@gen.coroutine
def a_handler_that_is_a_coroutine(world):
    seen = []

    class Slow(clients.Producer):
        @gen.coroutine
        def handle_produce_response(self, response):
            yield gen.sleep(0.01)
            super(Slow, self).handle_produce_response(response)
            seen.append(response.api)

    broker = world.scripted(topics={"t": 1})
    client = yield producer(world, broker, Slow)
    yield client.produce("t", "x")
    assert seen == ["produce"]


@use("B9")
@gen.coroutine
def flushes_are_counted(world):
    class Counted(clients.Producer):
        flushes = 0

        @gen.coroutine
        def flush(self):
            self.flushes += 1
            yield super(Counted, self).flush()

    broker = world.scripted(topics={"t": 1})
    client = yield producer(world, broker, Counted)
    yield client.produce("t", "x")
    yield client.produce("t", "y")
    assert client.flushes == 2, client.flushes
    yield client.close()
    assert client.flushes == 3, client.flushes
    assert values(broker) == [b'"x"', b'"y"']


@use("B9")
@gen.coroutine
def batches_that_are_flushed(world):
    class Counted(clients.Producer):
        sizes = ()

        @gen.coroutine
        def flush(self):
            self.sizes += self.unsent_count,
            result = yield super(Counted, self).flush()
            raise gen.Return(result)

    broker = world.scripted(topics={"t": 1})
    client = yield producer(world, broker, Counted, batch_size=3)
    for number in range(6):
        yield client.produce("t", number)
    assert client.sizes == (3, 3), client.sizes
    yield client.produce("t", 6)
    yield client.close()
    assert client.sizes[2:] and client.sizes[2] in (0, 1), client.sizes
    assert values(broker) == [b"%d" % number for number in range(7)]


@use("B9")
@gen.coroutine
def closing_with_a_flush_of_ones_own(world):
    class Careful(clients.Producer):
        flushed = False

        def flush(self):
            self.flushed = True
            return super(Careful, self).flush()

    broker = world.scripted(topics={"t": 1})
    client = yield producer(world, broker, Careful, batch_size=10)
    yield client.produce("t", 1)
    yield client.close()
    assert client.flushed
    assert values(broker) == [b"1"]


@use("B9")
@gen.coroutine
def winding_down(world):
    done = []

    class Ending(clients.Producer):
        @gen.coroutine
        def wind_down(self):
            yield self.produce_last()
            yield super(Ending, self).wind_down()
            done.append(True)

        @gen.coroutine
        def produce_last(self):
            yield self.flush()

    broker = world.scripted(topics={"t": 1})
    client = yield producer(world, broker, Ending, batch_size=10)
    yield client.produce("t", 1)
    yield client.close()
    assert done and values(broker) == [b"1"]


@use("B9")
@gen.coroutine
def produce_is_wrapped(world):
    class Enveloped(clients.Producer):
        @gen.coroutine
        def produce(self, topic, message):
            yield super(Enveloped, self).produce("app." + topic, {"payload": message})

    broker = world.scripted(topics={"app.t": 1})
    client = yield producer(world, broker, Enveloped)
    yield client.produce("t", 1)
    assert [json.loads(value.decode("ascii")) for value in values(broker, "app.t")] == [{"payload": 1}]


@use("B9")
@gen.coroutine
def flushing_by_hand(world):
    broker = world.scripted(topics={"t": 1})
    client = yield producer(world, broker, batch_size=100)
    for number in range(5):
        yield client.produce("t", number)
    assert client.unsent_count == 5, client.unsent_count
    yield client.flush()
    assert client.unsent_count == 0
    assert values(broker) == [b"%d" % number for number in range(5)]


@use("B9")
@gen.coroutine
def a_flush_that_waits_for_more(world):
    # its own condition instead of batch_size: 0.9's produce() asks flush() each time
    class Lazy(clients.Producer):
        closing_down = False

        @gen.coroutine
        def flush(self):
            if self.unsent_count >= 4 or self.closing:
                yield super(Lazy, self).flush()

    broker = world.scripted(topics={"t": 1})
    client = yield producer(world, broker, Lazy)
    for number in range(6):
        yield client.produce("t", number)
    yield client.close()
    assert values(broker) == [b"%d" % number for number in range(6)]


@use("B9")
@gen.coroutine
def fatal_codes_are_seen(world):
    class Failing(clients.Producer):
        codes = ()

        def handle_produce_response(self, response):
            for topic in response.topics:
                self.codes += tuple(partition.error_code for partition in topic.partitions)
            super(Failing, self).handle_produce_response(response)

    broker = world.scripted(topics={"t": 1})
    client = yield producer(world, broker, Failing)
    broker.errors["produce"] = [10]
    try:
        yield client.produce("t", "x")
    except Exception:
        pass  # the newer one tells
    yield client.produce("t", "y")
    assert client.codes == (10, 0), client.codes


@use("B9", real=True)
@gen.coroutine
def hooks_on_real_brokers(world):
    class Hooked(clients.Producer):
        flushes = answers = 0

        @gen.coroutine
        def flush(self):
            self.flushes += 1
            yield super(Hooked, self).flush()

        def handle_produce_response(self, response):
            self.answers += 1
            return super(Hooked, self).handle_produce_response(response)

    topic = world.topic()
    client = Hooked(world.brokers, batch_size=2)
    yield world.closing(client).connect()
    for number in range(4):
        yield client.produce(topic, number)
    yield client.close()
    # a batch that is filled slowly may leave before it is full
    assert client.flushes == 3 and 2 <= client.answers <= 4, (client.flushes, client.answers)
    assert [value for _, value in world.log(topic)] == [b"0", b"1", b"2", b"3"]


# -- C14


@use("C14")
@gen.coroutine
def the_functions_can_be_called(world):
    broker = world.scripted(topics={"t": 1})
    client = yield producer(world, broker)
    assert client.key_maker({"a": 1}) is None
    assert client.partitioner(None, [4]) == 4
    assert client.serializer({"b": 1, "a": 2}) == '{"a": 2, "b": 1}'


@use("C14")
@gen.coroutine
def the_functions_can_be_wrapped(world):
    broker = world.scripted(topics={"t": 2})
    client = yield producer(world, broker)
    usual_key, usual_value, usual_choice = client.key_maker, client.serializer, client.partitioner
    chosen = []

    def partitioner(key, partitions):
        chosen.append((key, usual_choice(key, list(partitions))))
        return 1

    client.key_maker = lambda message: usual_key(message) or "made"
    client.serializer = lambda message: usual_value({"v": message})
    client.partitioner = partitioner
    yield client.produce("t", 1)
    assert [list(log) for log in broker.logs["t"]] == [[], [(b"made", b'{"v": 1}')]], broker.logs
    assert chosen[0][1] in (0, 1)


@use("C14")
@gen.coroutine
def the_functions_are_methods(world):
    class Own(clients.Producer):
        def __init__(self, brokers):
            super(Own, self).__init__(
                brokers, serializer=self.to_bytes, key_maker=self.make_key, partitioner=self.choose)

        def to_bytes(self, message):
            return message["text"].encode("utf-8")

        def make_key(self, message):
            return message["key"]

        def choose(self, key, partitions):
            return sorted(partitions)[int(key) % len(partitions)]

    broker = world.scripted(topics={"t": 3})
    client = yield producer(world, broker, Own)
    for number in range(3):
        yield client.produce("t", {"text": u"m%d" % number, "key": number})
    assert [list(log) for log in broker.logs["t"]] == [[(b"%d" % n, b"m%d" % n)] for n in range(3)]


@use("C14")
@gen.coroutine
def unsent_of_a_topic_that_is_not_there(world):
    broker = world.scripted(topics={"t": 1})
    client = yield producer(world, broker, batch_size=10)
    assert client.unsent["none"] == []
    assert client.unsent_count == 0
    yield client.produce("t", 1)
    assert len(client.unsent["t"]) == 1
    assert client.unsent.get("other", []) == []


@use("C14")
@gen.coroutine
def unsent_messages(world):
    broker = world.scripted(topics={"t": 1, "u": 1})
    client = yield producer(world, broker, batch_size=10, key_maker=lambda message: "key")
    yield client.produce("t", 1)
    yield client.produce("t", 2)
    yield client.produce("u", 3)
    sizes = dict((topic, len(messages)) for topic, messages in client.unsent.items())
    assert sizes == {"t": 2, "u": 1}, sizes
    message = client.unsent["t"][0]
    assert message.value in (b"1", u"1") and message.key in (b"key", u"key"), message
    yield client.flush()
    assert sum(len(messages) for messages in client.unsent.values()) == 0


@use("C14")
@gen.coroutine
def nothing_is_left_in_sent(world):
    broker = world.scripted(topics={"t": 1})
    client = yield producer(world, broker)
    yield client.produce("t", 1)
    assert not client.sent
    assert client.sent[12345] == {}


@use("C14")
@gen.coroutine
def topics_of_the_cluster(world):
    broker = world.scripted(topics={"t": 3})
    client = yield producer(world, broker)
    assert sorted(client.cluster.topics["t"]) == [0, 1, 2]
    assert client.cluster.topics["none"] == []
    assert "t" in client.cluster.topics
    assert client.cluster.leaders["t"] == {0: 1, 1: 1, 2: 1}
    assert client.cluster.get_leader("t", 2) == 1
    assert list(client.cluster) == [1] and 1 in client.cluster
    assert client.cluster[1].host == "127.0.0.1" and client.cluster[1].port == broker.port


@use("C14")
@gen.coroutine
def arguments_are_attributes(world):
    broker = world.scripted(topics={"t": 1})
    client = yield producer(
        world, broker, batch_size=7, compression=constants.GZIP, required_acks=1, ack_timeout=900)
    assert (client.batch_size, client.compression, client.required_acks, client.ack_timeout) == (
        7, constants.GZIP, 1, 900)
    client.batch_size = 1
    client.compression = None
    yield client.produce("t", 1)
    assert values(broker) == [b"1"]
    (acks, _), = [topics[0] for api, topics in broker.requests if api == "produce"]
    assert acks == 1


@use("C14")
@gen.coroutine
def no_batches(world):
    for size in 0, None:
        broker = world.scripted(topics={"t": 1})
        client = yield producer(world, broker, batch_size=size)
        yield client.produce("t", 1)
        assert values(broker) == [b"1"]


@use("C17")
@gen.coroutine
def more_than_one_acknowledgement(world):
    broker = world.scripted(topics={"t": 1})
    client = yield producer(world, broker, required_acks=2)
    yield client.produce("t", 1)
    assert [topics[0][0] for api, topics in broker.requests if api == "produce"] == [2]
    assert values(broker) == [b"1"]


@use("C14")
def wrong_compression(world):
    try:
        clients.Producer(["localhost:1"], compression=7)
    except ValueError:
        pass
    else:
        assert False, "taken"


@use("B9")
@gen.coroutine
def a_failed_message_is_kept_by_the_application(world):
    # the counterpart of queue_retries: what a handler sees of the errors, message by message
    class Failing(clients.Producer):
        def __init__(self, *args, **kwargs):
            super(Failing, self).__init__(*args, **kwargs)
            self.failed = collections.Counter()

        def handle_produce_response(self, response):
            for topic in response.topics:
                for partition in topic.partitions:
                    if partition.error_code:
                        self.failed[topic.name, partition.error_code] += 1
            return super(Failing, self).handle_produce_response(response)

    broker = world.scripted(topics={"t": 1})
    client = yield producer(world, broker, Failing)
    broker.errors["produce"] = [7]
    yield client.produce("t", "x")
    yield client.flush()
    assert client.failed == {("t", 7): 1}, client.failed
    assert values(broker) == [b'"x"']
