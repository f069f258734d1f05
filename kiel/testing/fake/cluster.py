"""What the brokers of a fake cluster share."""
from __future__ import absolute_import

import base64
import collections
import uuid

from kiel.testing.fake.faults import Faults
from kiel.testing.fake.groups import Groups
from kiel.testing.fake.signal import Signal
from kiel.testing.fake.topics import Topics
from kiel.testing.fake.transactions import Transactions


class Cluster(object):
    """
    Topics, groups, transactions, and which brokers are up; used by the fake's own thread alone.

    :param brokers: {id: `kiel.testing.fake.broker.FakeBroker`}
    :param auto_create: whether a topic that is asked for is made
    :param max_bytes: see `kiel.testing.fake.topics.Topics`
    :param heartbeat_interval: milliseconds between heartbeats of next-generation groups
    """

    def __init__(self, brokers, auto_create, max_bytes, heartbeat_interval):
        self.id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
        self.brokers = brokers
        self.auto_create = auto_create
        self.topics = Topics(list(brokers), max_bytes)
        #: messages came, or another thing that a fetch may wait for
        self.written = Signal()
        self.groups = Groups(self.topics, heartbeat_interval)
        self.transactions = Transactions(self.topics, self.groups, self.written)
        self.faults = Faults()
        #: api -> how many requests came
        self.counts = collections.Counter()

    @property
    def live(self):
        """The ids of the brokers that are up."""
        return [broker_id for broker_id, broker in self.brokers.items() if broker.is_up]

    @property
    def coordinator(self):
        """The id of the broker that coordinates all groups and transactions, -1 when none is up."""
        return min(self.live or [-1])

    def elect(self):
        """Let partitions whose leader is down be led by another broker, if there is one."""
        live = self.live
        for log in self.topics.logs():
            if log.leader not in live and live:
                log.leader = live[0]
                log.epoch += 1
        self.written.happen()

    def tick(self, now):
        """Put out members and end transactions whose time is over; ``now`` is the loop's time."""
        self.groups.tick(now)
        self.transactions.tick(now)
