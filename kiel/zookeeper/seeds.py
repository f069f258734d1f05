"""What one member wants to be in the group's set of partitions, and what not."""
from __future__ import absolute_import

from kiel import allocation


class Seeds(object):
    """
    Notes what a member's metadata says until the shared set says so too.

    An item is taken out of the set only by who knows that it went: by who saw it before, or is told outright. A
    member with old metadata must not take away what another has just found.
    """

    def __init__(self):
        #: topic -> ids that this member's metadata named last
        self.known = {}
        #: items that have to join the set, and to leave it
        self.add, self.remove = set(), set()

    def note(self, partitions, gone=(), present=()):
        """
        Takes news of metadata.

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

    def settle(self, present):
        """Forgets what the set has already; gives whether anything is left to do."""
        self.add -= present
        self.remove &= present
        return bool(self.add or self.remove)

    def change(self):
        """The change that is due: a function for `SharedSet.alter`, and one to call when that is done."""
        add, remove = set(self.add), set(self.remove)

        def alter(items):
            """Runs in a thread: works on its own copies only."""
            return (items - remove) | add

        def done():
            """What was done is not due any more; what was noted meanwhile is."""
            self.add -= add
            self.remove -= remove

        return alter, done
