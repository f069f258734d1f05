"""The partitions of a member of a classic group: taken, given up in good order, or lost."""
from __future__ import absolute_import

import logging

from tornado import gen

from kiel import events
from kiel.groups.classic.leader import without

log = logging.getLogger(__name__)


class Share(object):
    """
    What a member has, and who is told when that changes.

    :param allocator: the `kiel.allocation.Allocator` whose hooks are called
    :param release_time: function that gives the seconds which the group waits for partitions to be given up
    """

    def __init__(self, allocator, release_time):
        self.allocator = allocator
        self.release_time = release_time
        #: topic -> sorted ids that are ours
        self.owned = {}
        #: topic -> ids that are not any more, but for their last commit
        self.releasing = {}
        #: a Future, while the application is being told of a loss
        self.losing = None

    def __bool__(self):
        """Whether there is anything that can be lost."""
        return bool(self.owned or self.releasing)

    __nonzero__ = __bool__

    @gen.coroutine
    def give_up(self, revoked):
        """Lets go of partitions, when those who use them are done with them or the time is over."""
        if not revoked:
            return
        self.owned = without(self.owned, revoked)
        self.releasing = revoked
        done = yield self._tell(revoked, {})
        if self.releasing is revoked:  # not lost meanwhile
            self.releasing = {}
            if not done:
                yield self._tell_lost(revoked)

    def take(self, owned):
        """Makes this our share, with nothing missing of what was; gives a Future of the application being told."""
        assigned = without(owned, self.owned)
        self.owned = owned
        return self._tell({}, assigned)

    def lose(self):
        """All is lost at once; gives that: topic -> ids."""
        lost = dict((topic, sorted(ids)) for topic, ids in self.owned.items())
        for topic, ids in self.releasing.items():
            lost[topic] = sorted(lost.get(topic, []) + list(ids))
        self.owned, self.releasing = {}, {}
        if lost:
            self.losing = self._tell_lost(lost)
        return lost

    @gen.coroutine
    def lost(self):
        """Waits until the application has been told of what was lost."""
        if self.losing is not None:
            yield self.losing
            self.losing = None

    @gen.coroutine
    def _tell(self, revoked, assigned):
        """Calls `on_change` and waits for it, as long as the group does; gives False when that was too short."""
        seconds = self.release_time()
        try:
            yield events.within(seconds, self.allocator.changed(revoked, assigned))
        except gen.TimeoutError:
            log.warning("on_change(revoked=%s, assigned=%s) was not done within %g s; the rebalance goes on without it",
                        revoked, assigned, seconds)
            raise gen.Return(False)
        raise gen.Return(True)

    @gen.coroutine
    def _tell_lost(self, lost):
        """Calls `on_lost`, or `on_change` where there is none, and waits for it up to a deadline."""
        if self.allocator.on_lost is None:
            yield self._tell(lost, {})
            return
        try:
            answer = self.allocator.on_lost(lost)
            if answer is not None:
                yield events.within(self.release_time(), answer)
        except gen.TimeoutError:
            log.warning("on_lost(%s) was not done in time", lost)
        except Exception:
            log.exception("on_lost(%s) failed", lost)
