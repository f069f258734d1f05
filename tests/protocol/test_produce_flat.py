# coding: utf-8
"""A ProduceRequest that is written in one go has the bytes that the tables give."""
from __future__ import absolute_import

import pytest

from kiel.protocol import produce, produce_flat, request, topic_ids

from tests.protocol import random_messages

VERSIONS = range(produce.ProduceRequest.version_range[0], produce.ProduceRequest.version_range[1] + 1)


def by_tables(flat):
    """The same request made of parts."""
    made = produce.ProduceRequest(
        transactional_id=flat.transactional_id, required_acks=flat.required_acks, timeout=flat.timeout,
        topics=[
            topic.copy(partitions=[part.copy() for part in topic.partitions]) for topic in flat.topics
        ])
    made.client_id, made.correlation_id = flat.client_id, flat.correlation_id
    return made


def some(rnd, ids=True):
    """Batches of some topics, as a producer has them."""
    topics = [(name, random_messages.some_bytes(rnd, 16) if ids else None)
              for name in ("t", "topic-1", "n" * 130)[:rnd.randrange(1, 4)]]
    batches = []
    for partition in range(rnd.choice((1, 2, 5, 140))):
        topic, topic_id = rnd.choice(topics)
        pieces = [rnd.choice((b"a", b"b", b"c")) * rnd.choice((1, 100, 130, 20000)) for _ in range(rnd.randrange(1, 4))]
        batches.append((topic, topic_id, partition, pieces))
    return batches


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_as_by_the_tables(version):
    rnd = random_messages.seeded()
    for _ in range(12):
        flat = produce_flat.FlatProduceRequest(
            None if version < 3 else rnd.choice((None, "transactional", u"\xe4")), rnd.choice((-1, 1)),
            rnd.randrange(9999), some(rnd))
        flat.client_id = rnd.choice(("kiel", u"\xfc", None, "c" * 200))
        assert flat.serialize(version) == by_tables(flat).serialize(version)
        assert flat.expects_response and flat.wait_time == flat.timeout
        read = request.deserialize(flat.serialize(version))
        data = [pieces for _, _, _, pieces in flat.batches]
        assert sorted(part.message_set.data for topic in read.topics for part in topic.partitions) == sorted(
            map(b"".join, data))


def test_what_it_tells_is_what_the_tables_tell():
    rnd = random_messages.seeded()
    for ids in (True, False):
        flat = produce_flat.FlatProduceRequest(None, 0, 500, some(rnd, ids))
        plain = by_tables(flat)
        assert (flat.min_version, flat.max_version) == (plain.min_version, plain.max_version)
        assert flat.max_version == (13 if ids else 12) and not flat.expects_response and repr(flat.topics)
        assert flat.serialize() == plain.serialize()  # version 0
        assert flat.topic_names == (plain.topic_names if ids else {})
    assert produce_flat.FlatProduceRequest(None, 0, 500, [("t", topic_ids.NO_TOPIC, 0, [b""])]).max_version == 12


def test_what_is_kept_of_many_kinds_is_bounded(monkeypatch):
    monkeypatch.setattr(produce_flat, "_beginnings", {})
    for number in range(2 * produce_flat.KINDS + 3):
        flat = produce_flat.FlatProduceRequest(str(number), -1, 500, [("t", None, 0, [b"data"])])
        assert flat.serialize(12) == by_tables(flat).serialize(12)
        assert len(produce_flat._beginnings) <= produce_flat.KINDS


def test_an_answer_without_names_gets_them():
    flat = produce_flat.FlatProduceRequest(None, -1, 500, [("a", b"a" * 16, 0, [b"x"]), ("b", b"b" * 16, 0, [b"x"])])
    answer = produce.ProduceResponse(topics=[produce.TopicResponse(topic_id=b"b" * 16)])
    answer.answers(flat)
    assert answer.topics[0].name == "b"


def test_what_can_not_be_written_is_an_error():
    flat = produce_flat.FlatProduceRequest(None, -1, 500, [("t", b"i" * 16, 1 << 40, [b"x"])])
    with pytest.raises(ValueError):
        flat.serialize(13)
