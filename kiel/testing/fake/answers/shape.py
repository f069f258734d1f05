"""The shape that most answers have: topics, partitions in them, an error code each."""
from __future__ import absolute_import

#: error codes
UNKNOWN_TOPIC, NOT_LEADER, UNKNOWN_TOPIC_ID = 3, 6, 100


def each_partition(call, answer, topics=None, by_number=False):
    """
    Return the topics of an answer.

    :param answer: called with a topic's name, what was asked of a partition, and its log or None; returns fields
    :param topics: default: those of the request
    :param by_number: whether partitions are numbers, instead of parts with a ``partition_id``
    """
    out = []
    for asked_topic in call.request.topics if topics is None else topics:
        topic = call.cluster.topics.find(asked_topic)
        name = topic.name if topic is not None else getattr(asked_topic, "name", None) or None
        partitions = []
        for asked in asked_topic.partitions:
            number = asked if by_number else asked.partition_id
            code = call.code(name, number) or (UNKNOWN_TOPIC_ID if name is None else 0)
            fields = {} if code else answer(name, asked, call.cluster.topics.log(name, number))
            partitions.append(dict(dict(error_code=code, partition_id=number), **fields))
        out.append(dict(partitions=partitions))
        for key in ("name", "topic_id"):
            if getattr(asked_topic, key, None):
                out[-1][key] = getattr(asked_topic, key)
    return out


def leads(call, log):
    """Return an error code unless the broker that was asked leads the partition."""
    if log is None:
        return UNKNOWN_TOPIC
    return 0 if log.leader == call.broker_id else NOT_LEADER


def fenced(log, asked):
    """Return an error code unless the client knows the leader's epoch, or none."""
    known = getattr(asked, "current_leader_epoch", -1)
    return 0 if known in (-1, log.epoch) else 74 if known < log.epoch else 75
