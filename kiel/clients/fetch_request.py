"""What a fetch asks for: how many bytes of which partitions, all of them or what has changed in its session."""
from __future__ import absolute_import

import collections
import sys

from kiel.clients.fetch_session import NO_SESSION, FetchSession
from kiel.protocol import fetch, topic_ids

#: Lanes of fetches to one broker. While the first holds a long poll of idle partitions, the second serves the busy
#: ones, with a short wait so that they join the first again when they fall idle.
SLOTS = ("fetch", "fetch-busy")

#: the least bytes that a fetch asks for; anything smaller makes no progress
LEAST_LIMIT = 16 * 1024

#: the least bytes that a partition is asked for, where only the partitions' own limits bound an answer
LEAST_SHARE = 1024

#: what keeps the order of its keys, the quick way where there is one
Ordered = dict if sys.version_info >= (3, 7) else collections.OrderedDict

#: Partitions in one fetch from which on a session is worth it: brokers keep no more than 1000 sessions in all.
WORTH_A_SESSION = 8


class FetchRequests(object):
    """The part of `kiel.clients.fetcher.Fetcher` that makes requests."""

    def session(self, broker_id):
        """
        Gives the `kiel.clients.fetch_session.FetchSession` with a broker.

        It is that of the first lane, which idle partitions wait on; what the second asks for moves with every fetch.
        """
        session = self.sessions.get(broker_id)
        if session is None:
            session = self.sessions[broker_id] = FetchSession()
        return session

    def share(self):
        """The bytes that one fetch may bring: `max_bytes`, or less where many leaders share `buffer_bytes`."""
        consumer = self.consumer
        leaders = max(1, len(consumer.cluster.conns))
        return max(LEAST_LIMIT, min(consumer.max_bytes, consumer.buffer_bytes // (2 * len(SLOTS) * leaders)))

    def fit(self, conn, cursors, share):
        """
        Gives the cursors that one fetch may ask for, the limit of each, and the bytes that may come.

        From version 3 on the broker keeps to the limit of the fetch as a whole. Before, it takes each partition's for
        itself: then the share is divided among them, and of those that need more, one goes at a time.
        """
        if conn.reaches("fetch", 3):
            return cursors, share, share
        limit = max(LEAST_SHARE, share // len(cursors))
        larger = [cursor for cursor in cursors if cursor.limit > limit]
        room = limit * len(cursors)
        if larger:
            cursors = [cursor for cursor in cursors if cursor is larger[0] or cursor.limit <= limit]
            # no more than half of the buffer: with the shares of all other fetches it could never be had
            room = max(share, min(room + larger[0].limit, self.consumer.buffer_bytes // 2))
        return cursors, limit, room

    def request(self, conn, session, cursors, share, limit, wait):
        """
        Makes one fetch for several cursors.

        :param session: the lane's `FetchSession` or None; it is used where the broker has sessions, from 1.1 on, and
            once it is worth it
        """
        consumer = self.consumer
        ids, epochs = consumer.cluster.topic_ids, consumer.cluster.leader_epochs
        tells = conn.reaches("fetch", 12)  # then the broker compares the epoch of what was fetched last (KIP-595)
        by_id = True
        wanted = Ordered()
        for cursor in cursors:
            topic, partition = cursor.topic, cursor.partition
            topic_id = ids.get(topic)
            if topic_id is None:
                topic_id = topic_ids.NO_TOPIC
                by_id = False  # from 13 on topics go by their ids alone (KIP-516)
            cursor.checked = epoch = epochs.get(topic, {}).get(partition, -1)
            wanted[topic, partition] = (
                topic_id, cursor.position, cursor.limit if cursor.limit > limit else limit, epoch,
                cursor.epoch if tells and epoch >= 0 else -1
            )
        request = fetch.FetchRequest(
            max_wait_time=wait, min_bytes=consumer.min_bytes, max_bytes=share,
            isolation_level=consumer.isolation_level, rack_id=consumer.rack_id or "",
        )
        if not by_id:
            request.narrow = (request.version_range[0], 12)
        if session is not None and conn.reaches("fetch", 7) and (session.open or len(wanted) >= WORTH_A_SESSION):
            changed, forgotten = session.ask(wanted, by_id and conn.reaches("fetch", 13))
            request.session_id, request.session_epoch = session.id, session.epoch
            request.names = session.names
            request.forgotten_topics = _by_topic(fetch.ForgottenTopic, (
                (key[0], topic_id, key[1]) for key, topic_id in forgotten
            ))
        else:
            request.session_epoch = NO_SESSION
            changed = wanted
        request.topics = _by_topic(fetch.TopicRequest, (
            (key[0], wanted[key][0], _partition(key[1], wanted[key])) for key in changed
        ))
        return request


def _partition(number, said):
    """One partition of a fetch."""
    _, offset, limit, current_epoch, fetched_epoch = said
    made = fetch.PartitionRequest(partition_id=number, offset=offset, max_bytes=limit)
    if current_epoch >= 0:
        made.current_leader_epoch = current_epoch
        made.last_fetched_epoch = fetched_epoch
    return made


def _by_topic(cls, entries):
    """Groups ``(topic, topic id, item)`` by topic."""
    topics = Ordered()
    for topic, topic_id, item in entries:
        topics.setdefault((topic, topic_id), []).append(item)
    return [cls(name=topic, topic_id=topic_id, partitions=items) for (topic, topic_id), items in topics.items()]
