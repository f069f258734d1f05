"""What is written of a batch is about as much as may be, however much less that is than what its messages count for."""
from __future__ import absolute_import

import pytest
from tornado import gen

from kiel import exc
from kiel.protocol import messages

from tests.clients.producing.producers import connected, settled, values
from tests.fake import with_cluster

MOST = 40000

SETTINGS = dict(max_request_bytes=MOST, linger=10, batch_size=10 ** 6, request_timeout=30)


def batches(cluster):
    """(bytes, first number, number of messages) of each batch that was written."""
    found = []
    for entry in cluster.log("t").batches:
        batch, = messages.batches(entry[3])
        found.append((len(entry[3]), batch.base_sequence, len(list(batch.records()))))
    return found


@gen.coroutine
def written(producer, numbers, size):
    """Produces numbers, each padded to that size."""
    for number in numbers:
        yield producer.produce("t", (b"%05d" % number).ljust(size, b"."), key=b"key", headers=[("name", b"content")])
    yield producer.flush()


@pytest.mark.parametrize("settings", [{}, {"idempotent": False, "max_in_flight": 10}])
def test_batches_are_full_once_it_is_known_how_much_is_written(settings):
    @with_cluster(topics={"t": 1})
    def run(cluster):
        producer = yield connected(cluster, **dict(SETTINGS, **settings))
        yield written(producer, range(1000), 100)
        before = len(batches(cluster))
        yield written(producer, range(1000, 3000), 100)
        first, then = batches(cluster)[0], batches(cluster)[before:-1]
        assert 0.5 * MOST < first[0] < 0.9 * MOST
        assert all(size <= MOST for size, _, _ in then)
        full = [size for size, _, _ in then if size > 0.96 * MOST]  # what is due may go part-filled behind one of them
        assert len(full) > 3
        assert [int(value[:5]) for value in values(cluster)] == list(range(3000)) and settled(producer)
        yield producer.close()
    run()


@with_cluster(topics={"t": 1})
def test_messages_that_grow_make_no_batch_larger_than_allowed(cluster):
    producer = yield connected(cluster, **SETTINGS)
    yield written(producer, range(3000), 5)
    yield written(producer, range(3000, 3300), 2000)
    yield written(producer, range(3300, 3600), 5)
    found = batches(cluster)
    assert max(size for size, _, _ in found) <= MOST
    assert [int(value[:5]) for value in values(cluster)] == list(range(3600)) and settled(producer)
    expected = 0
    for _, sequence, count in found:  # the halves of a batch have its numbers
        assert sequence == expected
        expected += count
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_a_batch_that_holds_little_tells_nothing(cluster):
    producer = yield connected(cluster, **SETTINGS)
    for number in range(20):
        yield written(producer, [number], 5)
    queue, = producer._sender._queues.values()
    assert queue.begin(0, 0, MOST).limit == MOST
    yield producer.close()


#: does not fit into a request
LARGE = b"y" * 50000


@pytest.mark.parametrize("way", ["produce", "run", "labelled", "many", "nowait"])
@pytest.mark.parametrize("before", [0, 1500])
def test_a_message_larger_than_a_request_is_refused_whatever_came_before(way, before):
    @with_cluster(topics={"t": 1})
    def run(cluster):
        producer = yield connected(cluster, **SETTINGS)
        yield written(producer, range(before), 5)
        label = {"key": b"key"} if way == "labelled" else {}
        for _ in range(20):  # runs begin after some messages that begin none
            yield producer.produce("t", b"x" * (25000 if way == "run" else 1), **label)
        with pytest.raises(exc.MessageSizeTooLargeError):
            if way == "many":
                deliveries = yield producer.produce_many("t", [LARGE])
                yield deliveries[0]
            elif way == "nowait":
                producer.produce_nowait("t", LARGE)
            else:
                yield producer.produce("t", LARGE, **label)
        yield producer.flush()
        assert max(size for size, _, _ in batches(cluster)) <= MOST and settled(producer)
        yield producer.close()
    run()


@with_cluster(topics={"t": 1})
def test_what_is_told_of_a_batch_is_what_was_sent_of_it(cluster):
    told = []

    class Hooks(object):
        def batch_written(self, event):
            told.append((event.attempts, event.fill))

    producer = yield connected(cluster, hooks=[Hooks()], **SETTINGS)
    yield written(producer, range(3000), 5)
    yield written(producer, range(3000, 3300), 2000)  # some are encoded, found too large, and sent in halves
    found = batches(cluster)
    assert [attempts for attempts, _ in told] == [1] * len(found)
    assert all(abs(fill - size / float(MOST)) < 0.01 for (_, fill), (size, _, _) in zip(told, found))
    yield producer.close()
