"""How many modules one message goes through: to the socket, and from the answer to the Future."""
from __future__ import absolute_import

import os
import sys

from tornado import gen

import kiel

from tests.clients.test_producer import connected
from tests.fake import with_cluster

ROOT = os.path.dirname(os.path.abspath(kiel.__file__))

#: A message entered 25 modules there and 15 back when the producer was a stack of mixins.
THERE, BACK = 24, 15

#: where the scripted broker lies, which runs in the same process
BROKER = ("tests.fake", "tests.answers", "tests.logs")


class Walk(object):
    """A context that notes the modules of kiel in which a function is called, but for those that the broker calls."""

    def __init__(self):
        self.modules = set()

    def __enter__(self):
        sys.setprofile(self._look)
        return self.modules

    def __exit__(self, *exc_info):
        sys.setprofile(None)

    def _look(self, frame, event, arg):
        name = os.path.abspath(frame.f_code.co_filename)
        if event != "call" or not name.startswith(ROOT):
            return
        while frame is not None:
            if frame.f_globals.get("__name__") in BROKER and frame.f_code.co_name not in ("body", "run"):
                return
            frame = frame.f_back
        self.modules.add(os.path.relpath(name, ROOT))


@with_cluster(topics={"t": 1})
def test_the_modules_of_one_message(cluster):
    producer = yield connected(cluster, serializer=bytes)
    for value in (b"1", b"2", b"3"):  # codecs are compiled, connections open, routes known
        yield producer.produce("t", value)
        yield gen.moment
    with Walk() as there:
        future = producer.produce("t", b"4")
    assert not future.done()
    with Walk() as back:
        yield future
    assert {"clients/producer.py", "stream.py"} <= there and len(there) <= THERE, sorted(there)
    assert {"clients/producing/batch.py", "stream.py"} <= back and len(back) <= BACK, sorted(back)
    yield producer.close()
