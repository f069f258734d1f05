"""How old the messages are that a consumer hands out, and for how long they are not committed."""
from __future__ import absolute_import

import collections
import time

from kiel.retry import monotonic

#: entries that are kept of messages at work in one partition; of more, the newest are one
MOST_AT_WORK = 1000


class Partitions(object):
    """What a consumer has handed out of each partition, and what of that is not committed yet."""

    def __init__(self):
        #: (topic, partition) -> the newest time stamp that was handed out, in milliseconds
        self.newest = {}
        #: (topic, partition) -> the offset that was committed last
        self.committed = {}
        #: (topic, partition) -> [next offset, since when], of what was handed out and is not committed, oldest first
        self.at_work = {}

    def handed(self, key, handed, to_commit):
        """Messages of a partition were handed out, whose offsets are to be committed, or not."""
        if handed.newest >= 0:
            self.newest[key] = handed.newest
        if to_commit and self.committed.get(key, -1) < handed.next:
            entries = self.at_work.setdefault(key, collections.deque())
            if len(entries) >= MOST_AT_WORK:
                entries[-1][0] = handed.next
            else:
                entries.append([handed.next, monotonic()])

    def commit(self, key, offset):
        """An offset was committed."""
        self.committed[key] = offset
        entries = self.at_work.get(key, ())
        while entries and entries[0][0] <= offset:
            entries.popleft()

    def forget(self, topics):
        """Partitions went."""
        for topic, partitions in topics.items():
            for partition in partitions:
                for book in (self.newest, self.committed, self.at_work):
                    book.pop((topic, partition), None)

    def state(self, gauges):
        """Add to a client's gauges what follows from them and from this: {name: {label values: number}}."""
        now = time.time()
        gauges["lag_seconds"] = dict(
            (key, max(0.0, now - self.newest[key] / 1000.0) if lag else 0.0)
            for key, lag in gauges.get("lag", {}).items() if key in self.newest
        )
        if "assigned_partitions" in gauges:
            begun = [entries[0][1] for entries in self.at_work.values() if entries]
            gauges["at_work_seconds"] = {(): max(0.0, monotonic() - min(begun)) if begun else 0.0}
