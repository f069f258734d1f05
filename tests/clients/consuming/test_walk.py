"""How many of kiel's modules a message goes through on its way to a consumer that waits: what a reader has to know."""
from __future__ import absolute_import

import pytest
from tornado import gen

from kiel import speedups
from kiel.events import asyncio_running_loop

from tests.clients.consuming.consumers import with_consumer
from tests.walk import Walk

#: Today's number, and once 28: nobody adds to the way of a message without being told. Where the loops are not in C, it
#: enters those in Python.
MOST = 15 if speedups.native else 16

#: turns of the loop from the broker's answer to the Future of who waits: one for the call, one for its Future
TURNS = 2


# no timer of a request is to end in the middle
@with_consumer(dict(max_wait_time=5000, request_timeout=600), topics={"t": 1})
def test_modules_that_a_waiting_consume_enters(cluster, consumer):
    cluster.log("t").put(b"a")
    assert (yield consumer.consume("t", consumer.BEGINNING)) == [b"a"]
    yield gen.sleep(0.02)  # the fetch that consume() waits for is under way
    # a timer of the dialling may end in the middle, on a busy machine: what all three enter is their own way
    walks = []
    for value in (b"b", b"c", b"d"):
        with Walk() as entered:
            waiting = consumer.consume("t")
            assert not waiting.done()
            consumer.io_loop.call_later(0.02, cluster.log("t").put, value)
            assert (yield waiting) == [value]
        walks.append(entered)
    entered = set.intersection(*walks)
    assert {"clients/consumer.py", "stream.py"} <= entered and len(entered) <= MOST, "\n".join(sorted(entered))


@pytest.mark.skipif(asyncio_running_loop is None, reason="Tornado's own loop calls back at other times")
@with_consumer(dict(max_wait_time=5000, request_timeout=600), topics={"t": 1})
def test_turns_of_the_loop_between_the_answer_and_who_waits(cluster, consumer):
    cluster.log("t").put(b"a")
    assert (yield consumer.consume("t", consumer.BEGINNING)) == [b"a"]
    waiting = consumer.consume("t")
    turns = []
    asyncio_loop = consumer.io_loop.asyncio_loop
    handle = consumer.fetcher.responses.handle

    def count():
        """One turn more, until there are messages."""
        if not waiting.done():
            turns.append(len(turns))
            asyncio_loop.call_soon(count)

    def handled(response, fetch):
        """The answer is here."""
        handle(response, fetch)
        if response.topics[0].partitions[0].message_set.size:
            asyncio_loop.call_soon(count)

    consumer.fetcher.responses.handle = handled
    consumer.io_loop.call_later(0.02, cluster.log("t").put, b"b")
    assert (yield waiting) == [b"b"]
    assert len(turns) < TURNS, turns
