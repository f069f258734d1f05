"""What the leader of a classic group does: assign partitions to all members."""
from __future__ import absolute_import

from tornado import gen

from kiel.callbacks import callback_failure
from kiel.protocol.consumer_protocol import Assignment, Subscription, TopicAssignment
from kiel.protocol.sync_group import MemberAssignment


class Leader(object):
    """
    Assigns partitions to the members of a group, by what this member knows of the topics.

    :param cluster: `kiel.cluster.Cluster`
    :param assignors: name -> `kiel.groups.assignors.Assignor`
    """

    def __init__(self, cluster, assignors):
        self.cluster = cluster
        self.assignors = assignors
        #: topic -> ids, as they were known when this member asked to join: what it assigns
        self.known = {}
        #: topic -> number of partitions that it assigned
        self.counts = {}

    def prepare(self):
        """Note what is known. Return a pure function of a JoinGroup answer that assigns by that, see `lead`."""
        self.known = dict((topic, list(ids)) for topic, ids in self.cluster.topics.items() if ids)
        # not the leader: the heartbeat thread must not keep a consumer alive that the application dropped
        known, assignors = dict(self.known), self.assignors
        return lambda joined: lead(assignors, known, joined)

    @gen.coroutine
    def assign(self, joined):
        """Return what the leader brings to SyncGroup; topics that only others subscribe to are looked up first."""
        assignor = self.assignors[joined.protocol]
        members = members_of(assignor, joined)
        wanted = topics_of(members)
        foreign = sorted(topic for topic in wanted if topic not in self.known)
        if foreign:
            answer = yield self.cluster.get_metadata(foreign, create=False)
            self.cluster.process_topics(answer.topics, foreign)
            there = self.cluster.topics
            self.known.update((topic, list(there[topic])) for topic in foreign if topic in there)
        self.counts = dict((topic, len(self.known.get(topic, ()))) for topic in wanted)
        # a static leader that is back skips the work (KIP-814)
        raise gen.Return(() if joined.skip_assignment else assignments(assignor, members, self.known))

    def changed(self, gone=()):
        """
        Return the topics that have other partitions than were assigned.

        :param gone: deleted topics; others that metadata lacks may be there still
        """
        there = self.cluster.topics
        return sorted(
            topic for topic, count in self.counts.items()
            if len(there.get(topic) or ()) != count and (there.get(topic) or topic in gone)
        )


def members_of(assignor, joined):
    """Return member id -> `kiel.groups.assignors.Member`, as a JoinGroup answer tells the leader."""
    return dict(
        (member.member_id, assignor.member(Subscription.unpack(member.metadata), member.group_instance_id))
        for member in joined.members
    )


def topics_of(members):
    """Return all topics that any member subscribes to; others than the leader's may be among them."""
    return frozenset().union(*[member.topics for member in members.values()])


def assignments(assignor, members, partitions):
    """
    Return what each member gets, ready to be sent: a list of `kiel.protocol.sync_group.MemberAssignment`.

    :param assignor: `kiel.groups.assignors.Assignor`
    :param members: member id -> `kiel.groups.assignors.Member`
    :param partitions: topic -> ids of all its partitions; topics that are not there have nothing to assign
    :raises Exception: what the assignor raises
    """
    wanted = topics_of(members)
    there = dict((topic, sorted(ids)) for topic, ids in partitions.items() if topic in wanted and ids)
    try:
        shares = assignor.assign(members, there)
    except BaseException as error:  # an application's own may raise what no coroutine may see, such as GeneratorExit
        raise callback_failure(error)
    return [MemberAssignment(member_id=member_id, assignment=to_assignment(shares.get(member_id) or {}))
            for member_id in sorted(members)]


def lead(by_name, partitions, joined):
    """
    Return what the leader brings to SyncGroup, by what it knew when it sent JoinGroup; None when that is not enough.

    :param by_name: name -> `kiel.groups.assignors.Assignor`
    :param partitions: topic -> ids
    :param joined: the JoinGroup answer
    """
    assignor = by_name.get(joined.protocol)
    if assignor is None:
        return None
    members = members_of(assignor, joined)
    if not topics_of(members).issubset(partitions):
        return None
    return () if joined.skip_assignment else assignments(assignor, members, partitions)


def to_assignment(share):
    """Return topic -> ids as Kafka's Assignment."""
    return Assignment(version=1, topics=[
        TopicAssignment(name=topic, partitions=sorted(share[topic])) for topic in sorted(share) if share[topic]
    ])


def from_assignment(data):
    """Return the assignment in the bytes of a SyncGroup answer: topic -> sorted ids."""
    return dict(
        (topic.name, sorted(topic.partitions)) for topic in Assignment.unpack(data).topics if topic.partitions
    )


def without(share, other):
    """Return what is in one assignment and not in another: topic -> ids."""
    left = dict(
        (topic, [number for number in ids if number not in other.get(topic, ())]) for topic, ids in share.items()
    )
    return dict((topic, ids) for topic, ids in left.items() if ids)
