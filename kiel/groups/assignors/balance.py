"""
The evenest way to share partitions out, and of all of these the one that moves least.

Partitions whose topics have the same subscribers are of one *kind*: which of them a member gets does not matter, so
only numbers are sought. Every member begins with what it had; free partitions go to those with least. Then, as long
as there is a way from a member to one with fewer (it gives one of a kind to a second member, which gives one of
another kind to a third ...), the cheapest such way is taken. The cost of a way is the number of members who lose
what they had. Taking the cheapest each time keeps what is there the cheapest for its numbers, and when there is no
way left nothing is more even (both are theorems: of successive shortest paths, and of optimal semi-matchings).
"""
from __future__ import absolute_import

import collections
import heapq

__all__ = ["Kind", "evenly"]


class Kind(object):
    """Partitions of topics with the same subscribers."""

    def __init__(self, subscribers, topics, partitions, owners):
        #: ids of the members
        self.subscribers = subscribers
        #: what nobody had
        self.free = []
        #: member id -> what it had
        self.had = dict((member_id, []) for member_id in subscribers)
        for topic in topics:
            for partition in partitions[topic]:
                self.had.get(owners.get((topic, partition)), self.free).append((topic, partition))
        #: member id -> how many it had
        self.before = dict((member_id, len(had)) for member_id, had in self.had.items())
        #: member id -> how many it gets; changes until the end
        self.counts = dict(self.before)

    def deal(self):
        """Return (topic, partition, member id) of each: what a member keeps, then the rest in turn."""
        rest = list(self.free)
        for member_id in self.subscribers:
            had = self.spread(self.had[member_id])
            kept = self.counts[member_id]
            rest.extend(had[kept:])
            for topic, partition in had[:kept]:
                yield topic, partition, member_id
        rest.sort(reverse=True)
        room = dict((member_id, self.counts[member_id] - self.before[member_id]) for member_id in self.subscribers)
        while rest:
            for member_id in self.subscribers:
                if room[member_id] > 0:
                    room[member_id] -= 1
                    topic, partition = rest.pop()
                    yield topic, partition, member_id

    @staticmethod
    def spread(items):
        """In such an order that the first ones are of all topics alike."""
        seen = collections.Counter()
        order = []
        for topic, partition in items:
            order.append((seen[topic], topic, partition))
            seen[topic] += 1
        return [item[1:] for item in sorted(order)]


class Shares(object):
    """The numbers: how many partitions of each kind each member has."""

    def __init__(self, kinds):
        self.kinds = kinds
        #: member id -> how many it gets in all
        self.loads = collections.Counter()
        #: member id -> kinds it subscribes to
        self.kinds_of = collections.defaultdict(list)
        for kind in kinds:
            for member_id in kind.subscribers:
                self.loads[member_id] += kind.counts[member_id]
                self.kinds_of[member_id].append(kind)

    def fill(self):
        """Give what nobody had to those with least, first where fewest subscribe."""
        for kind in sorted(self.kinds, key=lambda kind: len(kind.subscribers)):
            heap = [(self.loads[member_id], member_id) for member_id in kind.subscribers]
            heapq.heapify(heap)
            for _ in kind.free:
                load, member_id = heap[0]
                heapq.heapreplace(heap, (load + 1, member_id))
                kind.counts[member_id] += 1
                self.loads[member_id] += 1

    def level(self):
        """Move partitions until nothing can be more even, nor as even with fewer moved."""
        busy = True
        while busy and not self.done():
            busy = False
            for member_id in sorted(self.loads, key=lambda member_id: (-self.loads[member_id], member_id)):
                while self.relieve(member_id):
                    busy = True

    def done(self):
        """Return whether it is plain to see that there is nothing to do."""
        loads = self.loads.values()
        return not self.loads or max(loads) - min(loads) < 2 and not any(
            count < kind.before[member_id] for kind in self.kinds for member_id, count in kind.counts.items()
        )

    def relieve(self, giver):
        """Take from a member, if that makes things better; return whether it did."""
        costs, came_by = self.ways(giver)
        load = self.loads[giver]
        taker = min(costs, key=lambda member_id: (self.loads[member_id], costs[member_id], member_id))
        if self.loads[taker] > load - 2:
            # as even as before, but one moved less
            cheaper = [member_id for member_id in costs if self.loads[member_id] == load - 1 and costs[member_id] < 0]
            if not cheaper:
                return False
            taker = min(cheaper, key=lambda member_id: (costs[member_id], member_id))
        way, at = [], taker
        while at != giver:
            kind, before = came_by[at]
            way.append((before, kind, at))
            at = before
        # many at once, though not beyond where they may end up
        level = sum(self.loads[member_id] for member_id in costs) // len(costs)
        number = max(1, min([load - level - 1, level - self.loads[taker]] + [self.room(step) for step in way]))
        for source, kind, target in way:
            kind.counts[source] -= number
            kind.counts[target] += number
        self.loads[giver] -= number
        self.loads[taker] += number
        return True

    @staticmethod
    def room(step):
        """Return how many can go by a step of a way at the same cost."""
        source, kind, target = step
        surplus = kind.counts[source] - kind.before[source]
        lacking = kind.before[target] - kind.counts[target]
        return min(surplus if surplus > 0 else kind.counts[source], lacking if lacking > 0 else kind.counts[source])

    def ways(self, giver):
        """
        Return the cheapest ways from a member: (member id -> cost, member id -> (kind, the member before it)).

        To take what a member never had costs -1, to give a member back what it had 0, to give it anything else 1.
        """
        costs, came_by, reached = {giver: 0}, {}, {}
        queue, queued = collections.deque([giver]), set([giver])
        while queue:
            source = queue.popleft()
            queued.discard(source)
            for kind in self.kinds_of[source]:
                counts, before = kind.counts, kind.before
                if not counts[source]:
                    continue
                cost = costs[source] - (counts[source] > before[source])
                if kind in reached and reached[kind] <= cost:
                    continue
                reached[kind] = cost
                for target in kind.subscribers:
                    if target == source:
                        continue
                    price = cost + (counts[target] >= before[target])
                    if target not in costs or price < costs[target]:
                        costs[target] = price
                        came_by[target] = kind, source
                        if target not in queued:
                            queued.add(target)
                            queue.append(target)
        return costs, came_by


def evenly(topics_of, partitions, owners):
    """
    Share out; return a list of (topic, partition, member id).

    :param topics_of: tuple of member ids -> topics that exactly these subscribe to
    :param partitions: topic -> ids
    :param owners: (topic, id) -> id of the member that had it, a subscriber
    """
    kinds = [Kind(subscribers, topics, partitions, owners) for subscribers, topics in topics_of.items()]
    shares = Shares(kinds)
    shares.fill()
    shares.level()
    return [entry for kind in kinds for entry in kind.deal()]
