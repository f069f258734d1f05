"""
A scripted Kafka on loopback: for what real brokers can't be made to do at a test's wish.

    cluster = FakeCluster(brokers=2, versions="4.4", topics={"t": 3})
    cluster.start()                                  # on the running IOLoop
    cluster.log("t", 0).put(b"1", b"2")
    cluster[1].on("fetch", CLOSE, times=1)           # the next fetch of broker 1: hang up
    cluster[1].on("fetch", error(6, "t", 0))         # from now on: error 6 for that partition
    cluster[1].count("fetch"), cluster[1].requests   # what came in

A handler, given to `FakeBroker.on`, is an answer or a function of a `Call` giving one: ``None`` (the
usual answer), a response object or a dict of its fields, bytes (all that follows the correlation id),
`CLOSE`, `MUTE` (this connection is never served again), `CUT` (half of the usual answer, then hangs up),
or a Future of one of these.
"""
from __future__ import absolute_import

import collections
import functools
import struct
import uuid
import weakref

from tornado import gen, ioloop, iostream

from kiel import constants
from kiel.connection import Connection
from kiel.protocol import response as responses
from kiel.testing.fake.listener import Listener, mute, size_of
from kiel.testing.fake.parts import build
from kiel.testing.fake.versions import SERVED

from tests import answers, loop
from tests.logs import PartitionLog

CLOSE, MUTE, CUT = "close", "mute", "cut"

API_NAMES = dict((key, name) for name, key in constants.API_KEYS.items())

#: what releases serve: kiel's api names -> (lowest, highest), as the brokers report it themselves
VERSIONS = {
    "0.8": dict(
        produce=(0, 0), fetch=(0, 0), offset=(0, 0), metadata=(0, 0), offset_commit=(0, 1),
        offset_fetch=(0, 1), group_coordinator=(0, 0)),
    "0.9": dict(
        produce=(0, 1), fetch=(0, 1), offset=(0, 0), metadata=(0, 0), offset_commit=(0, 2),
        offset_fetch=(0, 1), group_coordinator=(0, 0)),
    "0.10": dict(
        produce=(0, 2), fetch=(0, 3), offset=(0, 1), metadata=(0, 2), offset_commit=(0, 2),
        offset_fetch=(0, 2), group_coordinator=(0, 0), api_versions=(0, 0)),
    "0.11": dict(
        produce=(0, 3), fetch=(0, 5), offset=(0, 2), metadata=(0, 4), offset_commit=(0, 3),
        offset_fetch=(0, 3), group_coordinator=(0, 1), init_producer_id=(0, 0), api_versions=(0, 1)),
    "2.4": dict(
        produce=(0, 8), fetch=(0, 11), offset=(0, 5), metadata=(0, 9), offset_commit=(0, 8),
        offset_fetch=(0, 6), group_coordinator=(0, 3), init_producer_id=(0, 2), api_versions=(0, 3),
        offset_for_leader_epoch=(0, 3)),
    "2.8": dict(
        produce=(0, 9), fetch=(0, 12), offset=(0, 6), metadata=(0, 11), offset_commit=(0, 8),
        offset_fetch=(0, 7), group_coordinator=(0, 3), init_producer_id=(0, 4), api_versions=(0, 3),
        offset_for_leader_epoch=(0, 4)),
    "3.9": dict(
        produce=(0, 11), fetch=(0, 17), offset=(0, 9), metadata=(0, 12), offset_commit=(0, 9),
        offset_fetch=(0, 9), group_coordinator=(0, 6), init_producer_id=(0, 5), api_versions=(0, 4),
        offset_for_leader_epoch=(0, 4)),
    "4.4": dict((api, SERVED[api]) for api in (
        "produce", "fetch", "offset", "metadata", "offset_commit", "offset_fetch", "group_coordinator",
        "init_producer_id", "api_versions", "offset_for_leader_epoch")),
}

#: the highest versions of the apis of transactions
for _release, _highest in {
    "0.11": (0, 0, 0, 0), "2.4": (1, 1, 1, 2), "2.8": (3, 3, 3, 3), "3.9": (5, 4, 4, 4), "4.4": (5, 4, 5, 6),
}.items():
    VERSIONS[_release].update(zip(
        ("add_partitions_to_txn", "add_offsets_to_txn", "end_txn", "txn_offset_commit"),
        [(0, high) for high in _highest]
    ))

#: the newest message format of those releases that have not magic 2
MAGICS = {"0.8": 0, "0.9": 0, "0.10": 1}


class FakeCluster(object):
    """
    Brokers that share topics, logs and offsets.

    :param brokers: how many; their ids begin at 1
    :param versions: a key of `VERSIONS`, or such a table of ranges
    :param topics: {name: number of partitions}; leaders go round the brokers
    :param host: the address they listen on, such as "::1"
    :param auto_create: whether a Metadata request that names a new topic makes it
    :param tls: an `ssl.SSLContext` to serve TLS with
    """

    def __init__(self, brokers=1, versions="4.4", topics=None, host="127.0.0.1",
                 auto_create=False, tls=None):
        known = not isinstance(versions, dict)
        self.versions = VERSIONS[versions] if known else versions
        self.release = versions if known else "custom"
        self.magic = MAGICS.get(self.release, 2)
        self.auto_create = auto_create
        self.tls = tls
        self.cluster_id = "fake"
        self.brokers = collections.OrderedDict(
            (broker_id, FakeBroker(self, broker_id, host)) for broker_id in range(1, brokers + 1)
        )
        self.listed = list(self.brokers)  # whom metadata names
        self.extra_brokers = []  # (id, host, port) that metadata names besides
        self.topics = collections.OrderedDict()  # name -> {partition id: PartitionLog}
        self.topic_ids = {}
        self.coordinator = 1
        self.last_producer_id = 999
        self.features = {}  # finalized features: name -> level
        self.transactions = {}  # transactional id -> [producer id, epoch]
        self.ended = []  # (committed, partitions and groups) of each transaction that was ended
        self.enlisted = []  # partitions and groups of the open transaction
        self.session_lifetime = 0  # milliseconds after which brokers want another login; they only note who is late
        self.users = {}  # name -> password of those who may log in, by PLAIN, once sasl_* is in `versions`
        self.zookeeper_offsets = {}  # (group, topic, partition) -> (offset, metadata): version 0
        self.kafka_offsets = {}  # the same, version 1 and later
        self.committed_epochs = {}  # (group, topic, partition) -> leader epoch
        for name, partitions in (topics or {}).items():
            self.create(name, partitions)

    def create(self, name, partitions=1):
        """Makes a topic, or adds partitions to it."""
        ids = list(self.brokers)
        logs = self.topics.setdefault(name, collections.OrderedDict())
        self.topic_ids.setdefault(name, uuid.uuid4().bytes)
        for partition in range(len(logs), partitions):
            logs[partition] = PartitionLog(ids[partition % len(ids)], self.magic)

    def start(self):
        for broker in self.brokers.values():
            broker.start()
        return self

    def stop(self):
        for broker in self.brokers.values():
            broker.stop()

    def log(self, topic, partition=0):
        """The `PartitionLog` of a partition; ``.leader`` may be set to a broker's id, or -1."""
        return self.topics[topic][partition]

    def count(self, api):
        """How many requests of that api came to all brokers together."""
        return sum(broker.count(api) for broker in self.brokers.values())

    @property
    def bootstrap(self):
        """"host:port" of each broker."""
        return [broker.address for broker in self.brokers.values()]

    def __getitem__(self, broker_id):
        return self.brokers[broker_id]


class FakeBroker(Listener):
    """
    One broker of a `FakeCluster`.

    ``requests`` are the `Call` of each request that came, oldest first.
    """

    def __init__(self, cluster, broker_id, host):
        super(FakeBroker, self).__init__(host, tls=cluster.tls)
        self.cluster = cluster
        self.id = broker_id
        self.requests = []
        self.handlers = {}

    def on(self, api, handler, times=None):
        """
        Answers requests of an api otherwise, ``times`` times or for good; the last one set counts, and
        ``None`` unsets it.

        The api "identity" is Metadata about no topic, by which kiel sees who answers; such calls are not counted.

        The api "accept" is a connection just made: `CLOSE`, `MUTE`, or bytes to say to whatever comes
        first before hanging up.
        """
        self.handlers[api] = [handler, times]

    def count(self, api, version=None):
        """How many requests of that api (and version) came."""
        return sum(
            call.api == api and version in (None, call.version) for call in self.requests
        )

    def handler(self, api):
        entry = self.handlers.get(api)
        if entry is None or entry[1] == 0:
            return None
        if entry[1] is not None:
            entry[1] -= 1
        return entry[0]

    @gen.coroutine
    def converse(self, stream, number):
        """One connection: a request after the other, each answered before the next is read, as Kafka does."""
        greeting = self.handler("accept")
        if greeting == MUTE:
            yield mute(stream)
        if greeting not in (None, CLOSE):
            yield stream.read_bytes(65536, partial=True)
            yield stream.write(greeting)
        goes_on = greeting is None
        while goes_on:
            try:
                size = size_of((yield stream.read_bytes(4)))
                if size is None:
                    break
                goes_on = yield self.answer(stream, number, (yield stream.read_bytes(size)))
            except iostream.StreamClosedError:  # the usual end; nobody may be there any more to look at a Future of it
                break

    @gen.coroutine
    def answer(self, stream, number, payload):
        """Answers one request; gives whether the connection goes on."""
        call = Call(self, stream, number, payload)
        identifies = call.asks_who_it_is()
        if not identifies:
            self.requests.append(call)
        served = self.cluster.versions.get(call.api)
        silent = MUTE if self.cluster.release == "0.9" else CLOSE
        if served is None and call.api not in self.handlers:
            answer = silent
        else:
            if not call.decode(served or (0, 99)):
                answer = call.refusal()
            else:
                answer = self.handler("identity" if identifies else call.api)
                if callable(answer):
                    answer = answer(call)
                if answer is not None and not isinstance(answer, (str, bytes, dict)):
                    if not hasattr(answer, "serialize"):
                        answer = yield answer
                if answer is None:
                    answer = yield call.usual()
        if answer == MUTE:
            yield mute(stream)
        if answer in (CLOSE, MUTE):
            raise gen.Return(False)
        cut = answer == CUT
        if cut:
            answer = yield call.usual()
        frame = call.frame(answer)
        try:
            if frame is not None:
                yield stream.write(frame[:len(frame) // 2] if cut else frame)
            if call.api == "sasl_handshake" and call.version == 0:  # its tokens come without a header
                size, = struct.unpack(">i", (yield stream.read_bytes(4)))
                if not answers.login(self.cluster, (yield stream.read_bytes(size))):
                    raise gen.Return(False)
                yield stream.write(b"\0\0\0\0")
        except iostream.StreamClosedError:  # the client has gone, and whoever would look at this Future may have, too
            raise gen.Return(False)
        raise gen.Return(not cut)


class Call(object):
    """
    One request as it came: ``api``, ``version``, ``request`` (decoded), ``client_id``, ``broker``,
    ``cluster``, ``connection`` (its number at the broker), ``time`` (of the IOLoop).
    """

    def __init__(self, broker, stream, number, payload):
        self.broker = broker
        self.cluster = broker.cluster
        self.stream = stream
        self.connection = number
        self.payload = payload
        self.time = ioloop.IOLoop.current().time()
        key, self.version, self.correlation_id, size = struct.unpack_from(">hhih", payload)
        self.api = API_NAMES.get(key, "api_%d" % key)
        self.asked_version = self.version
        self.client_id = payload[10:10 + max(0, size)].decode("utf-8")
        self.body_at = 10 + max(0, size)
        self.request = None
        self.error_at = None  # (code, topic or None, partition or None), see `error`

    def decode(self, served):
        """Reads the request; False when its version is not served."""
        if self.cluster.release in ("0.8", "0.9"):  # those ignore what they don't know
            self.version = min(self.version, served[1])
        if self.api == "produce" and self.cluster.release == "4.4" and self.version < 3:
            return False
        if not served[0] <= self.version <= served[1]:
            return False
        cls = answers.request_class(self.api)
        at = self.body_at + (1 if cls.is_flexible(self.version) else 0)  # kiel's header has no tags
        self.request, end = cls.decode(self.payload, at, self.version)
        if end != len(self.payload):
            raise AssertionError("%s v%d has %d bytes too many" % (
                self.api, self.version, len(self.payload) - end
            ))
        return True

    def asks_who_it_is(self):
        """Whether it asks for the metadata of no topic, as kiel does to see who answers; such a call is not counted."""
        cls = answers.request_class("metadata")
        if self.api != "metadata" or not 2 <= self.version <= 13:
            return False
        at = self.body_at + (1 if cls.is_flexible(self.version) else 0)
        return cls.decode(self.payload, at, self.version)[0].topics == []

    def refusal(self):
        """What a broker says to a version that it does not serve."""
        if self.api != "api_versions":
            return CLOSE
        self.version = 0
        return dict(error_code=35, api_keys=answers.served(self, only="api_versions"))

    def code(self, topic=None, partition=None):
        """The error code that a test asked for there, or 0."""
        code, at_topic, at_partition = self.error_at or (0, None, None)
        here = at_topic in (None, topic) and at_partition in (None, partition)
        return code if here else 0

    def usual(self):
        """The answer without a script: a Future of a dict, ``None`` (no answer) or a word such as `CLOSE`."""
        return gen.maybe_future(getattr(answers, self.api)(self))

    def frame(self, answer):
        """The bytes of an answer; ``None`` when none is due."""
        if self.api == "produce" and self.request.required_acks == 0:
            return None
        if isinstance(answer, dict):
            answer = build(responses.classes[self.api], answer)
        if not isinstance(answer, bytes):
            answer = answer.serialize(self.version)
        return struct.pack(">ii", 4 + len(answer), self.correlation_id) + answer


def error(code, topic=None, partition=None):
    """A handler: the usual answer with an error code, everywhere or at one topic or partition only."""
    def handler(call):
        call.error_at = (code, topic, partition)
    return handler


def delay(seconds, then=None):
    """A handler: the same as ``then`` (default: the usual answer), so many seconds later."""
    @gen.coroutine
    def handler(call):
        yield gen.sleep(seconds)
        answer = then(call) if callable(then) else then
        raise gen.Return(answer)
    return handler


def with_cluster(**settings):
    """
    Runs the test, a generator function of a started `FakeCluster`, on an IOLoop of its own.

    Afterwards no connection may have a Future pending. ``timeout`` is in seconds, all else goes to
    the `FakeCluster`.
    """
    timeout = settings.pop("timeout", 30)

    def decorate(test):
        @functools.wraps(test)
        def run(**kwargs):
            @gen.coroutine
            def body():
                cluster = FakeCluster(**settings).start()
                try:
                    yield gen.coroutine(test)(cluster, **kwargs)
                finally:
                    cluster.stop()
                yield gen.sleep(0.01)
                assert not pending()
            loop.run(body, timeout)
        if hasattr(run, "__wrapped__"):
            del run.__wrapped__  # pytest must not take the cluster for a fixture
        return run
    return decorate


def pending():
    """The Futures of all requests in the whole process that wait for an answer."""
    return [future for conn in list(living) for future in conn.pending.values()]


def remembered(start):
    """The ``start`` of `Connection`, which also adds it to those `living`."""
    @functools.wraps(start)
    def remember(self, io_loop):
        living.add(self)
        start(self, io_loop)
    return remember


#: what each connection of this process that somebody has waits for; to look through all objects takes longer than
#: most tests
living = weakref.WeakSet()
Connection.start = remembered(Connection.start)
