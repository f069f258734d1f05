"""What becomes of a fetch's answer: each partition's messages, or error, goes to its cursor."""
from __future__ import absolute_import

import logging

from kiel import constants, exc
from kiel.clients import isolation, truncation
from kiel.protocol import errors, messages
from kiel.retry import monotonic

log = logging.getLogger(__name__)

#: the most bytes that a partition is asked for on behalf of a message that did not fit
MOST_LIMIT = 128 * 1024 * 1024


class FetchAnswers(object):
    """The part of `kiel.clients.fetcher.Fetcher` that takes answers."""

    def answer(self, response, ticket, share):
        """Gives each partition of an answer to its cursor, and wakes those who wait."""
        heal = False
        size = sum(len(part.message_set.data or b"") for topic in response.topics for part in topic.partitions)
        crowded = size > share - share // 4  # then a partition without data may just not have got in
        for topic in response.topics:
            cursors = self.cursors.get(topic.name, {})
            for part in topic.partitions:
                cursor = cursors.get(part.partition_id)
                if cursor is not None and cursor.awaits(ticket):
                    heal = self._answer_one(cursor, part, crowded) or heal
        for cursors in self.cursors.values():
            for cursor in cursors.values():
                if cursor.awaits(ticket):  # the answer left it out, as those of sessions do when nothing is new
                    cursor.nothing(cold=not crowded)
        if heal:
            self.heal()

    def _answer_one(self, cursor, part, crowded):
        """Takes one partition's answer; gives whether metadata is out of date."""
        if part.error_code != errors.no_error:
            return self._refused(cursor, exc.for_code(
                part.error_code, "fetch of %s:%s at %s" % (cursor.topic, cursor.partition, cursor.position)
            ))
        if part.diverging_epoch.end_offset >= 0:
            self.diverged(cursor, part.diverging_epoch.end_offset, part.diverging_epoch.epoch)
            return False
        if part.preferred_read_replica not in (-1, cursor.replica):
            cursor.replica = part.preferred_read_replica
            cursor.replica_until = monotonic() + self.consumer.cluster.metadata_max_age
            log.debug("%s:%s is read from broker %s", cursor.topic, cursor.partition, cursor.replica)
            crowded = True  # it has more to say
        cursor.high_watermark = part.highwater_mark_offset
        cursor.last_stable = part.last_stable_offset
        data = part.message_set.data
        batches = messages.batches(data)
        if part.aborted_transactions and self.consumer.isolation_level == constants.READ_COMMITTED:
            batches = isolation.without_aborted(batches, part.aborted_transactions)
        batches = [batch for batch in batches if batch.next_offset > cursor.position]
        if batches:
            cursor.fetched(batches)
            self.wake(cursor.topic)
        elif data:
            # a message larger than the limit, cut off by a broker older than fetch version 3
            if cursor.limit >= MOST_LIMIT:
                self._unreadable(cursor, exc.CorruptMessageError(
                    "a message of more than %d bytes, or one whose size is wrong" % MOST_LIMIT
                ))
            else:
                needed = messages.needed(data)
                if needed <= cursor.limit:  # asked for already, so the size is wrong, or not to be told
                    needed = max(cursor.limit, len(data)) * 2
                cursor.limit = min(MOST_LIMIT, needed)
                cursor.nothing(cold=False)
        else:
            cursor.nothing(cold=not crowded)
        return False

    def _unreadable(self, cursor, error):
        """Has the next consume() raise what is wrong with a partition's messages."""
        error.topic, error.partition = cursor.topic, cursor.partition
        if error.offset is None:
            error.offset = cursor.position
        log.error("%s", error)
        cursor.failed()
        cursor.error = error
        self.consumer.last_error = error
        self.wake(cursor.topic)

    def _refused(self, cursor, error):
        """Deals with one partition's error; gives whether metadata is out of date."""
        follower, cursor.replica = cursor.replica, None
        if follower is not None:
            log.info("%s: broker %s only follows, the leader is asked instead", error, follower)
            cursor.failed()
            return error.cure == "metadata"
        self.consumer.last_error = error
        if error.code == errors.offset_out_of_range and self.consumer.offset_reset != truncation.ERROR:
            log.warning("%s: looking for a position anew", error)
            self.begin_anew(cursor)
            self.wake(cursor.topic)
            return False
        log.warning("%s", error)
        cursor.failed()
        if not error.retriable:
            cursor.error = error
            self.wake(cursor.topic)
        return error.cure == "metadata"
