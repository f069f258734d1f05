"""What one member wants to be in the group's set of partitions, and what not."""
from __future__ import absolute_import

import logging

from tornado import gen

from kiel import allocation


log = logging.getLogger(__name__)


class Seeds(object):
    """
    Notes what a member's metadata says until the shared set says so too.

    An item is taken out of the set only by who knows that it went: by who saw it before, or is told
    outright. A member with old metadata must not take away what another has just found.

    :param alter: called with a function set -> set, to change the shared set by it; returns a Future
    """

    def __init__(self, alter):
        self.alter = alter
        self._syncing = None
        #: topic -> ids that this member's metadata named last
        self.known = {}
        #: items that have to join the set, and to leave it
        self.add, self.remove = set(), set()

    def note(self, partitions, gone=(), present=()):
        """
        Take news of metadata.

        :param partitions: topic -> all its ids; a topic without any is not news
        :param gone: topics that were deleted
        :param present: the items that are in the set now
        """
        named = dict((topic, set(ids)) for topic, ids in partitions.items() if ids and topic not in gone)
        vanished = set(item for item in present if allocation.split(item)[0] in gone)
        for topic, ids in named.items():
            vanished |= allocation.flatten({topic: self.known.get(topic, set()) - ids})
        for topic in gone:
            vanished |= allocation.flatten({topic: self.known.pop(topic, ())})
        self.known.update(named)
        self.want(allocation.flatten(named))
        self.drop(vanished)

    def forget(self, partitions):
        """Topic -> ids that have to leave the set whatever the metadata said."""
        for topic, ids in partitions.items():
            if topic in self.known:
                self.known[topic] -= set(ids)
        self.drop(allocation.flatten(partitions))

    def want(self, items):
        """These items have to join the set."""
        self.add |= items
        self.remove -= items

    def drop(self, items):
        """These items have to leave the set."""
        self.remove |= items
        self.add -= items

    def again(self):
        """All that is known has to be in; for a new session, which can't tell what became of the set."""
        self.want(allocation.flatten(self.known))

    def sync(self, present):
        """
        Bring the shared set nearer to what was noted, where anything is missing; return a Future that never
        fails.

        What could not be done is logged, and stays noted for the next time.

        :param present: the items that are in the set now
        """
        if self._syncing is None:
            self.add -= present
            self.remove &= present
            if not (self.add or self.remove):
                return gen.maybe_future(None)
            syncing = self._sync()
            if syncing.done():
                return syncing
            self._syncing = syncing
        return self._syncing

    @gen.coroutine
    def _sync(self):
        """The work of `sync`."""
        try:
            yield self.push()
        except Exception as error:
            log.warning("Changing the group's set of partitions failed, will try again: %s", error)
        finally:
            self._syncing = None

    @gen.coroutine
    def push(self):
        """
        Change the shared set by all that is noted, and by what is noted meanwhile.

        Return a Future of the set that this left, or None where nothing was noted.
        """
        present = None
        while self.add or self.remove:
            add, remove = set(self.add), set(self.remove)
            present = yield self.alter(lambda items: (items - remove) | add)
            self.add -= add
            self.remove -= remove
        raise gen.Return(present)
