"""
How the leader of a classic group shares partitions out: Kafka's own assignors by name, and plain functions.

Range and roundrobin give what Java's give for the same input. The sticky ones are in `kiel.groups.assignors.sticky`.
"""
from __future__ import absolute_import

from kiel import allocation
from kiel.groups.assignors.base import Assignor, Member, by_subscribers, in_order, sort_key
from kiel.groups.assignors.sticky import CooperativeSticky, Sticky

__all__ = ["Assignor", "Function", "Member", "Range", "RoundRobin", "by_name", "from_function"]


class Range(Assignor):
    """
    Give each member a run of neighbouring partitions of each topic, as Java's RangeAssignor (without racks).

    Topics with the same members and equally many partitions are shared out alike: partitions of one number go to one
    member. The first members have one more where it does not come out even.
    """

    name = "range"

    def assign(self, members, partitions):
        """As `Assignor.assign`."""
        shares = dict((member_id, {}) for member_id in members)
        order = in_order(members)
        for topic, ids in partitions.items():
            subscribers = [member_id for member_id in order if topic in members[member_id].topics]
            if not subscribers:
                continue
            least, more = divmod(len(ids), len(subscribers))
            begin = 0
            for position, member_id in enumerate(subscribers):
                end = begin + least + (position < more)
                if end > begin:
                    shares[member_id][topic] = list(ids[begin:end])
                begin = end
        return shares


class RoundRobin(Assignor):
    """Deals the partitions of all topics out to the members in turn, as Java's RoundRobinAssignor."""

    name = "roundrobin"

    def assign(self, members, partitions):
        """As `Assignor.assign`."""
        shares = dict((member_id, {}) for member_id in members)
        order = in_order(members)
        wanted = frozenset().union(*[member.topics for member in members.values()])
        turn = 0
        for topic in sorted(wanted.intersection(partitions), key=sort_key):
            for partition in partitions[topic]:
                while topic not in members[order[turn]].topics:
                    turn = (turn + 1) % len(order)
                shares[order[turn]].setdefault(topic, []).append(partition)
                turn = (turn + 1) % len(order)
        return shares


class Function(Assignor):
    """
    Shares out by a plain function, as ZooKeeper's allocator does (see `kiel.allocation`).

    It is called once for each set of topics that the same members subscribe to, with the sorted ids of these members
    and the sorted list of "topic:id" strings. Members that it leaves out, and partitions, have nothing and nobody.

    :param function: ``(members, partitions) -> {member: {topic: [ids]}}``
    :param name: the assignor's name; by default the function's own. All members of the group need one of that name
    """

    def __init__(self, function, name=None):
        self.function = function
        self.name = name or function.__name__

    def assign(self, members, partitions):
        """As `Assignor.assign`; whatever the function raises is raised."""
        shares = dict((member_id, {}) for member_id in members)
        for subscribers, topics in by_subscribers(members, partitions).items():
            items = allocation.flatten(dict((topic, partitions[topic]) for topic in topics))
            mapping = self.function(list(subscribers), sorted(items))
            for member_id in subscribers:
                for topic, ids in (mapping.get(member_id) or {}).items():
                    ids = sorted(set(ids).intersection(partitions[topic] if topic in topics else ()))
                    if ids:
                        shares[member_id][topic] = ids
        return shares


def from_function(function, name=None):
    """Return an `Assignor` that shares out by a plain function; an assignor is given back as it is."""
    return function if isinstance(function, Assignor) else Function(function, name)


#: name -> a ready assignor, for each of Kafka's own
by_name = dict((assignor.name, assignor) for assignor in (
    Range(), RoundRobin(), Sticky(), CooperativeSticky()
))
