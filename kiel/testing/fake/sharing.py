"""
How the coordinator of a next-generation group shares out: ``assign(wanted, before)``.

``wanted`` is {member's id: topics it subscribes to}, ``before`` and what is returned {member's id: frozenset of
(topic id, partition)}.
"""
from __future__ import absolute_import


def uniform(wanted, before):
    """Share out evenly; as much as possible stays where it was."""
    subscribers = _subscribers(wanted)
    shares = dict((member, set()) for member in wanted)
    homeless = []
    for partition in sorted(subscribers):
        keeper = [member for member in subscribers[partition] if partition in before.get(member, ())]
        if keeper:
            shares[keeper[0]].add(partition)
        else:
            homeless.append(partition)
    for partition in homeless:
        shares[min(subscribers[partition], key=lambda member: (len(shares[member]), member))].add(partition)
    while _move_one(shares, subscribers):
        pass
    return _frozen(shares)


def _move_one(shares, subscribers):
    """Move one partition to a member that has less by two or more; return whether there was one."""
    for giver in sorted(shares, key=lambda member: (-len(shares[member]), member)):
        for partition in sorted(shares[giver], reverse=True):
            taker = min(subscribers[partition], key=lambda member: (len(shares[member]), member))
            if len(shares[giver]) - len(shares[taker]) >= 2:
                shares[giver].remove(partition)
                shares[taker].add(partition)
                return True
    return False


def ranges(wanted, before):
    """Give each member a row of each topic's partitions."""
    shares = dict((member, set()) for member in wanted)
    topics = dict((topic.id, topic) for topics in wanted.values() for topic in topics)
    for topic in topics.values():
        members = sorted(member for member in wanted if topic in wanted[member])
        count, more = divmod(len(topic.partitions), len(members))
        first = 0
        for index, member in enumerate(members):
            behind = first + count + (index < more)
            shares[member].update((topic.id, number) for number in range(first, behind))
            first = behind
    return _frozen(shares)


def _subscribers(wanted):
    """Return {(topic id, partition): ids of the members that may have it}."""
    found = {}
    for member in sorted(wanted):
        for topic in wanted[member]:
            for number in range(len(topic.partitions)):
                found.setdefault((topic.id, number), []).append(member)
    return found


def _frozen(shares):
    return dict((member, frozenset(share)) for member, share in shares.items())


#: by the names that clients know
ASSIGNORS = {"uniform": uniform, "range": ranges}
