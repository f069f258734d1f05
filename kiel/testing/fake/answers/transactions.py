"""What a transaction's coordinator is asked."""
from __future__ import absolute_import

from kiel.testing.fake.answers import groups, shape
from kiel.testing.fake.transactions import FENCED, INVALID_EPOCH

NOT_COORDINATOR, NOT_ATTEMPTED = 16, 55

#: from these versions on, committing adds the group to the transaction, and its end ends the epoch (KIP-890)
IMPLICIT_GROUP, BUMPS = 5, 5


def _wrong_broker(call):
    return 0 if call.broker_id == call.cluster.coordinator else NOT_COORDINATOR


def init_producer_id(call):
    """Answer an InitProducerId."""
    code = call.code() or call.request.transactional_id is not None and _wrong_broker(call)
    if code:
        return dict(error_code=code, producer_id=-1, producer_epoch=-1)
    return _fenced(call, call.cluster.transactions.init(call.request), 4)


def _fenced(call, fields, since):
    """Return an answer with the code for fencing that clients of its version know."""
    if fields["error_code"] == FENCED and call.version < since:
        fields["error_code"] = INVALID_EPOCH
    return fields


def _signed(call, since):
    """Return the transaction of a request, and an error code."""
    known, code = call.cluster.transactions.find(call.request, FENCED if call.version >= since else INVALID_EPOCH)
    return known, call.code() or _wrong_broker(call) or code


def add_partitions_to_txn(call):
    """Answer an AddPartitionsToTxn."""
    known, signed = _signed(call, 2)

    def code(name, number):
        missing = call.cluster.topics.log(name, number) is None
        return signed or call.code(name, number) or (shape.UNKNOWN_TOPIC if missing else 0)

    codes = dict(((topic.name, number), code(topic.name, number))
                 for topic in call.request.topics for number in topic.partitions)
    if any(codes.values()):  # all or none
        codes = dict((key, code or NOT_ATTEMPTED) for key, code in codes.items())
    elif codes:
        known.partitions.update(codes)
        known.began()
    return dict(topics=[dict(name=topic.name, partitions=[
        dict(partition_id=number, error_code=codes[topic.name, number]) for number in topic.partitions
    ]) for topic in call.request.topics])


def add_offsets_to_txn(call):
    """Answer an AddOffsetsToTxn."""
    known, code = _signed(call, 2)
    if not code:
        known.groups.add(call.request.group)
        known.began()
    return dict(error_code=code)


def end_txn(call):
    """Answer an EndTxn."""
    code = call.code() or _wrong_broker(call)
    if code:
        return dict(error_code=code)
    return _fenced(call, call.cluster.transactions.end_request(call.request, call.version >= BUMPS), 2)


def txn_offset_commit(call):
    """Answer a TxnOffsetCommit."""
    request = call.request
    known, code = _signed(call, 99)
    if not code and request.group not in known.groups:
        if call.version >= IMPLICIT_GROUP:
            known.groups.add(request.group)
            known.began()
        else:
            code = 48
    group = call.cluster.groups.find(request.group)
    if not code and group is not None and request.generation >= 0:
        code = group.commit_error(request.member_id, request.generation, request.group_instance_id)
    offsets = {}
    topics = groups.committed(call, code, offsets)
    if offsets:
        call.cluster.groups.hold(request.group, request.producer_id, offsets)
    return dict(topics=topics)
