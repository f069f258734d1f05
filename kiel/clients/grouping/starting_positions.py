"""Where a member goes on in its partitions: where its group left off, or where there is nothing of that, at a start."""
from __future__ import absolute_import

from tornado import gen

from kiel.clients.consuming.cursor import SOUGHT, UNSET
from kiel.clients.consuming.offset_lookup import BEGINNING
from kiel.clients.consuming.position_search import LOOK_UP_TIME, PositionSearch


class StartingPositions(object):
    """
    Looks up the positions of partitions that have none yet.

    :param positions: the consumer's `kiel.clients.consuming.positions.Positions`
    :param committed: the group's `kiel.clients.grouping.committed_offsets.CommittedOffsets`
    :param lookup: the consumer's `kiel.clients.consuming.offset_lookup.OffsetLookup`
    :param progress: the member's `kiel.clients.grouping.progress.Progress`
    :param outage: the cluster's `kiel.outage.Outage`
    """

    def __init__(self, positions, committed, lookup, progress, outage):
        self._positions = positions
        self._committed = committed
        self._lookup = lookup
        self._progress = progress
        self._outage = outage

    @gen.coroutine
    def find(self, topic, start):
        """
        Find the position of each of our partitions of a topic that has none. Return the last error, or None.

        :param start: where to begin in those without a committed offset
        :raises kiel.exc.BrokerError: when the look-up failed for good
        """
        search = PositionSearch(self._positions.to_locate(topic, start), self._positions.located, self._outage)
        asked = [key for key, cursor in search.cursors.items() if cursor.state == UNSET]
        sought = [key for key, cursor in search.cursors.items() if cursor.state == SOUGHT]

        def tell(key, offset):
            """A position was found; where the application sought it, it is also what is committed next."""
            search.tell(key, offset)
            if key in sought and search.cursors[key].handed == offset:
                self._progress.sought(key, offset)

        found = yield self._committed.read(asked, LOOK_UP_TIME, search.tell)
        fresh = dict(
            (key, BEGINNING if cursor.start is None else cursor.start) for key, cursor in search.cursors.items()
            if found.get(key) is None
        )
        if fresh:
            found.update((yield self._lookup.positions_at(fresh, LOOK_UP_TIME, tell)))
        raise gen.Return(search.finish(found))
