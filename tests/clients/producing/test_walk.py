"""How many modules one message goes through: to the socket, and from the answer to the Future."""
from __future__ import absolute_import

from tornado import gen

from tests.clients.producing.producers import connected
from tests.fake import with_cluster
from tests.walk import Walk

#: A message entered 25 modules there and 15 back when the producer was a stack of mixins. These are today's numbers:
#: nobody adds to the way of a message without being told.
THERE, BACK = 15, 8


@with_cluster(topics={"t": 1})
def test_the_modules_of_one_message(cluster):
    # no timer of a request is to end in the middle
    producer = yield connected(cluster, serializer=bytes, request_timeout=600)
    for value in (b"1", b"2", b"3"):  # codecs are compiled, connections open, routes known
        yield producer.produce("t", value)
        yield gen.moment
    # a timer of the dialling may end in the middle, on a busy machine: what all three enter is their own way
    walks = []
    for value in (b"4", b"5", b"6"):
        with Walk() as there:
            future = producer.produce("t", value)
        assert not future.done()
        with Walk() as back:
            yield future
        walks.append((there, back))
    there, back = [set.intersection(*each) for each in zip(*walks)]
    assert {"clients/producer.py", "stream.py"} <= there and len(there) <= THERE, sorted(there)
    assert {"clients/producing/batch.py", "stream.py"} <= back and len(back) <= BACK, sorted(back)
    yield producer.close()
