"""How far the work on one partition has come, while it is this member's."""
from __future__ import absolute_import

import collections

from kiel.worker.job import DONE, GIVEN_BACK, Job


class Part(object):
    """
    One term of a partition: its messages in their order, and up to where all of them are done.

    :param topic: the topic's name
    :param partition: the partition's id
    :param holds: whether messages that are done are kept until they are committed
    """

    def __init__(self, topic, partition, holds=False):
        self.topic = topic
        self.partition = partition
        #: those that are done, with all before them, and kept; None where none are
        self.ready = collections.deque() if holds else None
        #: messages taken, from the first that is not done
        self.jobs = collections.deque()
        #: the offset after the last message taken; None before the first
        self.last = None
        #: where reading stood after them: beyond ``last`` where markers of transactions follow
        self.reached = None
        #: the offset up to which all is done; None before the first
        self.next = None
        #: the one committed last by this worker
        self.committed = None
        #: whether the partition is about to go: nothing of it is begun any more
        self.leaving = False

    @property
    def key(self):
        """(topic, partition)."""
        return self.topic, self.partition

    def take(self, record, lane):
        """Take a message. Return its `kiel.worker.job.Job`."""
        job = Job(record, self, lane)
        self.jobs.append(job)
        self.last = record.offset + 1
        return job

    def follows(self, offset):
        """Return whether a message of this offset comes after those taken; not where the application sought back."""
        return self.last is None or offset >= self.last

    def read_up_to(self, position):
        """Reading stands at a position; all messages before it have been taken."""
        if position is not None and (self.last is None or position >= self.last):
            self.reached = position
            if not self.jobs and self.last is not None:
                self.next = position

    def settle(self):
        """Some message is done: go on to the first that is not. Return whether there is more to commit."""
        jobs = self.jobs
        while jobs and jobs[0].state == DONE:
            job = jobs.popleft()
            self.next = job.offset + 1
            if self.ready is not None:
                self.ready.append(job)
        if not jobs and self.reached is not None and self.next is not None and self.reached > self.next:
            self.next = self.reached
        return self.due

    @property
    def due(self):
        """Whether there is something to commit."""
        return self.next is not None and self.next != self.committed

    @property
    def pending(self):
        """Whether some message is neither done nor given back."""
        return any(job.state not in (DONE, GIVEN_BACK) for job in self.jobs)

    @property
    def limit(self):
        """
        The offset of the last message that is done or at work, None for none.

        Those before it have to be done, too, before it can be committed: else its next owner does it again.
        """
        limit = None
        for job in self.jobs:
            if job.state == GIVEN_BACK:
                break
            if job.state == DONE or job.busy:
                limit = job.offset
        return limit
