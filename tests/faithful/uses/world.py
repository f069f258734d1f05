"""What a use is given: brokers, a ZooKeeper, topics of its own, and a stranger's look at what is stored."""
from __future__ import absolute_import

import logging
import time
import uuid

from . import scripted, wire
from .wire import array, blob, number, text


class World(object):
    """
    :param brokers: addresses of real brokers, or none
    :param zk_hosts: addresses of a ZooKeeper, or none
    """

    def __init__(self, brokers=(), zk_hosts=()):
        self.brokers = list(brokers)
        self.zk_hosts = list(zk_hosts)
        self.started = []
        self.clients = []

    def name(self, kind="name"):
        return "%s-%s" % (kind, uuid.uuid4().hex[:8])

    def closing(self, client):
        """The client, which is closed when the use has ended, if it is open still."""
        self.clients.append(client)
        return client

    def scripted(self, **options):
        """A `scripted.Scripted` of its own."""
        broker = scripted.Scripted(**options)
        self.started.append(broker)
        return broker

    def stop(self):
        for broker in self.started:
            broker.stop()

    # -- on the real brokers

    def topic(self, partitions=1):
        """The name of a new topic, once all its partitions have leaders."""
        topic = self.name("topic")
        body = array([text(topic) + number("i", partitions) + number("h", 1) + array([]) + array([])])
        wire.call(self.brokers[0], wire.CREATE_TOPICS, body + number("i", 10000))
        deadline = time.time() + 30
        while not self._ready(topic, partitions):
            assert time.time() < deadline, "no leaders for " + topic
            time.sleep(0.02)
        return topic

    def _ready(self, topic, partitions):
        answer = wire.call(self.brokers[0], wire.METADATA, array([text(topic)]))
        answer.array(lambda: (answer.number("i"), answer.text(), answer.number("i")))

        def part():
            found = answer.number("h"), answer.number("i"), answer.number("i")
            answer.array(lambda: answer.number("i"))
            answer.array(lambda: answer.number("i"))
            return found

        topics = answer.array(lambda: (answer.number("h"), answer.text(), answer.array(part)))
        parts = topics[0][2]
        return len(parts) == partitions and all(code == 0 for code, _, _ in parts)

    def put(self, topic, *values, **options):
        """Appends values, the ``key`` with each, to a ``partition``."""
        data = b"".join(wire.entry(0, options.get("key"), value) for value in values)
        part = array([number("i", options.get("partition", 0)) + blob(data)])
        answer = wire.call(self.brokers[0], wire.PRODUCE, number("h", -1) + number("i", 5000) + array(
            [text(topic) + part]))
        (_, ((_, code, _),)), = answer.topics(lambda: (answer.number("i"), answer.number("h"), answer.number("q")))
        assert code == 0, code

    def log(self, topic, partition=0):
        """What a partition holds: ``[(key, value)]``; only for messages that are not compressed."""
        found, offset = [], 0
        while True:
            body = number("i", -1) + number("i", 0) + number("i", 0) + array([text(topic) + array(
                [number("i", partition) + number("q", offset) + number("i", 1 << 20)])])
            answer = wire.call(self.brokers[0], wire.FETCH, body)
            (_, ((_, code, _, data),)), = answer.topics(
                lambda: (answer.number("i"), answer.number("h"), answer.number("q"), answer.blob()))
            assert code == 0, code
            new = wire.entries(data)
            if not new:
                return found
            found += [(key, value) for _, _, key, value in new]
            offset = new[-1][0] + 1

    def commit(self, group, topic, offset, partition=0):
        """Commits as 0.9 does, into the store that 0.9 reads."""
        part = array([number("i", partition) + number("q", offset) + text("")])
        wire.call(self.brokers[0], wire.OFFSET_COMMIT, text(group) + array([text(topic) + part]))

    def committed(self, group, topic, partition=0):
        """What is committed in the store that 0.9 reads; -1 where nothing is."""
        answer = wire.call(self.brokers[0], wire.OFFSET_FETCH, text(group) + array(
            [text(topic) + array([number("i", partition)])]))
        (_, ((_, offset, _, _),)), = answer.topics(
            lambda: (answer.number("i"), answer.number("q"), answer.text(), answer.number("h")))
        return offset


class Lines(logging.Handler):
    """Collects what kiel logs at INFO and above, as ``(level name, text)``."""

    def __init__(self):
        super(Lines, self).__init__(logging.INFO)
        self.lines = []

    def emit(self, record):
        self.lines.append((record.levelname, record.getMessage()))

    def __enter__(self):
        logger = logging.getLogger("kiel")
        self.before = logger.level
        logger.setLevel(logging.INFO)
        logger.addHandler(self)
        return self

    def __exit__(self, *exc_info):
        logger = logging.getLogger("kiel")
        logger.removeHandler(self)
        logger.setLevel(self.before)
