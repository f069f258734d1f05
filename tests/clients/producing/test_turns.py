"""What it costs the loop to produce messages and wait for them: its turns, timers, requests."""
from __future__ import absolute_import

import gc
import platform

import pytest
import six
from tornado import gen, ioloop

from kiel.protocol import metadata

from tests import loop
from tests.clients.producing.producers import connected, values
from tests.fake import with_cluster

ROUNDS = 20


def median(numbers):
    """Return the one in the middle: something else may go on meanwhile."""
    return sorted(numbers)[len(numbers) // 2]


class Poller(object):
    """What a loop waits by; counts how often it does."""

    def __init__(self, inner):
        self.inner = inner
        self.turns = 0

    def __getattr__(self, name):
        if name in ("select", "poll"):
            self.turns += 1
        return getattr(self.inner, name)


class Watch(object):
    """A context that counts the turns of the loop, and the timers that are set."""

    def __init__(self):
        io_loop = ioloop.IOLoop.current()
        self._loop = getattr(io_loop, "asyncio_loop", io_loop)
        self._poller = "_impl" if self._loop is io_loop else "_selector"
        self.turns = self.timers = 0

    def __enter__(self):
        setattr(self._loop, self._poller, Poller(getattr(self._loop, self._poller)))
        call_at = self._loop.call_at

        def timed(*args, **kwargs):
            """A timer is set."""
            self.timers += 1
            return call_at(*args, **kwargs)
        self._loop.call_at = timed
        return self

    def __exit__(self, *exc_info):
        poller = getattr(self._loop, self._poller)
        self.turns = poller.turns
        setattr(self._loop, self._poller, poller.inner)
        del self._loop.call_at


@pytest.mark.parametrize("others", [0, 1000])
def test_to_produce_and_wait_takes_no_turn_or_timer_more_than_it_must(others):
    """However many other partitions are known."""
    @with_cluster(topics={"t": 1, "others": others or 1})
    def run(cluster):
        producer = yield connected(cluster, request_timeout=30)
        yield producer.cluster.ensure("others")
        for _ in range(3):
            yield producer.produce("t", b"before")
            yield gen.moment
        ours, plain = [], []
        for _ in range(ROUNDS):
            with Watch() as watch:
                yield producer.produce("t", b"v", key=b"k", headers={"a": b"b"})
            ours.append(watch)
            yield gen.moment
            with Watch() as watch:
                yield producer.cluster[1].send(metadata.MetadataRequest(topics=["t"]))
            plain.append(watch)
        # the scripted broker, on the same loop, has its share of them
        assert median([watch.turns for watch in ours]) <= median([watch.turns for watch in plain])
        assert median([watch.timers for watch in ours]) == 0
        yield producer.close()
    run()


@with_cluster(topics={"t": 2})
def test_many_that_wait_share_requests(cluster):
    """Each gives its next message when it learns of the one before, in the same turn as others."""
    producer = yield connected(cluster, request_timeout=30)
    yield producer.produce("t", b"before")

    @gen.coroutine
    def one(number):
        for turn in range(ROUNDS):
            yield producer.produce("t", b"v", partition=number % 2)

    before = cluster.count("produce")
    yield [one(number) for number in range(16)]
    assert cluster.count("produce") - before <= 3 * ROUNDS
    assert len(values(cluster)) + len(values(cluster, partition=1)) == 16 * ROUNDS + 1
    yield producer.close()


@with_cluster(topics={"t": 1})
def test_one_that_waits_does_so_for_nobody(cluster):
    """Its next message goes out before it has returned to the loop."""
    producer = yield connected(cluster, request_timeout=30)
    yield producer.produce("t", b"v")  # the connection is open then
    for number in range(4):
        future = producer.produce("t", b"v")
        assert len(producer.sent) == 1, number
        yield future
    yield producer.close()


@with_cluster(topics={"t": 1, "u": 1})
def test_what_is_held_goes_out_whatever_those_who_were_told_do(cluster):
    """They close the producer, give nothing more, or raise."""
    producer = yield connected(cluster, request_timeout=30)
    yield producer.produce("t", b"before")
    taken = [producer.produce("t", b"%d" % number if str is not bytes else str(number)) for number in range(3)]
    late = []
    # of the second batch, so the first one's answer holds it
    taken[1].add_done_callback(lambda _: late.append(producer.produce("u", b"late")))
    yield taken
    yield loop.until(lambda: late)
    assert (yield late[0]).topic == "u"
    taken = [producer.produce("t", b"last") for number in range(3)]
    taken[2].add_done_callback(lambda _: late.append(producer.produce("u", b"latest")))
    yield taken
    yield loop.until(lambda: len(late) == 2)
    yield producer.close()
    assert producer.undelivered == {} and values(cluster, "u") == [b"late", b"latest"]


@pytest.mark.skipif(six.PY2 or platform.python_implementation() != "CPython", reason=(
    "Tornado's coroutines, of which the scripted broker is made, leave cycles on Python 2; all is left to PyPy's"))
@with_cluster(topics={"t": 1})
def test_nothing_is_left_to_the_collector(cluster):
    """A pass of it would come in the middle of somebody's wait."""
    producer = yield connected(cluster, request_timeout=30)
    for _ in range(3):
        yield producer.produce("t", b"before")
        yield gen.moment
    left = []
    gc.disable()
    try:
        for _ in range(5):  # what earlier tests leave may come to its end meanwhile
            gc.collect()
            for _ in range(ROUNDS):
                yield producer.produce("t", b"v", key=b"k", headers={"a": b"b"})
            left.append(gc.collect())
        assert min(left) < ROUNDS, left
    finally:
        gc.enable()
    yield producer.close()
