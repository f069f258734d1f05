"""The set of topics with something to commit, as an application sees and changes it."""
from __future__ import absolute_import

try:
    from collections.abc import MutableSet
except ImportError:  # Python 2
    from collections import MutableSet


class TopicsToCommit(MutableSet):
    """
    A view of a member's `kiel.clients.grouping.progress.Progress`: it changes with that, and changing it acts.

    ``discard`` leaves a topic out of the next commit, as it stands; ``add`` has its positions committed, whether or not
    anything was handed out.

    :param progress: the member's `kiel.clients.grouping.progress.Progress`
    """

    def __init__(self, progress):
        self._progress = progress

    @classmethod
    def _from_iterable(cls, topics):
        """The result of an operation on this set is a plain one."""
        return set(topics)

    def _topics(self):
        return self._progress.marked.union(topic for topic, _ in self._progress.due)

    def __contains__(self, topic):
        return topic in self._topics()

    def __iter__(self):
        return iter(self._topics())

    def __len__(self):
        return len(self._topics())

    def __repr__(self):
        return repr(self._topics())

    def add(self, topic):
        """Have the positions of a topic's partitions committed next."""
        self._progress.marked.add(topic)

    def discard(self, topic):
        """Do not commit what is due of a topic."""
        self._progress.unmark(topic)

    def update(self, *others):
        """Add the topics of other sets."""
        for topics in others:
            for topic in topics:
                self.add(topic)

    def difference_update(self, *others):
        """Discard the topics of other sets."""
        for topics in others:
            for topic in list(topics):
                self.discard(topic)

    def copy(self):
        """Return a plain set of what is in this one now."""
        return self._topics()

    def union(self, *others):
        """Return a plain set."""
        return self._topics().union(*others)

    def intersection(self, *others):
        """Return a plain set."""
        return self._topics().intersection(*others)

    def difference(self, *others):
        """Return a plain set."""
        return self._topics().difference(*others)

    def issubset(self, other):
        """Return whether all topics are in another set."""
        return self._topics().issubset(other)

    def issuperset(self, other):
        """Return whether all topics of another set are in this one."""
        return self._topics().issuperset(other)
