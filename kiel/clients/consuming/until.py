"""Where a bounded read ends: the offset of each partition that is not read any more."""
from __future__ import absolute_import

import datetime

from tornado import gen

from kiel import exc
from kiel.clients.consuming import arguments
from kiel.clients.consuming.offset_lookup import BEGINNING, END, start_to_timestamp


class Ends(object):
    """The ends of one bounded read, once they are known; of one that goes on for ever they never are."""

    def __init__(self):
        #: topic -> {partition id: first offset that is not read}, None while that is not known
        self.offsets = None

    @property
    def known(self):
        """Whether reading has an end, and that is known."""
        return self.offsets is not None

    def of(self, cursor):
        """Return the first offset of a partition that is not read; partitions that came later are not."""
        return self.offsets.get(cursor.topic, {}).get(cursor.partition, 0)

    def reached(self, cursor):
        """Return whether all of a partition is handed out that is to be."""
        return self.offsets is not None and cursor.handed is not None and cursor.handed >= self.of(cursor)


class Until(object):
    """
    The end of a bounded read, as the caller gives it.

    :param value: `END` (what is there when reading begins), a datetime or timedelta (messages before that time, as far
        as they are there when reading begins), an offset for every partition, or ``{partition: offset}``, each the
        first offset that is not read
    :raises TypeError: for anything else
    :raises ValueError: for an offset out of range
    """

    def __init__(self, value):
        self._value = value
        if isinstance(value, dict):
            self._value = dict((arguments.partition(partition), arguments.whole(
                offset, "until", 0, arguments.MOST_OFFSET)) for partition, offset in value.items())
        elif isinstance(value, (datetime.datetime, datetime.timedelta)):
            # so long ago from now, not from when it is looked up
            self._value = start_to_timestamp(value)
            self._is_time = True
            return
        elif value == BEGINNING:
            raise ValueError("until has to be END, a time or an offset; nothing comes before BEGINNING")
        elif value != END or isinstance(value, bool):
            self._value = arguments.whole(value, "until", 0, arguments.MOST_OFFSET)
        self._is_time = False

    @gen.coroutine
    def find(self, lookup, topics):
        """
        Look the ends up. Return ``{topic: {partition: offset}}``.

        :param lookup: the `kiel.clients.consuming.offset_lookup.OffsetLookup`
        :raises kiel.exc.KielError: when they can't be found
        """
        ends = yield _all([lookup.end_offsets(topic) for topic in topics])
        found = dict(zip(topics, ends))
        if self._is_time:
            times = yield _all([lookup.offsets_for_times(topic, self._value) for topic in topics])
            for topic, answer in zip(topics, times):
                for partition, place in answer.items():
                    if place is not None:
                        found[topic][partition] = min(place[0], found[topic][partition])
        elif self._value != END:
            for topic in topics:
                for partition, end in found[topic].items():
                    wanted = self._value.get(partition, 0) if isinstance(self._value, dict) else self._value
                    found[topic][partition] = min(wanted, end)
        raise gen.Return(found)


def _all(futures):
    """Return a Future of all their results, or of the first error, which tells enough."""
    return gen.multi(futures, quiet_exceptions=exc.KielError)
