"""The fast way into the batches of one topic, for messages with keys or headers that follow one another."""
from __future__ import absolute_import

import functools

import six

from kiel import speedups
from kiel.clients.producing.batch import MOST_RECORDS, RECORD_OVERHEAD
from kiel.clients.producing.delivery import Delivery
from kiel.partitioners import murmur2_hash

#: the most messages of a run
MOST = 4096

#: after a run in which no message followed, so many messages begin none: messages of other kinds come in between
REST = 16

#: the place of messages of which chance decides where they go
CHANCE = -1

_text = six.text_type
_PLAIN = (list, tuple)
_new = object.__new__


class LabelledRun(object):
    """
    Messages with keys or headers, and the time stamp of the turn, that follow one another into the batches of a topic.

    As with `kiel.clients.producing.append_run.AppendRun`, much is the same for all of them. Each partition that some
    of them go to has a place, with the batch that is open there; what they take is counted at the `end`, in the sizes
    of the batches and in the buffer. Whoever reads those ends the run first.

    ``take(key, value, headers)`` appends one message and returns its Delivery. It returns None, and has done nothing,
    for what it has no room for and for all that is not as plain as most: the way of every message sees to that, and
    says what is wrong with it. It is `take` of this module, or the same in C.

    :param count: called at the end with the number of messages and their bytes, as the buffer counts them
    :param begun: called without arguments when a run has begun; None for nothing
    """

    __slots__ = (
        "topic", "since", "until", "take", "_left", "_places", "_route", "_stamp", "_began", "_rest", "_count", "_begun"
    )

    def __init__(self, count, begun=None):
        #: the topic; None without a run
        self.topic = None
        #: messages may be appended from this time on, and before that one (`time.time`)
        self.since = self.until = 0.0
        #: how many messages, and bytes of the buffer, are left, 0 messages without a run; and the number of partitions
        #: among which keys decide, 0 where chance does
        self._left = [0, 0, 0]
        #: index of the partition, or `CHANCE` -> [values, keys, headers, bytes that are left, batch, bytes at first]
        self._places = {}
        self._route = None
        self._stamp = 0
        self._began = (0, 0)  # what was left at first
        self._rest = 0  # how many messages begin no run
        self._count = count
        self._begun = begun
        if speedups.native is None:
            self.take = functools.partial(take, self._left, self._places, self._open)
        else:
            self.take = speedups.native.taker(
                self._left, self._places, self._open, Delivery, RECORD_OVERHEAD, MOST_RECORDS)

    def begin(self, topic, route, by_key, turn, room, messages):
        """
        Let messages follow the last one.

        :param route: the topic's `kiel.clients.producing.routes.Route`
        :param by_key: whether `kiel.partitioners.murmur2` decides on those with a key; otherwise chance does
        :param turn: the `kiel.fairness.Turn` that was just asked for the time
        :param room: bytes that are left in the producer's buffer
        :param messages: how many may be appended before sending is set off
        """
        self.end()
        if self._rest:
            self._rest -= 1
            return
        self.topic = topic
        self._route = route
        self.since, self.until, self._stamp = turn.last, turn.next, turn.ms
        self._began = min(MOST, messages), room
        self._left[:] = self._began + (len(route.ids) if by_key else 0,)
        if self._begun is not None:
            self._begun()

    def _open(self, place, size):
        """Make a place for a message of that size, if there is an open batch with room; return whether there is."""
        batch = self._route.chosen if place < 0 else self._route.queues[self._route.ids[place]].open
        if batch is None:
            return False
        room = min(batch.limit - batch.size, batch.most)
        if size > room:
            return False
        for other in self._places.values():
            if other[4] is batch:
                self._places[place] = other
                return other[3] >= size
        records = batch.records
        index = len(records.values)
        if not index or index >= MOST_RECORDS:
            return False
        if records.stamp != self._stamp:
            records.date(index, self._stamp)
        if records.keys is None:
            records.keys, records.headers = [None] * index, [None] * index
        batch.run = self
        self._places[place] = [records.values, records.keys, records.headers, room, batch, batch.size + room]
        return True

    @property
    def uncounted(self):
        """Bytes of what was appended and is not counted yet."""
        return 0 if self.topic is None else self._began[1] - self._left[1]

    def end(self):
        """Count what was appended, if there is a run."""
        if self.topic is None:
            return
        self.topic = self._route = None
        (messages, room), left = self._began, self._left
        messages, size = messages - left[0], room - left[1]
        left[0] = 0
        for _, _, _, room, batch, limit in self._places.values():
            batch.run = None
            batch.size = limit - room
        self._places.clear()
        self._rest = 0 if messages else REST
        if messages:
            self._count(messages, size)


def take(left, places, make, key, value, headers):
    """
    Append a message to the batch of its partition; return its Delivery, None for what is to go another way.

    The twin of `taker` in ``kiel/speedups.c``.

    :param left: [messages, bytes, partitions], see `LabelledRun`
    :param places: see `LabelledRun`
    :param make: called with a place that there is not, and the size of a message; returns whether there is one now
    """
    if value.__class__ is not bytes:
        if value.__class__ is not _text:
            return None
        value = value.encode("utf-8")
    size = RECORD_OVERHEAD + len(value)
    place = CHANCE
    if key is not None:
        if key.__class__ is not bytes:
            if key.__class__ is not _text:
                return None
            key = key.encode("utf-8")
        size += len(key)
        if left[2]:
            place = (murmur2_hash(key) & 0x7fffffff) % left[2]
    if headers is not None:
        headers, more = plain_headers(headers)
        if more < 0:
            return None
        size += more
    found = places.get(place)
    if found is None:
        if not left[0] or not make(place, size):
            return None
        found = places[place]
    values = found[0]
    index = len(values)
    if not left[0] or left[1] < size or found[3] < size or index >= MOST_RECORDS:
        return None
    left[0] -= 1
    left[1] -= size
    found[3] -= size
    values.append(value)
    found[1].append(key)
    found[2].append(headers)
    delivery = _new(Delivery)  # half the time of its constructor
    delivery.batch = found[4]
    delivery.index = index
    return delivery


def plain_headers(headers):
    """Return headers as they are written, None for none, and their bytes; -1 for any that are not plain."""
    if headers.__class__ is dict:
        headers = headers.items()
    elif headers.__class__ not in _PLAIN:
        return None, -1
    size = 0
    for pair in headers:
        if pair.__class__ is not tuple or len(pair) != 2:
            return None, -1
        name, content = pair
        if name.__class__ is not str or not name or content.__class__ is not bytes:
            return None, -1
        size += 10 + len(name) + len(content)
    return tuple(headers) or None, size
