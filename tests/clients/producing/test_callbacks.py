"""Whatever the application's callbacks raise reaches whom it concerns, loses nothing else, and stops nothing."""
from __future__ import absolute_import

try:
    from asyncio import CancelledError
except ImportError:  # Python 2
    class CancelledError(Exception):
        """Has the name that counts."""

import pytest
import six
from tornado import gen

from tests import loop
from tests.clients.producing.producers import connected, settled, values
from tests.fake import with_cluster


class Mute(Exception):
    """Has no text."""

    def __str__(self):
        raise ValueError("no text")

    __repr__ = __str__


class Needy(Exception):
    """Can't be copied."""

    def __init__(self, one, two):
        super(Needy, self).__init__(one)


RAISED = [ValueError, StopIteration, GeneratorExit, Mute, lambda: Needy(1, 2), lambda: gen.Return(b"x"),
          lambda: CancelledError()]


@pytest.mark.parametrize("number", range(len(RAISED)))
@pytest.mark.parametrize("name", ["serializer", "key_maker", "partitioner"])
def test_one_message_of_ten(name, number):
    def callback(*args):
        if callback.seen == 3:
            callback.seen += 1
            raise RAISED[number]()
        callback.seen += 1
        return {"serializer": args[0], "key_maker": None, "partitioner": 0}[name]

    @with_cluster(topics={"t": 1})
    def run(cluster):
        producer = yield connected(cluster, linger=0.01, batch_size=10 ** 6, **{name: callback})
        for many in (True, False, None):
            callback.seen = 0
            messages = [b"%d" % i if six.PY3 else str(i) for i in range(10)]
            outcomes = []
            if many:
                deliveries = yield loop.within(5, producer.produce_many("t", messages))
                for delivery in deliveries:
                    try:
                        yield loop.within(5, delivery.future())
                    except Exception as error:
                        outcomes.append(error)
            else:
                for message in messages:
                    try:
                        if many is None:
                            producer.produce_nowait("t", message)
                        else:
                            yield loop.within(5, producer.produce("t", message))
                    except Exception as error:
                        outcomes.append(error)
            yield loop.within(5, producer.flush())
            assert len(outcomes) == 1, outcomes
            assert values(cluster)[-9:] == [message for message in messages if message not in (b"3",)]
            assert len(values(cluster)) % 9 == 0 and settled(producer)
        yield loop.within(5, producer.close())
    run()


class Odd(object):
    """Something that is neither bytes nor text."""


@pytest.mark.parametrize("kind", [5, 1.5, True, [b"a"], {"a": 1}, Odd(), gen.moment, u"t", bytearray(b"t"), None],
                         ids=lambda kind: type(kind).__name__)
@pytest.mark.parametrize("name", ["serializer", "key_maker"])
def test_what_they_return_is_bytes_text_or_none(name, kind):
    def callback(message):
        return message if message != b"3" else kind

    right = kind is None or isinstance(kind, (six.text_type, bytearray)) or (name, type(kind)) == ("key_maker", int)
    right = right or (name == "serializer" and hasattr(kind, "add_done_callback"))  # of None, in older Tornados

    @with_cluster(topics={"t": 1})
    def run(cluster):
        producer = yield connected(cluster, linger=0.01, batch_size=10 ** 6, **{name: callback})
        messages = [b"1", b"2", b"3", b"4"]
        deliveries = yield producer.produce_many("t", messages)
        failed = []
        for ask in (lambda: deliveries[2].future(), lambda: producer.produce("t", b"3"),
                    lambda: gen.coroutine(producer.produce_nowait)("t", b"3")):
            try:
                yield loop.within(5, ask())
            except TypeError as error:
                failed.append(error)
                assert name in str(error) and (type(kind).__name__ in str(error) or "coroutine" in str(error))
        assert len(failed) == (0 if right else 3), failed
        yield producer.flush() if right else loop.raises(TypeError, producer.produce("t", b"3"))
        yield loop.until(lambda: settled(producer))
        kept = [value for value in values(cluster) if value in (b"1", b"2", b"4")]
        assert kept == [b"1", b"2", b"4"]
        yield producer.close()
    run()
