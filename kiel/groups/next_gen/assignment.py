"""The partitions that a next-generation member owns, and is to own: by topic id, as in the protocol."""
from __future__ import absolute_import

from kiel.protocol.consumer_group_heartbeat import TopicPartitions


class NextGenAssignment(object):
    """
    Partitions as {topic id: set of partition ids}.

    A topic that was deleted and made anew has another id, so its partitions are others too, whatever their name.
    """

    def __init__(self):
        #: ours, those that are being given up among them
        self.owned = {}
        #: those being given up
        self.revoking = {}
        #: what the coordinator wants us to have; None before it said
        self.target = None
        #: topic id -> name
        self.names = {}
        #: another object whenever all is lost, so that what is under way with it ends
        self.life = object()

    def learn(self, topic_ids):
        """Note what metadata knows: name -> topic id."""
        for name, topic_id in topic_ids.items():
            self.names[topic_id] = name

    @property
    def wanted(self):
        """The target, as far as the names of its topics are known."""
        return dict((topic_id, ids) for topic_id, ids in (self.target or {}).items() if topic_id in self.names and ids)

    @property
    def nameless(self):
        """The ids of the target's topics whose names are not known yet."""
        return set(self.target or ()).difference(self.names)

    @property
    def reached(self):
        """Whether the member owns its target."""
        return self.target is None or self.owned == self.wanted

    @property
    def revoked(self):
        """What has to be given up."""
        return difference(self.owned, self.wanted)

    @property
    def assigned(self):
        """What has to be taken over."""
        return difference(self.wanted, self.owned)

    @property
    def allocation(self):
        """What is ours and stays so: topic -> sorted partition ids."""
        return self.by_name(difference(self.owned, self.revoking))

    def release(self):
        """Give up what is being given up."""
        self.owned, self.revoking = difference(self.owned, self.revoking), {}

    def take(self, partitions):
        """Take partitions over."""
        self.owned = union(self.owned, partitions)

    def clear(self):
        """Lose everything; return what was owned, by name."""
        gone = self.by_name(self.owned)
        self.owned, self.revoking, self.target = {}, {}, None
        self.life = object()
        return gone

    def by_name(self, partitions):
        """Return {topic id: partition ids} as topic -> sorted partition ids."""
        found = {}
        for topic_id, ids in partitions.items():
            found.setdefault(self.names[topic_id], set()).update(ids)
        return dict((name, sorted(ids)) for name, ids in found.items())

    def as_topic_partitions(self):
        """Return what is owned in the form of a heartbeat."""
        return [TopicPartitions(topic_id=topic_id, partitions=sorted(ids)) for topic_id, ids in sorted(
            self.owned.items())]


def from_answer(answer):
    """Return the assignment of a heartbeat's answer; None where it has none."""
    if answer.assignment is None:
        return None
    return dict((topic.topic_id, set(topic.partitions)) for topic in answer.assignment.topic_partitions)


def difference(one, other):
    """Return what is in one and not in the other."""
    found = dict((topic_id, ids - other.get(topic_id, set())) for topic_id, ids in one.items())
    return dict((topic_id, ids) for topic_id, ids in found.items() if ids)


def union(one, other):
    """Return what is in either."""
    return dict((topic_id, one.get(topic_id, set()) | other.get(topic_id, set())) for topic_id in set(one) | set(other))
