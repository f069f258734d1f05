"""Every argument of a producer's public calls: converted where it is plain what is meant, else refused by name."""
from __future__ import absolute_import

import datetime
import math

import pytest
from tornado import concurrent, gen

from kiel import clients, exc

from tests import loop
from tests.clients.producing.producers import connected, records, values
from tests.fake import with_cluster


@gen.coroutine
def later(*args):
    """A coroutine where a plain function is expected."""
    raise gen.Return(b"x")


#: argument of the constructor -> values that are refused
SETTINGS = {
    "serializer": (5, "json"),
    "key_maker": (5, "key"),
    "partitioner": (5, [0]),
    "batch_size": ("1", 1.5, -1, True, [], float("nan")),
    "compression": ("zip", 9, [], True),
    "required_acks": ("all", 1.5, -2, None, True),
    "ack_timeout": ("500", 0.5, -1, None, 10 ** 10, float("inf")),
    "linger": ("1", -1, float("nan"), float("inf"), True),
    "max_request_bytes": ("1", 0, 1.5, None, 2 ** 31),
    "buffer_bytes": ("1", 0, 1.5, None),
    "delivery_timeout": ("1", -1, None, float("inf"), True),
    "idempotent": ("yes", 2),
    "transactional_id": (5, ["x"], b"\xff" if str is not bytes else 5),
    "transaction_timeout": ("1", -1, None, float("nan")),
}


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_settings_that_are_refused(name):
    for value in SETTINGS[name]:
        with pytest.raises((TypeError, ValueError)) as caught:
            clients.Producer(["nowhere:1"], **{name: value})
        assert name in str(caught.value), value


@pytest.mark.parametrize("name,value,after", [
    ("ack_timeout", 500.0, 500), ("required_acks", 1.0, 1), ("batch_size", 10.0, 10),
    ("linger", datetime.timedelta(milliseconds=20), 0.02), ("compression", "lz4", 3),
])
def test_settings_that_are_converted(name, value, after):
    producer = clients.Producer(["nowhere:1"], **{name: value})
    found = getattr(producer, name)
    assert found == after and type(found) is type(after)


#: argument of produce() -> values that are refused
WRONG = {
    "topic": (5, None, "", ["t"], b"\xff" if str is not bytes else 5, {}),
    "key": (5, 1.5, ["k"], {"a": 1}, object()),
    "partition": ("0", 0.5, -1, True, [0], datetime.datetime(2020, 1, 1)),
    "headers": (5, ["a"], [("a", 5)], {"a": 5}, {5: b"v"}, [("a", b"b", b"c")], "ab"),
    "timestamp": ("now", -1, 2 ** 63, [0], True, float("nan"), float("inf"), datetime.date(2020, 1, 1)),
    "timeout": ("1", -1, float("nan"), True),
}


@pytest.mark.parametrize("name", sorted(WRONG))
def test_arguments_that_are_refused(name):
    @with_cluster(topics={"t": 1})
    def run(cluster):
        producer = yield connected(cluster, linger=0.01, batch_size=1000)
        kept = yield producer.produce("t", b"before")
        for value in WRONG[name]:
            arguments = dict({"topic": "t", "message": b"wrong"}, **{name: value})
            for call in (producer.produce, producer.produce_nowait):
                if name == "timeout" and call == producer.produce_nowait:
                    continue
                with pytest.raises((TypeError, ValueError)) as caught:
                    yield loop.within(2, gen.maybe_future(call(**arguments)))
                words = {"headers": "header"}.get(name, name)
                assert words in str(caught.value), (value, caught.value)
                assert not getattr(caught.value, "retriable", False)
            if name in ("topic", "partition"):
                yield loop.raises((TypeError, ValueError), producer.produce_many(
                    arguments["topic"], [b"wrong"], partition=arguments.get("partition")))
            elif name == "key":
                refused = yield producer.produce_many("t", [b"wrong"], keys=[value])
                assert isinstance(refused[0].exception(), TypeError)
        after = yield producer.produce("t", b"after")
        yield [kept, after]
        assert values(cluster) == [b"before", b"after"]
        yield producer.close()
    run()


@with_cluster(topics={"t": 2})
def test_arguments_that_are_converted(cluster):
    producer = yield connected(cluster)
    moment = datetime.datetime(2020, 1, 2, 3, 4, 5, 678000)
    yield producer.produce(b"t", b"1", key=bytearray(b"k"), partition=1.0, timestamp=moment)
    yield producer.produce("t", b"2", key=memoryview(b"m"), partition=1, timestamp=1577934245678.9,
                           headers=(pair for pair in [(b"h", u"v")]))
    found = records(cluster, "t", 1)
    assert [record[1] for record in found] == [1577934245678, 1577934245678]
    assert [record[2] for record in found] == [b"k", b"m"]
    assert found[1][4] == (("h", b"v"),)
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_a_partition_that_is_not_there_is_no_passing_error(cluster):
    producer = yield connected(cluster)
    failed = yield loop.raises(exc.UnknownTopicOrPartitionError, producer.produce("t", b"x", partition=7))
    assert not failed.retriable and "7" in str(failed)
    yield producer.close()


@pytest.mark.parametrize("messages,keys", [
    (b"text", None), (u"text", None), (5, None), ({"a": 1}, None), ([b"a"], 5), ([b"a"], b"k"), ([b"a", b"b"], [b"k"]),
    ([b"a"], [b"k", b"l"]), (None, None),
])
def test_many_that_are_not_many(messages, keys):
    @with_cluster(topics={"t": 1})
    def run(cluster):
        producer = yield connected(cluster)
        yield loop.raises((TypeError, ValueError), producer.produce_many("t", messages, keys=keys))
        assert values(cluster) == []
        yield producer.close()
    run()


@pytest.mark.parametrize("messages,keys", [([b"a", b"b"], [b"k"]), ([b"a"], [b"k", b"l"])])
def test_iterators_of_different_lengths_are_an_error_and_no_loss_in_silence(messages, keys):
    @with_cluster(topics={"t": 1})
    def run(cluster):
        producer = yield connected(cluster)
        failed = yield loop.raises(ValueError, producer.produce_many("t", iter(messages), keys=iter(keys)))
        assert "1 were taken" in str(failed)
        yield producer.flush()
        assert values(cluster) == [b"a"]
        yield producer.close()
    run()


@pytest.mark.parametrize("timeout", ["1", -1, float("nan"), True, [1]])
def test_time_limits_of_flush_and_close(timeout):
    @with_cluster(topics={"t": 1})
    def run(cluster):
        producer = yield connected(cluster)
        for call in (producer.flush, producer.close):
            failed = yield loop.raises((TypeError, ValueError), call(timeout))
            assert "timeout" in str(failed)
        yield producer.produce("t", b"x")
        yield producer.close(1)
    run()


def resolved(*args):
    """A Future where a plain value is expected."""
    future = concurrent.Future()
    future.set_result(b"x")
    return future


@pytest.mark.parametrize("name", ["key_maker", "partitioner"])
@pytest.mark.parametrize("callback", [later, resolved])
def test_callbacks_whose_result_is_used_at_once_may_not_be_coroutines(name, callback):
    @with_cluster(topics={"t": 1})
    def run(cluster):
        producer = yield connected(cluster, **{name: callback})
        failed = yield loop.raises(TypeError, producer.produce("t", b"x"))
        assert name in str(failed) and "plain function" in str(failed)
        assert values(cluster) == []
        yield producer.close()
    run()


def test_nan_is_none_of_the_numbers():
    assert math.isnan(SETTINGS["batch_size"][-1])
