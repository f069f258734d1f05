"""What calls brought to a stream and it has not handed out yet, topic by topic."""
from __future__ import absolute_import

import collections

from kiel.clients.consuming.cursor import REVOKED


class Place(object):
    """One partition's part of a chunk."""

    __slots__ = ("cursor", "generation", "reached", "left", "committed")

    def __init__(self, cursor, reached, committed):
        self.cursor = cursor
        #: that of the cursor: with another one, its messages are not to be handed out any more
        self.generation = cursor.generation
        #: where reading goes on after the last of them
        self.reached = reached
        #: how many are left
        self.left = 0
        #: whether they are committed already: then nobody else would hand them out, whoever owns the partition
        self.committed = committed

    @property
    def is_live(self):
        """Whether the partition is read on after these messages."""
        return self.cursor.generation == self.generation


class Chunk(object):
    """What one call brought of a topic."""

    __slots__ = ("records", "places")

    def __init__(self, records, places):
        self.records = collections.deque(records)
        #: partition id -> `Place`
        self.places = places
        for record in records:
            places[record.partition].left += 1


class Handing(object):
    """What was handed out to one call of `Stream.next`: if nobody takes it, it is read again."""

    def __init__(self, streams):
        self._streams = streams
        #: (`Place`, the offset before its first message, the offset after its last)
        self.items = []

    def give_up(self):
        """Nobody takes it."""
        items, self.items = self.items, []
        for place, begun, reached in items:
            cursor = place.cursor
            if place.is_live:
                self._streams.take_back(cursor, begun, place.reached if place.committed else reached)
            elif cursor.continues(place.generation, begun):  # what followed was taken back before
                self._streams.take_back(cursor, begun, cursor.handed)


class Chunks(object):
    """
    The chunks of one stream, in the order in which they are served.

    :param streams: the `kiel.clients.consuming.streams.Streams`, its way to the consumer
    :param ends: the stream's `kiel.clients.consuming.until.Ends`
    """

    def __init__(self, streams, ends):
        self._streams = streams
        self._ends = ends
        self._chunks = collections.OrderedDict()  # topic -> `Chunk`

    def __len__(self):
        return len(self._chunks)

    def __contains__(self, topic):
        return topic in self._chunks

    def clear(self):
        """Forget all."""
        self._chunks.clear()

    def give_back(self, condition):
        """Let whoever reads on read again what is here of partitions for whose cursors a condition holds."""
        for chunk in list(self._chunks.values()):
            for place in chunk.places.values():
                if place.left and condition(place.cursor):
                    self._return(place)

    def keep(self, topic, records, taken):
        """Keep what a call brought; it is not handed out yet."""
        group = self._streams.group
        places = {}
        for cursor, generation, begun in taken:
            if not cursor.continues(generation, begun) and cursor.error is None:
                if not (cursor.state == REVOKED and group.is_committed(cursor, cursor.handed)):
                    continue  # it was sought elsewhere, or given away
            places[cursor.partition] = Place(cursor, cursor.handed, group.is_committed(cursor, cursor.handed))
            if cursor.state != REVOKED:
                self._streams.put_before(cursor, begun)
        records = [record for record in records if record.partition in places]
        if records:
            self._chunks[topic] = Chunk(records, places)

    def is_ready(self):
        """Return whether a message is there; what must not be handed out any more is dropped."""
        while self._chunks:
            topic = next(iter(self._chunks))
            chunk = self._chunks[topic]
            while chunk.records and not self._may_hand_out(chunk):
                chunk.records.popleft()
            if chunk.records:
                return True
            del self._chunks[topic]
        return False

    def _may_hand_out(self, chunk):
        """Return whether the first message of a chunk may be handed out."""
        record = chunk.records[0]
        place = chunk.places[record.partition]
        cursor = place.cursor
        if not place.is_live:
            return place.committed and cursor.state == REVOKED
        if cursor.paused or (self._streams.fetcher.suspended and not place.committed):
            self._return(place)
            return False
        if self._ends.known and record.offset >= self._ends.of(cursor):
            self._streams.put_before(cursor, max(cursor.handed, self._ends.of(cursor)))
            self._return(place)
            return False
        return True

    def take_one(self, handing):
        """Hand out the first message: its record."""
        topic = next(iter(self._chunks))
        chunk = self._chunks[topic]
        record = chunk.records.popleft()
        self._hand_out(handing, chunk.places[record.partition], record.offset, 1)
        if not chunk.records:
            del self._chunks[topic]
        elif len(self._chunks) > 1:
            self._chunks[topic] = self._chunks.pop(topic)  # the next topic's turn
        return record

    def take_list(self, handing, most=None, all_of_it=False):
        """
        Hand out a chunk: a list of records.

        :param most: the number of records at most, or None
        :param all_of_it: whether to hand out those of other chunks, too
        """
        found = []
        while (most is None or len(found) < most) and self.is_ready():
            topic = next(iter(self._chunks))
            chunk = self._chunks[topic]
            counts, last = collections.Counter(), {}
            while chunk.records and (most is None or len(found) < most):
                if not self._may_hand_out(chunk):
                    chunk.records.popleft()
                    continue
                record = chunk.records.popleft()
                found.append(record)
                counts[record.partition] += 1
                last[record.partition] = record.offset
            for partition, offset in last.items():
                self._hand_out(handing, chunk.places[partition], offset, counts[partition])
            if not chunk.records:
                del self._chunks[topic]
            if not all_of_it:
                break
        return found

    def _hand_out(self, handing, place, offset, count):
        """Messages of a partition are handed out, the last of them at an offset."""
        place.left -= count
        if not place.is_live:
            return  # it is somebody else's to go on with
        begun = place.cursor.handed
        reached = offset + 1 if place.left else place.reached
        self._streams.hand_over(place.cursor, reached, place.committed)
        handing.items.append((place, begun, reached))

    def _return(self, place):
        """Give the rest of a partition's messages back."""
        place.left = 0
        place.committed = False
        if place.is_live:
            self._streams.take_back(place.cursor, place.cursor.handed, place.reached)
