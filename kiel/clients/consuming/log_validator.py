"""
Logs that were cut behind a reader's back, and positions that are out of range (KIP-320, KIP-595).

After an unclean election a leader may lack what was read from the one before. A reader that says in which leader epoch
it has read is told: in the answer of a fetch from version 12 on, and before that, on brokers from 2.3 on, by a question
of its own after each change of leader. What then happens is the consumer's ``offset_reset``.
"""
from __future__ import absolute_import

import datetime
import logging
import numbers

from tornado import gen

from kiel import exc
from kiel.clients.consuming.cursor import epoch_of, offset_of
from kiel.clients.consuming.offset_lookup import BEGINNING, END
from kiel.protocol import errors, offset_for_leader_epoch as api, topic_ids

log = logging.getLogger(__name__)

#: ``offset_reset`` that leaves the position where it is: every `consume` raises until the caller seeks
ERROR = "error"

#: names of ``offset_reset`` -> what they mean
POLICIES = {None: None, ERROR: ERROR, "beginning": BEGINNING, "end": END}


def policy(value):
    """
    Return what an ``offset_reset`` means: None, `ERROR`, or a ``start`` as
    `kiel.clients.consuming.offset_lookup.start_to_timestamp` takes it.

    :raises ValueError: for anything that is none
    """
    if isinstance(value, datetime.timedelta):
        return value
    if isinstance(value, numbers.Real) and not isinstance(value, bool) and value >= 0:
        return datetime.timedelta(seconds=value)
    try:
        return POLICIES[value]
    except (KeyError, TypeError):
        raise ValueError("offset_reset has to be 'beginning', 'end', 'error', None, or seconds, not %r" % (value,))


class LogValidator(object):
    """
    Finds out whether logs were cut or positions are out of range, says so, and goes on as ``offset_reset`` says.

    :param client: the `kiel.clients.consumer.BaseConsumer`: its cluster, its ``reset_start`` and ``last_error``
    :param limits: has ``offset_reset``
    :param fetcher: the `kiel.clients.consuming.fetcher.Fetcher` that this is part of: who waits, its next round
    """

    def __init__(self, client, limits, fetcher):
        self.client = client
        self.limits = limits
        self.fetcher = fetcher

    def check(self, conn, cursors):
        """
        Ask a leader about those cursors whose position it has not confirmed yet. Returns the others.

        Only for brokers whose fetches don't do that by themselves, and that consumers may ask at all.
        """
        if not conn.reaches("offset_for_leader_epoch", 3):
            return cursors
        epochs = self.client.cluster.leader_epochs
        doubtful = [
            cursor for cursor in cursors
            if cursor.epoch >= 0 and cursor.checked < epochs.get(cursor.topic, {}).get(cursor.partition, -1)
        ]
        if not doubtful:
            return cursors
        request = api.OffsetForLeaderEpochRequest(topics=topic_ids.by_topic(api.TopicRequest, (
            (cursor.topic, api.PartitionRequest(
                partition_id=cursor.partition, leader_epoch=cursor.epoch,
                current_leader_epoch=epochs[cursor.topic][cursor.partition],
            )) for cursor in doubtful
        )))
        for cursor in doubtful:
            cursor.check(request)
        sent = self._ask_for_ends(conn, request, doubtful)
        self.client.io_loop.add_future(sent, lambda future: self._checked(future, doubtful, request))
        return [cursor for cursor in cursors if not cursor.awaits(request)]

    @gen.coroutine
    def _ask_for_ends(self, conn, request, cursors):
        """Send the question and deal with its answer, or its failure."""
        known = dict(
            ((topic.name, part.partition_id), part.current_leader_epoch)
            for topic in request.topics for part in topic.partitions
        )
        try:
            response = yield conn.send(request)
        except exc.KielError as error:
            self._failed(conn, error, [cursor for cursor in cursors if cursor.awaits(request)])
            return
        ends = dict(
            ((topic.name, part.partition_id), part) for topic in response.topics for part in topic.partitions
        )
        outdated = False
        for cursor in cursors:
            key = cursor.topic, cursor.partition
            if cursor.awaits(request):
                outdated = self._take_end(cursor, ends.get(key), known[key]) or outdated
        if outdated:
            self.fetcher.refresh_metadata()

    def _failed(self, conn, error, cursors):
        """The question failed as a whole."""
        if not self.client.closing:
            self.client.cluster.warn("Checking leader epochs with broker %s failed: %s", conn.broker_id, error)
        self.client.last_error = error
        for cursor in cursors:
            cursor.failed()
            if not error.retriable:
                self.fetcher.fail(cursor, error)
        self.fetcher.refresh_metadata()

    def _take_end(self, cursor, part, leader_epoch):
        """Take one partition's answer. Returns whether metadata is out of date."""
        where = "%s:%s" % (cursor.topic, cursor.partition)
        error = exc.for_code(part.error_code if part is not None else errors.unknown, "epoch %d of %s" % (
            cursor.epoch, where
        ), "offset_for_leader_epoch", topic=cursor.topic)
        if error is None:
            if part.end_offset < 0 or part.leader_epoch < 0:
                self.diverged(cursor, None, -1)
            elif part.end_offset < cursor.position:
                self.diverged(cursor, part.end_offset, part.leader_epoch)
                if cursor.position == part.end_offset:
                    cursor.checked = leader_epoch
            else:
                cursor.confirmed(leader_epoch)
            return False
        if not error.retriable:
            log.warning("%s: can't check whether the log was truncated", error, extra=cursor.fields)
            cursor.confirmed(leader_epoch)
            return False
        log.warning("%s", error, extra=cursor.fields)
        cursor.failed()
        return error.cure == "metadata"

    def _checked(self, future, cursors, request):
        """A check is over; a mistake in here must reach somebody."""
        error = future.exception()
        if error is not None:
            log.error("A check of leader epochs ended with an unexpected error", exc_info=(type(error), error, None))
            for cursor in cursors:
                if cursor.awaits(request):
                    cursor.failed()
                    self.fetcher.fail(cursor, error)
        self.fetcher.pump()

    def diverged(self, cursor, end, epoch):
        """
        The leader's log is another one than what was read.

        :param end: the offset up to which both are the same; None when the leader does not know the epoch at all
        :param epoch: the leader epoch of the message before ``end``
        """
        handed = cursor.handed
        if end is not None and end >= handed:
            log.info("%s:%s: the log was truncated at %d, before anything from there on was handed out",
                     cursor.topic, cursor.partition, end, extra=cursor.fields)
            # with the older epoch: else the leader, which lacks the newer, would say so again and again
            cursor.put_back(offset_of(int(handed), min(epoch_of(handed), epoch)))
            cursor.rest()
            return
        error = exc.LogTruncationError(cursor.topic, cursor.partition, int(handed), end)
        self.client.last_error = error
        if self.limits.offset_reset == ERROR:
            log.warning("%s; reading goes on after a seek", error, extra=cursor.fields)
            if cursor.holds:
                cursor.move(handed)  # what is buffered is gone, too; a fetch from here is told the same again
                cursor.rest()
            else:
                cursor.failed()
            cursor.error = error
        else:
            log.warning("%s; %s", error, "the position is reset" if end is None else
                        "messages %d to %d, which were handed out, are gone, and reading goes on at %d" % (
                            end, handed - 1, end), extra=cursor.fields)
            if end is not None:
                cursor.move(offset_of(end, epoch))
                cursor.rest()
                self.client.offsets.note(cursor.topic, cursor.partition, end)
            else:
                self.begin_anew(cursor)
            if self.limits.offset_reset is None:
                cursor.error = error
        self.fetcher.wake(cursor.topic)

    def begin_anew(self, cursor):
        """Have a position looked up by the policy, since the one there was is no good any more."""
        cursor.lose(self.client.reset_start(cursor))
        cursor.rest()  # should the position found anew be out of range, too, it must not go round and round
