"""
Who owns which partition: the contract of every allocator, and the functions that share partitions out.

A function that allocates is plain: ``fn(members, partitions)`` takes the sorted names of the members and
the sorted list of ``"topic:id"`` strings, and gives ``{member: {topic: [ids]}}``. Each member computes it
for itself, so it has to give the same answer for the same input everywhere.
"""
from __future__ import absolute_import

import collections
import logging

from tornado import gen


log = logging.getLogger(__name__)


class Partitions(dict):
    """Topic -> partition ids; a topic that is not there has none, as in kiel 0.9."""

    def __missing__(self, topic):
        return []


class Allocator(object):
    """
    What a group consumer asks about its share of the partitions; one contract for ZooKeeper and for Kafka's
    groups.

    All attributes change, and all hooks are called, on the IOLoop only.
    """

    #: topic -> sorted partition ids that this member owns now; empty before the first allocation
    allocation = Partitions()

    #: True while ownership is in doubt: then nothing of the allocation may be fetched, handed out or
    #: committed
    paused = False

    #: (member id, generation or epoch) that a commit is signed with
    identity = ("", -1)

    #: the name of a static member (KIP-345), which signs its commits too; None for others
    instance_id = None

    #: True where members share only the topics that they subscribe to: then `subscribe` has to be called
    by_topic = False

    #: False after a member left by itself, for want of progress; `subscribe` brings it back
    is_in = True

    #: the `kiel.groups.liveness.heartbeat.Heartbeat` that keeps the member alive while the IOLoop is blocked, if any
    heartbeat = None

    #: how many members the group has, as far as this one knows; None where it does not
    member_count = None

    #: the `kiel.exc.KielError` that membership ended with; None while there is none
    error = None

    #: True while `error` is one that may pass, such as a right that is missing: `subscribe` tries again
    refused = False

    #: called with (revoked, assigned), each topic -> partition ids, after `allocation` changed; may give a
    #: Future. A revoked partition is given to nobody else before that Future is done, or a deadline is over
    on_change = None

    #: called with topic -> partition ids that were lost without being asked for: they may be another member's by now,
    #: so nothing of them may be handed out or committed any more. Without it, `on_change` is called.
    on_lost = None

    #: called with the new value when `paused` changes
    on_pause = None

    def start(self, partitions):
        """
        Join the group; return a Future that is done when this member is in and has been allocated what was
        free.

        :param partitions: topic -> ids of all partitions that are to be shared out
        """
        raise NotImplementedError

    def stop(self):
        """Leave the group; return a Future."""
        raise NotImplementedError

    def leave_now(self):
        """
        Leave the group as far as that can be done without an IOLoop, in a few seconds at most.

        For a consumer that is closed when nobody runs the loop any more; `stop` may still follow. A member of a group
        in Kafka leaves by its heartbeat thread, when the loop is closed or the process ends.
        """

    def update(self, partitions, gone=()):
        """
        Tell what the metadata says now; return a Future.

        :param partitions: topic -> the ids of all its partitions, also of those without a leader
        :param gone: names of topics that have been deleted
        """
        raise NotImplementedError

    def subscribe(self, topics):
        """
        Add topics to those that this member takes part in; return a Future that is done when it has its share of them.

        Where all members share all topics there is nothing to do.
        """
        return gen.moment

    def rejoin(self, error):
        """A commit was refused with an error whose cure is to join again."""

    @gen.coroutine
    def changed(self, revoked, assigned):
        """Call `on_change`, wait for its Future if it returned one, and log what it raises."""
        if self.on_change is None or not (revoked or assigned):
            return
        try:
            answer = self.on_change(revoked, assigned)
            if answer is not None:
                yield answer
        except Exception:
            log.exception("on_change(revoked=%s, assigned=%s) failed", revoked, assigned)


def naive_allocator(members, partitions):
    """
    Deal the partitions out one by one, in the order of their ``"topic:id"`` strings, to the members in turn.

    :returns: member -> topic -> [ids], nested defaultdicts; a member that got nothing may be missing
    """
    mapping = collections.defaultdict(lambda: collections.defaultdict(list))
    members = sorted(members)
    if not members:
        return mapping
    for number, item in enumerate(sorted(partitions)):
        topic, partition_id = split(item)
        mapping[members[number % len(members)]][topic].append(partition_id)
    return mapping


def range_allocator(members, partitions):
    """
    Give each member a run of neighbouring partitions of each topic, as Kafka's RangeAssignor does.

    Partitions of the same number of two topics with equally many go to the same member. The first members
    get one more where they don't come out even.
    """
    members = sorted(members)
    mapping = dict((member, {}) for member in members)
    if not members:
        return mapping
    for topic, ids in sorted(group(partitions).items()):
        share, more = divmod(len(ids), len(members))
        begin = 0
        for position, member in enumerate(members):
            end = begin + share + (1 if position < more else 0)
            if end > begin:
                mapping[member][topic] = ids[begin:end]
            begin = end
    return mapping


def describe(topics):
    """Return topic -> ids as text for the log."""
    return ", ".join("%s:%d" % key for key in sorted((topic, int(i)) for topic, ids in topics.items() for i in ids))


def log_change(group, revoked, assigned, identity=("", -1)):
    """
    Tell in the log of partitions that come and go: topic -> partition ids, as for `Allocator.on_change`.

    :param identity: the member's id and generation
    """
    extra = dict(group=group, member=identity[0], generation=identity[1])
    if revoked:
        log.info("Group %s: revoked %s", group, describe(revoked), extra=extra)
    if assigned:
        log.info("Group %s: assigned %s", group, describe(assigned), extra=extra)


def split(item):
    """``"topic:id"`` -> ``(topic, id)``."""
    topic, partition_id = item.rsplit(":", 1)
    return topic, int(partition_id)


def group(items):
    """``"topic:id"`` strings -> topic -> sorted ids."""
    topics = {}
    for item in items:
        topic, partition_id = split(item)
        topics.setdefault(topic, []).append(partition_id)
    for ids in topics.values():
        ids.sort()
    return topics


def flatten(topics):
    """Topic -> ids -> the set of ``"topic:id"`` strings, ready for `group`."""
    return set("%s:%d" % (topic, int(number)) for topic, ids in topics.items() for number in ids or ())
