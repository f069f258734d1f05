"""A consumer that reads all partitions of its topics by itself."""
from __future__ import absolute_import

import logging

from tornado import gen

from kiel import exc
from kiel.clients import offsets
from kiel.clients.consumer import BaseConsumer
from kiel.clients.cursor import UNSET
from kiel.clients.offsets import EPOCH, start_to_timestamp
from kiel.retry import monotonic

log = logging.getLogger(__name__)

#: seconds of one look-up of positions; what failed retriably is looked up again by the next
LOOK_UP_TIME = 1.0

#: seconds that metadata has to lack a topic for before its positions are given up: a broker that has just started may
#: not have heard of it yet, and a topic that only seemed to be gone must go on where it was, not begin anew
GONE_AFTER = 30.0


class SingleConsumer(BaseConsumer):
    """
    Reads whole topics, without a group and without remembering where it was.

    ``start`` of `consume` is `BEGINNING`, `END`, a datetime (UTC unless it says otherwise) or a timedelta back from
    now; None means `END`. It counts when a topic's position is looked up: at the first call, for a topic that was not
    there then once it is, and in a partition whose position went out of range. Partitions added to a topic later are
    read from their beginning, so that nothing in them is missed. Takes the arguments of
    `kiel.clients.consumer.BaseConsumer`.
    """

    BEGINNING = offsets.BEGINNING
    END = offsets.END

    @property
    def allocation(self):
        """All partitions of all topics: `kiel.cluster.Cluster.topics`."""
        return self.cluster.topics

    def __init__(self, *args, **kwargs):
        super(SingleConsumer, self).__init__(*args, **kwargs)
        #: topic -> since when metadata lacks it
        self._missing = {}

    def _own_cursors(self, topic, start):
        """The cursors of the topic's partitions; of a topic that has just gone from metadata, those there were."""
        if self.cluster.topics.get(topic):
            self._missing.pop(topic, None)
        elif topic in self.fetcher.cursors:
            if monotonic() - self._missing.setdefault(topic, monotonic()) < GONE_AFTER:
                return self.fetcher.of(topic)
        return super(SingleConsumer, self)._own_cursors(topic, start)

    @gen.coroutine
    def determine_offsets(self, topic, start=None):
        """
        Looks up the position of each partition of the topic that has none; gives True.

        :raises kiel.exc.BrokerError: when a partition's look-up failed for good; the others have their position
        """
        wanted = {}
        for partition in self.cluster.topics.get(topic, ()):
            cursor = self.fetcher.cursor(topic, partition, start)
            if cursor.state == UNSET:
                wanted[topic, partition] = cursor
        turns = dict((key, cursor.turn) for key, cursor in wanted.items())

        def tell(key, offset):
            """A position came: its partition need not wait for those of slow, or no, leaders (D29)."""
            cursor = wanted[key]
            if cursor.state == UNSET and cursor.turn == turns[key]:
                cursor.locate(offset)
                self.fetcher.wake(topic)

        starts = dict((key, cursor.start) for key, cursor in wanted.items())
        found = yield self.positions_at(starts, LOOK_UP_TIME, tell)
        for key, cursor in wanted.items():
            offset = found[key]
            if cursor.state != UNSET or cursor.turn != turns[key]:
                continue  # sought, or given up, meanwhile
            if isinstance(offset, exc.KielError):
                self.last_error = offset
                log.error("No offset for %s:%s: %s", key[0], key[1], offset)
                if not offset.retriable:
                    cursor.error = offset
            else:
                cursor.locate(offset)
                self.fetcher.wake(topic)
        raise gen.Return(True)


__all__ = ["EPOCH", "SingleConsumer", "start_to_timestamp"]
