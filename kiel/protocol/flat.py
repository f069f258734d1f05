"""
The requests that carry messages, as clients send them: written in one go, without a part for each topic and partition.

They are written as the tables of `kiel.protocol.produce` and `kiel.protocol.fetch` say, by which the tests hold them.
Whoever looks at the ``topics`` of one gets parts that were made for him.
"""
from __future__ import absolute_import

import struct

from kiel.protocol import fetch, produce, request, topic_ids
from kiel.protocol.lengths import BYTES, write_unsigned_varint
from kiel.protocol.messages import MessageSet
from kiel.protocol.topic_ids import Ordered

#: what stands before the batches is kept for so many kinds of requests
KINDS = 64

#: ProduceRequest: the first version that is written here, and the first with compact lengths
PRODUCE_FIRST, PRODUCE_FLEXIBLE = 3, 9

#: FetchRequest: the first version that is written here, which has compact lengths, and the first without a replica id
FETCH_FIRST, FETCH_WITHOUT_REPLICA = 12, 15

#: the first version of both whose topics go by their ids
BY_ID = 13

_header = struct.Struct(">hhi")
_int16 = struct.Struct(">h").pack
_int32 = struct.Struct(">i").pack
_two_int32 = struct.Struct(">ii").pack
_limits = struct.Struct(">iiibii").pack
#: a partition to be fetched; the byte at its end says that there are no tagged fields
_fetched = struct.Struct(">iiqiqix").pack

#: (client id, transactional id, acks, time-out, version) -> the bytes between correlation id and topics
_beginnings = {}


class FlatProduceRequest(produce.ProduceRequest):
    """
    A ProduceRequest of batches.

    :param batches: tuples ``(topic, its id or None, partition id, pieces of the batch's bytes)``
    :param versions: the lowest and the highest that may be used; None: all that there are
    """

    # known from the beginning, so not asked for each time
    expects_response = True
    wait_time = 0
    topic_names = None
    min_version, max_version = produce.ProduceRequest.version_range

    def __init__(self, transactional_id, required_acks, timeout, batches, versions=None):
        self.transactional_id = transactional_id
        self.required_acks = required_acks
        self.timeout = timeout
        self.expects_response = required_acks != 0
        self.wait_time = timeout
        self.batches = batches
        self.correlation_id = request.next_id()
        if versions is not None:
            self.min_version, self.max_version = versions
        #: topic id -> topic, of those whose ids are known: what the answer needs
        self.topic_names = {}
        for topic, topic_id, _, _ in batches:
            if topic_id is None or topic_id == topic_ids.NO_TOPIC:
                self.max_version = min(self.max_version, BY_ID - 1)
            else:
                self.topic_names[topic_id] = topic

    @property
    def topics(self):
        """The same as parts."""
        return topic_ids.by_topic(produce.TopicRequest, (
            (topic, produce.PartitionRequest(partition_id=partition, message_set=MessageSet.raw(pieces)))
            for topic, _, partition, pieces in self.batches
        ), dict((topic, topic_id) for topic_id, topic in self.topic_names.items()))

    def pieces(self, version=None):
        """Header and body as a list of pieces of bytes."""
        if version is None:
            version = self.api_version
        if version < PRODUCE_FIRST:
            return super(FlatProduceRequest, self).pieces(version)
        try:
            return self._written(version, version >= PRODUCE_FLEXIBLE)
        except (struct.error, TypeError, AttributeError) as error:
            raise ValueError("ProduceRequest can't be written: %s" % error)

    def _written(self, version, flexible):
        out = [_header.pack(0, version, self.correlation_id) + self._beginning(version)]
        add = out.append
        write_length = _write_compact if flexible else _write_int32
        topics = _grouped(self.batches)
        write_length(add, len(topics))
        for (topic, topic_id), batches in topics.items():
            if version >= BY_ID:
                add(topic_id)
            elif flexible:
                _write_text(add, topic)
            else:
                name = _utf8(topic)
                add(_int16(len(name)) + name)
            write_length(add, len(batches))
            for _, _, partition, pieces in batches:
                size = sum(map(len, pieces))
                if flexible:
                    add(_int32(partition))
                    _write_compact(add, size)
                    out.extend(pieces)
                    add(b"\0")
                else:
                    add(_two_int32(partition, size))
                    out.extend(pieces)
            if flexible:
                add(b"\0")
        if flexible:
            add(b"\0")
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
            found = whole[_header.size:-2 if version >= PRODUCE_FLEXIBLE else -4]
            if len(_beginnings) >= KINDS:
                _beginnings.clear()
            _beginnings[kind] = found
        return found


class FlatFetchRequest(fetch.FetchRequest):
    """
    A FetchRequest of a consumer.

    :param partitions: tuples ``(topic, its id, partition id, current leader epoch, offset, last fetched epoch, most
        bytes)``
    :param forgotten: tuples ``(topic, its id, partition id)`` of what leaves the session
    :param names: ``{topic id: topic}`` of all that the answer may bring
    :param by_id: whether the ids of all topics are known
    """

    # known from the beginning, so not asked for each time
    wait_time = 0
    topic_names = None
    min_version, max_version = fetch.FetchRequest.version_range

    def __init__(self, max_wait_time, min_bytes, max_bytes, isolation_level, rack_id, session_id, session_epoch,
                 partitions, forgotten, names, by_id):
        self.max_wait_time = self.wait_time = max_wait_time
        self.min_bytes = min_bytes
        self.max_bytes = max_bytes
        self.isolation_level = isolation_level
        self.rack_id = rack_id
        self.session_id = session_id
        self.session_epoch = session_epoch
        self.partitions = partitions
        self.forgotten = forgotten
        self.topic_names = names
        if not by_id:
            self.max_version = BY_ID - 1
        self.correlation_id = request.next_id()

    @property
    def topics(self):
        """The same as parts."""
        return [fetch.TopicRequest(name=topic, topic_id=topic_id, partitions=[
            fetch.PartitionRequest(
                partition_id=partition, current_leader_epoch=epoch, offset=offset, last_fetched_epoch=fetched,
                max_bytes=most)
            for _, _, partition, epoch, offset, fetched, most in asked
        ]) for (topic, topic_id), asked in _grouped(self.partitions).items()]

    @property
    def forgotten_topics(self):
        """The same as parts."""
        return [
            fetch.ForgottenTopic(name=topic, topic_id=topic_id, partitions=[partition for _, _, partition in left])
            for (topic, topic_id), left in _grouped(self.forgotten).items()
        ]

    def pieces(self, version=None):
        """Header and body as a list of pieces of bytes."""
        if version is None:
            version = self.api_version
        if version < FETCH_FIRST:
            return super(FlatFetchRequest, self).pieces(version)
        try:
            return self._written(version)
        except (struct.error, TypeError, AttributeError) as error:
            raise ValueError("FetchRequest can't be written: %s" % error)

    def _written(self, version):
        name = None if self.client_id is None else _utf8(self.client_id)
        out = [_header.pack(1, version, self.correlation_id) + _int16(-1 if name is None else len(name))]
        add = out.append
        add((name or b"") + b"\0")
        if version < FETCH_WITHOUT_REPLICA:
            add(_int32(-1))
        add(_limits(
            self.max_wait_time, self.min_bytes, self.max_bytes, self.isolation_level, self.session_id,
            self.session_epoch
        ))
        topics = _grouped(self.partitions)
        _write_compact(add, len(topics))
        for (topic, topic_id), asked in topics.items():
            if version >= BY_ID:
                add(topic_id)
            else:
                _write_text(add, topic)
            _write_compact(add, len(asked))
            for _, _, partition, epoch, offset, fetched, most in asked:
                add(_fetched(partition, epoch, offset, fetched, -1, most))
            add(b"\0")
        topics = _grouped(self.forgotten)
        _write_compact(add, len(topics))
        for (topic, topic_id), left in topics.items():
            if version >= BY_ID:
                add(topic_id)
            else:
                _write_text(add, topic)
            _write_compact(add, len(left))
            for _, _, partition in left:
                add(_int32(partition))
            add(b"\0")
        _write_text(add, self.rack_id)
        add(b"\0")
        return out


def _grouped(entries):
    """Return ``{(topic, its id): entries}``, in the order in which they are met."""
    topics = Ordered()
    for entry in entries:
        topics.setdefault(entry[:2], []).append(entry)
    return topics


def _utf8(text):
    return text if isinstance(text, bytes) else text.encode("utf-8")


def _write_int32(add, length):
    add(_int32(length))


def _write_compact(add, length):
    """Write a length as flexible versions have it: plus 1, as a varint, whose one and two bytes are most of them."""
    if length < 0x7f:
        add(BYTES[length + 1])
    elif length < 0x3fff:
        add(BYTES[length + 1 & 0x7f | 0x80] + BYTES[length + 1 >> 7])
    else:
        write_unsigned_varint(add, length + 1)


def _write_text(add, text):
    raw = _utf8(text)
    _write_compact(add, len(raw))
    add(raw)
