"""Where a consumer reads on in each partition: looked up, sought, written by the application, or moved by reading."""
from __future__ import absolute_import

import logging
import numbers

from tornado import gen

from kiel import constants, exc
from kiel.clients.consuming import arguments
from kiel.clients.consuming.cursor import UNSET, UNTOLD
from kiel.clients.consuming.offset_lookup import BEGINNING, END, start_to_timestamp
from kiel.clients.consuming.offsets import Offsets, SyncedOffsets
from kiel.clients.consuming.overridden import overridden
from kiel.clients.consuming.topic_watch import TopicWatch
from kiel.events import outcome_of

log = logging.getLogger("kiel.clients.consumer")


class Positions(object):
    """
    The positions of a consumer's partitions.

    :param client: the `kiel.clients.consumer.BaseConsumer`: its ``allocation``, ``determine_offsets`` and ``_start_of``
    :param fetcher: its `kiel.clients.consuming.fetcher.Fetcher`, whose cursors have the positions
    :param sought: called with ``(topic, partition, offset)`` when the application goes elsewhere; the offset is None
        where it has to be looked up
    :param gone_after: see `kiel.clients.consuming.topic_watch.TopicWatch`
    """

    def __init__(self, client, fetcher, sought, gone_after):
        self.client = client
        self.fetcher = fetcher
        self._sought = sought
        #: topic -> {partition: offset}, for the application to read and write
        self.offsets = Offsets(self._written)
        #: the topics with positions, for the application to read and write
        self.synced_offsets = SyncedOffsets(self)
        #: topic -> start, of the look-ups under way
        self.locating = {}
        #: (topic, partition) -> the offset written by the overridden method that is at work on it, or None
        self.hooked = {}
        #: the partitions that had a position when the look-up under way began
        self._settled = set()
        #: topics whose positions are those written to ``offsets``, of partitions that we do not have yet
        self._claimed = set()
        #: (topic, partition) -> the offset written before we had the partition
        self._early = {}
        #: sees that a topic is another one
        self.watch = TopicWatch(client.cluster, fetcher, self._made_again, gone_after)
        #: (topic, partition) of those that the application paused
        self.paused = set()

    # -- cursors --

    def cursors(self, topic, start=UNTOLD):
        """
        Return the cursors of the topic's partitions that are ours, made or given up as the allocation says; of a topic
        that has just gone from metadata, those there were.

        :param start: of the `consume` that asks; `UNTOLD` for who does not consume
        """
        fetcher = self.fetcher
        if self.watch.has_just_gone(topic):
            return fetcher.of(topic)
        own = self.client.allocation.get(topic) or ()
        known = fetcher.cursors.get(topic, {})
        for partition in set(known).difference(own):
            fetcher.revoke(topic, partition)
        late = any(cursor.start is not UNTOLD for cursor in known.values())
        cursors = [self._cursor(topic, partition) for partition in own]
        if start is not UNTOLD:
            fetcher.untold.discard(topic)
            for cursor in cursors:
                if cursor.start is UNTOLD:
                    cursor.start = self.client._start_of(topic, cursor.partition, start, late)
            self._claimed.discard(topic)
        return cursors

    def _cursor(self, topic, partition):
        """Return a partition's cursor, a new one with what is known of it already."""
        cursor = self.fetcher.find(topic, partition)
        if cursor is None:
            cursor = self.fetcher.cursor(topic, partition)
            self.watch.begin(topic)
            cursor.paused = (topic, partition) in self.paused
            early = self._early.pop((topic, partition), None)
            if early is None and topic in self._claimed:
                early = self.offsets[topic][partition]
            if early is not None:
                cursor.locate(early)
        return cursor

    def located(self, cursor):
        """A cursor got the position that was looked up."""
        self.offsets.note(cursor.topic, cursor.partition, cursor.handed)
        self.fetcher.wake(cursor.topic)

    def _made_again(self, topic, before):
        """
        A topic is another one than that which was read: it is read from its beginning, as whatever comes meanwhile.

        :param before: ``{partition: its position when the topic was gone}``
        """
        for cursor in self.fetcher.of(topic):
            if before.get(cursor.partition) == 0:
                continue  # it was empty, so the new one is read from its beginning already
            cursor.seek(BEGINNING)
            cursor.high_watermark = None
            self._sought(topic, cursor.partition, None)
        self.fetcher.wake(topic)

    def abandon(self):
        """Give up the look-ups that are under way: their answers will not come any more."""
        self.locating.clear()
        self.hooked.clear()
        self._settled.clear()

    # -- the application goes elsewhere --

    def seek(self, topic, partition, offset):
        """As `kiel.clients.consumer.BaseConsumer.seek`."""
        topic, partition = arguments.topic(topic), arguments.partition(partition)
        self.client._come_here()
        if isinstance(offset, numbers.Real) and not isinstance(offset, bool) and offset not in (BEGINNING, END):
            self._go_to(topic, partition, arguments.whole(offset, "offset", 0, arguments.MOST_OFFSET))
        else:
            start_to_timestamp(offset)
            self._go_to(topic, partition, start=offset)

    def _go_to(self, topic, partition, offset=None, start=UNTOLD):
        """
        Go on at an offset, or at a ``start`` that is to be looked up.

        :raises ValueError: when the partition is not this consumer's
        """
        if partition not in (self.client.allocation.get(topic) or ()):
            raise ValueError("partition %s of topic %r is not this consumer's" % (partition, topic))
        cursor = self._cursor(topic, partition)
        if offset is None:
            cursor.seek(start)
        else:
            cursor.move(offset)
            self.offsets.note(topic, partition, offset)
        cursor.not_before = 0
        self._sought(topic, partition, offset)
        self.fetcher.wake(topic)

    def _written(self, topic, partition, offset):
        """The application wrote to ``offsets``."""
        key = topic, partition
        if key in self.hooked:
            self.hooked[key] = offset
            return
        if partition not in (self.client.allocation.get(topic) or ()):
            self._early[key] = offset
            return
        cursor = self._cursor(topic, partition)
        if topic not in self.locating:
            self._go_to(topic, partition, offset)
        elif key not in self._settled:
            cursor.move(offset)
        else:
            # determine_offsets of an application's own looks all of a topic up, the missing and those being read
            self.offsets.note(topic, partition, cursor.handed)

    # -- pausing --

    def pause(self, topic, partition=None):
        """As `kiel.clients.consumer.BaseConsumer.pause`."""
        for cursor in self._some(topic, partition):
            cursor.paused = True
            self.paused.add((cursor.topic, cursor.partition))

    def resume(self, topic, partition=None):
        """As `kiel.clients.consumer.BaseConsumer.resume`."""
        for cursor in self._some(topic, partition):
            cursor.paused = False
            self.paused.discard((cursor.topic, cursor.partition))
        self.fetcher.wake(topic)
        self.fetcher.pump()

    def _some(self, topic, partition):
        """Return the cursors of one partition or of all."""
        topic = arguments.topic(topic)
        if partition is not None:
            partition = arguments.partition(partition)
        self.client._come_here()
        return [cursor for cursor in self.cursors(topic) if partition is None or cursor.partition == partition]

    # -- how far it is --

    def position(self, topic, partition):
        """As `kiel.clients.consumer.BaseConsumer.position`."""
        cursor = self.fetcher.find(topic, partition)
        return None if cursor is None or cursor.handed is None else int(cursor.handed)

    def lag(self, topic, partition):
        """As `kiel.clients.consumer.BaseConsumer.lag`."""
        cursor = self.fetcher.find(topic, partition)
        return None if cursor is None else self._lag_of(cursor)

    def lags(self):
        """Return ``{(topic, partition): its lag}``, as far as lags are known."""
        cursors = [cursor for cursors in self.fetcher.cursors.values() for cursor in cursors.values()]
        lags = dict(((cursor.topic, cursor.partition), self._lag_of(cursor)) for cursor in cursors)
        return dict((key, lag) for key, lag in lags.items() if lag is not None)

    def _lag_of(self, cursor):
        if cursor.high_watermark is None or cursor.handed is None:
            return None
        end = cursor.high_watermark
        if self.client.isolation_level == constants.READ_COMMITTED and cursor.last_stable >= 0:
            end = cursor.last_stable
        return max(0, end - cursor.handed)

    # -- synced_offsets --

    def synced(self):
        """Return the set of topics all of whose partitions have a position, or are said to have."""
        return self._claimed.union(
            topic for topic, cursors in self.fetcher.cursors.items()
            if cursors and all(cursor.located for cursor in cursors.values())
        )

    def claim(self, topic):
        """Positions are those in ``offsets``, as the application says."""
        own = self.client.allocation.get(topic) or ()
        if not own:
            self._claimed.add(topic)
        for partition in own:
            cursor = self._cursor(topic, partition)
            if not cursor.located:
                cursor.locate(self.offsets[topic][partition])
        self.fetcher.wake(topic)

    def forget(self, topic):
        """Positions are looked up anew, as the next ``start`` says."""
        self._claimed.discard(topic)
        for cursor in self.fetcher.of(topic):
            cursor.reset()
            cursor.start = UNTOLD
            self.fetcher.untold.add(topic)
            self._sought(topic, cursor.partition, None)
        self.fetcher.wake(topic)

    # -- looking up --

    def locate(self, topic, start):
        """Have the positions of a topic's partitions looked up, one look-up at a time."""
        if topic not in self.locating:
            self.locating[topic] = start
            self._settled.update(
                (topic, cursor.partition) for cursor in self.fetcher.of(topic) if cursor.located)
            self.client.io_loop.add_future(
                self._determine(topic, start), lambda future: self._determined(topic, future))

    @gen.coroutine
    def _determine(self, topic, start):
        """Look positions up; an error is put where the next `consume` raises it."""
        own = overridden(self.client.determine_offsets)
        try:
            yield outcome_of(self.client.determine_offsets(topic, start))
        except exc.KielError as error:
            if own and not isinstance(error, exc.NoOffsetsError):
                raise  # as in 0.9: whether to try again is for the application to say
            log.error("No offsets for topic %s: %s", topic, error, extra=dict(topic=topic))
            self._failed(topic, error, not error.retriable and not isinstance(error, exc.NoOffsetsError))
            yield gen.sleep(0.1)
            return
        if own:
            for cursor in self.fetcher.of(topic):
                if not cursor.located:  # in 0.9, what `offsets` has without being told is 0
                    cursor.locate(self.offsets[topic][cursor.partition])

    def to_locate(self, topic, start):
        """
        Return the cursors of our partitions of a topic that a ``determine_offsets`` is to look up: those without a
        position. They all are, where it is the application that looks up.

        :param start: what ``determine_offsets`` was told: not what `consume` was, where it is overridden
        """
        cursors = self.cursors(topic)
        by_hand = topic not in self.locating
        changed = by_hand or self.locating[topic] != start
        for cursor in cursors:
            if by_hand:
                cursor.reset()
            if cursor.start is UNTOLD or (changed and cursor.state == UNSET):
                cursor.start = start
        return cursors

    def _determined(self, topic, future):
        """A look-up ended."""
        del self.locating[topic]
        self._settled.difference_update([key for key in self._settled if key[0] == topic])
        error = future.exception()
        if error is not None:
            log.error("Looking up offsets of topic %s failed", topic, exc_info=(type(error), error, None))
            self._failed(topic, error, True)
        self.fetcher.wake(topic)
        self.fetcher.pump()

    def _failed(self, topic, error, final):
        """A look-up failed; where trying again does not mend it, the next `consume` raises the error."""
        self.client.last_error = error
        cursors = self.fetcher.of(topic) if final else []
        missing = [cursor for cursor in cursors if not cursor.located]
        for cursor in (missing or cursors)[:1]:  # of one alone: it is one error, which is raised once
            cursor.error = error
