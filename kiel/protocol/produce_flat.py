"""ProduceRequests as a producer sends them: written in one go from batches that are encoded."""
from __future__ import absolute_import

import collections
import struct

from kiel.protocol import produce, request, topic_ids
from kiel.protocol.lengths import BYTES, write_unsigned_varint
from kiel.protocol.messages import MessageSet

#: what stands before the batches is kept for so many kinds of requests
KINDS = 64

#: the first version that is written here, those with compact lengths, and those whose topics go by their ids
FIRST, FLEXIBLE, BY_ID = 3, 9, 13

Topic = collections.namedtuple("Topic", ("name", "topic_id"))

_header = struct.Struct(">hhi")
_int16 = struct.Struct(">h").pack
_int32 = struct.Struct(">i").pack
_two_int32 = struct.Struct(">ii").pack

#: (client id, transactional id, acks, time-out, version) -> the bytes between correlation id and topics
_beginnings = {}


class FlatProduceRequest(produce.ProduceRequest):
    """
    A ProduceRequest of batches, which makes no parts of them.

    It is written as the tables of `kiel.protocol.produce` say, by which the tests hold it. Whoever looks at its
    ``topics`` gets parts that were made for him.

    :param batches: tuples ``(topic, its id or None, partition id, pieces of the batch's bytes)``
    """

    # known from the beginning, so not asked for each time
    expects_response = True
    wait_time = 0

    def __init__(self, transactional_id, required_acks, timeout, batches):
        self.transactional_id = transactional_id
        self.required_acks = required_acks
        self.timeout = timeout
        self.expects_response = required_acks != 0
        self.wait_time = timeout
        self.batches = batches
        self.correlation_id = request.generate_correlation_id()
        self.narrow = None
        for _, topic_id, _, _ in batches:
            if topic_id is None or topic_id == topic_ids.NO_TOPIC:
                self.narrow = (0, BY_ID - 1)

    @property
    def max_version(self):
        """As `narrow` says; 12 while a topic's id is not known."""
        return self.version_range[1] if self.narrow is None else self.narrow[1]

    @property
    def topics(self):
        """The same as parts."""
        return topic_ids.by_topic(produce.TopicRequest, (
            (topic, produce.PartitionRequest(partition_id=partition, message_set=MessageSet.raw(pieces)))
            for topic, _, partition, pieces in self.batches
        ), self.named_ids)

    @property
    def named_ids(self):
        """``{topic: its id}`` of those whose ids are known."""
        return dict((topic, topic_id) for topic, topic_id, _, _ in self.batches if topic_id is not None)

    @property
    def named(self):
        """The topics with their names and ids, as the answer needs them."""
        return [Topic(topic, topic_id) for topic, topic_id, _, _ in self.batches]

    def pieces(self, version=None):
        """Header and body as a list of pieces of bytes."""
        if version is None:
            version = self.api_version
        if version < FIRST:
            return super(FlatProduceRequest, self).pieces(version)
        try:
            return self._written(version, version >= FLEXIBLE)
        except (struct.error, TypeError, AttributeError) as error:
            raise ValueError("ProduceRequest can't be written: %s" % error)

    def _written(self, version, flexible):
        out = [_header.pack(0, version, self.correlation_id) + self._beginning(version)]
        topics = collections.OrderedDict()
        for topic, topic_id, partition, pieces in self.batches:
            topics.setdefault((topic, topic_id), []).append((partition, pieces))
        _write_count(out.append, len(topics), flexible)
        for (topic, topic_id), entries in topics.items():
            if version >= BY_ID:
                out.append(topic_id)
            else:
                name = topic if isinstance(topic, bytes) else topic.encode("utf-8")
                if flexible:
                    write_unsigned_varint(out.append, len(name) + 1)
                    out.append(name)
                else:
                    out.append(_int16(len(name)) + name)
            _write_count(out.append, len(entries), flexible)
            for partition, pieces in entries:
                size = sum(map(len, pieces))
                if flexible:
                    out.append(_int32(partition))
                    write_unsigned_varint(out.append, size + 1)
                    out.extend(pieces)
                    out.append(b"\0")
                else:
                    out.append(_two_int32(partition, size))
                    out.extend(pieces)
            if flexible:
                out.append(b"\0")
        if flexible:
            out.append(b"\0")
        return out

    def _beginning(self, version):
        """Return what stands between the correlation id and the topics: written by the tables, once for each kind."""
        kind = self.client_id, self.transactional_id, self.required_acks, self.timeout, version
        found = _beginnings.get(kind)
        if found is None:
            empty = produce.ProduceRequest(
                transactional_id=self.transactional_id, required_acks=self.required_acks, timeout=self.timeout)
            empty.client_id = self.client_id
            whole = empty.serialize(version)
            # without the count, and the tagged fields behind it
            found = whole[_header.size:-2 if version >= FLEXIBLE else -4]
            if len(_beginnings) >= KINDS:
                _beginnings.clear()
            _beginnings[kind] = found
        return found


def _write_count(add, count, flexible):
    if not flexible:
        add(_int32(count))
    elif count < 127:
        add(BYTES[count + 1])
    else:
        write_unsigned_varint(add, count + 1)
