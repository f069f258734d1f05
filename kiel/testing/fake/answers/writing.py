"""Produce."""
from __future__ import absolute_import

import struct

from kiel.testing.fake import batches
from kiel.testing.fake.answers import shape
from kiel.testing.fake.log import TRANSACTIONAL

UNSUPPORTED_FORMAT = 43

#: from this version on, writing adds the partition to the transaction (KIP-890)
IMPLICIT = 12


def produce(call):
    """Answer a Produce."""
    cluster = call.cluster

    def answer(name, asked, log):
        code, text = shape.leads(call, log), None
        if not code:
            code, text = _refusal(call, name, asked)
        if code:
            return dict(error_code=code, error_message=text, offset=-1)
        data = asked.message_set.data
        appended = cluster.topics.by_name[name].config("message.timestamp.type") == "LogAppendTime"
        if appended:
            data = batches.stamped(data)
        code, offset = log.accept(data)
        stamp = struct.unpack_from(">q", data, 35)[0] if appended else -1
        return dict(error_code=code, offset=offset, timestamp=stamp, log_start_offset=log.start)

    topics = shape.each_partition(call, answer)
    for topic in topics:
        for partition in topic["partitions"]:
            partition.setdefault("offset", -1)
    cluster.topics.keep_within()
    cluster.written.happen()
    return dict(topics=topics)


def _refusal(call, name, asked):
    """Return the error code and text for messages that aren't taken, 0 for those that are."""
    if call.version < 3:
        return UNSUPPORTED_FORMAT, "the fake takes record batches (Produce 3 and later) only"
    data = asked.message_set.data or b""
    code, text = batches.refusal(data, int(call.cluster.topics.by_name[name].config("max.message.bytes")))
    if code or not struct.unpack_from(">h", data, 21)[0] & TRANSACTIONAL:
        return code, text
    producer_id, epoch = struct.unpack_from(">qh", data, 43)
    return call.cluster.transactions.writes(
        call.request.transactional_id, producer_id, epoch, name, asked.partition_id, call.version >= IMPLICIT), None
