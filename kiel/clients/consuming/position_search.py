"""Giving cursors the positions that were looked up, unless they have moved meanwhile."""
from __future__ import absolute_import

import logging

from kiel import exc
from kiel.outage import PATIENCE

log = logging.getLogger("kiel.clients.consumer")

#: seconds of one look-up of positions; what failed retriably is looked up again by the next
LOOK_UP_TIME = 1.0


class PositionSearch(object):
    """
    One look-up of the positions of some cursors.

    A cursor that gets a position in another way before its own is found, or is given away, keeps what it has.

    :param cursors: a list of `kiel.clients.consuming.cursor.Cursor`; those with a position are left alone
    :param found: called with a cursor that got its position
    :param outage: the cluster's `kiel.outage.Outage`
    """

    def __init__(self, cursors, found, outage):
        #: (topic, partition) -> cursor
        self.cursors = dict(((cursor.topic, cursor.partition), cursor) for cursor in cursors if not cursor.located)
        self._generations = dict((key, cursor.generation) for key, cursor in self.cursors.items())
        self._found = found
        self._outage = outage

    def _wanted(self, key):
        cursor = self.cursors[key]
        return not cursor.located and cursor.generation == self._generations[key]

    def tell(self, key, offset):
        """A position was found: its partition need not wait for those of slow, or no, leaders."""
        if self._wanted(key):
            self.cursors[key].locate(offset)
            self._outage.over(("position",) + key, "An offset for %s:%s is known", *key, topic=key[0], partition=key[1])
            self._found(self.cursors[key])

    def finish(self, positions):
        """
        The look-up is over. Returns the last error that it ended with for a cursor that still wants a position, or
        None; an error that trying again does not mend is raised by the next `consume`.

        :param positions: ``{(topic, partition): offset or KielError}``
        """
        last = None
        for key, offset in positions.items():
            if not isinstance(offset, exc.KielError):
                self.tell(key, offset)
            elif self._wanted(key):
                last = offset
                self._outage.tell(
                    log, ("position",) + key, logging.ERROR, "No offset for %s:%s: %s", key + (offset,),
                    dict(topic=key[0], partition=key[1]), PATIENCE if offset.retriable else 0
                )
                if not offset.retriable:
                    self.cursors[key].error = offset
        return last
