"""One fetch: how many bytes of which partitions it asks for, and what becomes of its answer."""
from __future__ import absolute_import

import logging

from kiel import constants, exc
from kiel.clients import observed
from kiel.clients.consuming import isolation
from kiel.clients.consuming.fetch_session import NO_SESSION
from kiel.clients.consuming.log_validator import ERROR
from kiel.outage import PATIENCE
from kiel.protocol import errors, messages, topic_ids
from kiel.protocol.flat import FlatFetchRequest
from kiel.protocol.topic_ids import Ordered
from kiel.retry import monotonic

log = logging.getLogger(__name__)

#: the least bytes that a fetch asks for where many leaders share the buffer, unless ``max_bytes`` is less
LEAST_LIMIT = 16 * 1024

#: the least bytes that a partition is asked for, where only the partitions' own limits bound an answer, unless
#: ``max_bytes`` is less; where one message is larger, more is asked for
LEAST_SHARE = 1024

#: the most bytes that a partition is asked for on behalf of a message that did not fit
MOST_LIMIT = 128 * 1024 * 1024


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
                 "waited", "idle", "took")

    def __init__(self, cursors, share, by_partition, bound, least):
        self.cursors = cursors
        self.share = share
        behind = 0
        for cursor in cursors:
            behind += cursor.behind
        #: whether the broker has something for it, so that it answers at once
        self.busy = behind > 0
        #: whether the answer brought as much as it may, or nearly so
        self.full = False
        #: whether somebody waited for the answer, with nothing in the buffer
        self.starved = False
        #: seconds until the answer began to come; those of them in which somebody waited for messages, so that the loop
        #: was at nothing else; and seconds until all of it was there
        self.waited = self.idle = self.took = 0
        #: bytes that a partition is asked for, but for those that need more: one that is behind, another
        self.limit = max(least, share // (behind or 1))
        self.least = least
        #: bytes that may come
        self.room = share
        #: the `kiel.protocol.flat.FlatFetchRequest`, made by `ask`
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
        if session is None:
            session_id, session_epoch = 0, NO_SESSION
            changed, forgotten = wanted, ()
            names = {}
            for (topic, _), said in wanted.items():
                names[said[0]] = topic
        else:
            changed, forgotten = session.ask(wanted, all_ids and by_id)
            session_id, session_epoch, names = session.id, session.epoch, session.names
        partitions = []
        for key in changed:
            topic_id, offset, most, epoch, fetched = wanted[key]
            partitions.append((key[0], topic_id, key[1], epoch, offset, fetched, most))
        self.request = FlatFetchRequest(
            wait, limits.min_bytes, self.share, limits.isolation_level, limits.rack_id or "", session_id, session_epoch,
            partitions, [(key[0], topic_id, key[1]) for key, topic_id in forgotten], names, all_ids
        )

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

    def came(self, began, waiting_since):
        """
        The answer is here.

        :param began: when its first bytes came (`kiel.retry.monotonic`); 0: just now, with all others
        :param waiting_since: when somebody began to wait for messages last
        """
        now = monotonic()
        self.waited = (began or now) - self.sent
        self.idle = (began or now) - max(self.sent, waiting_since)
        self.took = now - began if began else 0

    def awaiting(self):
        """Return the cursors that still wait for this fetch's answer."""
        return [cursor for cursor in self.cursors if cursor.awaits(self)]


class FetchResponses(object):
    """
    Takes the answers of fetches.

    :param client: the `kiel.clients.consumer.BaseConsumer`: its cluster and ``last_error``
    :param limits: has ``isolation_level`` and ``offset_reset``
    :param fetcher: the `kiel.clients.consuming.fetcher.Fetcher` that this is part of: its cursors, who waits
    :param validator: the `kiel.clients.consuming.log_validator.LogValidator`, told of logs that were cut
    """

    def __init__(self, client, limits, fetcher, validator):
        self.client = client
        self.limits = limits
        self.fetcher = fetcher
        self.validator = validator

    def handle(self, response, fetch):
        """
        Give each partition of an answer to its cursor, and wake those who wait.

        :param fetch: the `kiel.clients.consuming.fetch.Fetch` that it answers
        """
        size, wrong = 0, False
        for topic in response.topics:
            for part in topic.partitions:
                size += part.message_set.size
                wrong = wrong or part.error_code != errors.no_error
        outdated = False
        crowded = size > fetch.share - fetch.share // 4  # then a partition without data may just not have got in
        fetch.full = crowded
        fetch.starved = crowded and any(self.fetcher.hungry[topic.name] for topic in response.topics)
        for topic in response.topics:
            for part in topic.partitions:
                cursor = self.fetcher.find(topic.name, part.partition_id)
                # moved, revoked or sought since? Then the data are not for the state that it is in.
                if cursor is not None and cursor.awaits(fetch):
                    outdated = self._handle_partition(cursor, part, crowded) or outdated
        for cursor in fetch.cursors:
            if cursor.awaits(fetch):  # the answer left it out, as those of sessions do when nothing is new
                cursor.nothing(cold=not crowded)
        if outdated:
            self.fetcher.refresh_metadata()
        if not wrong:
            self.client.last_error = None

    def _handle_partition(self, cursor, part, crowded):
        """Take one partition's answer. Returns whether metadata is out of date."""
        if part.error_code != errors.no_error:
            outdated = self._refused(cursor, exc.for_code(
                part.error_code, "fetch of %s:%s at %s" % (cursor.topic, cursor.partition, cursor.position),
                "fetch", topic=cursor.topic
            ))
            self._let_note(cursor, part)
            return outdated
        if part.diverging_epoch.end_offset >= 0:
            self.validator.diverged(cursor, part.diverging_epoch.end_offset, part.diverging_epoch.epoch)
            return True  # a topic that was made again looks the same
        if part.preferred_read_replica not in (-1, cursor.replica):
            cursor.replica = part.preferred_read_replica
            cursor.replica_until = monotonic() + self.client.cluster.metadata_max_age
            log.debug("%s:%s is read from broker %s", cursor.topic, cursor.partition, cursor.replica)
            crowded = True  # it has more to say
        if self.client.cluster.outage.troubles:
            self._tell_over(cursor)
        end = part.highwater_mark_offset
        outdated = (cursor.high_watermark or 0) > end and self.client._positions.watch.compare_ends(cursor, end)
        cursor.high_watermark = end
        if outdated and cursor.topic in self.client.cluster.topic_ids:  # whether it is another one is seen first
            cursor.failed()
            return True
        cursor.last_stable = cursor.end = part.last_stable_offset
        if cursor.end < 0 or self.limits.isolation_level != constants.READ_COMMITTED:
            cursor.end = cursor.high_watermark
        return self._take_messages(cursor, part, crowded) or outdated

    def _let_note(self, cursor, part):
        """Show the application an error that is dealt with; what it raises, the next consume() does."""
        try:
            self.client.note_refusal(cursor.topic, part)
        except Exception as error:
            self.fetcher.fail(cursor, error)

    def _take_messages(self, cursor, part, crowded):
        """Take one partition's messages. Returns whether metadata is out of date."""
        batches = part.message_set.batches()
        if part.aborted_transactions and self.limits.isolation_level == constants.READ_COMMITTED:
            batches = isolation.without_aborted(batches, part.aborted_transactions)
        batches = [batch for batch in batches if batch.next_offset > cursor.position]
        if batches:
            went_back = 0 <= batches[0].leader_epoch < cursor.epoch
            if went_back:
                self.client._positions.watch.epochs_went_back(cursor, batches[0].leader_epoch)
            cursor.fetched(batches)
            self.fetcher.wake(cursor.topic)
            return went_back
        if part.message_set.size:
            self._ask_for_more(cursor, part.message_set.data)
        else:
            cursor.nothing(cold=not crowded)
        return False

    def _ask_for_more(self, cursor, data):
        """A message larger than the limit was cut off by a broker older than fetch version 3."""
        if cursor.limit >= MOST_LIMIT:
            self._unreadable(cursor, exc.CorruptMessageError(
                "a message of more than %d bytes, or one whose size is wrong" % MOST_LIMIT
            ))
            return
        needed = messages.needed(data)
        if needed <= cursor.limit:  # asked for already, so the size is wrong, or not to be told
            needed = max(cursor.limit, len(data)) * 2
        cursor.limit = min(MOST_LIMIT, needed)
        cursor.nothing(cold=False)

    def _unreadable(self, cursor, error):
        """Have the next consume() raise what is wrong with a partition's messages, once those before are taken."""
        if cursor.holds:
            cursor.failed()
            return
        error.topic, error.partition = cursor.topic, cursor.partition
        if error.offset is None:
            error.offset = cursor.position
        log.error("%s", error, extra=dict(cursor.fields, client=self.client.cluster.settings.client_id))
        cursor.failed()
        self.client.last_error = error
        self.fetcher.fail(cursor, error)

    def _tell(self, cursor, error):
        """Warn of a partition's error, once a minute; what passes of itself, as a leader's move, when it has not."""
        self.client.cluster.outage.tell(
            log, ("fetch", cursor.topic, cursor.partition), logging.WARNING, "%s", (error,),
            dict(topic=cursor.topic, partition=cursor.partition), PATIENCE if error.retriable else 0
        )

    def _tell_over(self, cursor):
        """Tell that a partition is read again, if it was not."""
        self.client.cluster.outage.over(
            ("fetch", cursor.topic, cursor.partition), "%s:%s is read again", cursor.topic, cursor.partition,
            topic=cursor.topic, partition=cursor.partition
        )

    def _refused(self, cursor, error):
        """Deal with one partition's error. Returns whether metadata is out of date."""
        if self.client.cluster.settings.hooks is not None:
            observed.failed(self.client.cluster.settings.hooks, error, (cursor.topic, cursor.partition))
        follower, cursor.replica = cursor.replica, None
        if follower is not None:
            log.info("%s: broker %s, a follower, can't serve this fetch; fetching from the leader instead", error,
                     follower, extra=cursor.fields)
            cursor.failed()
            return error.cure == "metadata"
        if cursor.holds:
            log.info("%s: fetched again once the messages before it have been taken", error, extra=cursor.fields)
            cursor.failed()
            return error.cure == "metadata"
        self.client.last_error = error
        if error.code == errors.unknown_topic_or_partition:
            self.client._positions.watch.note_gone(cursor.topic)
        elif error.code == errors.offset_out_of_range and self.client._positions.watch.beyond_the_log(cursor.topic):
            return False
        if error.code == errors.offset_out_of_range and self.limits.offset_reset != ERROR:
            log.warning("%s: resetting the position", error, extra=cursor.fields)
            self.validator.begin_anew(cursor)
            self.fetcher.wake(cursor.topic)
            return True  # a topic that was made again looks the same
        self._tell(cursor, error)
        cursor.failed()
        if not error.retriable:
            self.fetcher.fail(cursor, error)
        return error.cure == "metadata"
