"""The fake broker, spoken to with raw sockets: what it says must not rest on kiel's own client."""
from __future__ import absolute_import

import struct

import pytest
from tornado import gen, iostream, tcpclient

from tests import fake, logs, loop


class Raw(object):
    """A socket that speaks frames."""

    @gen.coroutine
    def open(self, broker):
        self.stream = yield tcpclient.TCPClient().connect(broker.host, broker.port)
        raise gen.Return(self)

    def write(self, key, version, body, correlation_id=7):
        data = struct.pack(">hhih", key, version, correlation_id, 1) + b"x" + body
        return self.stream.write(struct.pack(">i", len(data)) + data)

    @gen.coroutine
    def read(self):
        size, = struct.unpack(">i", (yield self.stream.read_bytes(4)))
        payload = yield self.stream.read_bytes(size)
        assert payload[:4] == struct.pack(">i", 7)
        raise gen.Return(payload[4:])

    @gen.coroutine
    def ask(self, key, version, body, seconds=2):
        self.write(key, version, body)
        answer = yield loop.within(seconds, self.read())
        raise gen.Return(answer)


def with_broker(**settings):
    """Runs the test, a generator function of (cluster, raw connection to broker 1)."""
    def decorate(test):
        def run():
            @gen.coroutine
            def body():
                cluster = fake.FakeCluster(**settings).start()
                raw = yield Raw().open(cluster[1])
                try:
                    yield gen.coroutine(test)(cluster, raw)
                finally:
                    raw.stream.close()
                    cluster.stop()
            loop.run(body)
        run.__name__ = test.__name__
        return run
    return decorate


def fetch(offset=0, max_bytes=1000, wait=0):
    return struct.pack(">iiiih1siiqi", -1, wait, 1, 1, 1, b"t", 1, 0, offset, max_bytes)


def fetched(error_code, highwater, data):
    return struct.pack(">ih1siihqi", 1, 1, b"t", 1, 0, error_code, highwater, len(data)) + data


def produce(data):
    return struct.pack(">hiih1siii", -1, 500, 1, 1, b"t", 1, 0, len(data)) + data


@with_broker(versions="0.8", topics={"t": 1})
def test_metadata_by_the_byte(cluster, raw):
    answer = yield raw.ask(3, 0, struct.pack(">i", 0))
    broker = struct.pack(">ih9si", 1, 9, b"127.0.0.1", cluster[1].port)
    assert answer == struct.pack(">i", 1) + broker + struct.pack(
        ">ihh1sihiiiiii", 1, 0, 1, b"t", 1, 0, 0, 1, 1, 1, 1, 1
    )
    assert cluster[1].count("metadata") == 1 and cluster.count("fetch") == 0
    assert cluster[1].requests[0].client_id == "x"


@with_broker(versions="0.8", topics={"t": 1})
def test_a_topic_that_is_not_there(cluster, raw):
    answer = yield raw.ask(3, 0, struct.pack(">ih1s", 1, 1, b"u"))
    assert answer.endswith(struct.pack(">ihh1si", 1, 3, 1, b"u", 0))
    cluster.auto_create = True
    answer = yield raw.ask(3, 0, struct.pack(">ih1s", 1, 1, b"u"))
    assert answer.endswith(struct.pack(">ihh1si", 1, 5, 1, b"u", 0))
    assert list(cluster.topics["u"]) == [0]


@with_broker(versions="0.8", topics={"t": 1})
def test_produce_then_fetch(cluster, raw):
    message = logs.encode(0, [(b"k", b"v", (), 0)], 0)
    for offset in range(2):
        answer = yield raw.ask(0, 0, produce(message))
        assert answer == struct.pack(">ih1siihq", 1, 1, b"t", 1, 0, 0, offset)
    second = struct.pack(">q", 1) + message[8:]
    assert (yield raw.ask(1, 0, fetch())) == fetched(0, 2, message + second)
    assert (yield raw.ask(1, 0, fetch(offset=1))) == fetched(0, 2, second)
    assert (yield raw.ask(1, 0, fetch(max_bytes=len(message) + 5))) == fetched(0, 2, message + second[:5])
    assert (yield raw.ask(1, 0, fetch(max_bytes=5))) == fetched(0, 2, message[:5])
    assert (yield raw.ask(1, 0, fetch(offset=2))) == fetched(0, 2, b"")
    assert (yield raw.ask(1, 0, fetch(offset=3))) == fetched(1, -1, b"")


@with_broker(versions="0.8", topics={"t": 1})
def test_a_long_poll_ends_when_something_comes(cluster, raw):
    raw.write(1, 0, fetch(wait=5000))
    yield gen.sleep(0.05)
    cluster.log("t").put(b"late")
    answer = yield loop.within(1, raw.read())
    assert answer == fetched(0, 1, logs.encode(0, [(None, b"late", (), 0)], 0))


@with_broker(versions="0.8", topics={"t": 1})
def test_acks_0_is_not_answered(cluster, raw):
    body = produce(logs.encode(0, [(None, b"v", (), 0)], 0))
    raw.write(0, 0, struct.pack(">h", 0) + body[2:])
    answer = yield raw.ask(3, 0, struct.pack(">i", 0))
    assert answer.startswith(struct.pack(">i", 1))
    assert cluster.log("t").end == 1


@with_broker(versions="0.8", topics={"t": 1})
def test_offsets_by_time(cluster, raw):
    cluster.log("t").put(b"a", b"b")
    for time, offset in ((-1, 2), (-2, 0)):
        body = struct.pack(">iih1siiqi", -1, 1, 1, b"t", 1, 0, time, 1)
        answer = yield raw.ask(2, 0, body)
        assert answer == struct.pack(">ih1siihiq", 1, 1, b"t", 1, 0, 0, 1, offset)


@with_broker(versions="0.8", topics={"t": 1})
def test_two_stores_of_offsets(cluster, raw):
    fetch_it = struct.pack(">h1sih1sii", 1, b"g", 1, 1, b"t", 1, 0)
    nothing = struct.pack(">ih1siiqhh", 1, 1, b"t", 1, 0, -1, 0, 3)
    assert (yield raw.ask(9, 0, fetch_it)) == nothing
    commit = struct.pack(">h1sih1siiqh", 1, b"g", 1, 1, b"t", 1, 0, 5, 0)
    assert (yield raw.ask(8, 0, commit)) == struct.pack(">ih1siih", 1, 1, b"t", 1, 0, 0)
    assert (yield raw.ask(9, 0, fetch_it)) == struct.pack(">ih1siiqhh", 1, 1, b"t", 1, 0, 5, 0, 0)
    assert (yield raw.ask(9, 1, fetch_it)) == struct.pack(">ih1siiqhh", 1, 1, b"t", 1, 0, -1, 0, 0)
    answer = yield raw.ask(10, 0, struct.pack(">h1s", 1, b"g"))
    assert answer == struct.pack(">hih9si", 0, 1, 9, b"127.0.0.1", cluster[1].port)


@with_broker(versions="0.8")
def test_0_8_hangs_up_on_api_versions(cluster, raw):
    yield loop.raises(iostream.StreamClosedError, raw.ask(18, 0, b""), 1)


@with_broker(versions="0.9")
def test_0_9_keeps_mute_on_api_versions(cluster, raw):
    raw.write(18, 0, b"")
    with pytest.raises(AssertionError):
        yield loop.within(0.1, raw.read())
    other = yield Raw().open(cluster[1])
    yield other.ask(3, 0, struct.pack(">i", 0))
    other.stream.close()


@with_broker(versions="0.9", topics={"t": 1})
def test_0_9_answers_a_version_it_does_not_know_in_its_own(cluster, raw):
    answer = yield raw.ask(1, 1, fetch())
    assert answer == struct.pack(">i", 0) + fetched(0, 0, b"")  # version 1 begins with a throttle time
    assert (yield raw.ask(1, 99, fetch())) == answer


@with_broker(versions="4.4")
def test_api_versions(cluster, raw):
    answer = yield raw.ask(18, 0, b"")
    assert answer[:2] == struct.pack(">h", 0)
    assert struct.pack(">hhh", 1, 4, 18) in answer  # fetch
    # the header of the answer has no tags in any version, the body has
    answer = yield raw.ask(18, 3, b"\0\5kiel\0041.0\0")
    assert answer[:3] == struct.pack(">hb", 0, 1 + len(cluster.versions))
    answer = yield raw.ask(18, 99, b"whatever")
    assert answer == struct.pack(">hihhh", 35, 1, 18, 0, 5)


@pytest.mark.parametrize("key,version", [(0, 2), (1, 2), (77, 0)])
def test_4_4_hangs_up_on_what_it_does_not_serve(key, version):
    @with_broker(versions="4.4")
    def check(cluster, raw):
        yield loop.raises(iostream.StreamClosedError, raw.ask(key, version, b""), 1)
    check()


@with_broker(versions="0.8", topics={"t": 2}, brokers=2)
def test_each_broker_serves_what_it_leads(cluster, raw):
    assert [cluster.log("t", i).leader for i in (0, 1)] == [1, 2]
    cluster.log("t").leader = 2
    assert (yield raw.ask(1, 0, fetch())) == fetched(6, -1, b"")
    answer = yield raw.ask(3, 0, struct.pack(">i", 0))
    assert answer.startswith(struct.pack(">i", 2))


@with_broker(versions="0.8", topics={"t": 1})
def test_faults(cluster, raw):
    broker = cluster[1]
    usual = yield raw.ask(1, 0, fetch())
    broker.on("fetch", fake.error(6, "t", 0), times=1)
    assert (yield raw.ask(1, 0, fetch())) == fetched(6, -1, b"")
    broker.on("fetch", fake.error(6, "t", 1))
    assert (yield raw.ask(1, 0, fetch())) == usual
    broker.on("fetch", b"raw")
    assert (yield raw.ask(1, 0, fetch())) == b"raw"
    broker.on("fetch", lambda call: {"topics": []})
    assert (yield raw.ask(1, 0, fetch())) == struct.pack(">i", 0)
    broker.on("fetch", fake.delay(0.1))
    with pytest.raises(AssertionError):
        yield raw.ask(1, 0, fetch(), seconds=0.05)
    broker.on("fetch", None)
    raw.stream.close()
    raw = yield Raw().open(broker)
    broker.on("fetch", fake.CUT, times=1)
    raw.write(1, 0, fetch())
    seen = yield raw.stream.read_until_close()
    assert seen == struct.pack(">ii", 4 + len(usual), 7) + usual[:len(usual) // 2 - 4]
    raw = yield Raw().open(broker)
    broker.on("fetch", fake.CLOSE, times=1)
    yield loop.raises(iostream.StreamClosedError, raw.ask(1, 0, fetch()), 1)
    raw = yield Raw().open(broker)
    broker.on("fetch", fake.MUTE, times=1)
    with pytest.raises(AssertionError):
        yield raw.ask(1, 0, fetch(), seconds=0.05)
    raw.stream.close()
    assert broker.count("fetch") == 9
    yield loop.until(lambda: not broker.streams)


@with_broker(versions="0.8")
def test_stop_and_start_again_on_the_same_port(cluster, raw):
    port = cluster[1].port
    cluster.stop()
    yield loop.raises(iostream.StreamClosedError, raw.read(), 1)
    yield loop.raises(iostream.StreamClosedError, Raw().open(cluster[1]), 1)
    cluster.start()
    assert cluster[1].port == port
    raw = yield Raw().open(cluster[1])
    yield raw.ask(3, 0, struct.pack(">i", 0))
    raw.stream.close()


@with_broker(versions="0.8")
def test_what_is_no_request_ends_the_connection(cluster, raw):
    raw.stream.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")  # TLS
    yield loop.raises(iostream.StreamClosedError, raw.read(), 1)


@with_broker(versions="0.8", host="::1")
def test_ipv6(cluster, raw):
    assert cluster.bootstrap == ["[::1]:%d" % cluster[1].port]
    answer = yield raw.ask(3, 0, struct.pack(">i", 0))
    assert b"::1" in answer


def test_a_stray_exception_fails_the_run():
    @gen.coroutine
    def stray():
        gen.coroutine(lambda: 1 / 0)()
        yield gen.moment
    with pytest.raises(AssertionError):
        loop.run(stray)
