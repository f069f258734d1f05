"""What the error of a message says that a broker found too large: topic, size and the topic's limit."""
from __future__ import absolute_import

import pytest

from kiel import exc
from kiel.clients.producing import size_limits

from tests import loop
from tests.clients.producing.producers import connected, settled, values
from tests.fake import CLOSE, MUTE, VERSIONS, error, with_cluster

WITH_CONFIGS = dict(VERSIONS["4.4"], describe_configs=(0, 4))


def told(limit, code=0, name="max.message.bytes"):
    """A handler of DescribeConfigs."""
    def handler(call):
        return dict(throttle_time=0, results=[dict(
            error_code=code, error_message=None, resource_type=2, resource_name=asked.resource_name, configs=[dict(
                name=name, value=limit, read_only=False, config_source=5, is_sensitive=False, synonyms=[],
                config_type=0, documentation=None,
            )] if not code else []
        ) for asked in call.request.resources])
    return handler


#: what the broker makes of the question -> whether the error tells the limit
ANSWERS = {
    "told": (told("1000"), 1000),
    "not allowed": (told(None, 29), None),
    "not there": (told("1000", name="other"), None),
    "no number": (told("many"), None),
    "hangs up": (CLOSE, None),
    "silent": (MUTE, None),
}


@pytest.mark.parametrize("code, setting", [(10, "max.message.bytes"), (18, "segment.bytes")])
@pytest.mark.parametrize("answer", sorted(ANSWERS))
def test_the_error_tells_topic_size_and_limit(answer, code, setting, monkeypatch):
    handler, limit = ANSWERS[answer]
    if answer == "told":
        handler = told("1000", name=setting)
    monkeypatch.setattr(size_limits, "PATIENCE", 0.1)

    @with_cluster(topics={"t": 1}, versions=WITH_CONFIGS)
    def check(cluster):
        cluster[1].on("produce", error(code), 1)
        cluster[1].on("describe_configs", handler)
        producer = yield connected(cluster, linger=0.01)
        large = yield producer.produce("t", b"x" * 5000)
        yield loop.until(lambda: cluster.count("produce") == 1)
        after = yield producer.produce("t", b"after")
        failed = yield loop.raises(exc.by_code[code], large.future(), 3)
        assert (failed.topic, failed.partition, failed.limit) == ("t", 0, limit)
        assert 5000 < failed.size < 5200
        assert "topic t" in str(failed) and str(failed.size) in str(failed) and setting in str(failed)
        assert ("1000" in str(failed)) == (limit is not None)
        yield after
        assert values(cluster) == [b"after"] and settled(producer)
        yield producer.close()
    check()


@with_cluster(topics={"t": 1}, versions=WITH_CONFIGS)
def test_the_limit_is_asked_once(cluster):
    cluster[1].on("produce", error(10), 3)
    cluster[1].on("describe_configs", told("1000"))
    producer = yield connected(cluster)
    for _ in range(3):
        failed = yield loop.raises(exc.MessageSizeTooLargeError, producer.produce("t", b"x" * 5000))
        assert failed.limit == 1000
    assert cluster[1].count("describe_configs") == 1
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_a_broker_without_the_question_is_not_asked(cluster):
    cluster[1].on("produce", error(10), 1)
    producer = yield connected(cluster)
    failed = yield loop.raises(exc.MessageSizeTooLargeError, producer.produce("t", b"x" * 5000))
    assert failed.limit is None and failed.size > 5000
    yield producer.close()


@with_cluster(topics={"t": 1}, versions=WITH_CONFIGS)
def test_closing_does_not_wait_for_the_answer(cluster):
    cluster[1].on("produce", error(10), 1)
    cluster[1].on("describe_configs", MUTE)
    producer = yield connected(cluster, linger=0.01)
    delivery = yield producer.produce("t", b"x" * 5000)
    yield loop.until(lambda: cluster[1].count("describe_configs") == 1)
    yield loop.within(1, producer.close(0.05))
    assert producer.undelivered == {("t", 0): 1}
    assert isinstance(delivery.exception(), exc.ClosedError)


@with_cluster(topics={"t": 1})
def test_a_message_that_no_request_holds_is_told_with_its_topic(cluster):
    producer = yield connected(cluster, max_request_bytes=1000)
    failed = yield loop.raises(exc.MessageSizeTooLargeError, producer.produce("t", b"x" * 5000))
    assert failed.limit == 1000 and failed.size > 5000 and "topic t" in str(failed)
    yield producer.close()
