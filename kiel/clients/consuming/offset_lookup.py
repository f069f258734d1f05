"""Offsets by time: where partitions begin and end, and what they held when."""
from __future__ import absolute_import

import calendar
import collections
import datetime
import time

import six
from tornado import gen

from kiel import arguments, exc
from kiel.protocol import errors
from kiel.protocol import offset as offset_api

#: ``time`` of an offset request: the first offset there is, the offset after the last
BEGINNING = -2
END = -1

EPOCH = datetime.datetime(1970, 1, 1)


def start_to_timestamp(start):
    """
    Return the time that an offset request carries: milliseconds since 1970 UTC, or `BEGINNING` or `END`.

    :param start: one of the two; a datetime, UTC unless it says otherwise; a timedelta back from now; None for `END`.
        Times before 1970 are taken as 1970: brokers read negative numbers as `BEGINNING`, `END` and the like.
    :raises ValueError: for anything else
    """
    if start is None:
        return END
    if isinstance(start, datetime.timedelta):
        return max(0, int(time.time() * 1000) - _milliseconds(start))
    if isinstance(start, datetime.datetime):
        if start.tzinfo is not None:
            start = start.replace(tzinfo=None) - start.utcoffset()
        return max(0, calendar.timegm(start.timetuple()) * 1000 + start.microsecond // 1000)
    if isinstance(start, bool) or not isinstance(start, six.integer_types) or start not in (BEGINNING, END):
        raise ValueError("start has to be BEGINNING, END, a datetime or a timedelta, not %r" % (start,))
    return start


def _milliseconds(delta):
    """Return a timedelta in whole milliseconds, without the rounding of floats."""
    return (delta.days * 86400 + delta.seconds) * 1000 + delta.microseconds // 1000


class OffsetLookup(object):
    """
    Asks the leaders of partitions for offsets.

    :param client: the `kiel.clients.client.Client` that sends; its ``handle_offset_response`` gets the answers, and
        passes them on to this object's, unless a subclass does something else with them
    :param isolation_level: `kiel.constants.READ_UNCOMMITTED` or ``READ_COMMITTED``: whether `END` is the offset after
        the last message, or the first offset of a transaction still open
    """

    def __init__(self, client, isolation_level):
        self.client = client
        self.isolation_level = isolation_level

    @gen.coroutine
    def list_offsets(self, wanted, deadline=None, tell=None):
        """
        Ask for offsets by time.

        Returns ``{(topic, partition): (offset, timestamp) or KielError}``; the offset is -1 where nothing is that late,
        the timestamp -1 where the broker does not tell.

        :param wanted: ``{(topic, partition): time}``, times in milliseconds, or `BEGINNING` or `END`
        :param deadline: seconds until what failed retriably is given up
        :param tell: called with ``(key, offset)`` of each offset that there is as soon as it comes, so that none has to
            wait for a slower one
        """
        found = yield self.client.attempt(
            list(wanted), lambda keys: self._ask_leaders(dict((key, wanted[key]) for key in keys), tell), deadline
        )
        # version 0 says by an empty list that even the oldest segment is younger than the time: that is the beginning
        again = dict(
            (key, BEGINNING) for key, value in found.items()
            if isinstance(value, tuple) and value[0] == BEGINNING and wanted[key] != BEGINNING
        )
        if again:
            found.update((yield self.list_offsets(again, deadline, tell)))
        raise gen.Return(found)

    @gen.coroutine
    def _ask_leaders(self, wanted, tell=None):
        """One round of `list_offsets`."""
        cluster = self.client.cluster
        found = {}
        by_leader = collections.defaultdict(lambda: collections.defaultdict(list))
        for (topic, partition), when in wanted.items():
            leader = cluster.leaders.get(topic, {}).get(partition)
            if leader is None:
                found[topic, partition] = exc.for_code(
                    errors.leader_not_available, "partition %s:%s" % (topic, partition)
                )
            else:
                by_leader[leader][topic].append(offset_api.PartitionRequest(
                    partition_id=partition, time=when,
                    current_leader_epoch=cluster.leader_epochs.get(topic, {}).get(partition, -1),
                ))
        yield gen.multi(
            [self._ask_leader(leader, topics, found, tell) for leader, topics in by_leader.items()],
            quiet_exceptions=exc.KielError
        )
        raise gen.Return(found)

    @gen.coroutine
    def _ask_leader(self, leader, topics, found, tell):
        """Ask one leader, and add what it says to ``found``."""
        request = offset_api.OffsetRequest(isolation_level=self.isolation_level, topics=[
            offset_api.TopicRequest(name=topic, partitions=partitions) for topic, partitions in topics.items()
        ])
        answers = yield self.client.send({leader: request})
        for answer in answers.values():
            answer = answer or {}  # a handler of an application's own may return anything
            found.update(answer)
            for key, value in answer.items() if tell is not None else ():
                if isinstance(value, tuple) and value[0] >= 0:
                    tell(key, value[0])

    def handle_offset_response(self, response):
        """Return ``{(topic, partition): (offset, timestamp) or KielError}``."""
        found = {}
        for topic in response.topics:
            for part in topic.partitions:
                where = "%s:%s" % (topic.name, part.partition_id)
                found[topic.name, part.partition_id] = exc.for_code(
                    part.error_code, "offsets of " + where, response.api, topic=topic.name
                ) or (part.offset, part.timestamp)
        return found

    @gen.coroutine
    def positions_at(self, wanted, deadline=None, tell=None):
        """
        Return where reading begins for a ``start``: ``{(topic, partition): offset or KielError}``.

        A time later than the last message means the end.

        :param wanted: ``{(topic, partition): start}``, see `start_to_timestamp`
        :param deadline: as for `list_offsets`
        :param tell: as for `list_offsets`
        """
        times = dict((key, start_to_timestamp(start)) for key, start in wanted.items())
        found = yield self.list_offsets(times, deadline, tell)
        positions = dict((key, _offset(value)) for key, value in found.items())
        late = dict((key, END) for key, offset in positions.items() if offset == -1)
        if late:
            for key, value in (yield self.list_offsets(late, deadline, tell)).items():
                positions[key] = _offset(value)
        raise gen.Return(positions)

    @gen.coroutine
    def _offsets_of(self, topic, times):
        """Return ``{partition: (offset, timestamp)}``; the first error is raised."""
        found = yield self.list_offsets(dict(((topic, partition), when) for partition, when in times.items()))
        result = {}
        for (_, partition), value in found.items():
            if isinstance(value, exc.KielError):
                raise value
            result[partition] = value
        raise gen.Return(result)

    @gen.coroutine
    def _partitions(self, topic):
        """Return a topic's partition ids, asking for the topic when it is not known."""
        cluster = self.client.cluster
        coming = self.client._come_here()
        if coming is not None:
            yield coming
        if topic not in cluster.topics:
            yield cluster.ensure(topic)
        if topic not in cluster.topics:
            raise exc.for_code(errors.unknown_topic_or_partition, "topic %s" % topic)
        raise gen.Return(cluster.topics[topic])

    @gen.coroutine
    def beginning_offsets(self, topic):
        """Return the first offset there is: ``{partition: offset}``."""
        topic = arguments.text("topic", topic)
        partitions = yield self._partitions(topic)
        found = yield self._offsets_of(topic, dict.fromkeys(partitions, BEGINNING))
        raise gen.Return(dict((partition, value[0]) for partition, value in found.items()))

    @gen.coroutine
    def end_offsets(self, topic):
        """Return the offset after the last message that may be read: ``{partition: offset}``."""
        topic = arguments.text("topic", topic)
        partitions = yield self._partitions(topic)
        found = yield self._offsets_of(topic, dict.fromkeys(partitions, END))
        raise gen.Return(dict((partition, value[0]) for partition, value in found.items()))

    @gen.coroutine
    def offsets_for_times(self, topic, when):
        """
        Return the first offset at or after a time: ``{partition: (offset, timestamp) or None}``.

        None where nothing is that late. Brokers before 0.10.1 know the times of log segments only: their offset may lie
        well before the time, never after it, and their timestamp is -1 (KIP-79).

        :param when: a datetime (UTC unless it says otherwise), a timedelta back from now, or milliseconds since 1970;
            or ``{partition: such a time}``
        """
        topic = arguments.text("topic", topic)
        if not isinstance(when, dict):
            partitions = yield self._partitions(topic)
            when = dict.fromkeys(partitions, when)
        found = yield self._offsets_of(topic, dict((partition, _time(value)) for partition, value in when.items()))
        raise gen.Return(dict(
            (partition, None if value[0] < 0 else value) for partition, value in found.items()
        ))


def _offset(answer):
    """Return the offset of a partition's answer, or the error that it is."""
    return answer[0] if isinstance(answer, tuple) else answer


def _time(value):
    """Return a number of milliseconds as it is, anything else as a ``start``."""
    if isinstance(value, six.integer_types) and not isinstance(value, bool):
        return value if value in (BEGINNING, END) else max(0, value)
    return start_to_timestamp(value)
