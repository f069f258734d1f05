"""What a fetch asks for: how many bytes of which partitions, all of them or what has changed in its session."""
from __future__ import absolute_import

import collections
import sys

from kiel.clients.consuming.fetch_session import NO_SESSION
from kiel.protocol import fetch, topic_ids
from kiel.retry import monotonic

#: the least bytes that a fetch asks for where many leaders share the buffer, unless ``max_bytes`` is less
LEAST_LIMIT = 16 * 1024

#: the least bytes that a partition is asked for, where only the partitions' own limits bound an answer, unless
#: ``max_bytes`` is less; where one message is larger, more is asked for
LEAST_SHARE = 1024

#: what keeps the order of its keys, the quick way where there is one
Ordered = dict if sys.version_info >= (3, 7) else collections.OrderedDict


class Fetch(object):
    """
    One fetch: the request, the cursors whose answer it brings, and the room that is kept for them.

    :param cursors: the cursors that it asks for; some may have to wait for the next
    :param share: the bytes that it may bring
    :param by_partition: whether the broker takes each partition's limit for itself, as those before fetch version 3 do:
        then the share is divided among them, and of those that need more, one goes at a time
    :param bound: the consumer's ``buffer_bytes``
    :param least: bytes that each partition is asked for at least, where the broker bounds the whole: what is more in a
        share is for those that are behind, in equal parts, so that none waits until another has all it wants
    """

    __slots__ = ("cursors", "share", "limit", "least", "room", "request", "sent", "due", "busy", "full", "starved",
                 "waited", "took")

    def __init__(self, cursors, share, by_partition, bound, least):
        self.cursors = cursors
        self.share = share
        behind = sum(cursor.behind for cursor in cursors)
        #: whether the broker has something for it, so that it answers at once
        self.busy = behind > 0
        #: whether the answer brought as much as it may, or nearly so
        self.full = False
        #: whether somebody waited for the answer, with nothing in the buffer
        self.starved = False
        #: seconds until the answer began to come, and until all of it was there
        self.waited = self.took = 0
        #: bytes that a partition is asked for, but for those that need more: one that is behind, another
        self.limit = max(least, share // (behind or 1))
        self.least = least
        #: bytes that may come
        self.room = share
        #: the `kiel.protocol.fetch.FetchRequest`, made by `ask`
        self.request = None
        #: when it was sent (`kiel.retry.monotonic`)
        self.sent = 0
        #: when the broker is to answer at the latest (`kiel.retry.monotonic`)
        self.due = 0
        if by_partition:
            self._divide(bound)

    def _divide(self, bound):
        limit = self.limit = self.least = max(min(LEAST_SHARE, self.share), self.share // len(self.cursors))
        larger = [cursor for cursor in self.cursors if cursor.limit > limit]
        self.room = limit * len(self.cursors)
        if larger:
            self.cursors = [cursor for cursor in self.cursors if cursor is larger[0] or cursor.limit <= limit]
            # no more than half of the buffer: with the shares of all other fetches it could never be had
            self.room = max(self.share, min(self.room + larger[0].limit, bound // 2))

    def ask(self, cluster, limits, wait, tells, session=None, by_id=True):
        """
        Make the request.

        :param cluster: the `kiel.cluster.Cluster`, for topic ids and leader epochs
        :param limits: has ``min_bytes``, ``isolation_level`` and ``rack_id``
        :param wait: milliseconds that the broker waits for messages
        :param tells: whether the broker compares the epoch of what was fetched last (KIP-595)
        :param session: the `kiel.clients.consuming.fetch_session.FetchSession` that it is part of, if any
        :param by_id: whether the broker knows topics by their ids (KIP-516)
        """
        wanted, all_ids = self._wanted(cluster, tells)
        request = self.request = fetch.FetchRequest(
            max_wait_time=wait, min_bytes=limits.min_bytes, max_bytes=self.share,
            isolation_level=limits.isolation_level, rack_id=limits.rack_id or "",
        )
        if not all_ids:
            request.narrow = (request.version_range[0], 12)  # from 13 on topics go by their ids alone (KIP-516)
        changed = wanted
        if session is None:
            request.session_epoch = NO_SESSION
        else:
            changed, forgotten = session.ask(wanted, all_ids and by_id)
            request.session_id, request.session_epoch = session.id, session.epoch
            request.names = session.names
            request.forgotten_topics = _by_topic(fetch.ForgottenTopic, (
                (key[0], topic_id, key[1]) for key, topic_id in forgotten
            ))
        request.topics = _by_topic(fetch.TopicRequest, (
            (key[0], wanted[key][0], _partition(key[1], wanted[key])) for key in changed
        ))

    def _wanted(self, cluster, tells):
        """Return ``{(topic, partition): what the fetch says of it}``, and whether the ids of all topics are known."""
        ids, epochs = cluster.topic_ids, cluster.leader_epochs
        all_ids = True
        wanted = Ordered()
        for cursor in self.cursors:
            topic, partition = cursor.topic, cursor.partition
            topic_id = ids.get(topic)
            if topic_id is None:
                topic_id = topic_ids.NO_TOPIC
                all_ids = False
            cursor.checked = epoch = epochs.get(topic, {}).get(partition, -1)
            wanted[topic, partition] = (
                topic_id, cursor.position, max(cursor.limit, self.limit if cursor.behind else self.least), epoch,
                cursor.epoch if tells and epoch >= 0 else -1
            )
        return wanted, all_ids

    def came(self, began):
        """
        The answer is here.

        :param began: when its first bytes came (`kiel.retry.monotonic`); 0: just now, with all others
        """
        now = monotonic()
        self.waited = (began or now) - self.sent
        self.took = now - began if began else 0

    def awaiting(self):
        """Return the cursors that still wait for this fetch's answer."""
        return [cursor for cursor in self.cursors if cursor.awaits(self)]


def _partition(number, said):
    """One partition of a fetch."""
    _, offset, limit, current_epoch, fetched_epoch = said
    made = fetch.PartitionRequest(partition_id=number, offset=offset, max_bytes=limit)
    if current_epoch >= 0:
        made.current_leader_epoch = current_epoch
        made.last_fetched_epoch = fetched_epoch
    return made


def _by_topic(cls, entries):
    """Group ``(topic, topic id, item)`` by topic."""
    topics = Ordered()
    for topic, topic_id, item in entries:
        topics.setdefault((topic, topic_id), []).append(item)
    return [cls(name=topic, topic_id=topic_id, partitions=items) for (topic, topic_id), items in topics.items()]
