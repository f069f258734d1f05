"""The fake Kafka as tests use it."""
from __future__ import absolute_import

import json
import uuid

import six
from tornado import gen

from kiel import partitioners
from kiel.clients.consuming.record import Record
from kiel.retry import monotonic
from kiel.testing import errors
from kiel.testing.fake import batches, faults, names
from kiel.testing.fake.broker import Serving
from kiel.testing.fake.cluster import Cluster
from kiel.testing.fake.thread import LoopThread
from kiel.testing.fake.topics import NAME

#: seconds between two looks at whose time is over
TICK = 0.05


class FakeKafka(object):
    """
    A Kafka in this process, for unit tests: Kafka's protocol on a real socket, without Java.

    It listens from the start, on a thread of its own, and keeps everything in memory. Any client may use it, of this
    process or another. All calls may come from any thread.

    :param topics: topics to make: {name: number of partitions}, or a list of names
    :param brokers: how many; their ids begin at 1
    :param host: the address to listen on
    :param port: the first broker's, the next ones for the others; 0 for any that are free
    :param auto_create: whether a topic that a client asks for is made, as Kafka does unless it is told otherwise
    :param heartbeat_interval: seconds between heartbeats of next-generation groups; Kafka's own 5 would make each
        rebalance as slow
    :param max_bytes: what all messages together may take; the oldest go first
    """

    def __init__(self, topics=None, brokers=1, host="127.0.0.1", port=0, auto_create=True, heartbeat_interval=0.1,
                 max_bytes=64 * 1024 * 1024):
        if brokers < 1:
            raise ValueError("a Kafka of %r brokers" % (brokers,))
        serving = dict(
            (number, Serving(number, self._get_cluster, host, port and port + number - 1))
            for number in range(1, brokers + 1))
        self._cluster = Cluster(serving, auto_create, max_bytes, int(heartbeat_interval * 1000))
        self._thread = LoopThread()
        self._next = 0
        #: the brokers, as `FakeBroker`
        self.brokers = [FakeBroker(self._thread, self._cluster, serving[number]) for number in sorted(serving)]
        try:
            self._begin(topics if isinstance(topics, dict) else dict((name, 1) for name in topics or ()))
        except BaseException:
            self.close()
            raise
        self._thread.every(TICK, lambda: self._cluster.tick(monotonic()))

    def _get_cluster(self):
        return self._cluster

    def _begin(self, topics):
        for broker in self.brokers:
            broker.start()
        for name, partitions in topics.items():
            self.create_topic(name, partitions)

    # -- life and place --

    @property
    def address(self):
        """Where clients connect to: ``"host:port"`` of the first broker."""
        return self.brokers[0].address

    @property
    def bootstrap(self):
        """The same for all brokers: a list, as ``kiel.clients`` take it."""
        return [broker.address for broker in self.brokers]

    def close(self):
        """Hang up on all and listen no more; what was written can still be looked at."""
        if not self._thread.ended:
            for broker in self.brokers:
                self._thread.call(broker.serving.stop)
            self._thread.stop()

    stop = close

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    @gen.coroutine
    def __aenter__(self):
        raise gen.Return(self)

    @gen.coroutine
    def __aexit__(self, *exc_info):
        self.close()

    def __repr__(self):
        return "<FakeKafka %s%s>" % (", ".join(self.bootstrap), ", closed" if self._thread.ended else "")

    # -- topics and messages --

    def topic(self, name=None, partitions=1, config=None):
        """
        Make a topic, and return its name.

        :param name: default: one that no other topic has
        :param config: the topic's own settings
        """
        name = name or "topic-" + uuid.uuid4().hex[:8]
        self.create_topic(name, partitions, config=config)
        return name

    def create_topic(self, name, partitions=1, replicas=1, config=None):
        """
        Make a topic; ``replicas`` are taken for compatibility with `kiel.testing.Kafka`, and not kept.

        :raises kiel.testing.TopicError: when it is there already
        """
        settings = dict((key, _text(value)) for key, value in (config or {}).items())
        self._thread.call(self._create, name, partitions, settings)

    def _create(self, name, partitions, config):
        topics = self._cluster.topics
        if name in topics.by_name:
            raise errors.TopicError("Topic %s is there already" % name)
        if not NAME.match(name) or partitions < 1:
            raise errors.TopicError("No topic can be called %r and have %r partitions" % (name, partitions))
        topics.create(name, partitions, config)
        self._cluster.elect()

    def create_partitions(self, name, count):
        """Let a topic grow to so many partitions."""
        def grow():
            topic = self._topic(name)
            if count <= len(topic.partitions):
                raise errors.TopicError("Topic %s has %d partitions: it can't grow to %d" % (
                    name, len(topic.partitions), count))
            self._cluster.topics.grow(topic, count)
            self._cluster.elect()
        self._thread.call(grow)

    def delete_topic(self, name):
        """Delete a topic, with its messages and what groups have committed."""
        def delete():
            self._topic(name)
            self._cluster.topics.delete(name)
            self._cluster.groups.forget_topic(name)
            self._cluster.written.happen()
        self._thread.call(delete)

    @property
    def topics(self):
        """{name: number of partitions} of all topics."""
        return self._thread.call(lambda: dict(
            (topic.name, len(topic.partitions)) for topic in self._cluster.topics.by_name.values()))

    def _topic(self, name):
        topic = self._cluster.topics.by_name.get(name)
        if topic is None:
            raise errors.TopicError("There is no topic %s: there is %s" % (
                name, ", ".join(sorted(self._cluster.topics.by_name)) or "none"))
        return topic

    def messages(self, topic, partition=None, committed=False):
        """
        Return what was written to a topic, as a list of `kiel.clients.Record`: keys and values are bytes or None.

        Partitions come one after the other, the messages of each in their order.

        :param partition: of this partition only
        :param committed: without messages of transactions that were aborted, or are open
        :raises kiel.testing.TopicError: where there is no such topic or partition
        """
        def read():
            logs = self._topic(topic).partitions
            if partition is not None and not 0 <= partition < len(logs):
                raise errors.TopicError("Topic %s has %d partitions: there is no %r" % (topic, len(logs), partition))
            return [
                Record(topic, number, *record) for number, log in enumerate(logs) if partition in (None, number)
                for record in log.read_messages(committed)]
        return self._thread.call(read)

    def append(self, topic, value, key=None, headers=(), timestamp=None, partition=None):
        """
        Write one message, as some producer; return its `kiel.clients.Record`.

        :param value: bytes and None as they are, anything else as JSON, as kiel's clients do by default
        :param key: bytes, text or None
        :param headers: pairs of name and bytes or None
        :param timestamp: milliseconds since 1970 UTC; default: now
        :param partition: default: the one that the key decides on, else one after the other
        """
        if value is not None and not isinstance(value, bytes):
            value = json.dumps(value).encode("utf-8")
        if isinstance(key, six.text_type):
            key = key.encode("utf-8")
        stamp = batches.now() if timestamp is None else timestamp

        def write():
            logs = self._topic(topic).partitions
            number = partition
            if number is None and key is None:
                number, self._next = self._next % len(logs), self._next + 1
            elif number is None:
                number = partitioners.murmur2(key, list(range(len(logs))))
            if not 0 <= number < len(logs):
                raise errors.TopicError("Topic %s has %d partitions: there is no %r" % (topic, len(logs), number))
            offset = logs[number].put(key, value, list(headers), stamp)
            self._cluster.topics.keep_within()
            self._cluster.written.happen()
            return Record(topic, number, offset, stamp, key, value, tuple(headers))
        return self._thread.call(write)

    def offsets(self, group):
        """Return what a group has committed: {(topic, partition): offset}."""
        return self._thread.call(lambda: dict(
            (key, committed.offset) for key, committed in self._cluster.groups.offsets.get(group, {}).items()))

    @property
    def aborted(self):
        """How many transactions were aborted, by their producers or by their time-outs."""
        return self._thread.call(lambda: self._cluster.transactions.aborted)

    # -- what goes wrong --

    def fail(self, api, error, times=1, topic=None, partition=None):
        """
        Answer requests with an error, and do nothing of what they ask for.

        :param api: the request's name, Kafka's or kiel's: "Produce", "fetch", "ListOffsets"
        :param error: Kafka's code, or its name, or its class in `kiel.exc`
        :param times: so many requests; None for all from now on
        :param topic: about this topic only; ``partition`` about this partition only
        """
        self._add(api, faults.ERROR, names.error(error), times, topic, partition)

    def hang_up(self, api=None, times=1):
        """
        Close connections instead of answering such requests; without an api, all connections at once.

        :param times: upon so many requests; None for all from now on
        """
        if api is not None:
            self._add(api, faults.HANG_UP, None, times)
        else:
            for broker in self.brokers:
                self._thread.call(broker.serving.hang_up)

    def delay(self, seconds, api=None, times=None):
        """
        Answer later.

        :param api: such requests only
        :param times: so many requests; None for all from now on
        """
        self._add(api, faults.DELAY, seconds, times)

    def _add(self, api, kind, value, times, topic=None, partition=None):
        api = None if api is None else names.api(api)
        self._thread.call(self._cluster.faults.add, faults.Fault(api, kind, value, times, topic, partition))

    def heal(self):
        """Let nothing go wrong any more: no errors, no delays, all brokers up and answering."""
        self._thread.call(self._cluster.faults.clear)
        for broker in self.brokers:
            broker.resume()
            broker.start()

    def pause(self):
        """Answer nothing until `resume`, as brokers that hang; connections stay open."""
        for broker in self.brokers:
            broker.pause()

    def resume(self):
        """Answer again, what came meanwhile too."""
        for broker in self.brokers:
            broker.resume()

    def count(self, api):
        """Return how many requests of that name came to all brokers."""
        return self._thread.call(lambda: self._cluster.counts[names.api(api)])


class FakeBroker(object):
    """One broker of a `FakeKafka`: ``id``, and what can be done to it."""

    def __init__(self, thread, cluster, serving):
        self._thread = thread
        self._cluster = cluster
        self.serving = serving
        self.id = serving.id

    @property
    def address(self):
        """Where clients connect to: ``"host:port"``."""
        return self.serving.address

    @property
    def is_up(self):
        """Whether it listens."""
        return self.serving.is_up

    def stop(self):
        """Be down: connections are closed and refused. Another broker, if any is up, leads what this one has led."""
        self._thread.call(self._stop)

    def _stop(self):
        self.serving.stop()
        self._cluster.elect()

    def start(self):
        """Be up again, on the same port and with all that was written."""
        self._thread.call(self._start)

    def _start(self):
        if not self.serving.is_up:
            self.serving.start()
            self._cluster.elect()

    def pause(self):
        """Answer nothing until `resume`; connections stay open."""
        self._thread.call(setattr, self.serving, "is_paused", True)

    def resume(self):
        """Answer again, what came meanwhile too."""
        self._thread.call(self.serving.resume)

    def hang_up(self):
        """Close all connections to it; new ones are taken."""
        self._thread.call(self.serving.hang_up)

    def __repr__(self):
        return "<FakeBroker %d at %s%s>" % (self.id, self.address, "" if self.is_up else ", down")


def _text(value):
    return str(value).lower() if isinstance(value, bool) else str(value)
