"""How many of kiel's modules a message goes through on its way to a consumer that waits: what a reader has to know."""
from __future__ import absolute_import

from tornado import gen

from kiel import speedups

from tests.clients.consuming.consumers import with_consumer
from tests.walk import Walk

#: Today's number, and once 28: nobody adds to the way of a message without being told. Where the loops are not in C, it
#: enters those in Python.
MOST = 24 if speedups.native else 25


# no timer of a request is to end in the middle
@with_consumer(dict(max_wait_time=5000, request_timeout=600), topics={"t": 1})
def test_modules_that_a_waiting_consume_enters(cluster, consumer):
    cluster.log("t").put(b"a")
    assert (yield consumer.consume("t", consumer.BEGINNING)) == [b"a"]
    yield gen.sleep(0.02)  # the fetch that consume() waits for is under way
    with Walk() as entered:
        waiting = consumer.consume("t")
        assert not waiting.done()
        consumer.io_loop.call_later(0.02, cluster.log("t").put, b"b")
        assert (yield waiting) == [b"b"]
    assert len(entered) <= MOST, "\n".join(sorted(entered))
