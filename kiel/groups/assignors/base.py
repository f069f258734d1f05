"""
What an assignor is, and what it knows of the members: the contract of `kiel.groups.assignors`.

In a classic group the broker only carries bytes: every member sends a `Subscription` for each assignor it knows, the
broker picks an assignor that all know, and one member, the leader, computes what each gets. The leader may be any
client, so members have to understand one another's metadata.
"""
from __future__ import absolute_import

import collections

from kiel.protocol.consumer_protocol import Subscription, TopicAssignment

#: the generation of a member that has been in none
NO_GENERATION = -1


class Member(collections.namedtuple("Member", ("topics", "owned", "generation", "instance_id", "rack"))):
    """
    What an assignor knows of a member.

    :param topics: names it subscribes to
    :param owned: topic -> ids of what it says it has
    :param generation: the generation it got that in, or -1
    :param instance_id: name of a static member (KIP-345), or None
    :param rack: where it is, or None; kiel's assignors don't look at it
    """

    __slots__ = ()

    def __new__(cls, topics=(), owned=None, generation=NO_GENERATION, instance_id=None, rack=None):
        return super(Member, cls).__new__(cls, frozenset(topics), owned or {}, generation, instance_id, rack)


class Assignor(object):
    """A way to share partitions out among the members of a classic group; subclasses fill in `assign`."""

    #: what it is called on the wire; a group uses one that all its members name
    name = None

    #: whether members keep their partitions through a rebalance (KIP-429). A member does so when every assignor of
    #: its list is cooperative; then a partition that moves is in nobody's share until it has been given up
    cooperative = False

    def assign(self, members, partitions):
        """
        Share the partitions out, to members that subscribe to them only.

        :param members: member id -> `Member`
        :param partitions: topic -> sorted ids of all its partitions
        :returns: member id -> topic -> sorted ids; every member is there, and no topic without ids
        """
        raise NotImplementedError

    def metadata(self, topics, owned=None, generation=NO_GENERATION, version=3, rack=None):
        """
        Return what a member tells the leader when it joins: a `kiel.protocol.consumer_protocol.Subscription`.

        :param topics: names it subscribes to
        :param owned: topic -> ids. For a cooperative assignor what it has and keeps now (nothing, if it gave all up to
            join); for "sticky" its last share; the others don't send it
        :param generation: the generation it got that in
        :param version: of the subscription; fields that it has not are left out
        :param rack: where the member is, or None
        """
        return Subscription(version=version, topics=sorted(topics), rack_id=rack)

    def member(self, subscription, instance_id=None):
        """Return the `Member` that a subscription which came to the leader tells of."""
        owned = dict((entry.name, sorted(entry.partitions)) for entry in subscription.owned_partitions or ())
        return Member(subscription.topics, owned, subscription.generation_id, instance_id, subscription.rack_id)

    def __repr__(self):
        return "<%s %s>" % (self.__class__.__name__, self.name)


def sort_key(text):
    """By what Java orders text: its UTF-16 units."""
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    return text.encode("utf-16-be")


def in_order(members):
    """Return the ids of members as Java orders them: static ones by their names, then the others by their ids."""
    def key(member_id):
        name = members[member_id].instance_id
        return (name is None, sort_key(member_id if name is None else name))

    return sorted(members, key=key)


def by_subscribers(members, partitions):
    """Groups topics by who subscribes to them: sorted tuple of member ids -> sorted list of topics that exist."""
    subscribers = {}
    for member_id in sorted(members):
        for topic in members[member_id].topics:
            subscribers.setdefault(topic, []).append(member_id)
    kinds = collections.OrderedDict()
    for topic in sorted(set(subscribers).intersection(partitions)):
        if partitions[topic]:
            kinds.setdefault(tuple(subscribers[topic]), []).append(topic)
    return kinds


def to_topics(owned):
    """Topic -> ids as a list of `TopicAssignment`."""
    return [TopicAssignment(name=topic, partitions=sorted(owned[topic])) for topic in sorted(owned) if owned[topic]]
