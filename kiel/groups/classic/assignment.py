"""The partitions of a member of a classic group: taken over, given up in good order, or lost."""
from __future__ import absolute_import

import logging

from tornado import gen

from kiel import events
from kiel.allocation import log_change
from kiel.groups.classic.leader import without

log = logging.getLogger(__name__)


class ClassicAssignment(object):
    """
    What a member owns; tells the consumer when that changes.

    :param allocator: the `kiel.allocation.Allocator` whose hooks are called
    :param release_time: function that returns the seconds for which the group waits for partitions to be given up
    """

    def __init__(self, allocator, release_time):
        self.allocator = allocator
        self.release_time = release_time
        #: topic -> sorted ids that are ours
        self.owned = {}
        #: topic -> ids that are not any more, but for their last commit
        self.releasing = {}
        #: the Future of `on_lost`, while the application is being told of a loss; else None
        self._telling_of_loss = None

    def __bool__(self):
        """Return whether there is anything that can be lost."""
        return bool(self.owned or self.releasing)

    __nonzero__ = __bool__

    @gen.coroutine
    def revoke(self, revoked):
        """Give partitions up, once those who use them are done with them or the time is over."""
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
        """Own these from now on, nothing missing of what was; return a Future of the application being told."""
        assigned = without(owned, self.owned)
        self.owned = owned
        return self._tell({}, assigned)

    def lose(self):
        """Lose everything at once; return what was lost: topic -> ids."""
        lost = dict((topic, sorted(ids)) for topic, ids in self.owned.items())
        for topic, ids in self.releasing.items():
            lost[topic] = sorted(lost.get(topic, []) + list(ids))
        self.owned, self.releasing = {}, {}
        if lost:
            self._telling_of_loss = self._tell_lost(lost)
        return lost

    @gen.coroutine
    def loss_told(self):
        """Wait until the application has been told of what was lost."""
        if self._telling_of_loss is not None:
            yield self._telling_of_loss
            self._telling_of_loss = None

    @gen.coroutine
    def _tell(self, revoked, assigned):
        """Call `on_change` and wait for it, as long as the group does. Return False when that was too short."""
        seconds = self.release_time()
        log_change(self.allocator.group, revoked, assigned, self.allocator.identity)
        try:
            yield events.within(seconds, self.allocator.changed(revoked, assigned))
        except gen.TimeoutError:
            log.warning("on_change(revoked=%s, assigned=%s) did not finish within %g s; the rebalance goes on "
                        "without it",
                        revoked, assigned, seconds)
            raise gen.Return(False)
        raise gen.Return(True)

    @gen.coroutine
    def _tell_lost(self, lost):
        """Call `on_lost`, or `on_change` where there is none, and wait for it up to a deadline."""
        if self.allocator.on_lost is None:
            yield self._tell(lost, {})
            return
        try:
            yield events.within(self.release_time(), events.outcome_of(self.allocator.on_lost(lost)))
        except gen.TimeoutError:
            log.warning("on_lost(%s) did not finish in time", lost)
        except Exception:
            log.exception("on_lost(%s) failed", lost)
