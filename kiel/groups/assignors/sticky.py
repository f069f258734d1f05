"""
Assignors that let members keep what they have: Java's "sticky" and "cooperative-sticky", on the wire and in result.

The shares are as even as the subscriptions allow, and of all such ways one that moves the fewest partitions. See
`kiel.groups.assignors.balance` for how that is found.
"""
from __future__ import absolute_import

from kiel import exc
from kiel.groups.assignors.base import NO_GENERATION, Assignor, Member, by_subscribers, to_topics
from kiel.groups.assignors.balance import evenly
from kiel.protocol.consumer_protocol import TopicAssignment
from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Int32

__all__ = ["CooperativeSticky", "PreviousAssignment", "PreviousGeneration", "Sticky", "claims"]


class PreviousAssignment(Part):
    """The user data of "sticky": what a member had, and from version 1 on in which generation (KIP-341)."""

    versions = "0-1"
    parts = (
        ("previous_assignment", Array.of(TopicAssignment)),
        ("generation", Int32, when("1+", default=NO_GENERATION, ignorable=True)),
    )


class PreviousGeneration(Part):
    """The user data of "cooperative-sticky": the generation that the owned partitions were got in."""

    versions = "0"
    parts = (
        ("generation", Int32, when(default=NO_GENERATION)),
    )


class Sticky(Assignor):
    """
    Shares out evenly, and lets members keep what they had; but all give everything up to join again.

    Every member tells what it had in its user data, as Java's StickyAssignor does.
    """

    name = "sticky"

    def metadata(self, topics, owned=None, generation=NO_GENERATION, version=3, rack=None):
        """As `Assignor.metadata`; ``owned`` is the member's last share, which it need not have any more."""
        subscription = super(Sticky, self).metadata(topics, owned, generation, version, rack)
        if owned:
            subscription.user_data = PreviousAssignment(
                previous_assignment=to_topics(owned), generation=generation
            ).encode(1)
        return subscription

    def member(self, subscription, instance_id=None):
        """As `Assignor.member`; user data that makes no sense tell nothing."""
        found = previous_assignment(subscription.user_data)
        return Member(subscription.topics, to_ids(found.previous_assignment), found.generation, instance_id,
                      subscription.rack_id)

    def assign(self, members, partitions):
        """As `Assignor.assign`."""
        owners = claims(members, partitions)
        shares = dict((member_id, {}) for member_id in members)
        for topic, partition, member_id in evenly(by_subscribers(members, partitions), partitions, owners):
            shares[member_id].setdefault(topic, []).append(partition)
        for share in shares.values():
            for ids in share.values():
                ids.sort()
        return shares


class CooperativeSticky(Sticky):
    """
    Shares out evenly, and members go on with what they keep (KIP-429).

    A partition that moves is in nobody's share at first: the member that has it sees that, gives it up and joins
    again, and then it is shared out.
    """

    name = "cooperative-sticky"
    cooperative = True

    def metadata(self, topics, owned=None, generation=NO_GENERATION, version=3, rack=None):
        """As `Assignor.metadata`; ``owned`` is what the member has and keeps until it is told otherwise."""
        subscription = Assignor.metadata(self, topics, owned, generation, version, rack)
        subscription.owned_partitions = to_topics(owned or {})
        subscription.generation_id = generation
        subscription.user_data = PreviousGeneration(generation=generation).encode(0)
        return subscription

    def member(self, subscription, instance_id=None):
        """As `Assignor.member`; before version 2 of the subscription the generation is in the user data."""
        found = Assignor.member(self, subscription, instance_id)
        if subscription.version < 2 and subscription.user_data:
            found = found._replace(generation=previous_generation(subscription.user_data))
        return found

    def assign(self, members, partitions):
        """As `Assignor.assign`; what has to be given up first is left out."""
        shares = super(CooperativeSticky, self).assign(members, partitions)
        owners = claims(members, partitions)
        holders = {}
        for member_id, member in members.items():
            for topic, ids in member.owned.items():
                for partition in ids:
                    holders.setdefault((topic, partition), set()).add(member_id)

        def ready(member_id, key):
            """Whether nobody else has to give it up; of two that say they have it, in one generation, both have to."""
            return owners.get(key) == member_id or not holders.get(key)

        for member_id, share in shares.items():
            for topic, ids in list(share.items()):
                share[topic] = [partition for partition in ids if ready(member_id, (topic, partition))]
                if not share[topic]:
                    del share[topic]
        return shares


def claims(members, partitions):
    """
    Whose each partition was: (topic, id) -> member id, for members that still subscribe to it.

    Of two that say so the one of the later generation is believed, and neither if both are of the same.
    """
    owners, since = {}, {}
    for member_id in sorted(members):
        member = members[member_id]
        for topic, ids in member.owned.items():
            if topic not in member.topics:
                continue
            for partition in set(ids).intersection(partitions.get(topic, ())):
                key = topic, partition
                if key not in since or member.generation > since[key]:
                    owners[key], since[key] = member_id, member.generation
                elif member.generation == since[key]:
                    owners.pop(key, None)
    return owners


def previous_assignment(data):
    """Read the user data of "sticky", of any version; an empty one for what makes no sense."""
    for version, start in ((1, 0), (0, 0), (1, 2)):  # kafka-python puts the version before it
        try:
            return PreviousAssignment.decode(data, start, version)[0] if data else PreviousAssignment()
        except exc.ProtocolError:
            pass
    return PreviousAssignment()


def previous_generation(data):
    """The generation in the user data of "cooperative-sticky": Java's four bytes, or librdkafka's as for "sticky"."""
    if len(data) == 4:
        return PreviousGeneration.decode(data, 0, 0)[0].generation
    return previous_assignment(data).generation


def to_ids(entries):
    """Return a list of `TopicAssignment` as topic -> sorted ids."""
    return dict((entry.name, sorted(entry.partitions)) for entry in entries or ())
