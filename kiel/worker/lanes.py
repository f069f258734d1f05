"""Which message may be begun next, so that what has an order keeps it."""
from __future__ import absolute_import

import collections

from kiel.worker.job import GIVEN_BACK


class Lanes(object):
    """
    Messages that wait, each behind those of its lane that came before.

    The first of each lane is ready, or at work, or rests between two attempts; the others wait for it to be done.
    Messages without a lane are ready at once.
    """

    def __init__(self):
        #: messages that may be begun
        self._ready = collections.deque()
        #: lane -> those behind its first
        self._behind = {}

    def add(self, job):
        """A message was taken."""
        if job.lane is None:
            self._ready.append(job)
        elif job.lane in self._behind:
            self._behind[job.lane].append(job)
        else:
            self._behind[job.lane] = collections.deque()
            self._ready.append(job)

    def next(self):
        """Return a message to begin with; None for none."""
        while self._ready:
            job = self._ready.popleft()
            if job.state != GIVEN_BACK:
                return job
            self.leave(job)
        return None

    def again(self, job):
        """The first of its lane may be begun, before those that have not waited yet."""
        self._ready.appendleft(job)

    def leave(self, job):
        """The first of its lane is done with: the next may be begun."""
        if job.lane is None:
            return
        behind = self._behind[job.lane]
        while behind:
            follower = behind.popleft()
            if follower.state != GIVEN_BACK:
                self._ready.append(follower)
                return
        del self._behind[job.lane]
