"""How many of kiel's modules a message goes through on its way to a consumer that waits: what a reader has to know."""
from __future__ import absolute_import

import os
import sys

from tornado import gen

import kiel

from tests.clients.consuming.consumers import with_consumer

ROOT = os.path.dirname(os.path.abspath(kiel.__file__)) + os.sep

#: once 28; nobody adds to the way of a message without being told
MOST = 32


class Entered(object):
    """A context that notes the modules of kiel in which functions are called."""

    def __init__(self):
        self.modules = set()

    def __call__(self, frame, event, arg):
        path = frame.f_code.co_filename
        if event == "call" and path.startswith(ROOT):
            self.modules.add(path[len(ROOT):])

    def __enter__(self):
        sys.setprofile(self)
        return self

    def __exit__(self, *exc_info):
        sys.setprofile(None)


@with_consumer(dict(max_wait_time=5000), topics={"t": 1})
def test_modules_that_a_waiting_consume_enters(cluster, consumer):
    cluster.log("t").put(b"a")
    assert (yield consumer.consume("t", consumer.BEGINNING)) == [b"a"]
    yield gen.sleep(0.02)  # the fetch that consume() waits for is under way
    with Entered() as entered:
        waiting = consumer.consume("t")
        assert not waiting.done()
        consumer.io_loop.call_later(0.02, cluster.log("t").put, b"b")
        assert (yield waiting) == [b"b"]
    assert len(entered.modules) <= MOST, "\n".join(sorted(entered.modules))
