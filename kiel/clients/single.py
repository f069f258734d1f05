"""A consumer that reads all partitions of its topics by itself."""
from __future__ import absolute_import

import operator

from tornado import gen

from kiel.clients.consumer import BaseConsumer
from kiel.clients.consuming.offset_lookup import EPOCH, start_to_timestamp
from kiel.clients.consuming.position_search import LOOK_UP_TIME, PositionSearch

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

    _gone_after = GONE_AFTER

    allocation = property(
        operator.attrgetter("cluster.topics"), doc="All partitions of all topics: `kiel.cluster.Cluster.topics`.")

    def __init__(self, brokers, deserializer=None, max_wait_time=1000, min_bytes=1, max_bytes=1024 * 1024,
                 buffer_bytes=16 * 1024 * 1024, check_crcs=True, on_error=None, isolation_level="read_uncommitted",
                 offset_reset=None, rack_id=None, max_records=None, **settings):
        super(SingleConsumer, self).__init__(
            brokers, deserializer, max_wait_time, min_bytes, max_bytes, buffer_bytes, check_crcs, on_error,
            isolation_level, offset_reset, rack_id, max_records, **settings
        )

    @gen.coroutine
    def determine_offsets(self, topic, start=None):
        """
        Look up where to begin in the partitions of a topic. Returns a Future of True.

        `consume` calls it for those that have no position; called by the application, it looks all up anew.

        An error that trying again does not mend is raised by the next `consume`; the other partitions have their
        position.
        """
        if topic not in self.cluster.topics:
            yield self.cluster.ensure(topic)
        cursors = self._positions.to_locate(topic, start)
        search = PositionSearch(cursors, self._positions.located, self.cluster.outage)
        starts = dict((key, cursor.start) for key, cursor in search.cursors.items())
        found = yield self._lookup.positions_at(starts, LOOK_UP_TIME, search.tell)
        self.last_error = search.finish(found) or self.last_error
        raise gen.Return(True)


__all__ = ["EPOCH", "SingleConsumer", "start_to_timestamp"]
